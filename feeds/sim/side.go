package sim

import (
	"cmp"
	"slices"
	"sort"

	"tickproc/tick"
)

// side is one side of a book by price level. The best level stands last, so
// that the changes that matter most move the least memory.
type side struct {
	levels []tick.Level // never a zero size
	asks   bool
}

// key orders prices so that better ones are larger.
func (s *side) key(price int64) int64 {
	if s.asks {
		return -price
	}
	return price
}

// find returns where a price stands, or would stand.
func (s *side) find(price int64) (at int, found bool) {
	k := s.key(price)
	at = sort.Search(len(s.levels), func(i int) bool { return s.key(s.levels[i].Price) >= k })
	return at, at < len(s.levels) && s.levels[at].Price == price
}

// size returns what stands at a price, 0 for nothing.
func (s *side) size(price int64) int64 {
	if i, ok := s.find(price); ok {
		return s.levels[i].Size
	}
	return 0
}

// set replaces the size at a price; 0 removes the level.
func (s *side) set(price, size int64) {
	i, found := s.find(price)
	switch {
	case size < 0:
		panic("BUG: negative size in the simulated book")
	case found && size > 0:
		s.levels[i].Size = size
	case found:
		s.levels = append(s.levels[:i], s.levels[i+1:]...)
	case size > 0:
		s.levels = append(s.levels, tick.Level{})
		copy(s.levels[i+1:], s.levels[i:])
		s.levels[i] = tick.Level{Price: price, Size: size}
	}
}

// rank returns the i-th best level; 0 is the best.
func (s *side) rank(i int) tick.Level { return s.levels[len(s.levels)-1-i] }

// best returns the best level; the market never lets a side run empty.
func (s *side) best() tick.Level { return s.levels[len(s.levels)-1] }

// appendTop appends up to n levels, best first.
func (s *side) appendTop(dst []tick.Level, n int) []tick.Level {
	for i := range min(n, len(s.levels)) {
		dst = append(dst, s.rank(i))
	}
	return dst
}

// appendChanged appends what now stands at each of the prices, once each, best
// first. It sorts prices.
func (s *side) appendChanged(dst []tick.Level, prices []int64) []tick.Level {
	slices.SortFunc(prices, func(a, b int64) int { return cmp.Compare(s.key(b), s.key(a)) })
	for i, p := range prices {
		if i == 0 || p != prices[i-1] {
			dst = append(dst, tick.Level{Price: p, Size: s.size(p)})
		}
	}
	return dst
}
