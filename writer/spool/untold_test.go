package spool

import "testing"

// Rows are lost behind an offset. Until a durable row tells of them, a process
// that is killed comes upon them again, and afterwards it does not; a clean end
// that told leaves nothing either.
func TestARestartComesUponWhatIsUntold(t *testing.T) {
	t.Parallel()
	x := keptSpool(t, 2, nil)
	s := x.open()
	b, err := s.Next(0, 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	s.Untold(0, b.From)
	s.Progress(0, b, len(b.Lines), 1)
	equal(t, "the others", all(t, s, 0), lines(3, 6))
	flush(t, s)

	s = x.open() // it was killed
	b, err = s.Next(0, 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "after a kill", []string{string(b.Lines)}, lines(2, 3))
	s.Untold(0, b.From)
	s.Untold(0, b.From) // another row of the batch
	s.Progress(0, b, len(b.Lines), 1)
	equal(t, "the others", all(t, s, 0), lines(3, 6))
	s.Told(0, b.From)
	flush(t, s)

	s = x.open()
	equal(t, "with one of two told", all(t, s, 0), lines(2, 6))
	s.Untold(0, b.From)
	put(s, 1, 77) // tells
	s.Checkpoint(nil, func(err error) {
		if err != nil {
			t.Error(err)
		}
		s.Told(0, b.From)
	})
	s.Close()
	s = x.open()
	equal(t, "after it was told", all(t, s, 0), nil)
	s.Close()
}
