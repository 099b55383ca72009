package book

import (
	"slices"

	"tickproc/internal/state"
	"tickproc/tick"
)

// quoteMemory is how many of the venue's quotes are remembered until the
// depth message with the same id arrives. Depth is batched over 100 ms and
// quotes are not, so that many may lie between.
const quoteMemory = 256

// QuoteCheck compares the book with the venue's own best bid and offer
// wherever both name the same update id.
type QuoteCheck struct {
	// quotes are as many as were needed at once, up to quoteMemory: most venues'
	// quotes carry no ids, and 10 KB a book are many caches full.
	quotes []quote
	next   uint64 // quotes seen; the newest is at (next-1) % quoteMemory
	// Agreed and Differed count comparisons since the start.
	Agreed, Differed uint64
	run              int // differences in a row
}

type quote struct {
	id       uint64
	bid, ask tick.Level
}

// Remember stores a quote that carries a book update id.
//
// hot: per quote, 0 allocs.
func (c *QuoteCheck) Remember(id uint64, bid, ask tick.Level) {
	i := c.next % quoteMemory
	if i >= uint64(len(c.quotes)) {
		c.grow()
	}
	c.quotes[i] = quote{id, bid, ask}
	c.next++
}

// grow makes room for more of them, up to quoteMemory.
func (c *QuoteCheck) grow() {
	grown := make([]quote, min(max(4*len(c.quotes), quoteMemory/16), quoteMemory))
	copy(grown, c.quotes)
	c.quotes = grown
}

// NewestID is the highest id remembered, 0 if none.
func (c *QuoteCheck) NewestID() uint64 {
	if c.next == 0 {
		return 0
	}
	return c.quotes[(c.next-1)%quoteMemory].id
}

// Compare checks the book, current at id, against the quote of the same id if
// one was seen, and returns how many differed in a row.
//
// hot: per depth message, 0 allocs.
func (c *QuoteCheck) Compare(id uint64, b *Book) int {
	oldest := uint64(0)
	if c.next > quoteMemory {
		oldest = c.next - quoteMemory
	}
	for n := c.next; n > oldest; n-- {
		q := &c.quotes[(n-1)%quoteMemory]
		if q.id > id {
			continue
		}
		if q.id == id {
			if q.bid == b.Bids.Best() && q.ask == b.Asks.Best() {
				c.Agreed++
				c.run = 0
			} else {
				c.Differed++
				c.run++
			}
		}
		break // ids rise, so that no older quote can match
	}
	return c.run
}

// Forget drops the remembered quotes: after a reconnect ids may start anew.
func (c *QuoteCheck) Forget() { c.next, c.run = 0, 0 }

// Rescale multiplies the remembered quotes; those that overflow can no longer match.
func (c *QuoteCheck) Rescale(priceFactor, sizeFactor int64) {
	for i := range c.quotes {
		for _, l := range []*tick.Level{&c.quotes[i].bid, &c.quotes[i].ask} {
			price, errPrice := tick.MulExact(l.Price, priceFactor)
			size, errSize := tick.MulExact(l.Size, sizeFactor)
			if errPrice != nil || errSize != nil {
				c.quotes[i].id = 0
				continue
			}
			l.Price, l.Size = price, size
		}
	}
}

// code codes what later comparisons depend on: the quotes, oldest first, and
// not where they lie in the ring.
func (c *QuoteCheck) code(to *state.Coder) {
	to.Int(&c.run)
	ring := c.quotes
	if len(ring) == 0 || to.Loading() {
		ring = make([]quote, quoteMemory)
	}
	state.Ring(to, ring, &c.next)
	if to.Loading() {
		c.quotes = slices.Clone(ring[:c.next])
	}
}
