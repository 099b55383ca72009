package indicators

import "fmt"

// SlidingVWAP gives a row at every multiple b of the step whose window
// [b-span, b) holds trades.
//
//	buckets  ▕▁▕▁▕▁▕▁▕▁▕▁▕▁▕▁▕   gcd(span, step) wide, only those with trades
//	window        └── lo … hi ──┘ at    its sum moves a step by what enters and what leaves
//
// A late trade changes a bucket; the window then walks back to the oldest row
// that holds the bucket and forth again, so each row costs what it cost at first.
type SlidingVWAP struct {
	spec                               WindowSpec
	span, step, width, grace, lateness int64
	coverage                           *Coverage
	buckets                            slots[sums]
	rows                               slots[slidingRow] // emitted, and within the lateness; by end
	begun

	// window is the sum of the buckets lo ≤ i < hi, those of [at-span, at). A
	// cache: everything can be told from the buckets.
	window sums
	at     int64
	lo, hi int

	// next is the earliest end at which a window holds trades and may have to
	// be emitted; never = none.
	next    int64
	revised bool // some emitted window changed since
	// forgotten is the end of the newest bucket that is no longer held.
	forgotten int64
	hold      int64 // windows that end behind it are not forgotten; never = no hold
}

type slidingRow struct {
	trades   uint64 // as emitted: a window only gains trades, so the count tells a change
	rev      uint32
	complete bool
}

// NewSlidingVWAP panics on a spec that Validate refuses.
func NewSlidingVWAP(spec WindowSpec, coverage *Coverage) *SlidingVWAP {
	spec.EnsureDefaults()
	if err := spec.Validate(); err != nil || spec.Span == 0 {
		panic(fmt.Sprintf("BUG: sliding window %v not validated: %v", spec.Span, err))
	}
	v := &SlidingVWAP{spec: spec, span: int64(spec.Span), step: int64(spec.Step), width: int64(spec.width()),
		grace: int64(spec.Grace), lateness: int64(spec.Lateness), coverage: coverage,
		buckets: newSlots[sums](int(spec.slots())), rows: newSlots[slidingRow](int(spec.Lateness/spec.Step) + 4)}
	v.Reset()
	return v
}

// Trade implements Indicator.
//
// hot: per trade, 0 allocs.
func (v *SlidingVWAP) Trade(t *Trade) {
	i := v.buckets.count - 1
	if i < 0 || uint64(t.TsNanos-v.buckets.start(i)) >= uint64(v.width) {
		if t.TsNanos < v.forgotten {
			return // every window that it belongs to is forgotten too
		}
		i = v.open(floorTo(t.TsNanos, v.width))
	}
	v.buckets.at(i).trade(t.Price, t.Size)
	if v.lo <= i && i < v.hi {
		v.window.trade(t.Price, t.Size)
	}
	// The first window that holds the trade ends before next; both being
	// multiples of the step, the division can wait.
	if t.TsNanos < v.next-v.step {
		v.reopen(v.endAfter(t.TsNanos))
	}
}

// Room implements Indicator. A bucket lies within one step, so that all trades
// of it have the same first window.
func (v *SlidingVWAP) Room(ts int64) (from, to int64) {
	i := v.buckets.count - 1
	if i < 0 {
		return noRoom()
	}
	from = v.buckets.start(i)
	return from, from + v.width
}

// Add implements Indicator.
func (v *SlidingVWAP) Add(trades *part) {
	i := v.buckets.count - 1
	v.buckets.at(i).add(&trades.sums)
	if v.lo <= i && i < v.hi {
		v.window.add(&trades.sums)
	}
}

// endAfter returns the end of the first window that may hold a trade of that time.
func (v *SlidingVWAP) endAfter(ts int64) int64 { return floorTo(ts, v.step) + v.step }

// open returns the index of the bucket that begins at start, made if need be.
func (v *SlidingVWAP) open(start int64) int {
	i, found := v.buckets.search(start)
	if found {
		return i
	}
	v.buckets.insert(i, start)
	if start < v.at {
		v.hi++
		if start < v.at-v.span {
			v.lo++
		}
	}
	return i
}

