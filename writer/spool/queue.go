package spool

import (
	"slices"
)

// deliveredFromMemory is why what is kept ends.
const deliveredFromMemory = "the disk took no rows, and newer ones were delivered from memory alone"

// Batch is what a sender posts at once: the payloads of some records that lie
// one behind the other, as they are. It is the sender's until Done or Abandon.
type Batch struct {
	Lines       []byte // what is still to be delivered
	Rows        int    // in Lines
	OldestNanos int64
	// Again: it was taken by an earlier run, or had been acknowledged before.
	Again bool
	// FirstNanos and LastNanos are the earliest and latest receive time among its
	// rows; 0 where it was read from the disk.
	FirstNanos, LastNanos int64

	From, end int64 // offsets; equal where the rows are in memory alone
	memory    int   // records that are in memory alone
	rows      int   // at first
	bytes     int   // at first
	lent      []*record
}

// Taken is how many rows it had at first.
func (b *Batch) Taken() int { return b.rows }

// Buffer returns memory for a payload.
func (s *Spool) Buffer() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.spare); n > 0 {
		b := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return b[:0]
	}
	return nil
}

// Put adds a record and takes its payload over. It never waits. openBytes is
// memory of the caller that counts against MemoryBytes.
func (s *Spool) Put(table int, r Record, openBytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[table]
	s.seq++
	l.mem = append(l.mem, &record{Record: r, seq: s.seq})
	l.rows += r.Rows
	l.bytes += int64(len(r.Payload))
	s.memBytes += int64(len(r.Payload))
	s.boundLocked(s.o.MemoryBytes - openBytes)
	s.Stats.MemoryBytes.Set(s.memBytes)
	if l.down {
		signal(l.wake)
	}
	if s.o.Dir != "" {
		signal(s.work)
	}
}

// boundLocked brings memory within a bound: first what is on disk as well gives its
// memory, oldest first; then the oldest of the first in DropOrder is lost.
func (s *Spool) boundLocked(bytesMax int64) {
	for _, l := range s.lanes {
		n := 0
		for ; s.memBytes > bytesMax && n < l.memWritten; n++ {
			if r := l.mem[n]; r.end > l.synced {
				s.Stats.Unprotected.Add(1)
				l.releasedEnd = r.end
			}
			s.forgetLocked(l.mem[n])
		}
		l.mem = slices.Delete(l.mem, 0, n)
		l.memWritten -= n
	}
	for _, table := range s.o.DropOrder {
		l := s.lanes[table]
		first := l.memWritten
		if l.writing {
			first++
		}
		if l.flight != nil {
			first = max(first, l.memWritten+l.flight.memory) // its rows may be committed already
		}
		for first < len(l.mem) && l.mem[first].fixed {
			first++ // its place in the stream is taken
		}
		n := first
		for ; s.memBytes > bytesMax && n < len(l.mem); n++ {
			r := l.mem[n]
			l.rows -= r.Rows
			l.bytes -= int64(len(r.Payload))
			s.losses = append(s.losses, Loss{Table: table, Rows: r.Rows, Meta: r.Meta})
			s.forgetLocked(r)
		}
		l.mem = slices.Delete(l.mem, first, n)
	}
}

// forgetLocked lets go of a record that leaves mem.
func (s *Spool) forgetLocked(r *record) {
	s.memBytes -= int64(len(r.Payload))
	r.gone = true
	if r.lent == 0 {
		s.recycleLocked(r.Payload)
		r.Payload = nil
	}
}

func (s *Spool) recycleLocked(b []byte) {
	if len(s.spare) < spareMax && cap(b) > 0 {
		s.spare = append(s.spare, b)
	}
}

// Next returns the next batch to post: whole records, at least one, and no more
// than rowsMax rows and bytesMax bytes beyond the first. Nil: nothing waits. The
// table's sender alone calls it, and finishes one batch before the next. An
// error is of the disk; trying again later may help.
func (s *Spool) Next(table, rowsMax, bytesMax int) (*Batch, error) {
	l := s.lanes[table]
	for {
		b, where, ok := s.nextInMemory(l, rowsMax, bytesMax)
		if ok {
			return b, nil
		}
		if b, err := s.nextOnDisk(l, where, rowsMax, bytesMax); b != nil || err != nil {
			return b, err
		}
	}
}

