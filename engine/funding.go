package engine

import (
	"tickproc/internal/state"
	"tickproc/tick"
)

// fundingState is what is known of a derivative's reference prices and
// funding: venues spread them over streams, or send only what changed. Numbers
// keep the digits that they came with.
type fundingState struct {
	mark, index, rate reference
	nextNanos         int64 // 0 = not told
	written           bool  // since the channel was lost
	ord               ordinal
}

// reference is a number of its own digits; the zero value was not told yet.
type reference struct {
	value  int64
	digits uint8
	told   bool
}

// onMark takes whatever a message tells of reference prices and funding. Its
// time is no evidence of the venue's clock: venues send it ahead of, or behind,
// the second it is of.
//
// hot: per message, 0 allocs.
func (in *instrument) onMark(m *tick.Mark) {
	ts, source := in.eventTime(&m.Header)
	if !in.isNews(tick.ChannelFunding, &m.Header, ts) {
		return
	}
	in.heard(tick.ChannelFunding, ts, true)
	f := &in.funding
	changed := f.mark.learn(m.Mark, m.PriceDigits)
	changed = f.index.learn(m.Index, m.PriceDigits) || changed
	changed = f.rate.learn(m.FundingRate, m.RateDigits) || changed
	if next := int64(m.NextFundingSeconds) * 1e9; next != 0 && next != f.nextNanos {
		f.nextNanos, changed = next, true
	}
	if nothing := !f.mark.told && !f.index.told && !f.rate.told && f.nextNanos == 0; nothing || f.written && !changed {
		return
	}
	f.written = true
	r := in.newRow(tick.RowFunding, ts).FundingRow()
	r.Source, r.ReceiveNanos, r.Ord = source, m.ReceiveNanos, f.ord.next(ts, 0)
	r.Mark, r.MarkDigits = f.mark.shown()
	r.Index, r.IndexDigits = f.index.shown()
	r.Rate, r.RateDigits = f.rate.shown()
	r.NextFundingNanos = f.nextNanos
}

// learn takes a number that a message may tell, and reports whether that is news.
func (x *reference) learn(value int64, digits uint8) bool {
	if value == tick.Absent {
		return false
	}
	same := x.told && tick.CompareScaled(x.value, x.digits, value, digits) == 0
	*x = reference{value, digits, true}
	return !same
}

func (x *reference) shown() (int64, uint8) {
	if !x.told {
		return tick.Absent, 0
	}
	return x.value, x.digits
}

// loseState says that a channel whose messages are a state is not seen from
// the one at from on; the next one makes it whole again, and is written even
// where nothing changed.
func (in *instrument) loseState(which tick.Channels, from int64, reason tick.Reason) {
	c := &in.channels[which.Index()]
	if c.gap.open {
		return
	}
	in.openGap(c, which, from, reason)
	if which == tick.ChannelFunding {
		in.funding.written = false
	} else {
		in.interest.written = false
	}
}

func (f *fundingState) code(c *state.Coder) {
	f.mark.code(c)
	f.index.code(c)
	f.rate.code(c)
	c.Int64(&f.nextNanos)
	c.Bool(&f.written)
	f.ord.code(c)
}

func (x *reference) code(c *state.Coder) {
	c.Int64(&x.value)
	state.Enum(c, &x.digits, tick.MaxDigits)
	c.Bool(&x.told)
}
