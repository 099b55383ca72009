package indicators

import "fmt"

// SessionVWAP gives the VWAP since 00:00 UTC: a row at the end of every step
// that holds trades. The row at midnight is the old day's last.
//
// It holds the steps whose rows a late trade may still change, each with the
// day's total as emitted; what came before them is one sum.
type SessionVWAP struct {
	spec                  WindowSpec
	step, grace, lateness int64
	coverage              *Coverage
	held                  slots[sessionStep]
	begun

	before    sums // of the steps of beforeDay that are no longer held
	beforeDay int64
	forgotten int64 // end of the newest step that is no longer held

	hold int64 // rows of steps that end behind it are not forgotten; never = no hold

	pending int64 // start of the earliest step to emit or to revise from; never = none
	revised bool  // some emitted row changed since
}

type sessionStep struct {
	own      sums
	total    sums // of the day up to the step's end, as emitted
	rev      uint32
	emitted  bool
	complete bool
}

// NewSessionVWAP panics on a spec that Validate refuses.
func NewSessionVWAP(spec WindowSpec, coverage *Coverage) *SessionVWAP {
	spec.EnsureDefaults()
	if err := spec.Validate(); err != nil || spec.Span != 0 {
		panic(fmt.Sprintf("BUG: session window %v not validated: %v", spec.Span, err))
	}
	v := &SessionVWAP{spec: spec, step: int64(spec.Step), grace: int64(spec.Grace), lateness: int64(spec.Lateness),
		coverage: coverage, held: newSlots[sessionStep](int(spec.slots()))}
	v.Reset()
	return v
}

// Trade implements Indicator.
//
// hot: per trade, 0 allocs.
func (v *SessionVWAP) Trade(t *Trade) {
	i := v.held.count - 1
	if i < 0 || uint64(t.TsNanos-v.held.start(i)) >= uint64(v.step) {
		if i = v.open(t); i < 0 {
			return
		}
	}
	s := v.held.at(i)
	s.own.trade(t.Price, t.Size)
	if s.emitted || i+1 < v.held.count && v.held.at(i+1).emitted {
		v.pending, v.revised = min(v.pending, v.held.start(i)), true
	}
}

// Room implements Indicator.
func (v *SessionVWAP) Room(ts int64) (from, to int64) {
	i := v.held.count - 1
	if i < 0 || v.held.at(i).emitted {
		return noRoom()
	}
	from = v.held.start(i)
	return from, from + v.step
}

// Add implements Indicator.
func (v *SessionVWAP) Add(trades *part) { v.held.at(v.held.count - 1).own.add(&trades.sums) }

// open returns the index of the step that t falls in, made if need be; -1
// where the step is forgotten.
func (v *SessionVWAP) open(t *Trade) int {
	start := floorTo(t.TsNanos, v.step)
	i, found := v.held.search(start)
	if found {
		return i
	}
	if start < v.forgotten {
		v.addBefore(t)
		return -1
	}
	v.held.insert(i, start)
	v.pending = min(v.pending, start)
	return i
}

// addBefore counts a trade of a forgotten step into what is held of its day.
func (v *SessionVWAP) addBefore(t *Trade) {
	if dayOf(t.TsNanos) != v.beforeDay {
		return
	}
	v.before.trade(t.Price, t.Size)
	if v.held.count > 0 && dayOf(v.held.start(0)) == v.beforeDay {
		v.pending = min(v.pending, v.held.start(0))
		v.revised = v.revised || v.held.at(0).emitted
	}
}

// dayOf returns the UTC midnight that a time follows.
func dayOf(nanos int64) int64 { return floorTo(nanos, int64(day)) }

// Deadline implements Indicator.
func (v *SessionVWAP) Deadline() int64 {
	switch {
	case v.revised:
		return none
	case v.pending == never:
		return never
	}
	return v.pending + v.step + v.grace
}

// Advance implements Indicator.
//
// hot: per step, 0 allocs.
func (v *SessionVWAP) Advance(venueNow int64, out *Out) {
	v.emitPending(venueNow-v.grace-v.step, out)
	v.forget(venueNow)
}

// emitPending emits the pending steps that began at due or before, and what
// changed behind them. A step older than an emitted one is over, whatever the
// clock.
func (v *SessionVWAP) emitPending(due int64, out *Out) {
	for i := v.held.count - 1; i >= 0; i-- {
		if v.held.at(i).emitted {
			due = max(due, v.held.start(i))
			break
		}
	}
	i, _ := v.held.search(v.pending)
	v.pending, v.revised = never, false
	for total := v.totalBefore(i); i < v.held.count; i++ {
		start, s := v.held.start(i), v.held.at(i)
		if !s.emitted && start > due {
			v.pending = start
			return
		}
		v.include(i, &total)
		if !s.emitted || s.total != total {
			v.emit(i, &total, out)
		}
	}
}

// totalBefore returns the sum of the day of step i up to its start. The steps
// before it must be emitted.
func (v *SessionVWAP) totalBefore(i int) sums {
	switch {
	case i == v.held.count:
	case i > 0 && dayOf(v.held.start(i-1)) == dayOf(v.held.start(i)):
		return v.held.at(i - 1).total
	case i == 0 && v.beforeDay == dayOf(v.held.start(i)):
		return v.before
	}
	return sums{}
}

