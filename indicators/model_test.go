package indicators

import (
	"math/big"
	"slices"

	"tickproc/tick"
)

// The models are slow and obvious: they keep every trade and compute each row
// anew from the list, with big numbers. What they share with the indicators
// is only the contract.

// model is what a modelled indicator can do.
type model interface {
	Trade(t *Trade)
	Advance(venueNow int64, out *Out)
	Revise(from, to int64, out *Out)
	Rescale(priceFactor, sizeFactor int64) error
	Finish(out *Out)
}

func newModel(spec Spec, coverage *Coverage) model {
	switch spec := spec.(type) {
	case BarsSpec:
		return &barsModel{spec: spec, coverage: coverage, emitted: map[int64]*emittedBar{}, dropped: map[int64]bool{}}
	case WindowSpec:
		spec.EnsureDefaults()
		return &windowModel{spec: spec, coverage: coverage, emitted: map[int64]*emittedWindow{}}
	}
	return nil
}

// tape is the list of all trades so far.
type tape struct{ trades []Trade }

func (p *tape) Trade(t *Trade) { p.trades = append(p.trades, *t) }

func (p *tape) Rescale(priceFactor, sizeFactor int64) error {
	for i := range p.trades {
		p.trades[i].Price *= priceFactor
		p.trades[i].Size *= sizeFactor
	}
	return nil
}

// between returns the trades of [start, end) in market order.
func (p *tape) between(start, end int64) []Trade {
	var some []Trade
	for _, t := range p.trades {
		if t.TsNanos >= start && t.TsNanos < end {
			some = append(some, t)
		}
	}
	slices.SortFunc(some, func(a, b Trade) int {
		if a.TsNanos != b.TsNanos {
			return int(a.TsNanos - b.TsNanos)
		}
		return new(big.Int).Sub(bigID(a.ID), bigID(b.ID)).Sign()
	})
	return some
}

func bigID(id tick.ID) *big.Int {
	b := new(big.Int).SetUint64(id.Hi)
	return b.Lsh(b, 64).Or(b, new(big.Int).SetUint64(id.Lo))
}

func volumeOf(trades []Trade, of func(*Trade) bool) tick.Int128 {
	sum := new(big.Int)
	for i := range trades {
		if of(&trades[i]) {
			sum.Add(sum, big.NewInt(trades[i].Size))
		}
	}
	return int128(sum)
}

func notionalOf(trades []Trade) tick.Int128 {
	sum := new(big.Int)
	for _, t := range trades {
		sum.Add(sum, new(big.Int).Mul(big.NewInt(t.Price), big.NewInt(t.Size)))
	}
	return int128(sum)
}

func all(*Trade) bool { return true }

func int128(b *big.Int) tick.Int128 {
	low := new(big.Int).And(b, new(big.Int).SetUint64(1<<64-1))
	return tick.Int128{Hi: new(big.Int).Rsh(b, 64).Int64(), Lo: low.Uint64()}
}

// halfEven rounds x to an integer.
func halfEven(x *big.Rat) *big.Int {
	low := new(big.Int).Div(x.Num(), x.Denom()) // Euclidean: rounds down
	switch rest := new(big.Rat).Sub(x, new(big.Rat).SetInt(low)); rest.Cmp(big.NewRat(1, 2)) {
	case 1:
		low.Add(low, big.NewInt(1))
	case 0:
		low.Add(low, big.NewInt(int64(low.Bit(0))))
	}
	return low
}

func pow10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// baseValue is size × contract / price at InverseDigits places.
func baseValue(price, size int64, priceDigits, sizeDigits int, contract tick.Number) *big.Int {
	scaled := func(v int64, digits int) *big.Rat { return new(big.Rat).SetFrac(big.NewInt(v), pow10(digits)) }
	x := new(big.Rat).Mul(scaled(size, sizeDigits), scaled(contract.Mantissa, int(contract.Digits)))
	x.Quo(x, scaled(price, priceDigits))
	return halfEven(x.Mul(x, new(big.Rat).SetInt(pow10(tick.InverseDigits))))
}

// barsModel is Bars.
type barsModel struct {
	tape
	spec     BarsSpec
	coverage *Coverage
	priceUp  int // digits that Rescale added
	sizeUp   int
	emitted  map[int64]*emittedBar
	dropped  map[int64]bool // no longer revised
}

type emittedBar struct {
	content  tick.BarRow // without flags and revision
	rev      uint32
	complete bool
}

