package spool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"tickproc/internal/vfs"
)

var errClosed = errors.New("the spool was closed")

// request is a checkpoint that waits until all before it is durable.
type request struct {
	seq   uint64
	marks []ShardMark
	done  func(error)
}

func newTicker(d time.Duration) *time.Ticker { return time.NewTicker(d) }

// Checkpoint makes durable what was put until now, then marks: all rows of all
// tables up to them are in the spool. done is called once, by another
// goroutine, with the error if that failed. Checkpoint itself never waits.
func (s *Spool) Checkpoint(marks []ShardMark, done func(error)) {
	s.mu.Lock()
	if s.o.Dir == "" {
		s.mu.Unlock()
		done(errors.New("there is no spool directory: nothing can be made durable"))
		return
	}
	s.requests = append(s.requests, request{s.seq, slices.Clone(marks), done})
	s.mu.Unlock()
	signal(s.work)
	signal(s.syncs)
}

// syncLoop syncs at the interval, at a checkpoint, and when much is unsynced.
func (s *Spool) syncLoop(ctx context.Context) {
	tick := newTicker(s.o.SyncInterval)
	defer tick.Stop()
	for {
		select {
		case <-s.syncs:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		_ = s.syncRound() // reported, and answered by new files
	}
}

// dirty is a segment to be synced up to an offset.
type dirty struct {
	l    *lane
	g    *segment
	file vfs.File
	end  int64
	err  error
}

// syncRound makes what is written durable, with the acked positions, and
// finishes checkpoints. The error is the first of a file.
// owner: the goroutine that syncs.
func (s *Spool) syncRound() error {
	s.mu.Lock()
	var all []dirty
	newFiles := false
	for _, l := range s.lanes {
		for _, g := range l.segs {
			if g.file != nil && !l.failed && (g.end > g.synced || !g.dirSynced) {
				all = append(all, dirty{l: l, g: g, file: g.file, end: g.end})
				newFiles = newFiles || !g.dirSynced
			} else if g.file != nil && g != l.active && g.end == g.synced {
				s.closeLocked(g)
			}
		}
	}
	s.unsynced = 0
	garbage := s.garbage
	s.garbage = nil
	s.mu.Unlock()

	for _, f := range garbage {
		_ = f.Close()
	}
	var failed error
	if newFiles {
		failed = s.o.FS.SyncDir(s.o.Dir)
	}
	dirErr := failed
	for i := range all {
		d := &all[i]
		started := time.Now()
		if d.err = d.file.Sync(); d.err == nil && !d.g.dirSynced {
			d.err = dirErr
		}
		s.Stats.Syncs.Add(1)
		s.Stats.SyncNanos.Observe(int64(time.Since(started)), 1)
		if d.err != nil {
			failed = errors.Join(failed, d.err)
		}
	}
	s.settleSync(all)
	// An acked position that is behind only costs a resend. One that is ahead of
	// what is durable costs nothing either: the database has those rows. But marks
	// come behind both: what they cover was acknowledged, or must be found by the
	// next start.
	acksErr := s.writeAcks()
	failed = errors.Join(failed, acksErr)
	s.finish(acksErr)
	if failed != nil {
		s.Stats.SyncFails.Add(1)
		s.o.Logger.Error("spool: sync failed", "error", failed)
	}
	return failed
}

// settleSync moves what is durable on, and lets its memory go.
func (s *Spool) settleSync(all []dirty) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range all {
		if d.err != nil {
			d.l.failed = true
		}
	}
	for _, d := range all {
		// Those of a table are in order; behind one that failed nothing counts.
		if d.l.failed || d.g.file != d.file {
			continue
		}
		d.g.synced, d.g.dirSynced = d.end, true
		l := d.l
		l.synced = max(l.synced, d.end)
		n := 0
		for n < l.memWritten && l.mem[n].end <= l.synced {
			s.forgetLocked(l.mem[n])
			n++
		}
		l.mem = slices.Delete(l.mem, 0, n)
		l.memWritten -= n
	}
	for _, l := range s.lanes {
		if l.failed {
			signal(s.work)
		}
	}
	s.Stats.MemoryBytes.Set(s.memBytes)
}

// finish answers the checkpoints whose records are durable; err is why positions
// are not.
func (s *Spool) finish(err error) {
	s.mu.Lock()
	var ready, refused []request
	var why error
	s.requests = slices.DeleteFunc(s.requests, func(r request) bool {
		complete := true
		for _, l := range s.lanes {
			switch {
			case len(l.mem) > 0 && l.mem[0].seq <= r.seq, l.releasedEnd > l.synced:
				complete = false
				if l.down {
					why = fmt.Errorf("the disk takes no rows of %s: %w", l.name, s.down)
				}
			}
		}
		if complete {
			ready = append(ready, r)
		} else if why != nil {
			refused = append(refused, r)
		}
		return complete || why != nil
	})
	waits := len(s.requests) > 0
	s.mu.Unlock()
	for _, r := range refused {
		r.done(why)
	}
	if waits {
		signal(s.work) // which calls us again
	}
	if len(ready) == 0 {
		return
	}
	marked := maps.Clone(s.marked)
	if marked == nil {
		marked = map[uint16]Mark{}
	}
	for _, r := range ready {
		for _, m := range r.marks {
			if marked[m.Shard].Before(m.Mark) {
				marked[m.Shard] = m.Mark
			}
		}
	}
	if err == nil {
		err = s.marks.write(encodeMarks(marked))
	}
	if err == nil {
		s.marked = marked
	}
	for _, r := range ready {
		r.done(err)
	}
}

// writeAcks writes down how far each table is acknowledged. Any goroutine.
func (s *Spool) writeAcks() error {
	s.ackMu.Lock()
	defer s.ackMu.Unlock()
	s.mu.Lock()
	acks := s.acksLocked()
	s.mu.Unlock()
	return s.acks.write(acks)
}
