package binance

import (
	"bytes"
	"math"

	"tickproc/feeds"
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// noticeText bounds what is kept of a venue's message, in bytes.
const noticeText = 256

// refusal reads {"error":{"code":2,"msg":"…"},"id":1} and {"code":2,"msg":"…","id":1}.
func (d *decoder) refusal() {
	d.Notify(feeds.NoticeRefused)
	d.Notice.Request = d.request()
	d.Notice.Code, d.Notice.Text = d.fault()
}

// fault reads code and msg.
func (d *decoder) fault() (code int, text string) {
	if d.has(fieldCode) {
		if v, err := tick.ParseScaled(d.Scan.Bytes(d.values[fieldCode]), 0); err == nil {
			code = int(v)
		}
	}
	f := fieldMessage
	if !d.has(f) {
		f = fieldError
	}
	t := d.text(f)
	return code, string(bytes.ToValidUTF8(jsonscan.AppendUnescaped(nil, t[:min(len(t), noticeText)]), nil))
}

// request returns which of the socket's requests an answer is about: plan
// numbers them from 1. -1 = none of them.
func (d *decoder) request() int {
	v := d.values[fieldRequest]
	if !d.has(fieldRequest) || v.Kind != jsonscan.Uint || v.Uint == 0 || v.Uint > math.MaxInt32 {
		return -1
	}
	return int(v.Uint) - 1
}