// include moves total over step i.
func (v *SessionVWAP) include(i int, total *sums) {
	if i > 0 && dayOf(v.held.start(i-1)) != dayOf(v.held.start(i)) {
		*total = sums{}
	}
	total.add(&v.held.at(i).own)
}

// emit emits the row of step i, as its next revision if it was emitted before.
func (v *SessionVWAP) emit(i int, total *sums, out *Out) {
	s := v.held.at(i)
	if s.emitted {
		s.rev++
	}
	s.emitted, s.total, s.complete = true, *total, v.whole(i)
	v.spec.row(v.held.start(i)+v.step, total, s.rev, finalFlags(s.complete), out)
}

func (v *SessionVWAP) whole(i int) bool {
	start := v.held.start(i)
	return v.sawFrom(dayOf(start)) && v.coverage.Complete(dayOf(start), start+v.step)
}

// forget drops steps whose rows no in-time trade changes.
func (v *SessionVWAP) forget(venueNow int64) {
	old, n := min(venueNow-v.lateness, v.hold)-v.step, 0
	for n < v.held.count && v.held.start(n) <= old && v.held.start(n) < v.pending {
		start := v.held.start(n)
		v.before, v.beforeDay, v.forgotten = v.held.at(n).total, dayOf(start), start+v.step
		n++
	}
	v.held.drop(n)
}

// Hold implements Indicator.
func (v *SessionVWAP) Hold(from int64) { v.hold = from }

// Revise implements Indicator.
func (v *SessionVWAP) Revise(from, to int64, out *Out) {
	total := v.totalBefore(0)
	for i := range v.held.count {
		start, s := v.held.start(i), v.held.at(i)
		v.include(i, &total)
		if s.emitted && from < start+v.step && to >= dayOf(start) && s.complete != v.whole(i) {
			v.emit(i, &total, out)
		}
	}
}

// Finish implements Indicator.
func (v *SessionVWAP) Finish(out *Out) {
	v.emitPending(none, out)
	i, _ := v.held.search(v.pending)
	for total := v.totalBefore(i); i < v.held.count; i++ {
		v.include(i, &total)
		if !v.held.at(i).emitted {
			v.spec.row(v.held.start(i)+v.step, &total, 0, 0, out)
		}
	}
}

// Rescale implements Indicator.
func (v *SessionVWAP) Rescale(priceFactor, sizeFactor int64) error {
	digitsOf(priceFactor)
	digitsOf(sizeFactor)
	before, err := v.before.scaled(priceFactor, sizeFactor)
	if err != nil {
		return err
	}
	for i := range v.held.count {
		if _, err := v.held.at(i).scaled(priceFactor, sizeFactor); err != nil {
			return err
		}
	}
	for i := range v.held.count {
		*v.held.at(i), _ = v.held.at(i).scaled(priceFactor, sizeFactor)
	}
	v.before = before
	return nil
}

// scaled returns the step at the finer scale, or tick.ErrRange.
func (s sessionStep) scaled(priceFactor, sizeFactor int64) (sessionStep, error) {
	own, err := s.own.scaled(priceFactor, sizeFactor)
	if err != nil {
		return s, err
	}
	total, err := s.total.scaled(priceFactor, sizeFactor)
	if err != nil {
		return s, err
	}
	s.own, s.total = own, total
	return s, nil
}

// AppendState implements Indicator.
func (v *SessionVWAP) AppendState(dst []byte) []byte {
	dst = appendSums(appendInt(appendInt(dst, v.step), v.begunAt), &v.before)
	dst = appendInt(appendInt(appendInt(dst, v.beforeDay), v.forgotten), v.pending)
	dst = appendBool(dst, v.revised)
	dst = appendInt(dst, int64(v.held.count))
	for i := range v.held.count {
		s := v.held.at(i)
		dst = appendSums(appendSums(appendInt(dst, v.held.start(i)), &s.own), &s.total)
		dst = appendBool(appendBool(appendUint32(dst, s.rev), s.emitted), s.complete)
	}
	return dst
}

// sessionStateSize is what a step and its start take.
const sessionStateSize = 94

// LoadState implements Indicator.
func (v *SessionVWAP) LoadState(src []byte) (rest []byte, err error) {
	v.Reset()
	r := stateReader{src: src}
	r.require(r.int() == v.step)
	begunAt := r.int()
	before := r.sums()
	beforeDay, forgotten, pending := r.int(), r.int(), r.int()
	revised := r.bool()
	for i := range r.count(sessionStateSize) {
		start := r.int()
		r.require(floorTo(start, v.step) == start && (i == 0 || start > v.held.start(i-1)))
		s := sessionStep{own: r.sums(), total: r.sums(), rev: r.uint32(), emitted: r.bool(), complete: r.bool()}
		if r.failed {
			break
		}
		*v.held.insert(i, start) = s
	}
	if r.failed {
		v.Reset()
		return src, fmt.Errorf("window %s: %w", WindowName(v.spec), errState)
	}
	v.before, v.beforeDay, v.forgotten, v.pending, v.revised = before, beforeDay, forgotten, pending, revised
	v.begunAt = begunAt
	return r.src, nil
}

// Reset implements Indicator.
func (v *SessionVWAP) Reset() {
	v.held.clear()
	v.before, v.beforeDay, v.forgotten = sums{}, none, none
	v.pending, v.revised, v.hold = never, false, never
	v.begunAt = none
}