// place is a part of a segment that waits.
type place struct {
	seg      *segment
	name     string
	first    int64 // offset of the file's first byte
	from, to int64
}

// nextInMemory returns the batch if it is in memory, or nil if nothing waits;
// else ok is false, and the place on disk to look at.
func (s *Spool) nextInMemory(l *lane, rowsMax, bytesMax int) (b *Batch, where place, ok bool) {
	s.mu.Lock()
	var records []*record
	switch {
	case l.flight != nil:
		panic("BUG: a batch is in flight")
	case l.cursor < l.written:
		i := slices.IndexFunc(l.mem[:l.memWritten], func(r *record) bool { return r.offset == l.cursor })
		if i < 0 {
			where = l.placeLocked(s)
			s.mu.Unlock()
			return nil, where, false
		}
		records = l.mem[i:l.memWritten]
		if l.cursor < l.resendEnd {
			n := slices.IndexFunc(records, func(r *record) bool { return r.offset >= l.resendEnd })
			if n > 0 {
				records = records[:n]
			}
		}
		b = &Batch{From: l.cursor, Again: l.cursor < l.resendEnd}
	case l.down && !l.writing:
		records = l.mem[l.memWritten:]
		for len(records) > 0 && records[0].fixed && records[0].end <= l.cursor {
			// Was sent before its file was given up: it only had to be made durable.
			s.giveUpKept(l, records[0].end, deliveredFromMemory)
			s.forgetLocked(records[0])
			l.mem = slices.Delete(l.mem, l.memWritten, l.memWritten+1)
			records = l.mem[l.memWritten:]
		}
		b = &Batch{From: l.cursor, Again: len(records) > 0 && records[0].fixed && records[0].offset < l.resendEnd}
	}
	if len(records) == 0 {
		s.mu.Unlock()
		return nil, place{}, true
	}
	n := 0
	for n < len(records) && (n == 0 || b.rows+records[n].Rows <= rowsMax && b.bytes+len(records[n].Payload) <= bytesMax) {
		b.rows += records[n].Rows
		b.bytes += len(records[n].Payload)
		if r := records[n]; r.FirstNanos != 0 {
			if b.FirstNanos == 0 || r.FirstNanos < b.FirstNanos {
				b.FirstNanos = r.FirstNanos
			}
			b.LastNanos = max(b.LastNanos, r.LastNanos)
		}
		n++
	}
	records = slices.Clone(records[:n])
	b.Rows, b.OldestNanos, b.end = b.rows, records[0].OldestNanos, l.cursor
	if l.cursor < l.written {
		b.end = records[n-1].end
	} else {
		b.memory = n
		for _, r := range records {
			if r.fixed {
				b.end = r.end
			}
		}
	}
	for _, r := range records {
		r.lent++
	}
	b.lent = records
	l.flight = b
	l.lastMeta = records[n-1].Meta
	s.mu.Unlock()
	if n == 1 {
		b.Lines = records[0].Payload
		return b, place{}, true
	}
	lines := l.reader.room(b.bytes)[:0]
	for _, r := range records {
		lines = append(lines, r.Payload...)
	}
	b.Lines = lines
	s.mu.Lock()
	s.giveBackLocked(b)
	s.mu.Unlock()
	return b, place{}, true
}

// giveBackLocked ends a batch's use of records' memory.
func (s *Spool) giveBackLocked(b *Batch) {
	for _, r := range b.lent {
		if r.lent--; r.gone && r.lent == 0 {
			s.recycleLocked(r.Payload)
			r.Payload = nil
		}
	}
	b.lent = nil
}

// placeLocked is what of the disk the cursor is at.
func (l *lane) placeLocked(s *Spool) place {
	for i, g := range l.segs {
		if g.end <= l.cursor {
			continue
		}
		if g.first > l.cursor {
			// A file is missing, or its end.
			s.damageLocked(l, l.cursor, g.first, -1, nil)
			l.cursor = g.first
		}
		to := g.end
		if i+1 < len(l.segs) {
			to = min(to, l.segs[i+1].first)
		}
		if l.cursor < l.resendEnd {
			to = min(to, l.resendEnd)
		}
		return place{seg: g, name: g.name, first: g.first, from: l.cursor, to: to}
	}
	// Nothing is there up to where the stream goes on.
	s.damageLocked(l, l.cursor, l.written, -1, nil)
	l.cursor = l.written
	return place{}
}