// reopen makes Advance look at the windows from end on.
func (v *SlidingVWAP) reopen(end int64) {
	if v.forgotten != none {
		// A window that begins before has lost buckets and cannot be told again.
		end = max(end, v.endAfter(v.forgotten+v.span-1))
	}
	v.next = min(v.next, end)
	v.revised = v.revised || end <= v.newest()
}

// newest returns the end of the newest window that was emitted.
func (v *SlidingVWAP) newest() int64 {
	if v.rows.count == 0 {
		return none
	}
	return v.rows.start(v.rows.count - 1)
}

// Deadline implements Indicator.
func (v *SlidingVWAP) Deadline() int64 {
	switch {
	case v.revised:
		return none
	case v.next == never:
		return never
	}
	return v.next + v.grace
}

// Advance implements Indicator.
//
// hot: per step, 0 allocs.
func (v *SlidingVWAP) Advance(venueNow int64, out *Out) {
	v.emitUntil(venueNow-v.grace, out)
	v.forget(venueNow)
}

// emitUntil emits the windows that end at due or before, and what changed. A
// window older than an emitted one is over, whatever the clock.
func (v *SlidingVWAP) emitUntil(due int64, out *Out) {
	due = max(due, v.newest())
	v.revised = false
	for v.findNext() && v.next <= due {
		v.emit(out)
		v.next += v.step
	}
}

// findNext moves next to the first window from there on that holds trades,
// and the sum with it.
func (v *SlidingVWAP) findNext() bool {
	for v.next != never {
		v.seek(v.next)
		if v.window.trades > 0 {
			return true
		}
		if v.hi == v.buckets.count {
			v.next = never
		} else {
			v.next = v.endAfter(v.buckets.start(v.hi)) // over the silence at once
		}
	}
	return false
}

// seek moves the window to that end, either way.
func (v *SlidingVWAP) seek(end int64) {
	start := end - v.span
	for v.hi < v.buckets.count && v.buckets.start(v.hi) < end {
		v.window.add(v.buckets.at(v.hi))
		v.hi++
	}
	for v.hi > 0 && v.buckets.start(v.hi-1) >= end {
		v.hi--
		v.window.sub(v.buckets.at(v.hi))
	}
	for v.lo < v.buckets.count && v.buckets.start(v.lo) < start {
		v.window.sub(v.buckets.at(v.lo))
		v.lo++
	}
	for v.lo > 0 && v.buckets.start(v.lo-1) >= start {
		v.lo--
		v.window.add(v.buckets.at(v.lo))
	}
	v.at = end
}

// emit emits the window at next, unless it came with these trades already.
func (v *SlidingVWAP) emit(out *Out) {
	i, found := v.rows.search(v.next)
	switch {
	case !found:
		v.rows.insert(i, v.next)
	case v.rows.at(i).trades == v.window.trades:
		return
	default:
		v.rows.at(i).rev++
	}
	v.row(i, out)
}

// row appends row i, of the window that the sum is at.
func (v *SlidingVWAP) row(i int, out *Out) {
	r := v.rows.at(i)
	r.trades, r.complete = v.window.trades, v.whole(v.at)
	v.spec.row(v.at, &v.window, r.rev, finalFlags(r.complete), out)
}

func (v *SlidingVWAP) whole(end int64) bool {
	return v.sawFrom(end-v.span) && v.coverage.Complete(end-v.span, end)
}

// forget drops rows that no in-time trade changes, and buckets that no other
// row needs.
func (v *SlidingVWAP) forget(venueNow int64) {
	old := min(venueNow-v.lateness, v.hold)
	n := 0
	for n < v.rows.count && v.rows.start(n) <= old {
		n++
	}
	v.rows.drop(n)
	// With a grace beyond the lateness the next window may be older still.
	old = min(old, v.next-1)
	n = 0
	for n < v.buckets.count && v.buckets.start(n)+v.span <= old {
		v.forgotten = v.buckets.start(n) + v.width
		n++
	}
	if n > v.lo {
		v.seek(v.forgotten + v.span) // none of these is in that window
	}
	v.buckets.drop(n)
	v.lo -= n
	v.hi -= n
}

