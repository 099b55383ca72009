package bench

// paced does n things, the i-th of which is meant to begin at start + i×every,
// and notes how long after that moment each was done. What comes late because
// something before it stalled is late by all of the stall: who sends frames does
// not wait for us (a measurement that did would forgive a pause as one slow
// sample: coordinated omission).
//
// wait returns not before a time; do returns when its thing was done. Both, and
// start, are on one clock, in ns.
func paced(start, every int64, n int, wait func(until int64), do func(i int) (done int64, ok bool), note func(ns int64)) {
	for i := range n {
		intended := start + int64(i)*every
		wait(intended)
		done, ok := do(i)
		if !ok {
			return
		}
		note(done - intended)
	}
}