func (s *Spool) damageLocked(l *lane, from, to int64, rows int, meta []byte) {
	s.Stats.DamagedBytes.Add(uint64(to - from))
	loss := Loss{Table: l.index, Rows: rows, Meta: meta, Damaged: true, From: from, Again: from < l.resendEnd}
	if !loss.Again { // else the database had them once
		l.untold = append(l.untold, from)
	}
	if rows < 0 {
		loss.Before = l.lastMeta
	} else {
		l.rows -= rows
	}
	s.losses = append(s.losses, loss)
	s.o.Logger.Error("spool: a part of it cannot be read back, its rows are lost", "table", l.name, "from", from, "to", to, "rows", rows)
}

// nextOnDisk reads a batch. Both results are nil where what was there was
// damaged and the cursor was moved over it.
func (s *Spool) nextOnDisk(l *lane, p place, rowsMax, bytesMax int) (*Batch, error) {
	if p.to <= p.from {
		return nil, nil
	}
	got, err := l.reader.batch(s, l.name, p, rowsMax, bytesMax)
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.cursor != p.from {
		return nil, nil // it was dropped meanwhile
	}
	if err != nil {
		s.Stats.ReadFails.Add(1)
		if l.ioFails++; l.ioFails < 3 {
			return nil, err
		}
		got = diskBatch{damaged: true, end: p.to, rows: -1} // the rest of the file is given up
	}
	l.ioFails = 0
	if got.damaged {
		s.damageLocked(l, p.from, got.end, got.rows, got.meta)
		if got.rows < 0 {
			s.losses[len(s.losses)-1].After = got.after
		} else {
			l.bytes -= int64(got.bytes)
		}
		l.cursor = got.end
		s.settleLocked(l)
		return nil, nil
	}
	b := &Batch{Lines: got.lines, Rows: got.rows, OldestNanos: got.oldest, Again: p.from < l.resendEnd,
		From: p.from, end: got.end, rows: got.rows, bytes: len(got.lines)}
	l.flight = b
	l.lastMeta = got.meta
	return b, nil
}

// settleLocked corrects the counts when nothing is left: heads that became
// unreadable after they were counted cannot be counted off.
func (s *Spool) settleLocked(l *lane) {
	if !l.waitsLocked() {
		l.rows, l.bytes = 0, 0
	}
}

// Progress takes rows off the front of the batch: they were acknowledged, or
// will never be. When none is left the batch is done.
func (s *Spool) Progress(table int, b *Batch, bytes, rows int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[table]
	b.Lines = b.Lines[bytes:]
	b.Rows -= rows
	l.rows -= rows
	l.bytes -= int64(bytes)
	s.answered++
	s.doneLocked(l, b)
}

// Untold keeps the acked position on the disk before an offset, because something
// behind it is lost and no durable row says so yet: a restart comes upon it again.
// Told ends that.
func (s *Spool) Untold(table int, offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[table]
	l.untold = append(l.untold, offset)
}

// Told says that a durable row tells of what is lost at an offset.
func (s *Spool) Told(table int, offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[table]
	if i := slices.Index(l.untold, offset); i >= 0 { // else its file was removed
		l.untold = slices.Delete(l.untold, i, i+1)
	}
}

// ackedLocked is where a restart begins. What is sent again counts as not
// acknowledged.
func (l *lane) ackedLocked() int64 {
	acked := l.cursor
	for _, offset := range l.untold {
		acked = min(acked, offset)
	}
	return acked
}

// Replace sets what is left of the batch.
func (s *Spool) Replace(table int, b *Batch, lines []byte, rows int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[table]
	l.rows -= b.Rows - rows
	l.bytes -= int64(len(b.Lines) - len(lines))
	b.Lines, b.Rows = lines, rows
	s.doneLocked(l, b)
}

