package sim

// schedule runs instruments in the order of time: a heap by due time, then by
// order of listing, so that thousands cost no more a step than what happens.
type schedule struct {
	heap  []*Instrument
	begun bool
}

func earlier(a, b *Instrument) bool {
	x, y := a.due(), b.due()
	return x < y || x == y && a.order < b.order
}

// step runs everything that is due until now, in ns since the epoch. The first
// step only starts the clock.
func (s *schedule) step(now int64, all []*Instrument) {
	if !s.begun {
		s.begun = true
		for _, in := range all {
			in.begin(now)
			s.add(in)
		}
		return
	}
	for len(s.heap) > 0 && s.heap[0].due() <= now {
		s.heap[0].run()
		s.sink(0)
	}
}

// add takes an instrument that has begun.
func (s *schedule) add(in *Instrument) {
	s.heap = append(s.heap, in)
	s.rise(len(s.heap) - 1)
}

// remove drops an instrument.
func (s *schedule) remove(in *Instrument) {
	for i, have := range s.heap {
		if have != in {
			continue
		}
		last := len(s.heap) - 1
		s.heap[i] = s.heap[last]
		s.heap = s.heap[:last]
		if i < last {
			s.rise(i)
			s.sink(i)
		}
		return
	}
}

func (s *schedule) rise(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !earlier(s.heap[i], s.heap[parent]) {
			return
		}
		s.heap[i], s.heap[parent] = s.heap[parent], s.heap[i]
		i = parent
	}
}

func (s *schedule) sink(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(s.heap); child++ {
			if earlier(s.heap[child], s.heap[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		s.heap[i], s.heap[least] = s.heap[least], s.heap[i]
		i = least
	}
}
