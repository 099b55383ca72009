package bench

// turns are lines that one measurement makes in turns, so that whatever the
// machine does meets all of them alike. The floor that they stand on measures:
// it is made before them in each round, and whenever one of them is.
type turns struct {
	found map[string][]int64 // ns of single operations in this round, by line
	notes map[string]string  // likewise
	err   error
}

// measure is the floor's Run.
func (t *turns) measure(floor string, all func(*Run, *turns) error) func(*Run, *Sample) error {
	return func(r *Run, s *Sample) error {
		t.found, t.notes = map[string][]int64{}, map[string]string{}
		t.err = all(r, t)
		return t.take(floor)(r, s)
	}
}

// take is the Run of another line.
func (t *turns) take(name string) func(*Run, *Sample) error {
	return func(_ *Run, s *Sample) error {
		if t.err != nil {
			return t.err
		}
		s.Batch, s.Note = 1, t.notes[name]
		for _, ns := range t.found[name] {
			s.Add(ns, 1)
		}
		return nil
	}
}
