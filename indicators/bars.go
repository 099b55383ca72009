package indicators

import (
	"errors"
	"fmt"
	"time"

	"tickproc/tick"
)

// BarsSpec configures the bars of one interval.
type BarsSpec struct {
	// Interval of a bar; bars begin at its multiples since 1970-01-01 00:00 UTC.
	Interval time.Duration
	// Grace is how long after its end a bar waits for trades before it is final.
	Grace time.Duration
	// Lateness is how old a trade may be and still revise its bar.
	Lateness time.Duration
	// Carry: intervals without trades, from the first trade on, give flat bars
	// at the last close. Otherwise they give none.
	Carry bool
	// Inverse: sizes are contracts worth ContractSize of the quote asset.
	// ContractSize and the digits at the start are read only then.
	Inverse                 bool
	ContractSize            tick.Number
	PriceDigits, SizeDigits uint8
}

// Validate returns every fault at once.
func (s BarsSpec) Validate() error {
	var faults []error
	if s.Interval <= 0 {
		faults = append(faults, fmt.Errorf("bar interval %v: must be above 0", s.Interval))
	}
	faults = append(faults, validateWaits(s.Grace, s.Lateness))
	if s.Interval > 0 && s.Lateness >= 0 && s.slots() > slotsMax {
		faults = append(faults, fmt.Errorf("bar interval %v with lateness %v: more than %d bars would be held; use a longer interval or less lateness", s.Interval, s.Lateness, slotsMax))
	}
	if s.Inverse && s.ContractSize.Mantissa <= 0 {
		faults = append(faults, fmt.Errorf("contract size %v of an inverse instrument: must be above 0", s.ContractSize))
	}
	return errors.Join(faults...)
}

// validateWaits checks what all specs share.
func validateWaits(grace, lateness time.Duration) error {
	var faults []error
	if grace < 0 {
		faults = append(faults, fmt.Errorf("grace %v: must not be below 0", grace))
	}
	if lateness < 0 {
		faults = append(faults, fmt.Errorf("lateness %v: must not be below 0", lateness))
	}
	return errors.Join(faults...)
}

// slots: those that a late trade may reach, the one before them, the open
// one, the one that waits out its grace, and one for a trade ahead of the clock.
func (s BarsSpec) slots() int64 { return int64(s.Lateness/s.Interval) + 4 }

// New builds the indicator.
func (s BarsSpec) New(coverage *Coverage) Indicator { return NewBars(s, coverage) }

// Bars makes the bars of one interval.
//
// It holds the bars that are open, those that ended within the lateness, and
// the one before the oldest of these, so that there is a close to carry on.
// With Carry, flat bars are held like others once they were emitted, because
// a late trade turns them into real ones or moves their price.
type Bars struct {
	spec                      BarsSpec
	interval, grace, lateness int64
	coverage                  *Coverage
	inverse                   inverse
	held                      slots[bar]
	begun

	// pending is the start of the earliest held bar that waits to be emitted or
	// revised; never = none. With carry, bars from closed on do not count.
	pending int64
	revised bool // some emitted bar changed since it was emitted
	// closed, with carry: every interval before it, from the first trade's on,
	// was emitted or is pending.
	closed int64
	// forgotten is the end of the newest bar with trades that is no longer held.
	forgotten int64
	hold      int64 // bars that end behind it are not forgotten; never = no hold
}

type bar struct {
	part
	rev      uint32
	emitted  bool
	changed  bool // since it was emitted
	complete bool // as emitted
	// partial: trades of this interval were forgotten. It is never called
	// complete nor given a revision, so that no fuller row gives way to it.
	partial bool
}

// part is what trades make of a bar.
type part struct {
	openTs, closeTs        int64 // with the ids: places of the first and last trade
	openID, closeID        tick.ID
	open, high, low, close int64
	sums
	buy  tick.Int128
	base tick.Int128 // inverse only
}

// NewBars panics on a spec that Validate refuses.
func NewBars(spec BarsSpec, coverage *Coverage) *Bars {
	if err := spec.Validate(); err != nil {
		panic("BUG: bars not validated: " + err.Error())
	}
	b := &Bars{spec: spec, interval: int64(spec.Interval), grace: int64(spec.Grace), lateness: int64(spec.Lateness),
		coverage: coverage, held: newSlots[bar](int(spec.slots()))}
	if spec.Inverse {
		b.inverse = newInverse(spec.ContractSize, spec.PriceDigits, spec.SizeDigits)
	}
	b.Reset()
	return b
}

// SetContract says what a contract of an inverse instrument is worth from here
// on, at the scale of the moment. Trades that came before keep their value.
func (b *Bars) SetContract(size tick.Number, priceDigits, sizeDigits uint8) {
	if b.spec.Inverse && size.Mantissa > 0 {
		b.inverse = newInverse(size, priceDigits, sizeDigits)
	}
}

