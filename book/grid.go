package book

import "math/bits"

// grid are the multiples of a step. A division would take longer than all else
// that is done for a level, so that steps are counted by multiplication.
//
// The step is 2^twos × odd. Modulo 2^64 an odd number has an inverse, and
// x → rotate(x × inverse, −twos) maps the 2^64 values of x one to one to
// themselves, n×step to n as long as that fits. So the outcome is below a
// limit for those multiples alone, and large for whatever is no multiple or
// below 0: one comparison tells both (Hacker's Delight, 10-17).
type grid struct {
	inverse uint64
	twos    int
	step    uint64 // 0 = none
}

func newGrid(step uint64) grid {
	if step == 0 {
		return grid{}
	}
	g := grid{twos: bits.TrailingZeros64(step), step: step}
	odd := step >> g.twos
	g.inverse = odd // right in 3 bits; each round doubles them
	for range 5 {
		g.inverse *= 2 - odd*g.inverse
	}
	return g
}

// count returns n for x = n×step, and a number of at least 2^64/step for other x.
func (g *grid) count(x uint64) uint64 {
	return bits.RotateLeft64(x*g.inverse, -g.twos)
}
