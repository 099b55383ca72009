package journal

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"tickproc/internal/vfs"
)

// drainer carries batches from the ring to segments.
type drainer struct {
	file     vfs.File // the current segment; nil: the next one must be made
	current  *segment
	capacity uint64 // units it takes behind its header
	reserved bool   // it is what was the reserve

	framer   framer
	segments []*segment // all that count, the current one last
	ordinal  uint64     // the largest that was used
	session  uint64
	written  uint64 // up to where the current segment holds the log
	syncedAt int64  // ns

	full     bool  // the reserve is in use or is not there
	failed   bool  // a segment was given up, and nothing was synced since
	cause    error // why no segment can be made
	retryAt  int64 // nothing is tried before, ns
	roomAt   int64 // when making the reserve is tried again, ns
	collect  bool  // retention may have something to do
	keepSeen uint64
	ageAt    int64 // when ages are looked at again, ns
}

// Run drains until ctx is done. Then, and when the goroutine that appends has
// ended or waits in Append, Close writes the rest.
func (l *Log) Run(ctx context.Context) {
	// Between two syncs the kernel gets what there is: less is left for the sync.
	every := max(l.o.SyncEvery/4, time.Millisecond)
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		l.Drain(l.o.Now())
		if ctx.Err() != nil {
			return
		}
		d := &l.drainer
		if d.cause == nil && l.appended.Load()-d.written > uint64(len(l.units))/4 {
			continue
		}
		timer.Reset(every)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
	}
}

// Drain does what there is to do at a time (ns): writes what was appended, syncs
// if that is due, makes and removes segments. Run calls it; whoever does not
// use Run may call it instead, from one goroutine at a time.
func (l *Log) Drain(now int64) {
	l.drain(now, false)
}

func (l *Log) drain(now int64, force bool) {
	d := &l.drainer
	if d.cause != nil && d.file == nil && now >= d.retryAt {
		l.nextSegment(now) // also when nothing waits: who stopped must hear that there is room
	}
	l.write(now)
	if waiting := d.written - l.synced.Load(); waiting > 0 &&
		(force || now-d.syncedAt >= int64(l.o.SyncEvery) || waiting > uint64(len(l.units))/2 || l.waiting.Load() == waitRoom) {
		l.sync(now)
	}
	if d.full {
		l.refill(now)
	}
	l.retain(now)
	l.judge()
}

// write copies the ring to segments.
func (l *Log) write(now int64) {
	d := &l.drainer
	for end := l.appended.Load(); d.written < end; {
		if d.file == nil {
			if now < d.retryAt || !l.nextSegment(now) {
				return
			}
		}
		to := l.fits(end)
		if to == d.written {
			// One position says what is on disk: the old segment comes first.
			if l.sync(now) && !l.nextSegment(now) {
				l.leave()
			}
			continue
		}
		if err := l.copyTo(to); err != nil {
			l.giveUp(now, fmt.Errorf("write %s: %w", d.current.name, err))
		}
	}
}

// fits returns the end of the last batch that the segment has room for.
func (l *Log) fits(end uint64) uint64 {
	d := &l.drainer
	limit := d.current.header.first + d.capacity
	if end <= limit {
		return end
	}
	to := d.written
	for to < end {
		h := &l.units[to&uint64(len(l.units)-1)]
		n := d.framer.claims(h, to)
		if n == 0 {
			panic(fmt.Sprintf("BUG: no batch at position %d of the ring", to))
		}
		if to+uint64(n) > limit {
			break
		}
		to += uint64(n)
	}
	return to
}

// copyTo writes the ring up to a position to the current segment.
func (l *Log) copyTo(to uint64) error {
	d := &l.drainer
	for d.written < to {
		i := int(d.written & uint64(len(l.units)-1))
		n := min(to-d.written, uint64(len(l.units)-i))
		if _, err := d.file.WriteAt(bytesOf(l.units[i:i+int(n)]), offsetOf(d.written, d.current.header.first)); err != nil {
			return err
		}
		d.written += n
	}
	return nil
}

// sync makes what was written durable and gives its place in the ring free.
func (l *Log) sync(now int64) bool {
	d := &l.drainer
	if d.file == nil {
		return false
	}
	if d.written > l.synced.Load() {
		if err := d.file.Sync(); err != nil {
			l.giveUp(now, fmt.Errorf("sync: %w", err))
			return false
		}
		l.Stats.Syncs.Add(1)
		l.synced.Store(d.written)
		d.failed = false
	}
	d.syncedAt = now
	return true
}

// giveUp leaves a segment after an error. A second sync may say yes and have
// written nothing: so what is not known to be on disk is written again,
// elsewhere, from the ring. The first time at once, and then at a bounded rate:
// making a segment proves little, for a disk may take its header and no more.
func (l *Log) giveUp(now int64, err error) {
	d := &l.drainer
	l.leave()
	d.written = l.synced.Load()
	d.reserved = false
	d.full = d.full || isFull(err)
	l.Stats.GivenUp.Add(1)
	if d.failed {
		d.retryAt, d.cause = now+int64(l.o.RetryEvery), err
	}
	d.failed = true
}

// leave closes the current segment.
func (l *Log) leave() {
	d := &l.drainer
	if d.file != nil {
		d.file.Close() // what counts is synced
		d.file = nil
	}
}