// Inverse reports whether the bars value contracts in the base asset: decided
// when they were built.
func (b *Bars) Inverse() bool { return b.spec.Inverse }

// Trade implements Indicator.
//
// hot: per trade, 0 allocs.
func (b *Bars) Trade(t *Trade) {
	i := b.held.count - 1
	// Nearly every trade belongs to the newest bar, and a division costs more
	// than all the rest.
	if i < 0 || uint64(t.TsNanos-b.held.start(i)) >= uint64(b.interval) {
		i = b.open(floorTo(t.TsNanos, b.interval))
	}
	s := b.held.at(i)
	s.trade(t.TsNanos, t.ID, t.Price, t.Size, t.Sell)
	if b.spec.Inverse {
		s.base = s.base.Add(b.inverse.base(t.Price, t.Size))
	}
	if s.emitted {
		s.changed, b.revised = true, true
		b.pending = min(b.pending, b.held.start(i))
	}
}

func (s *part) trade(ts int64, id tick.ID, price, size int64, sell bool) {
	switch {
	case s.trades == 0:
		s.open, s.high, s.low, s.close = price, price, price, price
		s.openTs, s.openID, s.closeTs, s.closeID = ts, id, ts, id
	case before(s.closeTs, s.closeID, ts, id): // nearly always
		s.close, s.closeTs, s.closeID = price, ts, id
	case before(ts, id, s.openTs, s.openID):
		s.open, s.openTs, s.openID = price, ts, id
	}
	if price > s.high {
		s.high = price
	} else if price < s.low {
		s.low = price
	}
	// As sums.trade, without a call.
	s.volume = s.volume.Add(tick.Int128Of(size))
	s.notional = s.notional.Add(tick.Mul64(price, size))
	s.trades++
	if sell {
		size = 0 // and no branch: no processor can guess it
	}
	s.buy = s.buy.Add(tick.Int128Of(size))
}

// add adds trades to those that are there; neither are none. What contracts are
// worth is for the bars to say.
func (s *part) add(o *part) {
	s.high, s.low = max(s.high, o.high), min(s.low, o.low)
	if before(o.openTs, o.openID, s.openTs, s.openID) {
		s.open, s.openTs, s.openID = o.open, o.openTs, o.openID
	}
	if before(s.closeTs, s.closeID, o.closeTs, o.closeID) {
		s.close, s.closeTs, s.closeID = o.close, o.closeTs, o.closeID
	}
	s.sums.add(&o.sums)
	s.buy = s.buy.Add(o.buy)
}

// Room implements Indicator.
func (b *Bars) Room(ts int64) (from, to int64) {
	i := b.held.count - 1
	if i < 0 || b.held.at(i).emitted {
		return noRoom()
	}
	from = b.held.start(i)
	return from, from + b.interval
}

// Add implements Indicator.
func (b *Bars) Add(trades *part) {
	s := b.held.at(b.held.count - 1)
	s.add(trades)
	if b.spec.Inverse {
		s.base = s.base.Add(trades.base)
	}
}

// before orders trades by time, then by id: the order of arrival is no
// property of the market.
func before(ts int64, id tick.ID, otherTs int64, other tick.ID) bool {
	if ts != otherTs {
		return ts < otherTs
	}
	if id.Hi != other.Hi {
		return id.Hi < other.Hi
	}
	return id.Lo < other.Lo
}

// open returns the index of the bar that begins at start, made if need be.
func (b *Bars) open(start int64) int {
	i, found := b.held.search(start)
	if found {
		return i
	}
	s := b.held.insert(i, start)
	switch {
	case start < b.forgotten:
		s.partial = true
	case !b.spec.Carry:
	case b.held.count == 1:
		b.closed = start
		return i
	case start >= b.closed:
		return i // Advance gets there in its order
	case b.forgotten != none:
		s.emitted = true // as a flat bar, forgotten since
	case b.held.start(1) == b.closed:
		b.closed = start // older than the first, and nothing was emitted yet
		return i
	default: // older than the first: what lies between is flat
		for k := start + b.interval; k < b.held.start(i+1); k += b.interval {
			i++
			b.held.insert(i, k) // emitPending sets its price
		}
		i = 0
	}
	b.pending = min(b.pending, start)
	return i
}

// Deadline implements Indicator.
func (b *Bars) Deadline() int64 {
	if b.revised {
		return none
	}
	first := b.pending
	if b.spec.Carry && b.held.count > 0 {
		first = min(first, b.closed)
	}
	if first == never {
		return never
	}
	return first + b.interval + b.grace
}

