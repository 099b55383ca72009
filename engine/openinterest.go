package engine

import (
	"tickproc/internal/state"
	"tickproc/tick"
)

// interestState is the open interest that was written last.
type interestState struct {
	size    reference
	written bool // since the channel was lost
	ord     ordinal
}

// onOpenInterest takes the number of contracts that are open: one row a change.
//
// hot: per message, 0 allocs.
func (in *instrument) onOpenInterest(m *tick.OpenInterest) {
	ts, source := in.eventTime(&m.Header)
	if !in.isNews(tick.ChannelOpenInterest, &m.Header, ts) {
		return
	}
	in.heard(tick.ChannelOpenInterest, ts, true)
	o := &in.interest
	if changed := o.size.learn(m.Size, m.SizeDigits); !o.size.told || o.written && !changed {
		return
	}
	o.written = true
	r := in.newRow(tick.RowOpenInterest, ts).OpenInterestRow()
	r.Source, r.ReceiveNanos, r.Ord = source, m.ReceiveNanos, o.ord.next(ts, 0)
	r.Size, r.SizeDigits = o.size.shown()
}

func (o *interestState) code(c *state.Coder) {
	o.size.code(c)
	c.Bool(&o.written)
	o.ord.code(c)
}
