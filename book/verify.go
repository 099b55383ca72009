package book

import (
	"tickproc/internal/state"
	"tickproc/tick"
)

const (
	// checksumZerosMax is how many messages in a row without a checksum show that
	// the venue, whose rule has one, no longer gives it.
	checksumZerosMax = 16
	// checksumFailsMax is how often in a row one and the same checksum must fail,
	// over different books, to be the venue's fault and not the book's.
	checksumFailsMax = 8
)

// checksums knows what the venue's checksums are worth.
type checksums struct {
	zeros  uint8  // messages in a row that had none
	fails  uint8  // in a row, of the same checksum over different books
	failed uint32 // the venue's checksum that failed last
	own    uint32 // what the book's was
}

// ChecksumAbsent reports that the venue, by its rule, has a checksum and has
// not given it for a while.
func (s *Sync) ChecksumAbsent() bool { return s.sums.zeros >= checksumZerosMax }

// ChecksumConstant reports that the venue's checksum stands still while its
// book moves, and is therefore not believed until it changes.
func (s *Sync) ChecksumConstant() bool { return s.sums.fails >= checksumFailsMax }

// verify compares the venue's checksum, where it has one, with the book's.
func (s *Sync) verify(want uint32) {
	if s.Rule.Checksum == tick.ChecksumNone || s.state != Valid {
		return
	}
	x := &s.sums
	if want == 0 {
		x.zeros = min(x.zeros+1, checksumZerosMax)
		return
	}
	x.zeros = 0
	if s.ChecksumConstant() && want == x.failed {
		return
	}
	own := Checksum(&s.Book, s.Rule, s.digits.price, s.digits.size)
	switch {
	case own == want:
		x.fails = 0
		s.Counts.Checksums++
		return
	case want != x.failed || x.fails == 0:
		x.fails = 1
	case own != x.own:
		x.fails++
	}
	x.failed, x.own = want, own
	if !s.ChecksumConstant() {
		s.Invalidate(tick.ReasonChecksum)
	}
}

func (x *checksums) code(c *state.Coder) {
	state.Byte(c, &x.zeros)
	state.Byte(c, &x.fails)
	c.Uint32(&x.failed)
	c.Uint32(&x.own)
}
