package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"tickproc/internal/vfs"
)

const (
	acksBytes  = 16 << 10 // a slot of the acked positions
	marksBytes = 64 << 10 // a slot of the marks: 3,600 shards
)

// recover finds out what the directory holds: segments, acked positions, marks.
func (s *Spool) recover() error {
	entries, err := s.o.FS.List(s.o.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		table, first, ok := parseSegment(e.Name)
		i := slices.IndexFunc(s.lanes, func(l *lane) bool { return l.name == table })
		switch {
		case !ok || e.Dir:
		case i < 0:
			s.o.Logger.Warn("spool: a segment of a table that is not written any more is left alone", "file", e.Name)
		default:
			l := s.lanes[i]
			l.segs = append(l.segs, &segment{name: filepath.Join(s.o.Dir, e.Name), first: first, end: first + e.Size, dirSynced: true})
		}
	}
	acked, synced, floors, err := s.openAcks()
	if err != nil {
		return err
	}
	control, err := s.openMarks()
	if err != nil {
		return err
	}
	if err := s.o.FS.SyncDir(s.o.Dir); err != nil {
		return err
	}
	var least map[uint16]Mark
	damaged, floored := false, false
	for _, l := range s.lanes {
		l.cursor, l.floor = acked[l.name], floors[l.name]
		if err := s.recoverLane(l, synced[l.name]); err != nil {
			return err
		}
		damaged, floored = damaged || l.unmarked, floored || l.floor != floors[l.name]
		// What is damaged and not sent cannot be sent: its rows are to be made again.
		marks := map[uint16]Mark{}
		for _, m := range l.marks {
			marks[m.Shard] = m.Mark
		}
		if !l.unmarked {
			for shard, m := range control {
				if marks[shard].Before(m) {
					marks[shard] = m
				}
			}
		}
		if least == nil {
			least = marks
			continue
		}
		for shard, m := range least {
			if have, ok := marks[shard]; !ok {
				delete(least, shard)
			} else if have.Before(m) {
				least[shard] = have
			}
		}
	}
	s.recovered, s.marked = least, control
	// What was found must not be forgotten by the next start, to which the damage may
	// not show any more: its rows may have been passed over, and made again in part.
	if damaged && len(control) > 0 {
		s.marked = maps.Clone(least)
		if err := s.marks.write(encodeMarks(s.marked)); err != nil {
			return err
		}
	}
	if floored {
		return s.writeAcks()
	}
	return nil
}

