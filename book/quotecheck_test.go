package book

import (
	"math"
	"testing"

	"tickproc/tick"
)

// The check against a slow one that remembers everything: it finds a quote as
// far back as it promises, and never one that was not seen.
func TestQuoteCheck(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	var c QuoteCheck
	b := New()
	b.Apply([]tick.Level{{Price: 99, Size: 5}, {Price: 101, Size: 6}}, 1)
	bid, ask := b.Bids.Best(), b.Asks.Best()
	type seen struct {
		agrees bool
		order  int
	}
	quotes := map[uint64]seen{}
	var agreed, differed uint64
	run, id, first := 0, uint64(0), 0
	for order := range 20_000 {
		switch n := random.IntN(100); {
		case n == 0:
			c.Forget()
			run, first = 0, order
		case n < 80:
			id += uint64(random.IntN(3)) // the same id twice: the later quote counts
			agrees := random.IntN(3) > 0
			if agrees {
				c.Remember(id, bid, ask)
			} else {
				c.Remember(id, bid, tick.Level{Price: ask.Price, Size: ask.Size + 1})
			}
			quotes[id] = seen{agrees, order}
			if c.NewestID() != id {
				t.Fatalf("newest id %d, want %d", c.NewestID(), id)
			}
		default:
			at := id - min(id, uint64(random.IntN(60)))
			if q, ok := quotes[at]; ok && q.order >= first {
				if q.agrees {
					agreed++
					run = 0
				} else {
					differed++
					run++
				}
			}
			if got := c.Compare(at, &b); got != run || c.Agreed != agreed || c.Differed != differed {
				t.Fatalf("at id %d: %d in a row, %d agreed, %d differed; want %d, %d, %d", at, got, c.Agreed, c.Differed, run, agreed, differed)
			}
		}
	}
	if agreed < 100 || differed < 100 {
		t.Errorf("only %d agreed and %d differed", agreed, differed)
	}
}

// Depth is batched and quotes are not: many lie between a quote and the depth
// message of its id.
func TestQuoteMemory(t *testing.T) {
	t.Parallel()
	b := New()
	b.Apply([]tick.Level{{Price: 99, Size: 5}, {Price: 101, Size: 6}}, 1)
	f := func(later int, found bool) {
		t.Helper()
		var c QuoteCheck
		if c.NewestID() != 0 {
			t.Error("a quote nobody gave")
		}
		c.Remember(1000, b.Bids.Best(), b.Asks.Best())
		for i := range later {
			c.Remember(1001+uint64(i), tick.Level{}, tick.Level{})
		}
		if n := len(c.quotes); n > max(quoteMemory/16, 4*(later+1)) {
			t.Errorf("room for %d quotes after %d", n, later+1)
		}
		c.Compare(1000, &b)
		if (c.Agreed == 1) != found || c.Differed != 0 {
			t.Errorf("%d quotes later: %d agreed, %d differed", later, c.Agreed, c.Differed)
		}
	}
	f(0, true)
	f(64, true)
	f(quoteMemory-1, true)
	f(quoteMemory, false)
}

func TestQuoteRescale(t *testing.T) {
	t.Parallel()
	var c QuoteCheck
	c.Remember(1, tick.Level{Price: 99, Size: 5}, tick.Level{Price: 101, Size: math.MaxInt64})
	c.Remember(2, tick.Level{Price: 99, Size: 5}, tick.Level{Price: 101, Size: 6})
	c.Rescale(10, 100)
	b := New()
	b.Apply([]tick.Level{{Price: 990, Size: 500}, {Price: 1010, Size: 600}}, 1)
	c.Compare(1, &b) // what cannot be expressed is not compared
	c.Compare(2, &b)
	if c.Agreed != 1 || c.Differed != 0 {
		t.Errorf("%d agreed, %d differed", c.Agreed, c.Differed)
	}
}