func (s *Spool) doneLocked(l *lane, b *Batch) {
	if b.Rows > 0 {
		return
	}
	s.endFlightLocked(l, b)
	if b.memory > 0 {
		for _, r := range l.mem[l.memWritten : l.memWritten+b.memory] {
			s.forgetLocked(r)
		}
		l.mem = slices.Delete(l.mem, l.memWritten, l.memWritten+b.memory)
		s.Stats.MemoryBytes.Set(s.memBytes)
	}
	l.cursor = max(l.cursor, b.end)
	if b.memory > 0 && s.o.Dir != "" {
		// They will never be on disk, so a resend ends before them.
		s.giveUpKept(l, l.cursor, deliveredFromMemory)
	}
	s.settleLocked(l)
	signal(s.moved)
}

func (s *Spool) endFlightLocked(l *lane, b *Batch) {
	if l.flight != b {
		panic("BUG: the batch is not in flight")
	}
	s.giveBackLocked(b)
	l.flight = nil
	if s.o.Dir != "" && l.memWritten < len(l.mem) {
		signal(s.work)
	}
}

// Abandon gives a batch back as if it had never been taken. False: it is the
// only copy left, because there was no room for it; it goes on.
func (s *Spool) Abandon(table int, b *Batch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[table]
	if l.cursor != b.From {
		return false
	}
	l.rows += b.rows - b.Rows
	l.bytes += int64(b.bytes - len(b.Lines))
	s.endFlightLocked(l, b)
	return true
}

// Forgotten says that the database has no row of the table any more. An early
// version of a row is then better than none: all that is kept may be sent again.
func (s *Spool) Forgotten(table int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lanes[table].floor = 0
}

// Rewind makes what was acknowledged wait again, from the oldest record that is
// kept, not older than sinceNanos and not before the floor on, and returns how many rows that are.
// The table's sender calls it, with no batch in flight.
func (s *Spool) Rewind(table int, sinceNanos int64) (rows int, err error) {
	l := s.lanes[table]
	s.mu.Lock()
	cursor := l.cursor
	var places []place
	floor, below := l.floor, false
	for i, g := range l.segs {
		if g.first < cursor && g.newest >= sinceNanos {
			if g.first < l.floor {
				below = true
			}
			if g.end <= l.floor {
				continue
			}
			to := min(g.end, cursor)
			if i+1 < len(l.segs) {
				to = min(to, l.segs[i+1].first)
			}
			places = append(places, place{seg: g, name: g.name, first: g.first, from: g.first, to: to})
		}
	}
	l.hold++
	s.mu.Unlock()
	if below {
		s.o.Logger.Warn("spool: rows that are kept are not sent again, because newer ones of their table are not kept", "table", l.name, "before", floor)
	}
	from, bytes := cursor, int64(0)
	for _, p := range places {
		err = l.walk(s, p, func(h *head, _ int64) bool {
			if h.offset >= floor && (h.oldestNanos >= sinceNanos || from < cursor) {
				from = min(from, h.offset)
				rows += h.rows
				bytes += int64(h.payloadBytes)
			}
			return true
		})
		if err != nil {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l.hold--
	if err != nil || l.cursor != cursor {
		return 0, err // dropped meanwhile: what is left goes on
	}
	l.resendEnd = max(l.resendEnd, cursor)
	l.cursor = from
	l.rows += rows
	l.bytes += bytes
	signal(l.wake)
	return rows, nil
}

// Kept calls f for each record of the table that is on disk, from the given
// offset on, until f returns false: its offset, meta, and a function that reads
// its payload. It stops at end of what is written now.
func (s *Spool) Kept(table int, from int64, f func(offset, end int64, meta []byte, payload func() ([]byte, error)) bool) error {
	l := s.lanes[table]
	s.mu.Lock()
	l.hold++
	var places []place
	for i, g := range l.segs {
		to := g.end
		if i+1 < len(l.segs) {
			to = min(to, l.segs[i+1].first)
		}
		if to > from {
			places = append(places, place{seg: g, name: g.name, first: g.first, from: max(from, g.first), to: to})
		}
	}
	s.mu.Unlock()
	defer func() { s.mu.Lock(); l.hold--; s.mu.Unlock() }()
	for _, p := range places {
		more := true
		err := l.walk(s, p, func(h *head, _ int64) bool {
			more = f(h.offset, h.end(), h.meta, func() ([]byte, error) { return s.payload(p, h) })
			return more
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}
