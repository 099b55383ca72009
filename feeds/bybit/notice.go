package bybit

import (
	"bytes"
	"math"

	"tickproc/feeds"
	"tickproc/internal/jsonscan"
)

// noticeText bounds what is kept of a venue's message, in bytes.
const noticeText = 256

// answer reads what the venue says to a request or a ping:
// {"success":true,"ret_msg":"","conn_id":"…","req_id":"1","op":"subscribe"}
// {"success":true,"ret_msg":"pong","conn_id":"…","op":"ping"}, {"op":"pong","args":["…"]}
//
// A request is taken or refused as a whole. A refusal names the topic that is
// bad in its text, and which of them are good only asking again shows.
func (d *decoder) answer() {
	success := jsonscan.Invalid
	if d.has(fieldSuccess) {
		success = d.values[fieldSuccess].Kind
	}
	switch op := string(d.text(fieldOp)); {
	case op == "ping" || op == "pong":
		d.Notify(feeds.NoticePong)
	case success == jsonscan.True && (op == "subscribe" || op == "unsubscribe"):
		d.Notify(feeds.NoticeAck)
		d.Notice.Request = d.request()
	case success == jsonscan.False:
		d.Notify(feeds.NoticeRefused)
		d.Notice.Request = d.request()
		text := d.text(fieldMessage)
		d.Notice.Text = string(bytes.ToValidUTF8(jsonscan.AppendUnescaped(nil, text[:min(len(text), noticeText)]), nil))
	default:
		d.unknown("op", []byte(op))
	}
}

// request returns which of the socket's requests an answer is about: plan
// numbers them from 1. -1 = none of them.
func (d *decoder) request() int {
	n, ok := uintOf(d.text(fieldRequest))
	if !ok || n == 0 || n > math.MaxInt32 {
		return -1
	}
	return int(n) - 1
}