// recoverLane reads the heads of a table's segments, cuts what is torn, and
// counts what waits. Behind synced it reads and syncs all: that a power cut may
// have left half written. The rest is verified when it is sent.
func (s *Spool) recoverLane(l *lane, synced int64) error {
	slices.SortFunc(l.segs, func(a, b *segment) int { return int(max(-1, min(1, a.first-b.first))) })
	files := l.segs
	l.segs = nil
	damaged := int64(math.MaxInt64) // where the first thing is that waits and cannot be read
	end := l.cursor
	if len(files) > 0 {
		if end = files[0].first; end > l.cursor {
			damaged = l.cursor
			if l.cursor < synced {
				s.missing(l, l.cursor, min(end, synced), filepath.Join(s.o.Dir, segmentName(l.name, l.cursor)))
			} else {
				l.cursor = end // a power cut may take a whole file and leave a later one
			}
		}
	}
	for i, g := range files {
		if i+1 < len(files) {
			g.end = min(g.end, files[i+1].first)
		}
		last := i == len(files)-1
		if g.first > end && g.first > l.cursor {
			damaged = min(damaged, max(end, l.cursor))
		}
		good := g.first // behind the last good record
		p := place{seg: g, name: g.name, first: g.first, from: g.first, to: g.end}
		verify := g.end > synced
		var file vfs.File
		if verify {
			var err error
			if file, err = s.o.FS.Open(g.name); err != nil {
				return err
			}
		}
		var pending []head // payloads that are damaged, at the end of what was read: torn, if nothing good follows
		count := func(h *head) {
			g.add(h.rows, h.oldestNanos)
			if h.end() > l.cursor {
				l.rows += h.rows
				l.bytes += int64(h.payloadBytes)
			}
		}
		err := l.walk(s, p, func(h *head, bytes int64) bool {
			if bytes > 0 && h.offset > l.cursor {
				damaged = min(damaged, h.offset-bytes)
			}
			if verify {
				b, err := readAt(file, l.reader.room(h.payloadBytes), h.offset-g.first+int64(h.bytes))
				if err != nil || len(b) < h.payloadBytes || payloadSum(s.identity, h.offset, b) != h.payloadSum {
					keep := *h
					keep.meta = nil
					pending = append(pending, keep)
					return true
				}
			}
			for i := range pending { // they are in the middle: counted, and lost when they are read
				count(&pending[i])
				if pending[i].end() > l.cursor {
					damaged = min(damaged, pending[i].offset)
				}
			}
			pending = pending[:0]
			count(h)
			if good = h.end(); good <= l.cursor {
				l.lastMeta = append(l.lastMeta[:0], h.meta...)
			}
			if good <= damaged {
				l.marks = h.marks
			}
			return true
		})
		if file != nil {
			file.Close()
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", g.name, err)
		}
		if good < g.end {
			if last {
				s.Stats.TornBytes.Add(uint64(g.end - good))
				if good >= synced {
					s.o.Logger.Warn("spool: the end of a segment is torn, it is cut", "file", g.name, "bytes", g.end-good)
				}
				cut(s.o.FS, g.name, good-g.first)
			} else if g.end > l.cursor {
				damaged = min(damaged, max(good, l.cursor))
			}
			for i := range pending {
				if !last {
					count(&pending[i])
				}
			}
			if last {
				g.end = good
			}
		}
		end = g.end
		if g.end == g.first {
			_ = s.o.FS.Remove(g.name)
			continue
		}
		if verify {
			// A killed process leaves records that only the system's memory holds. They
			// are counted as safe from here on, so they must be.
			if err := syncFile(s.o.FS, g.name); err != nil {
				return fmt.Errorf("sync %s: %w", g.name, err)
			}
		}
		g.synced = g.end
		s.diskBytes += g.end - g.first
		l.segs = append(l.segs, g)
	}
	last := filepath.Join(s.o.Dir, segmentName(l.name, end))
	if n := len(l.segs); n > 0 {
		last = l.segs[n-1].name
	}
	// What a sync had made durable no kill and no power cut takes: this is no torn end.
	if at := max(end, l.cursor); at < synced {
		damaged = min(damaged, at)
		s.missing(l, at, synced, last)
	}
	// An acked position beyond the end is of records that the disk never had for sure.
	// They are behind the marks and are made again; but those that were synced are not.
	if gone := min(l.cursor, synced); end < gone {
		s.o.Logger.Error("spool: rows that QuestDB acknowledged and that were kept are gone: a file was cut or removed",
			"table", l.name, "file", last, "from", end, "to", gone, "bytes", gone-end)
		s.giveUpKept(l, max(l.cursor, synced), "the newest were cut off or removed")
	}
	// All these offsets are used up. What a power cut took was never synced, and does
	// not count as it: the next start must not take it for damage.
	l.written, l.synced = max(end, l.cursor, synced), max(end, synced)
	l.resendEnd = l.written
	l.unmarked = damaged != math.MaxInt64
	return nil
}

// missing tells that rows which were safe, and were not sent, are not there.
func (s *Spool) missing(l *lane, from, to int64, file string) {
	s.o.Logger.Error("spool: rows that were on the disk and were not sent are gone: a file was cut or removed; they are made again as far as the logs reach back",
		"table", l.name, "file", file, "from", from, "to", to, "bytes", to-from)
}