// Hold implements Indicator.
func (v *SlidingVWAP) Hold(from int64) { v.hold = from }

// Revise implements Indicator.
func (v *SlidingVWAP) Revise(from, to int64, out *Out) {
	for i := range v.rows.count {
		end, r := v.rows.start(i), v.rows.at(i)
		if from < end && to >= end-v.span && r.complete != v.whole(end) {
			v.seek(end)
			r.rev++
			v.row(i, out)
		}
	}
}

// Finish implements Indicator. Open windows are those up to the first end
// behind the newest trade, so that every trade is in a row.
func (v *SlidingVWAP) Finish(out *Out) {
	v.emitUntil(none, out)
	if v.next == never {
		return
	}
	next := v.next
	last := v.endAfter(v.buckets.start(v.buckets.count - 1))
	for v.findNext() && v.next <= last {
		v.spec.row(v.next, &v.window, 0, 0, out)
		v.next += v.step
	}
	v.next = next
}

// Rescale implements Indicator.
func (v *SlidingVWAP) Rescale(priceFactor, sizeFactor int64) error {
	digitsOf(priceFactor)
	digitsOf(sizeFactor)
	window, err := v.window.scaled(priceFactor, sizeFactor)
	if err != nil {
		return err
	}
	for i := range v.buckets.count {
		if _, err := v.buckets.at(i).scaled(priceFactor, sizeFactor); err != nil {
			return err
		}
	}
	for i := range v.buckets.count {
		*v.buckets.at(i), _ = v.buckets.at(i).scaled(priceFactor, sizeFactor)
	}
	v.window = window
	return nil
}

// AppendState implements Indicator.
func (v *SlidingVWAP) AppendState(dst []byte) []byte {
	dst = appendInt(appendInt(dst, v.span), v.step)
	dst = appendInt(appendInt(appendInt(dst, v.begunAt), v.next), v.forgotten)
	dst = appendBool(dst, v.revised)
	dst = appendInt(dst, int64(v.buckets.count))
	for i := range v.buckets.count {
		dst = appendSums(appendInt(dst, v.buckets.start(i)), v.buckets.at(i))
	}
	dst = appendInt(dst, int64(v.rows.count))
	for i := range v.rows.count {
		r := v.rows.at(i)
		dst = appendInt(appendInt(dst, v.rows.start(i)), int64(r.trades))
		dst = appendBool(appendUint32(dst, r.rev), r.complete)
	}
	return dst
}

// Sizes of the records of a state, with their starts.
const (
	bucketStateSize     = 48
	slidingRowStateSize = 21
)

// LoadState implements Indicator.
func (v *SlidingVWAP) LoadState(src []byte) (rest []byte, err error) {
	v.Reset()
	r := stateReader{src: src}
	r.require(r.int() == v.span)
	r.require(r.int() == v.step)
	begunAt, next, forgotten := r.int(), r.int(), r.int()
	r.require(next == never || floorTo(next, v.step) == next)
	revised := r.bool()
	for i := range r.count(bucketStateSize) {
		start := r.int()
		r.require(floorTo(start, v.width) == start && (i == 0 || start > v.buckets.start(i-1)))
		bucket := r.sums()
		if r.failed {
			break
		}
		*v.buckets.insert(i, start) = bucket
	}
	for i := range r.count(slidingRowStateSize) {
		end := r.int()
		r.require(floorTo(end, v.step) == end && (i == 0 || end > v.rows.start(i-1)))
		row := slidingRow{trades: r.uint(), rev: r.uint32(), complete: r.bool()}
		if r.failed {
			break
		}
		*v.rows.insert(i, end) = row
	}
	if r.failed {
		v.Reset()
		return src, fmt.Errorf("window %s: %w", WindowName(v.spec), errState)
	}
	v.next, v.forgotten, v.revised, v.begunAt = next, forgotten, revised, begunAt
	return r.src, nil
}

// Reset implements Indicator.
func (v *SlidingVWAP) Reset() {
	v.buckets.clear()
	v.rows.clear()
	v.window, v.at, v.lo, v.hi = sums{}, none, 0, 0
	v.next, v.revised, v.forgotten, v.begunAt, v.hold = never, false, none, none, never
}