// nextSegment makes a segment that begins at written and leaves the current
// one, which must be synced; on failure that stays as it is.
func (l *Log) nextSegment(now int64) bool {
	d := &l.drainer
	next, file, err := l.create(now, "")
	if isFull(err) && l.remove(now, true) > 0 {
		next, file, err = l.create(now, "")
	}
	size, reserved := l.o.SegmentBytes, false
	if isFull(err) {
		full := err
		d.full = true
		if next, file, err = l.create(now, l.reserveName()); err == nil {
			size, reserved = l.o.ReserveBytes, true
			d.roomAt = now + int64(l.o.RetryEvery)
		} else {
			err = errors.Join(full, err)
		}
	}
	if err != nil {
		d.cause = err
		d.retryAt = now + int64(l.o.RetryEvery)
		return false
	}
	d.cause = nil
	d.failed = d.failed && d.written < l.appended.Load() // nothing else can be tried
	l.adopt(now, next, file, size, reserved)
	return true
}

// adopt makes a new segment the current one.
func (l *Log) adopt(now int64, next *segment, file vfs.File, size int64, reserved bool) {
	d := &l.drainer
	if d.file != nil {
		// What is allocated behind its end is given back. If that fails it is
		// only taken a little longer.
		d.file.Truncate(offsetOf(d.written, d.current.header.first))
		d.current.bytes = offsetOf(d.written, d.current.header.first)
		l.leave()
	}
	if d.current != nil {
		d.current.modNanos = now
	}
	d.file, d.current, d.reserved = file, next, reserved
	d.capacity = uint64(size/unitBytes) - headerUnits
	d.segments = append(d.segments, next)
	setLimits(d.segments)
	d.collect = true
}

// create makes a segment file that begins at written, of the reserve if one is
// named, and makes it durable.
func (l *Log) create(now int64, reserve string) (*segment, vfs.File, error) {
	d := &l.drainer
	d.ordinal++ // also of those that fail: the name may be taken
	s := &segment{headerOK: true, modNanos: now, header: segmentHeader{
		identity: l.identity, first: d.written, ordinal: d.ordinal, session: d.session, sequence: l.sequenceAt(d.written),
	}}
	s.name = segmentName(l.o.Shard, d.ordinal, d.written)
	name, size := filepath.Join(l.o.Dir, s.name), l.o.SegmentBytes
	if reserve != "" {
		size = l.o.ReserveBytes
	}
	s.bytes = size
	file, err := makeSegment(l.o.FS, name, reserve, size, s.header, l.o.Shard)
	return s, file, err
}

// sequenceAt is the sequence of the batch at a position that is in the ring.
func (l *Log) sequenceAt(position uint64) uint64 {
	if h := &l.units[position&uint64(len(l.units)-1)]; position < l.appended.Load() && h[3] == position {
		return h[1]
	}
	return 0
}

// makeSegment makes a file with a header: a new one, or the reserve, which has
// its room already.
func makeSegment(fsys vfs.FS, name, reserve string, size int64, h segmentHeader, shard int) (file vfs.File, err error) {
	if reserve == "" {
		if file, err = fsys.Create(name); err != nil {
			return nil, err
		}
		err = file.Allocate(size)
	} else if file, err = fsys.OpenWrite(reserve); err != nil {
		return nil, err
	}
	if err == nil {
		err = h.write(file, shard)
	}
	if err == nil {
		err = file.Sync()
	}
	if err == nil && reserve != "" {
		err = fsys.Rename(reserve, name)
	}
	if err == nil {
		err = fsys.SyncDir(filepath.Dir(name))
	}
	if err != nil {
		file.Close()
		if reserve == "" {
			fsys.Remove(name) // if it stays it is empty, which is seen
		}
		return nil, err
	}
	return file, nil
}

// Close writes and syncs everything, marks the log as cleanly closed and frees
// the ring. Run must have returned; Append must not run, but may wait for room:
// then it returns 0. If the disk does not take everything, Close returns an
// error and leaves the ring, from which the next Open takes the rest.
func (l *Log) Close() error {
	l.closed.Store(true)
	l.waiting.CompareAndSwap(waitRoom, waitCancelled)
	d := &l.drainer
	end := l.appended.Load()
	// Twice: an error gives a segment up, and the next one may take it.
	for try := 0; try < 3 && (l.synced.Load() != end || d.file == nil); try++ {
		d.retryAt = 0
		l.drain(l.o.Now(), true)
		if d.file == nil && l.synced.Load() == end {
			break
		}
	}
	if rest := end - l.synced.Load(); rest > 0 {
		l.leave()
		err := fmt.Errorf("journal: shard %d: %d bytes are not on disk (%s): they stay in %s, the next start writes them", l.o.Shard, rest*unitBytes, l.Status().Reason, l.memory.Where(ringName(l.o.Shard)))
		return errors.Join(err, d.cause, l.ring.Close(false))
	}
	if d.file != nil {
		if d.file.Truncate(offsetOf(end, d.current.header.first)) == nil {
			d.file.Sync() // the room is given back now or later
		}
		l.leave()
	}
	err := writeSealed(l.o.FS, filepath.Join(l.o.Dir, markName(l.o.Shard)), mark{
		Identity: l.identity, Shard: l.o.Shard, End: end, Sequence: l.sequence, CRC: l.link,
	})
	if err != nil {
		return errors.Join(fmt.Errorf("journal: shard %d: the clean end cannot be marked: %w", l.o.Shard, err), l.ring.Close(false))
	}
	return l.ring.Close(true)
}