// giveUpKept makes a resend begin at or behind an offset: versions of rows that
// were later than those before it cannot be sent any more, and the earlier ones
// would be the last word.
func (s *Spool) giveUpKept(l *lane, floor int64, why string) {
	if l.once || floor <= l.floor {
		return
	}
	s.Stats.Unkept.Add(1)
	if len(l.segs) > 0 && l.segs[len(l.segs)-1].end > l.floor {
		s.o.Logger.Error("spool: what is kept of a table is not sent again, should QuestDB lose it: newer rows of it are not kept",
			"table", l.name, "before", floor, "reason", why)
	}
	l.floor = floor
}

// cut shortens a file. That it cannot be is no harm: what is behind is hidden
// by the next segment.
func cut(fsys vfs.FS, name string, size int64) {
	if f, err := fsys.OpenWrite(name); err == nil {
		_ = f.Truncate(size)
		_ = f.Close()
	}
}

func syncFile(fsys vfs.FS, name string) error {
	f, err := fsys.OpenWrite(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// openAcks reads by table up to where it was acked and synced, its floor, and its
// note.
func (s *Spool) openAcks() (acked, synced, floors map[string]int64, err error) {
	var content []byte
	if s.acks, content, err = openSlots(s.o.FS, filepath.Join(s.o.Dir, "acked"), acksBytes, s.identity); err != nil {
		return nil, nil, nil, err
	}
	acked, synced, floors = map[string]int64{}, map[string]int64{}, map[string]int64{}
	for len(content) > 0 {
		var name, note string
		name, content = cutText(content)
		if len(content) < 16 {
			break
		}
		first, second := int64(binary.LittleEndian.Uint64(content)), int64(binary.LittleEndian.Uint64(content[8:]))
		note, content = cutText(content[16:])
		if table, is := strings.CutSuffix(name, floorSuffix); is {
			floors[table] = first
			continue
		}
		acked[name], synced[name] = first, second
		for _, l := range s.lanes {
			if l.name == name {
				l.note = []byte(note)
			}
		}
	}
	return acked, synced, floors, nil
}

// floorSuffix makes of a table's name that of an entry with its floor, which builds
// that know of none pass over.
const floorSuffix = "/floor"

// acksLocked is the content of the acked positions now.
func (s *Spool) acksLocked() []byte {
	var b []byte
	for _, l := range s.lanes {
		b = appendText(b, l.name)
		b = binary.LittleEndian.AppendUint64(b, uint64(l.ackedLocked()))
		b = binary.LittleEndian.AppendUint64(b, uint64(l.synced))
		b = appendText(b, string(l.note))
		if l.floor > 0 {
			b = appendText(b, l.name+floorSuffix)
			b = binary.LittleEndian.AppendUint64(b, uint64(l.floor))
			b = append(b, make([]byte, 8+1)...) // no second position, no note
		}
	}
	return b
}

func appendText(b []byte, text string) []byte { return append(append(b, byte(len(text))), text...) }

func cutText(b []byte) (text string, rest []byte) {
	if len(b) == 0 || int(b[0]) > len(b)-1 {
		return "", nil
	}
	n := int(b[0])
	return string(b[1 : 1+n]), b[1+n:]
}

// openMarks reads the marks of the last checkpoint.
func (s *Spool) openMarks() (map[uint16]Mark, error) {
	var content []byte
	var err error
	if s.marks, content, err = openSlots(s.o.FS, filepath.Join(s.o.Dir, "marks"), marksBytes, s.identity); err != nil {
		return nil, err
	}
	marks := map[uint16]Mark{}
	le := binary.LittleEndian
	for ; len(content) >= markBytes; content = content[markBytes:] {
		marks[le.Uint16(content)] = Mark{le.Uint64(content[2:]), le.Uint64(content[10:])}
	}
	return marks, nil
}

func encodeMarks(marks map[uint16]Mark) []byte {
	var b []byte
	le := binary.LittleEndian
	for _, shard := range slices.Sorted(maps.Keys(marks)) {
		b = le.AppendUint16(b, shard)
		b = le.AppendUint64(b, marks[shard].Epoch)
		b = le.AppendUint64(b, marks[shard].Position)
	}
	return b
}
