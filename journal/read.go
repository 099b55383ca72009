package journal

import (
	"fmt"
	"path/filepath"
	"slices"

	"tickproc/tick"
)

// Read hands every batch from a position on to f, which must be where a batch
// begins or the end: all that is synced at the call. It is for recovery: after
// Open, before the first Drain. A batch is valid until f returns; f's error ends
// it and is returned. Where Open found damage positions jump.
func (l *Log) Read(from uint64, f func(position uint64, batch []tick.Unit) error) error {
	end := l.synced.Load()
	if from < l.found.First || from > end {
		return fmt.Errorf("journal: shard %d: position %d is not in the log, which has %d to %d", l.o.Shard, from, l.found.First, end)
	}
	scanner := scanner{framer: framer{identity: l.identity, shard: l.o.Shard}}
	for at := from; at < end; {
		if next := l.behindDamage(at); next > at {
			at = next
			continue
		}
		s := l.segmentAt(at)
		if s == nil {
			return &DamagedError{[]Damage{{From: at, To: end, File: l.o.Dir, What: "no segment has it"}}}
		}
		to := min(end, s.limit, l.holeBehind(at))
		err := readSegment(l.o.FS, filepath.Join(l.o.Dir, s.name), &scanner, s.header.first, at, to, func(is frame, units []tick.Unit) error {
			return f(is.position, units[1:])
		})
		if err != nil {
			return err
		}
		at = to
	}
	return nil
}

// segmentAt finds the segment of a position.
func (l *Log) segmentAt(at uint64) *segment {
	for _, s := range slices.Backward(l.drainer.segments) {
		if s.covers(at) {
			return s
		}
	}
	return nil
}

// holeBehind is where the first hole behind a position begins.
func (l *Log) holeBehind(at uint64) uint64 {
	hole := ^uint64(0)
	for _, d := range l.holes {
		if d.To > d.From && d.From >= at {
			hole = min(hole, d.From)
		}
	}
	return hole
}

// behindDamage is where the log goes on if there is a hole at a position.
func (l *Log) behindDamage(at uint64) uint64 {
	next := at
	for _, d := range l.holes {
		if d.From <= at && at < d.To {
			next = max(next, d.To)
		}
	}
	return next
}
