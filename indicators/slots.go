package indicators

import "math/bits"

// slots keeps values by ascending start in a ring: new ones come at the end,
// old ones leave at the front, a late one is put between. Only starts that
// somebody inserted take room, so a quiet instrument holds little and a trade
// ahead of the clock costs one slot, however far ahead it is.
type slots[T any] struct {
	starts []int64 // apart from the values, so that a search stays in few cache lines
	values []T
	head   int
	count  int
}

// newSlots allocates room for capacity values; more grow it.
func newSlots[T any](capacity int) slots[T] {
	size := 1 << bits.Len(uint(capacity-1)) // a power of two, so that & wraps
	return slots[T]{starts: make([]int64, size), values: make([]T, size)}
}

func (s *slots[T]) place(i int) int   { return (s.head + i) & (len(s.starts) - 1) }
func (s *slots[T]) start(i int) int64 { return s.starts[s.place(i)] }

// at returns value i, good until the next insert.
func (s *slots[T]) at(i int) *T { return &s.values[s.place(i)] }

// search returns the first index whose start is not below start, and whether
// it is equal. What is looked for is nearly always among the newest.
func (s *slots[T]) search(start int64) (i int, found bool) {
	high := s.count
	for range 3 {
		if high == 0 || s.start(high-1) < start {
			return high, high < s.count && s.start(high) == start
		}
		high--
	}
	low := 0
	for low < high {
		middle := int(uint(low+high) >> 1)
		if s.start(middle) < start {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, low < s.count && s.start(low) == start
}

// insert puts a zero value at index i.
func (s *slots[T]) insert(i int, start int64) *T {
	if s.count == len(s.starts) {
		s.grow()
	}
	s.count++
	for j := s.count - 1; j > i; j-- {
		to, from := s.place(j), s.place(j-1)
		s.starts[to], s.values[to] = s.starts[from], s.values[from]
	}
	p := s.place(i)
	var zero T
	s.starts[p], s.values[p] = start, zero
	return &s.values[p]
}

func (s *slots[T]) grow() {
	bigger := newSlots[T](2 * len(s.starts))
	for i := range s.count {
		bigger.starts[i], bigger.values[i] = s.start(i), *s.at(i)
	}
	bigger.count = s.count
	*s = bigger
}

// drop removes the n oldest.
func (s *slots[T]) drop(n int) {
	s.head = s.place(n)
	s.count -= n
}

func (s *slots[T]) clear() { s.head, s.count = 0, 0 }
