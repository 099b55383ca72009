package coinbase

import "tickproc/tick"

// frameCount follows sequence_num: it rises by one a frame of the socket,
// acknowledgements and heartbeats included, from 0. In a capture that begins
// in the middle the first number is the start.
type frameCount struct {
	begun  bool
	next   uint64
	seen   uint64 // of the 64 numbers before next, one bit each, the last lowest
	behind int    // numbers below next in a row
}

// place is where a frame stands in the count.
type place uint8

const (
	inOrder   place = iota
	jumped          // numbers before it are missing
	late            // one of the missing after all
	past            // older than we remember: missing once, or seen before
	duplicate       // seen before
	anew            // the venue counts from another place now
)

// anewAfter numbers in a row from the past are no stragglers.
const anewAfter = 8

// take returns the place of a frame, and how many are missing before it.
//
// hot: per frame, 0 allocs.
func (c *frameCount) take(n uint64) (p place, lost uint64) {
	switch {
	case !c.begun || n == c.next:
		c.move(n)
		return inOrder, 0
	case n > c.next:
		lost = n - c.next
		c.move(n)
		return jumped, lost
	}
	if c.behind++; c.behind == anewAfter {
		*c = frameCount{}
		c.move(n)
		return anew, 0
	}
	switch back := c.next - 1 - n; {
	case back >= 64:
		return past, 0
	case c.seen&(1<<back) == 0:
		c.seen |= 1 << back
		return late, 0
	}
	return duplicate, 0
}

// pass takes a frame that is an error and yet all read. One behind a jump is
// left to the next good frame, which can tell of it.
func (c *frameCount) pass(n uint64) {
	if !c.begun || n == c.next {
		c.move(n)
	}
}

func (c *frameCount) move(n uint64) {
	c.seen = c.seen<<(n+1-c.next) | 1
	c.begun, c.next, c.behind = true, n+1, 0
}

// stragglers drops from the packets behind from those that must not come too
// late: levels and quotes would bring back a market that is past. A trade is
// what it is at any time, and its id tells whether it is new. Rescales stay,
// for the line uses their scale from here on.
func stragglers(units []tick.Unit, from int, p place) []tick.Unit {
	end := from
	for at := from; at < len(units); {
		n := tick.PacketUnits(&units[at])
		if k := units[at].KindOf(); k == tick.KindRescale || k == tick.KindTrade && p != duplicate {
			end += copy(units[end:], units[at:at+n])
		}
		at += n
	}
	return units[:end]
}
