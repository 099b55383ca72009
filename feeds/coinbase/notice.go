package coinbase

import (
	"bytes"

	"tickproc/feeds"
	"tickproc/internal/jsonscan"
)

// noticeText bounds what is kept of a venue's message, in bytes.
const noticeText = 256

// nobodyAsked is the venue's complaint about a socket without subscriptions:
// no answer to a request.
const nobodyAsked = "subscribe or unsubscribe required"

// bare reads a frame without an envelope: {"type":"error","message":"…"}.
func (d *decoder) bare() {
	kind := d.places[keyType]
	switch {
	case d.seen&(1<<keyType) == 0:
		d.Fault(feeds.ErrUnknownMessage, "no channel", nil)
	case kind.Kind != jsonscan.String:
		d.Refuse("type is no string")
	case string(d.Scan.Bytes(kind)) != "error":
		d.strangeKind("type", kind)
	default:
		d.Notify(feeds.NoticeRefused)
		if v := d.places[keyMessage]; d.seen&(1<<keyMessage) != 0 && v.Kind == jsonscan.String {
			t := d.Scan.Bytes(v)
			d.Notice.Text = string(bytes.ToValidUTF8(jsonscan.AppendUnescaped(nil, t[:min(len(t), noticeText)]), nil))
		}
	}
}

// answered says which request an answer is about. The venue does not name it,
// but answers in the order of the requests: a subscriptions frame, which lists
// all that the socket has, or an error.
func (d *decoder) answered(n feeds.Notice) feeds.Notice {
	switch n.Kind {
	case feeds.NoticeAck, feeds.NoticeRefused:
		n.Request = -1
		if n.Text != nobodyAsked {
			n.Request = d.answers
			d.answers++
		}
	}
	return n
}

// jump tells of missing frames. An acknowledgement that shows them waits for
// another frame.
func (d *decoder) jump(n feeds.Notice, p place, lost uint64) feeds.Notice {
	if n.Kind == feeds.NoticeAck {
		d.owed = append(d.owed, n.Request)
	}
	if p == anew {
		d.Table().Canary.Report(feeds.CanarySequence, "sequence_num began anew on a socket")
	}
	return feeds.Notice{Kind: feeds.NoticeGap, Lost: lost}
}

// settle gives out an acknowledgement that waits, with a frame that needs no
// notice itself.
func (d *decoder) settle(n feeds.Notice) feeds.Notice {
	if len(d.owed) == 0 || n.Kind == feeds.NoticeAck {
		return n
	}
	n = feeds.Notice{Kind: feeds.NoticeAck, Request: d.owed[0]}
	d.owed = d.owed[1:]
	return n
}