func (m *barsModel) Rescale(priceFactor, sizeFactor int64) error {
	m.priceUp += digitsOf(priceFactor)
	m.sizeUp += digitsOf(sizeFactor)
	m.tape.Rescale(priceFactor, sizeFactor)
	for _, e := range m.emitted {
		r := &e.content
		for _, price := range []*int64{&r.Open, &r.High, &r.Low, &r.Close} {
			*price *= priceFactor
		}
		for _, volume := range []*tick.Int128{&r.Volume, &r.BuyVolume, &r.SellVolume} {
			*volume = times(*volume, sizeFactor)
		}
		r.Notional = times(times(r.Notional, priceFactor), sizeFactor)
	}
	return nil
}

func times(x tick.Int128, factor int64) tick.Int128 {
	return int128(new(big.Int).Mul(x.Big(), big.NewInt(factor)))
}

// content computes a bar; ok is false where there is none.
func (m *barsModel) content(start int64) (r tick.BarRow, ok bool) {
	end := start + int64(m.spec.Interval)
	in := m.between(start, end)
	r.TsNanos, r.IntervalNanos = start, int64(m.spec.Interval)
	if len(in) == 0 {
		earlier := m.between(none, start)
		if !m.spec.Carry || len(earlier) == 0 {
			return r, false
		}
		price := earlier[len(earlier)-1].Price
		r.Open, r.High, r.Low, r.Close = price, price, price, price
		return r, true
	}
	r.Open, r.Close, r.Low, r.High = in[0].Price, in[len(in)-1].Price, in[0].Price, in[0].Price
	base := new(big.Int)
	for _, t := range in {
		r.High, r.Low = max(r.High, t.Price), min(r.Low, t.Price)
		if m.spec.Inverse {
			base.Add(base, baseValue(t.Price, t.Size, int(m.spec.PriceDigits)+m.priceUp, int(m.spec.SizeDigits)+m.sizeUp, m.spec.ContractSize))
		}
	}
	r.Volume, r.Notional, r.InverseBase = volumeOf(in, all), notionalOf(in), int128(base)
	r.BuyVolume = volumeOf(in, func(t *Trade) bool { return !t.Sell })
	r.SellVolume = volumeOf(in, func(t *Trade) bool { return t.Sell })
	r.Trades = uint64(len(in))
	return r, true
}

func (m *barsModel) newest() int64 {
	newest := int64(none)
	for start := range m.emitted {
		newest = max(newest, start)
	}
	return newest
}

