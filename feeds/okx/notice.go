package okx

import (
	"bytes"

	"tickproc/feeds"
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// noticeText bounds what is kept of a venue's message, in bytes.
const noticeText = 256

// upgrade is the code of a notice that the socket will be closed in a minute.
const upgrade = 64008

// event reads {"event":…,"id":…,"arg":…,"code":…,"msg":…}.
func (d *decoder) event() {
	switch event := d.text(&d.frame, fieldEvent); string(event) {
	case "subscribe", "unsubscribe":
		d.answer(feeds.NoticeAck, d.kind, d.text(&d.arg, fieldSymbol))
	case "error":
		code, text := d.fault()
		kind, symbol := d.kind, d.text(&d.arg, fieldSymbol)
		if !d.frame.has(fieldArg) {
			kind, symbol = named(d.text(&d.frame, fieldMessage))
		}
		// An error that names no stream refuses the request.
		if d.answer(feeds.NoticeRefused, kind, symbol); d.Notice.Kind != feeds.NoticeRefused {
			d.Notice = feeds.Notice{Kind: feeds.NoticeRefused, Request: d.request()}
		}
		d.Notice.Code, d.Notice.Text = code, text
	case "notice":
		code, text := d.fault()
		if d.Notify(feeds.NoticeMaintenance); code == upgrade {
			d.Notify(feeds.NoticeReconnect)
		}
		d.Notice.Code, d.Notice.Text = code, text
	case "login", "channel-conn-count", "channel-conn-count-error":
		d.Notify(feeds.NoticeIgnored) // of accounts
	default:
		d.Fault(feeds.ErrUnknownMessage, "event", event)
		d.Table().Canary.Report(feeds.CanaryMessage, "event "+string(event[:min(len(event), noticeText)]))
	}
}

// answer is about one stream, or, for liquidations, which have requests of
// their own, about the request. Streams that are not ours are ignored.
func (d *decoder) answer(kind feeds.NoticeKind, stream streamKind, symbol []byte) {
	n := feeds.Notice{Kind: kind, Request: d.request()}
	switch {
	case stream == streamLiquidations:
	case stream == streamIndex:
		id, ok := d.firstFollower(symbol)
		if !ok {
			n = feeds.Notice{Kind: feeds.NoticeIgnored}
			break
		}
		n.Channel, n.Instrument = tick.ChannelFunding, id
	case stream.channel() != 0 && d.Lookup(symbol):
		n.Channel, n.Instrument = stream.channel(), d.Instrument()
	default:
		n = feeds.Notice{Kind: feeds.NoticeIgnored}
	}
	d.Notify(n.Kind)
	d.Notice = n
}

// named finds the stream in "Wrong URL or channel:books,instId:X-Y doesn't
// exist. Please use the correct URL, channel and parameters referring to API document."
func named(text []byte) (streamKind, []byte) {
	value := func(key string) []byte {
		_, rest, _ := bytes.Cut(text, []byte(key))
		if end := bytes.IndexAny(rest, ", "); end >= 0 {
			rest = rest[:end]
		}
		return rest
	}
	return kindOf(value("channel:")), value("instId:")
}

// fault reads code and msg.
func (d *decoder) fault() (code int, text string) {
	if v := d.frame.values[fieldCode]; d.frame.has(fieldCode) {
		if n, err := tick.ParseScaled(d.Scan.Bytes(v), 0); err == nil {
			code = int(n)
		}
	}
	t := d.text(&d.frame, fieldMessage)
	return code, string(bytes.ToValidUTF8(jsonscan.AppendUnescaped(nil, t[:min(len(t), noticeText)]), nil))
}

// request returns which of the socket's requests an answer is about: plan
// numbers them from 1. -1 = none of them.
func (d *decoder) request() int { return requestOf(d.text(&d.frame, fieldRequest)) }
