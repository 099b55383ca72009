package spool

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"tickproc/internal/vfs"
)

// segment is a file with a part of a stream.
type segment struct {
	name       string
	first, end int64 // offsets
	file       vfs.File
	synced     int64 // offset up to which it is durable
	dirSynced  bool  // the file itself is
	oldest     int64 // of its records
	newest     int64
	rows       int
}

func (g *segment) add(rows int, oldestNanos int64) {
	if g.oldest == 0 {
		g.oldest = oldestNanos
	}
	g.rows += rows
	g.newest = max(g.newest, oldestNanos)
}

// writeLoop writes what comes until ctx ends.
func (s *Spool) writeLoop(ctx context.Context) {
	tick := newTicker(s.o.SyncInterval)
	defer tick.Stop()
	for {
		s.writeRound()
		select {
		case <-s.work:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// writeRound writes every record that is not on disk, and removes segments
// that are old.
// owner: the goroutine that writes.
func (s *Spool) writeRound() {
	s.expire()
	s.sweep()
	head := make([]byte, 0, 4<<10)
	for again := true; again; {
		again = false
		for _, l := range s.lanes {
			// In turns, so that no table waits for another's backlog.
			for range 16 {
				r, h := s.takeUnwritten(l)
				if r == nil {
					break
				}
				head = appendHead(head[:0], &h)
				err := s.write(l, r, head, h.offset)
				s.wrote(l, r, &h, err)
				if err != nil {
					break
				}
				again = true
			}
		}
	}
	s.mu.Lock()
	waited := len(s.requests) > 0
	s.mu.Unlock()
	if waited {
		signal(s.syncs)
	}
}

// sweep removes the files of segments that are gone, outside of the lock.
func (s *Spool) sweep() {
	s.mu.Lock()
	names := s.unlink
	s.unlink = nil
	s.mu.Unlock()
	if len(names) == 0 {
		return
	}
	// A file that is missing counts as acknowledged only if that is written down.
	// Where it cannot be, the next start has rows made again that are there.
	_ = s.writeAcks()
	for _, name := range names {
		_ = s.o.FS.Remove(name) // one that stays is found at the next start
	}
}

// takeUnwritten returns the next record to write, with its head, or nil.
func (s *Spool) takeUnwritten(l *lane) (*record, head) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.flight != nil && l.flight.memory > 0 {
		return nil, head{} // what is unwritten is counted from memWritten on, which must stay
	}
	if l.failed {
		s.rewriteLocked(l)
	}
	if l.memWritten == len(l.mem) || l.down && s.o.Now() < l.retryNanos {
		return nil, head{}
	}
	r := l.mem[l.memWritten]
	l.writing = true
	h := head{identity: s.identity, offset: max(l.written, l.cursor), rows: r.Rows, payloadBytes: len(r.Payload), oldestNanos: r.OldestNanos,
		name: l.name, marks: r.Marks, meta: r.Meta}
	if r.fixed {
		h.offset = r.offset
	}
	r.lent++ // the payload stays while it is written
	h.bytes = headLength(h.name, h.marks, h.meta)
	h.payloadSum = payloadSum(h.identity, h.offset, r.Payload)
	return r, h
}

// wrote accounts for a write.
func (s *Spool) wrote(l *lane, r *record, h *head, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.writing = false
	if r.lent--; r.gone {
		panic("BUG: a record left while it was written")
	}
	if err != nil {
		if !l.down {
			s.o.Logger.Error("spool: the disk takes no rows, they wait in memory alone", "table", l.name, "error", err)
		}
		l.down, l.retryNanos, s.down = true, s.o.Now()+downRetryNanos, err
		s.countDownLocked()
		signal(l.wake)
		return
	}
	if l.down {
		s.o.Logger.Info("spool: the disk takes rows again", "table", l.name)
		l.down = false
		s.countDownLocked()
	}
	r.offset, r.end, r.fixed = h.offset, h.end(), false
	g := l.active
	g.end = r.end
	g.add(r.Rows, r.OldestNanos)
	l.written = r.end
	l.memWritten++
	size := r.end - r.offset
	s.diskBytes += size
	s.Stats.DiskBytes.Set(s.diskBytes)
	if s.unsynced += size; s.unsynced >= unsyncedMax {
		signal(s.syncs)
	}
	signal(l.wake)
}

func (s *Spool) countDownLocked() {
	n := int64(0)
	for _, l := range s.lanes {
		if l.down {
			n++
		}
	}
	s.Stats.Down.Set(n)
}

// write puts a record at its offset: into the growing segment, or a new one
// when that is full, has failed, or ends elsewhere.
func (s *Spool) write(l *lane, r *record, head []byte, offset int64) error {
	size := int64(len(head) + len(r.Payload))
	if err := s.makeRoom(size); err != nil {
		return err
	}
	var err error
	for range 3 { // a full disk, and a file that fails, cost one attempt each
		g := l.active
		err = nil
		if g != nil && (g.end != offset || g.end > g.first && g.end-g.first+size > s.o.SegmentBytes) {
			s.roll(l)
			g = nil
		}
		if g == nil {
			g, err = s.create(l, offset)
		}
		if err == nil {
			if _, err = g.file.WriteAt(head, offset-g.first); err == nil {
				_, err = g.file.WriteAt(r.Payload, offset-g.first+int64(len(head)))
			}
		}
		if err == nil {
			return nil
		}
		s.Stats.WriteFails.Add(1)
		switch {
		case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
			if !s.freeOne(s.pressed()) {
				return err
			}
		case l.active == nil:
			return err // not even a file can be made
		default:
			s.roll(l)
		}
	}
	return err
}

// roll ends the growing segment; what is not synced of it still will be.
func (s *Spool) roll(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rollLocked(l)
}

func (s *Spool) rollLocked(l *lane) {
	g := l.active
	l.active = nil
	if g == nil {
		return
	}
	if g.end == g.first { // nothing of it is needed
		l.segs = slices.DeleteFunc(l.segs, func(x *segment) bool { return x == g })
		s.unlink = append(s.unlink, g.name)
		s.closeLocked(g)
	}
}

// closeLocked leaves closing to the goroutine that syncs: it may be at it.
func (s *Spool) closeLocked(g *segment) {
	if g.file != nil {
		s.garbage = append(s.garbage, g.file)
		g.file = nil
	}
}

// create begins a segment at offset.
func (s *Spool) create(l *lane, offset int64) (*segment, error) {
	name := filepath.Join(s.o.Dir, segmentName(l.name, offset))
	s.sweep() // one of them may have this name
	// One that is there has nothing that counts: it would be known.
	_ = s.o.FS.Remove(name)
	f, err := s.o.FS.Create(name)
	if err != nil {
		return nil, err
	}
	g := &segment{name: name, first: offset, end: offset, synced: offset, file: f}
	s.mu.Lock()
	defer s.mu.Unlock()
	l.segs = append(l.segs, g)
	l.active = g
	return g, nil
}

// rewriteLocked answers a sync that failed: the file is given up, and what is
// in memory and was not known to be durable is written again.
func (s *Spool) rewriteLocked(l *lane) {
	l.failed = false
	from := l.written
	n := slices.IndexFunc(l.mem[:l.memWritten], func(r *record) bool { return r.end > l.synced })
	if n >= 0 {
		from = l.mem[n].offset
		for _, r := range l.mem[n:l.memWritten] {
			r.fixed = true
		}
		l.memWritten = n
	}
	l.written, l.active = from, nil
	l.segs = slices.DeleteFunc(l.segs, func(g *segment) bool {
		if g.end > l.synced {
			s.diskBytes -= max(g.end, from) - max(g.first, from)
			s.closeLocked(g)
			g.end = min(g.end, from)
			g.synced = g.end // as far as it will ever be
		}
		if g.first >= from {
			s.unlink = append(s.unlink, g.name)
		}
		return g.first >= from
	})
	s.o.Logger.Error("spool: a segment was given up, its unsynced records are written to a new one", "table", l.name, "from", from, "synced", l.synced)
}

// makeRoom brings the spool within its limit, and the disk above its floor, so
// that size bytes fit.
func (s *Spool) makeRoom(size int64) error {
	for {
		s.mu.Lock()
		over := s.diskBytes+size > s.o.MaxBytes
		s.mu.Unlock()
		if !over && !s.low(size) {
			return nil
		}
		if !s.freeOne(over || s.pressed()) {
			if over {
				return fmt.Errorf("a batch of %d bytes does not fit the limit of the spool, %d bytes", size, s.o.MaxBytes)
			}
			return fmt.Errorf("less than %.1f MB are free on the disk of %s (spool: min_free): %w", float64(s.o.FreeBytes)/1e6, s.o.Dir, syscall.ENOSPC)
		}
	}
}

// low reports that the disk has less room than is to stay free. The system is
// asked once for many writes.
func (s *Spool) low(size int64) bool {
	if s.freed -= size; s.freed > 0 {
		return false
	}
	free, _, err := s.o.Space()
	if err != nil {
		return false // the write itself will tell
	}
	spare := free - size - s.o.FreeBytes
	s.freed = min(spare/2, 64<<20)
	return spare < 0
}

// pressed reports that memory may soon not hold what the disk does not take. Until
// then nothing need be lost: the disk may be full for a moment, and what waits on
// it may be about to be delivered.
func (s *Spool) pressed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.memBytes > s.o.MemoryBytes/2
}

// freeOne removes one segment: the oldest that is acknowledged, else, if some may
// be lost, the oldest of the first table in DropOrder that has one. False: there
// is none.
func (s *Spool) freeOne(lose bool) bool {
	s.mu.Lock()
	var from *lane
	for _, l := range s.lanes {
		if g := l.removableLocked(); g != nil && (from == nil || g.newest < from.segs[0].newest) {
			from = l
		}
	}
	if from != nil {
		s.Stats.Unkept.Add(1)
		if now := s.o.Now(); now >= s.unkeptToldNanos+unkeptTellNanos {
			s.unkeptToldNanos = now
			s.o.Logger.Warn("spool: for want of room, rows are no longer kept that QuestDB has: should it lose them, they are not sent again",
				"table", from.name, "before", time.Unix(0, from.segs[0].newest).UTC())
		}
		s.removeLocked(from)
		s.mu.Unlock()
		s.sweep()
		return true
	}
	if !lose {
		s.mu.Unlock()
		return false
	}
	for _, table := range s.o.DropOrder {
		l := s.lanes[table]
		if len(l.segs) == 0 || l.hold > 0 || l.segs[0].end == l.segs[0].first {
			continue
		}
		g := l.segs[0]
		at := l.cursor
		if l.flight != nil {
			at = max(at, l.flight.end) // the sender has it in memory
		}
		p := place{name: g.name, first: g.first, from: max(at, g.first), to: g.end}
		if len(l.segs) > 1 {
			p.to = min(p.to, l.segs[1].first)
		}
		again := l.resendEnd
		l.hold++
		if l.active == g {
			s.rollLocked(l)
		}
		l.cursor = max(l.cursor, p.to)
		s.mu.Unlock()

		var losses []Loss
		rows, bytes := 0, int64(0)
		err := l.walk(s, p, func(h *head, damaged int64) bool {
			losses = append(losses, Loss{Table: table, Rows: h.rows, Meta: slices.Clone(h.meta), Again: h.offset < again})
			rows += h.rows
			bytes += int64(h.payloadBytes)
			return true
		})
		if err != nil {
			losses = append(losses, Loss{Table: table, Rows: -1, Damaged: true})
		}
		s.mu.Lock()
		l.hold--
		l.rows -= rows
		l.bytes -= bytes
		s.losses = append(s.losses, losses...)
		s.removeLocked(l)
		s.settleLocked(l)
		s.mu.Unlock()
		s.sweep()
		s.o.Logger.Error("spool: its limit is reached, the oldest rows of a table are lost", "table", l.name, "rows", rows, "max_bytes", s.o.MaxBytes)
		signal(s.moved)
		return true
	}
	s.mu.Unlock()
	return false
}

// removableLocked is the oldest segment if all of it is acknowledged.
func (l *lane) removableLocked() *segment {
	if len(l.segs) == 0 || l.hold > 0 || l.segs[0] == l.active || l.segs[0].end > l.cursor {
		return nil
	}
	if l.flight != nil && l.flight.From < l.segs[0].end {
		return nil // it may be abandoned
	}
	return l.segs[0]
}

// removeLocked removes the oldest segment.
func (s *Spool) removeLocked(l *lane) {
	g := l.segs[0]
	l.segs = l.segs[1:]
	s.diskBytes -= g.end - g.first
	s.Stats.DiskBytes.Set(s.diskBytes)
	n := 0
	for n < l.memWritten && l.mem[n].end <= g.end {
		s.forgetLocked(l.mem[n])
		n++
	}
	l.mem = slices.Delete(l.mem, 0, n)
	l.memWritten -= n
	l.synced = max(l.synced, g.end)
	l.untold = slices.DeleteFunc(l.untold, func(offset int64) bool { return offset < g.end })
	s.closeLocked(g)
	s.unlink = append(s.unlink, g.name)
}

// expire removes what is acknowledged and older than the horizon, or beyond
// its size, and watches how full the spool is.
func (s *Spool) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	kept := int64(0)
	for _, l := range s.lanes {
		for _, g := range l.segs {
			if g.end <= l.cursor {
				kept += g.end - g.first
			}
		}
	}
	for {
		var from *lane
		for _, l := range s.lanes {
			if g := l.removableLocked(); g != nil && (from == nil || g.newest < from.segs[0].newest) {
				from = l
			}
		}
		if from == nil || kept <= s.o.HorizonBytes && now-from.segs[0].newest < int64(s.o.Horizon) {
			break
		}
		kept -= from.segs[0].end - from.segs[0].first
		s.removeLocked(from)
	}
	s.Stats.KeptBytes.Set(kept)
	waiting := s.diskBytes - kept
	s.Stats.Permille.Set(waiting * 1000 / s.o.MaxBytes)
	tenths := int(waiting * 10 / s.o.MaxBytes)
	if tenths >= 5 && tenths > s.alarm {
		s.o.Logger.Error("spool: it fills up because QuestDB takes no rows; at its limit the oldest rows are lost",
			"percent", waiting*100/s.o.MaxBytes, "bytes", waiting, "max_bytes", s.o.MaxBytes)
	}
	s.alarm = tenths
}