// starts lists the intervals that have or may have a bar, up to the one of
// the newest trade or the one that began at due.
func (m *barsModel) starts(due int64) []int64 {
	var list []int64
	for _, t := range m.trades {
		list = append(list, floorTo(t.TsNanos, int64(m.spec.Interval)))
	}
	if m.spec.Carry && len(list) > 0 {
		for start := slices.Min(list); start <= max(due, slices.Max(list)); start += int64(m.spec.Interval) {
			list = append(list, start)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (m *barsModel) Advance(venueNow int64, out *Out) {
	m.advance(venueNow-int64(m.spec.Grace)-int64(m.spec.Interval), out)
	// Forget: what ended before the lateness, unless it is the last emitted.
	starts := m.starts(none)
	for start := range m.emitted {
		starts = append(starts, start)
	}
	slices.Sort(starts)
	starts = slices.DeleteFunc(slices.Compact(starts), func(start int64) bool { return m.dropped[start] })
	for len(starts) > 1 && m.emitted[starts[0]] != nil && m.emitted[starts[1]] != nil &&
		starts[0]+int64(m.spec.Interval) <= venueNow-int64(m.spec.Lateness) {
		m.dropped[starts[0]] = true
		starts = starts[1:]
	}
}

func (m *barsModel) advance(due int64, out *Out) {
	for _, start := range m.starts(max(due, m.newest())) {
		content, ok := m.content(start)
		e := m.emitted[start]
		switch {
		case !ok || e == nil && start > max(due, m.newest()):
			continue
		case e == nil:
			e = &emittedBar{}
			m.emitted[start] = e
		case e.content != content:
			e.rev++
		default:
			continue
		}
		m.emit(start, e, content, out)
	}
}

func (m *barsModel) emit(start int64, e *emittedBar, content tick.BarRow, out *Out) {
	e.content, e.complete = content, m.coverage.Complete(start, start+int64(m.spec.Interval))
	barRow(content, e.rev, finalFlags(e.complete), out)
}

func barRow(content tick.BarRow, rev uint32, flags tick.RowFlags, out *Out) {
	content.RowHeader, content.Rev = out.header(tick.RowBar, flags, content.TsNanos), rev
	rows, u := tick.NewRow(out.Rows, tick.RowBar)
	*u.BarRow() = content
	out.Rows = rows
}

func (m *barsModel) Revise(from, to int64, out *Out) {
	for _, start := range m.starts(m.newest()) {
		e, end := m.emitted[start], start+int64(m.spec.Interval)
		if e == nil || m.dropped[start] || from >= end || to < start || e.complete == m.coverage.Complete(start, end) {
			continue
		}
		e.rev++
		content, _ := m.content(start)
		m.emit(start, e, content, out)
	}
}

func (m *barsModel) Finish(out *Out) {
	m.advance(none, out)
	for _, start := range m.starts(none) {
		if content, ok := m.content(start); ok && m.emitted[start] == nil {
			barRow(content, 0, 0, out)
		}
	}
}

// windowModel is SlidingVWAP, and with span 0 SessionVWAP.
type windowModel struct {
	tape
	spec     WindowSpec
	coverage *Coverage
	now      int64
	emitted  map[int64]*emittedWindow
}

type emittedWindow struct {
	trades   int
	rev      uint32
	complete bool
}

// begin returns where the window that ends at end begins.
func (m *windowModel) begin(end int64) int64 {
	if m.spec.Span > 0 {
		return end - int64(m.spec.Span)
	}
	return floorTo(end-1, int64(day))
}

// ends lists the windows that have a row: that hold trades, and in a session
// hold new ones.
func (m *windowModel) ends() []int64 {
	var list []int64
	step := int64(m.spec.Step)
	for _, t := range m.trades {
		end := floorTo(t.TsNanos, step) + step
		if m.spec.Span == 0 {
			list = append(list, end)
			continue
		}
		for ; end-int64(m.spec.Span) <= t.TsNanos; end += step {
			list = append(list, end)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (m *windowModel) newest() int64 {
	newest := int64(none)
	for end := range m.emitted {
		newest = max(newest, end)
	}
	return newest
}

func (m *windowModel) Advance(venueNow int64, out *Out) {
	m.now = venueNow
	m.advance(venueNow-int64(m.spec.Grace), out)
}

func (m *windowModel) advance(due int64, out *Out) {
	due = max(due, m.newest())
	for _, end := range m.ends() {
		e := m.emitted[end]
		switch {
		case end > due:
			continue
		case e == nil:
			e = &emittedWindow{}
			m.emitted[end] = e
		case e.trades < len(m.between(m.begin(end), end)):
			e.rev++
		default:
			continue
		}
		m.emit(end, e, out)
	}
}

func (m *windowModel) emit(end int64, e *emittedWindow, out *Out) {
	e.trades = len(m.between(m.begin(end), end))
	e.complete = m.coverage.Complete(m.begin(end), end)
	m.row(end, e.rev, finalFlags(e.complete), out)
}

func (m *windowModel) row(end int64, rev uint32, flags tick.RowFlags, out *Out) {
	in := m.between(m.begin(end), end)
	rows, u := tick.NewRow(out.Rows, tick.RowWindow)
	*u.WindowRow() = tick.WindowRow{RowHeader: out.header(tick.RowWindow, flags, end), Volume: volumeOf(in, all), Notional: notionalOf(in),
		Trades: uint64(len(in)), SpanNanos: int64(m.spec.Span), StepNanos: int64(m.spec.Step), Rev: rev}
	out.Rows = rows
}

func (m *windowModel) Revise(from, to int64, out *Out) {
	for _, end := range m.ends() {
		e, begin := m.emitted[end], m.begin(end)
		if e == nil || end <= m.now-int64(m.spec.Lateness) || from >= end || to < begin || e.complete == m.coverage.Complete(begin, end) {
			continue
		}
		e.rev++
		m.emit(end, e, out)
	}
}

func (m *windowModel) Finish(out *Out) {
	m.advance(none, out)
	last := int64(none)
	for _, t := range m.trades {
		last = max(last, floorTo(t.TsNanos, int64(m.spec.Step))+int64(m.spec.Step))
	}
	for _, end := range m.ends() {
		if m.emitted[end] == nil && end <= last {
			m.row(end, 0, 0, out)
		}
	}
}
