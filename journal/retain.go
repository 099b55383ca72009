package journal

import (
	"errors"
	"io/fs"
	"path/filepath"
	"time"
)

// ageEvery is how often ages are looked at, when nothing else happens.
const ageEvery = int64(10 * time.Second)

// Retain says the oldest position that a kept snapshot needs; at the start it
// is the log's beginning. What lies wholly below may be removed by the next
// Drain. Any goroutine may call it.
func (l *Log) Retain(keep uint64) { l.keep.Store(keep) }

// retain removes what the options do not keep.
func (l *Log) retain(now int64) {
	d := &l.drainer
	if keep := l.keep.Load(); keep != d.keepSeen {
		d.keepSeen, d.collect = keep, true
	}
	if d.collect || now >= d.ageAt {
		d.collect, d.ageAt = false, now+ageEvery
		l.remove(now, false)
	}
}

// remove removes the oldest segments as far as it may: all that no snapshot
// needs if there is no room, else those that size and age let go.
func (l *Log) remove(now int64, noRoom bool) (removed int) {
	d := &l.drainer
	total := int64(0)
	for _, s := range d.segments {
		total += s.bytes
	}
	keep := min(l.keep.Load(), l.synced.Load())
	left := d.segments[:0]
	stop := false
	for _, s := range d.segments {
		// A segment that another took the place of holds nothing.
		superseded := s.limit <= s.header.first
		tooMuch := l.o.RetainBytes > 0 && total > l.o.RetainBytes
		tooOld := l.o.RetainAge > 0 && now-s.modNanos > int64(l.o.RetainAge)
		free := l.o.RetainBytes == 0 && l.o.RetainAge == 0
		may := s != d.current && s.limit <= keep && (noRoom || tooMuch || tooOld || free)
		if !superseded && (stop || !may) {
			stop = true // the log has no holes: the oldest go first
			left = append(left, s)
			continue
		}
		if err := l.o.FS.Remove(filepath.Join(l.o.Dir, s.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			stop = true
			left = append(left, s)
			continue
		}
		// In this order on the disk as well: a segment missing between others
		// would be damage. An error shows when the directory is next used.
		l.o.FS.SyncDir(l.o.Dir)
		total -= s.bytes
		removed++
		l.Stats.Removed.Add(1)
	}
	clear(d.segments[len(left):])
	d.segments = left
	return removed
}