// Advance implements Indicator.
//
// hot: per interval, 0 allocs.
func (b *Bars) Advance(venueNow int64, out *Out) {
	due := venueNow - b.grace - b.interval // the latest start of a bar that is over
	b.emitPending(due, out)
	if b.spec.Carry && b.held.count > 0 {
		// One by one, forgetting on the way: a long silence holds no more than a short one.
		for ; b.closed <= due; b.closed += b.interval {
			i, found := b.held.search(b.closed)
			if !found {
				price := b.held.at(i - 1).close
				*b.held.insert(i, b.closed) = flat(price)
			}
			b.emit(i, out)
			b.forget(venueNow)
		}
	}
	b.forget(venueNow)
}

func flat(price int64) bar {
	return bar{part: part{open: price, high: price, low: price, close: price}}
}

// carry moves a flat bar to a price.
func (s *bar) carry(price int64) {
	if s.close != price {
		s.open, s.high, s.low, s.close = price, price, price, price
		s.changed = s.emitted
	}
}

// emitPending emits what is pending and began at due or before, and what
// changed. An interval older than an emitted one is over, whatever the clock.
func (b *Bars) emitPending(due int64, out *Out) {
	for i := b.held.count - 1; i >= 0; i-- {
		if b.held.at(i).emitted {
			due = max(due, b.held.start(i))
			break
		}
	}
	i, _ := b.held.search(b.pending)
	b.pending, b.revised = never, false
	for ; i < b.held.count; i++ {
		start, s := b.held.start(i), b.held.at(i)
		if b.spec.Carry && start >= b.closed {
			return
		}
		if s.trades == 0 && i > 0 {
			// Only now, when all trades that wait are in: the close before may
			// have moved there and back.
			s.carry(b.held.at(i - 1).close)
		}
		if s.changed || !s.emitted && start <= due {
			b.emit(i, out)
		} else if !s.emitted {
			b.pending = min(b.pending, start)
		}
	}
}

// emit emits bar i, as its next revision if it was emitted before.
func (b *Bars) emit(i int, out *Out) {
	start, s := b.held.start(i), b.held.at(i)
	if s.emitted && !s.partial {
		s.rev++
	}
	s.emitted, s.changed = true, false
	s.complete = b.whole(start, s)
	b.row(start, s, finalFlags(s.complete), out)
}

func (b *Bars) whole(start int64, s *bar) bool {
	return !s.partial && b.sawFrom(start) && b.coverage.Complete(start, start+b.interval)
}

func (b *Bars) row(start int64, s *bar, flags tick.RowFlags, out *Out) {
	rows, u := tick.NewRow(out.Rows, tick.RowBar)
	out.Rows = rows
	r := u.BarRow()
	r.RowHeader = out.header(tick.RowBar, flags, start)
	r.IntervalNanos = b.interval
	r.Open, r.High, r.Low, r.Close = s.open, s.high, s.low, s.close
	r.Volume, r.Notional = s.volume, s.notional
	r.BuyVolume, r.SellVolume = s.buy, s.volume.Sub(s.buy)
	r.InverseBase = s.base
	r.Trades, r.Rev = s.trades, s.rev
}

// forget drops bars that no in-time trade reaches, but not the last emitted one.
func (b *Bars) forget(venueNow int64) {
	old, n := min(venueNow-b.lateness, b.hold)-b.interval, 0
	for n+1 < b.held.count && b.held.start(n) <= old {
		s := b.held.at(n)
		if !s.emitted || !b.held.at(n+1).emitted {
			break
		}
		if s.trades > 0 {
			b.forgotten = max(b.forgotten, b.held.start(n)+b.interval)
		}
		n++
	}
	b.held.drop(n)
}

// Hold implements Indicator.
func (b *Bars) Hold(from int64) { b.hold = from }

// Revise implements Indicator.
func (b *Bars) Revise(from, to int64, out *Out) {
	var price int64 // the last close, with the trades that wait for Advance
	for i := range b.held.count {
		start, s := b.held.start(i), b.held.at(i)
		if s.trades > 0 || i == 0 {
			price = s.close
		}
		if s.emitted && from < start+b.interval && to >= start && s.complete != b.whole(start, s) {
			if s.trades == 0 {
				s.carry(price)
			}
			b.emit(i, out)
		}
	}
}

// Finish implements Indicator.
func (b *Bars) Finish(out *Out) {
	b.emitPending(none, out)
	next, price := b.closed, int64(0)
	for i := range b.held.count {
		start, s := b.held.start(i), b.held.at(i)
		for ; b.spec.Carry && next < start; next += b.interval {
			empty := flat(price)
			b.row(next, &empty, 0, out)
		}
		if !s.emitted {
			b.row(start, s, 0, out)
		}
		next, price = max(next, start+b.interval), s.close
	}
}

