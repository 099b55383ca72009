package book

import (
	"tickproc/internal/state"
	"tickproc/tick"
)

// Book is both sides of one instrument.
type Book struct {
	Bids, Asks Side
	// Orphans counts removals of levels that were not there: routine on some
	// venues, a sign of loss on others.
	Orphans uint64
	// text is where Checksum writes: on the stack it would not stay, because
	// the CRC is called by way of a variable.
	text []byte
}

// New returns an empty book.
func New() Book { return Book{Bids: NewSide(true), Asks: NewSide(false)} }

// Apply sets the levels of a message, the first bids of them on the bid side.
//
// hot: per message, 0 allocs once the book has grown.
func (b *Book) Apply(levels []tick.Level, bids int) {
	b.Orphans += uint64(b.Bids.setAll(levels[:bids]) + b.Asks.setAll(levels[bids:]))
}

// Clear empties both sides.
func (b *Book) Clear() {
	b.Bids.Clear()
	b.Asks.Clear()
}

// Crossed reports whether the best bid is at or above the best ask.
func (b *Book) Crossed() bool {
	if b.Bids.bestInWindow() && b.Asks.bestInWindow() {
		// Keys of asks are prices below 0.
		return b.Bids.window.key(b.Bids.window.top)+b.Asks.window.key(b.Asks.window.top) >= 0
	}
	return b.Bids.Len() > 0 && b.Asks.Len() > 0 && b.Bids.Best().Price >= b.Asks.Best().Price
}

// Check panics when an invariant of the levels is broken.
func (b *Book) Check() {
	b.Bids.check()
	b.Asks.check()
	if b.Crossed() != (b.Bids.Len() > 0 && b.Asks.Len() > 0 && b.Bids.Best().Price >= b.Asks.Best().Price) {
		panic("BUG: the keys of a book's best levels do not tell whether it is crossed")
	}
}

// Rescale multiplies every price and size exactly, or returns tick.ErrRange
// and changes nothing.
func (b *Book) Rescale(priceFactor, sizeFactor int64) error {
	for _, side := range []*Side{&b.Bids, &b.Asks} {
		if err := side.rescalable(priceFactor, sizeFactor); err != nil {
			return err
		}
	}
	b.Bids.rescale(priceFactor, sizeFactor)
	b.Asks.rescale(priceFactor, sizeFactor)
	return nil
}

// code codes both sides. Orphans only count.
func (b *Book) code(c *state.Coder) {
	b.Bids.code(c)
	b.Asks.code(c)
}
