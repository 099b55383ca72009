package engine

import (
	"tickproc/internal/state"
	"tickproc/tick"
)

// lineScale is the scale that one line uses for the instrument, once it said so.
type lineScale struct {
	line                    uint16
	priceDigits, sizeDigits uint8
}

// fineLine is a line whose scale is that of the state: once one spoke of its
// scale, each packet would be looked up among all that did.
type fineLine struct {
	line uint16
	some bool
}

func (f *fineLine) is(line uint16) bool { return f.some && f.line == line }

// rescaleLine takes a line's declaration of a finer scale. State follows the
// finest line; the others are multiplied up until they follow too.
func (in *instrument) rescaleLine(r *tick.Rescale) {
	i := in.lineIndex(r.Line)
	if i < 0 {
		in.lines = append(in.lines, lineScale{line: r.Line})
		i = len(in.lines) - 1
	}
	in.lines[i].priceDigits, in.lines[i].sizeDigits = r.PriceDigits, r.SizeDigits
	price, size := max(in.priceDigits, r.PriceDigits), max(in.sizeDigits, r.SizeDigits)
	if price != in.priceDigits || size != in.sizeDigits {
		in.rescale(price, size)
	}
	// A line that never spoke may still use the initial scale.
	in.coarser, in.fine, in.idle = true, fineLine{}, false
}

func (in *instrument) lineIndex(line uint16) int {
	for i := range in.lines {
		if in.lines[i].line == line {
			return i
		}
	}
	return -1
}

// rescale multiplies all state exactly. State that int64 cannot hold ends the
// instrument, visibly.
func (in *instrument) rescale(priceDigits, sizeDigits uint8) {
	priceFactor := tick.Pow10(priceDigits - in.priceDigits)
	sizeFactor := tick.Pow10(sizeDigits - in.sizeDigits)
	in.priceDigits, in.sizeDigits = priceDigits, sizeDigits
	in.told.whole = false // a follower's levels are at the old one
	err := in.sync.Rescale(priceFactor, sizeFactor, priceDigits, sizeDigits)
	for _, x := range in.standbys {
		if e := x.sync.Rescale(priceFactor, sizeFactor, priceDigits, sizeDigits); e != nil {
			err = e
		}
	}
	for _, x := range in.settledIndicators() {
		if e := x.Rescale(priceFactor, sizeFactor); e != nil {
			err = e
		}
	}
	quote := [2]tick.Level{in.quote.bid, in.quote.ask}
	for _, levels := range [][]tick.Level{quote[:], in.sample.last} {
		if e := scaleLevels(levels, priceFactor, sizeFactor); e != nil {
			err = e
		}
	}
	in.quote.bid, in.quote.ask = quote[0], quote[1]
	if err != nil {
		// What overflowed is at the old scale, or gone: it must not be shown.
		in.sample.pending = false
		in.quote.bid, in.quote.ask = tick.Level{}, tick.Level{}
		in.disable()
	}
}

func scaleLevels(levels []tick.Level, priceFactor, sizeFactor int64) error {
	for i := range levels {
		price, errPrice := tick.MulExact(levels[i].Price, priceFactor)
		size, errSize := tick.MulExact(levels[i].Size, sizeFactor)
		if errPrice != nil || errSize != nil {
			return tick.ErrRange
		}
		levels[i] = tick.Level{Price: price, Size: size}
	}
	return nil
}

// disable ends an instrument whose numbers do not fit: better nothing than
// something wrong.
func (in *instrument) disable() {
	in.counts.OutOfRange++
	// First, because some of them may be at the old scale.
	in.indicators, in.indicatorDue = nil, never
	for len(in.backfill.cases) > 0 {
		in.closeBackfill(&in.backfill.cases[0], tick.BackfillGivenUp)
	}
	for i, c := range tick.AllChannels {
		in.firsts[i] = firstArrival{}
		if in.def.Channels.Has(c) {
			in.onDown(&tick.ChannelEvent{Channel: c, Reason: tick.ReasonRange})
		}
	}
	in.disabled, in.idle = true, false
}

// scaleUp brings a packet of a coarser line to the state's scale, in scratch.
func (in *instrument) scaleUp(p []tick.Unit) ([]tick.Unit, bool) {
	h := p[0].Header()
	price, size := in.def.PriceDigits, in.def.SizeDigits
	if i := in.lineIndex(h.Line); i >= 0 {
		price, size = in.lines[i].priceDigits, in.lines[i].sizeDigits
	}
	if price == in.priceDigits && size == in.sizeDigits {
		in.fine = fineLine{h.Line, true}
		return p, true
	}
	priceFactor, sizeFactor := tick.Pow10(in.priceDigits-price), tick.Pow10(in.sizeDigits-size)
	s := in.shard
	s.scratch = append(s.scratch[:0], p...)
	var err error
	switch h.Kind {
	case tick.KindTrade, tick.KindLiquidation:
		t := s.scratch[0].Trade()
		l := [1]tick.Level{{Price: t.Price, Size: t.Size}}
		err = scaleLevels(l[:], priceFactor, sizeFactor)
		t.Price, t.Size = l[0].Price, l[0].Size
	case tick.KindDepth, tick.KindSnapshot, tick.KindQuote:
		err = scaleLevels(tick.Levels(s.scratch), priceFactor, sizeFactor)
	}
	if err != nil {
		in.disable()
		return nil, false
	}
	return s.scratch, true
}

// codeLines codes the lines that spoke of their scale. A hash tells each by the
// place that it has in every channel.
func (in *instrument) codeLines(c *state.Coder) {
	n := c.Len(len(in.lines), 4, 1<<16)
	if c.Loading() {
		in.lines = make([]lineScale, n)
	}
	for i := range in.lines {
		x := &in.lines[i]
		state.Enum(c, &x.priceDigits, in.priceDigits)
		state.Enum(c, &x.sizeDigits, in.sizeDigits)
		if !c.Hashing() {
			c.Uint16(&x.line)
			continue
		}
		for j := range in.firsts {
			place := byte(in.firsts[j].place(x.line))
			state.Byte(c, &place)
		}
	}
}