// Rescale implements Indicator.
func (b *Bars) Rescale(priceFactor, sizeFactor int64) error {
	shift := b.inverse.shift + digitsOf(priceFactor) - digitsOf(sizeFactor)
	if b.spec.Inverse && (shift < -shiftMax || shift > shiftMax) {
		return tick.ErrRange
	}
	for i := range b.held.count {
		if _, err := b.held.at(i).scaled(priceFactor, sizeFactor); err != nil {
			return err
		}
	}
	for i := range b.held.count {
		*b.held.at(i), _ = b.held.at(i).scaled(priceFactor, sizeFactor)
	}
	if b.spec.Inverse {
		b.inverse.shift = shift
	}
	return nil
}

// scaled returns the bar at the finer scale, or tick.ErrRange. The value in
// the base asset has a scale of its own.
func (s bar) scaled(priceFactor, sizeFactor int64) (bar, error) {
	for _, price := range []*int64{&s.open, &s.high, &s.low, &s.close} {
		p, err := tick.MulExact(*price, priceFactor)
		if err != nil {
			return s, err
		}
		*price = p
	}
	buy, err := scaled(s.buy, sizeFactor)
	if err != nil {
		return s, err
	}
	s.buy = buy
	s.sums, err = s.sums.scaled(priceFactor, sizeFactor)
	return s, err
}

// AppendState implements Indicator.
func (b *Bars) AppendState(dst []byte) []byte {
	dst = appendInt(appendInt(dst, b.interval), int64(b.inverse.shift))
	dst = appendInt(appendInt(appendInt(dst, b.begunAt), b.pending), b.forgotten)
	dst = appendBool(dst, b.revised)
	dst = appendInt(dst, int64(b.held.count))
	for i := range b.held.count {
		dst = appendInt(dst, b.held.start(i))
		dst = b.held.at(i).appendState(dst)
	}
	return dst
}

// barStateSize is what a bar and its start take.
const barStateSize = 168

func (s *bar) appendState(dst []byte) []byte {
	for _, v := range [...]int64{s.openTs, int64(s.openID.Hi), int64(s.openID.Lo), s.closeTs, int64(s.closeID.Hi), int64(s.closeID.Lo),
		s.open, s.high, s.low, s.close} {
		dst = appendInt(dst, v)
	}
	dst = appendSums(dst, &s.sums)
	dst = appendInt128(appendInt128(dst, s.buy), s.base)
	dst = appendUint32(dst, s.rev)
	for _, v := range [...]bool{s.emitted, s.changed, s.complete, s.partial} {
		dst = appendBool(dst, v)
	}
	return dst
}

func (r *stateReader) bar() bar {
	var s bar
	s.openTs, s.openID.Hi, s.openID.Lo = r.int(), r.uint(), r.uint()
	s.closeTs, s.closeID.Hi, s.closeID.Lo = r.int(), r.uint(), r.uint()
	s.open, s.high, s.low, s.close = r.int(), r.int(), r.int(), r.int()
	s.sums, s.buy, s.base = r.sums(), r.int128(), r.int128()
	s.rev = r.uint32()
	s.emitted, s.changed, s.complete, s.partial = r.bool(), r.bool(), r.bool(), r.bool()
	return s
}

// LoadState implements Indicator.
func (b *Bars) LoadState(src []byte) (rest []byte, err error) {
	b.Reset()
	r := stateReader{src: src}
	r.require(r.int() == b.interval)
	shift := r.int()
	r.require(shift == 0 && !b.spec.Inverse || b.spec.Inverse && shift >= -shiftMax && shift <= shiftMax)
	begunAt, pending, forgotten := r.int(), r.int(), r.int()
	revised := r.bool()
	for i := range r.count(barStateSize) {
		start := r.int()
		// A step back, or off the interval, would break the search for good.
		r.require(floorTo(start, b.interval) == start && (i == 0 || start > b.held.start(i-1)))
		s := r.bar()
		if r.failed {
			break
		}
		*b.held.insert(i, start) = s
		if i == 0 || s.emitted {
			b.closed = start
		}
		if s.emitted {
			b.closed += b.interval
		}
	}
	if r.failed {
		b.Reset()
		return src, fmt.Errorf("bars %s: %w", IntervalName(b.spec.Interval), errState)
	}
	b.pending, b.forgotten, b.revised, b.inverse.shift = pending, forgotten, revised, int(shift)
	b.begunAt = begunAt
	return r.src, nil
}

// Reset implements Indicator.
func (b *Bars) Reset() {
	b.held.clear()
	b.pending, b.revised, b.closed, b.forgotten, b.begunAt, b.hold = never, false, 0, none, none, never
}
