package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"tickproc/internal/vfs"
	"tickproc/tick"
)

// Damage is a stretch of the log that cannot be read, or a fault that costs no
// record (From equals To).
type Damage struct {
	From   uint64 `json:"from"` // position of the first unit that is missing
	To     uint64 `json:"to"`   // and of the first that is there again
	File   string `json:"file"`
	Offset int64  `json:"offset"` // in the file, bytes
	What   string `json:"what"`
}

func (d Damage) String() string {
	text := fmt.Sprintf("%s: offset %d: %s", d.File, d.Offset, d.What)
	if d.To > d.From {
		text += fmt.Sprintf(" (positions %d to %d)", d.From, d.To)
	}
	return text
}

// ErrDamaged is wrapped by errors about a log that is damaged in the middle.
var ErrDamaged = errors.New("the log is damaged")

// DamagedError lists what was found. Nothing was changed.
type DamagedError struct{ Damages []Damage }

func (e *DamagedError) Error() string {
	var text strings.Builder
	for _, d := range e.Damages {
		text.WriteString(d.String())
		text.WriteString("; ")
	}
	return text.String() + ErrDamaged.Error() + ": bring the files back from a copy, or skip the damage (journal: damage: skip), which writes what is missing into gaps"
}

// Unwrap lets errors.Is find ErrDamaged.
func (e *DamagedError) Unwrap() error { return ErrDamaged }

// Found is what is there of a log.
type Found struct {
	New      bool     // there was no log
	Identity Identity // of the log, old or new
	// First and End bound what can be read; below First retention has removed
	// it. Sequence is that of the last batch, 0 if there is none.
	First, End, Sequence uint64
	Batches, Packets     uint64 // in what was looked at
	Clean                bool   // the last run closed it
	// RingLost: the last run was killed and its memory is not there or may have
	// lost writes (the host was started anew): up to the sync window is missing,
	// and nobody can say how much.
	RingLost bool
	// Cuts are torn tails: what was being written when the power went.
	Cuts []Damage
	// Damages are stretches in the middle, and faults that cost nothing.
	Damages []Damage
	// Covered are stretches that a segment should have and has not, and the part
	// in memory still has: nothing is missing, but the disk is not to be trusted.
	// Open writes them anew.
	Covered []Damage
}

// Lost reports whether records may be missing.
func (f *Found) Lost() bool { return f.RingLost || len(f.Cuts)+len(f.Damages) > 0 }

// piece is a part of the log and where it lies; no segment: in the ring.
type piece struct {
	from, to uint64
	segment  *segment
}

// layout is all files of a log, read and joined.
type layout struct {
	Found
	fs       vfs.FS
	dir      string
	shard    int
	segments []*segment // those with a place in the log
	litter   []string   // files that hold nothing: a segment that was not finished
	ring     *ringImage // nil: none that belongs to the log
	current  bool       // the ring is that of the last run and has lost nothing
	mark     *mark
	pieces   []piece
	crc      uint32 // of the last batch, 0 where it is missing
	ordinal  uint64 // the largest there is
}

// inspect reads everything and changes nothing. The ring is read first: what it
// has lost by then is in the segments that are read later, also while another
// process is writing.
func inspect(o *Options, memory Memory) (*layout, error) {
	l := &layout{fs: o.FS, dir: o.Dir, shard: o.Shard}
	ring, err := memory.Load(ringName(o.Shard))
	if err != nil {
		return nil, fmt.Errorf("ring: %w", err)
	}
	found, err := listSegments(o.FS, o.Dir, o.Shard)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l.readMark(o)
	image := readRing(ring, o.Shard, 0)
	if err := l.readSegments(found, o.From, o.Expect, image); err != nil {
		return nil, err
	}
	if image != nil && !image.headerOK {
		image = readRing(ring, o.Shard, l.Identity)
	}
	ringWhere := memory.Where(ringName(o.Shard))
	l.readRing(image, ringWhere, memory.Boot())
	l.New = len(l.segments) == 0 && l.ring == nil && l.mark == nil && len(l.Damages) == 0
	if !l.New {
		l.join(o.From, ringWhere)
	} else {
		l.RingLost = false
	}
	return l, nil
}

func (l *layout) path(name string) string { return filepath.Join(l.dir, name) }

func (l *layout) damaged(d Damage) { l.Damages = append(l.Damages, d) }

func (l *layout) readMark(o *Options) {
	name := l.path(markName(o.Shard))
	var m mark
	switch found, err := readSealed(o.FS, name, &m); {
	case err != nil:
		l.damaged(Damage{File: name, What: "the mark of the clean end cannot be read: " + err.Error()})
	case found && m.Shard == o.Shard:
		l.mark = &m
	}
}

// readSegments reads all headers, and the frames of what is needed from a
// position on, always of the last.
func (l *layout) readSegments(found []*segment, from uint64, expect Identity, ring *ringImage) error {
	files := make(map[*segment]vfs.File, len(found))
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	for _, s := range found {
		f, err := l.fs.Open(l.path(s.name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed by retention since it was listed
		}
		if err != nil {
			return err
		}
		files[s] = f
		s.readHeader(f, l.shard)
		l.ordinal = max(l.ordinal, s.header.ordinal)
	}
	l.Identity = l.elect(found, ring, expect)
	scanner := scanner{framer: framer{identity: l.Identity, shard: l.shard}}
	for _, s := range found {
		if files[s] == nil {
			continue
		}
		if s.headerOK && s.header.identity != l.Identity {
			l.damaged(Damage{From: s.header.first, To: s.header.first, File: l.path(s.name), What: fmt.Sprintf("it belongs to the log %s, the others to %s", s.header.identity, l.Identity)})
			continue
		}
		if s.faulty {
			s.scanned, _ = scanner.scan(files[s], s.header.first, s.header.first, s.limit, nil)
			if len(s.runs) == 0 && s.junk == 0 {
				// Nothing was written to it: its maker did not come to the end.
				l.litter = append(l.litter, s.name)
				continue
			}
		}
		l.segments = append(l.segments, s)
	}
	setLimits(l.segments)
	for i, s := range l.segments {
		if s.faulty {
			l.damaged(Damage{From: s.header.first, To: s.header.first, File: l.path(s.name), What: "the header is damaged"})
		}
		if last := i == len(l.segments)-1; s.limit > from || last {
			start := s.header.first
			if !last {
				start = max(start, min(from, s.limit))
			}
			s.scanned, _ = scanner.scan(files[s], s.header.first, start, s.limit, nil)
		}
	}
	return nil
}

// elect finds whose log it is when files differ: that of the clean mark, else
// that of most files, the newer ones at equal numbers; where none can tell, the
// expected one.
func (l *layout) elect(found []*segment, ring *ringImage, expect Identity) (best Identity) {
	votes := map[Identity]int{}
	for _, s := range found {
		if s.headerOK {
			votes[s.header.identity]++
		}
	}
	if l.mark != nil && (votes[l.mark.Identity] > 0 || len(votes) == 0) {
		return l.mark.Identity
	}
	if ring != nil && ring.headerOK {
		best = ring.header.identity
		if votes[best] > 0 {
			votes[best]++ // what was appended last
		}
	}
	for _, s := range found {
		if id := s.header.identity; s.headerOK && votes[id] >= votes[best] {
			best = id
		}
	}
	if best == 0 {
		best = expect
	}
	return best
}

func (l *layout) readRing(ring *ringImage, where string, boot uint64) {
	switch {
	case ring == nil || !ring.headerOK && len(ring.frames) == 0:
		// There is none, or it was being made anew.
	case ring.blank, ring.short && ring.header.boot != boot:
		// It was being emptied, or it lay on disk and the power went, perhaps with
		// the end of its file.
		l.ring = ring
	case !ring.headerOK:
		l.damaged(Damage{File: where, What: "the header of the ring is damaged"})
		l.ring = ring
	case ring.header.identity != l.Identity:
		if len(ring.frames) > 0 {
			l.damaged(Damage{File: where, What: fmt.Sprintf("the ring belongs to the log %s, the segments in %s to %s: remove it if that log is of no use any more", ring.header.identity, l.dir, l.Identity)})
		}
	default:
		if len(l.segments) == 0 {
			if len(ring.frames) == 0 {
				break // left by a run that did not come to its first batch
			}
			l.damaged(Damage{File: where, What: fmt.Sprintf("the ring holds %d batches of the log %s, whose segments in %s are gone: if they are of no use, remove the ring", len(ring.frames), l.Identity, l.dir)})
		}
		l.ring = ring
	}
	session := uint64(0)
	for _, s := range l.segments {
		session = max(session, s.header.session)
	}
	l.current = l.ring != nil && l.ring.headerOK && boot != 0 && l.ring.header.boot == boot && l.ring.header.session >= session
	l.Clean = l.mark != nil && l.mark.Identity == l.Identity
	l.RingLost = !l.Clean && !l.current
}

// join walks the log from its beginning: each batch from the segment whose place
// it is, else from the ring; where neither has it there is damage, or the end.
func (l *layout) join(from uint64, ringWhere string) {
	start, last := uint64(0), uint64(0)
	if n := len(l.segments); n > 0 {
		start, last = l.segments[0].header.first, l.segments[n-1].header.first
	} else if l.ring != nil && len(l.ring.frames) > 0 && l.ring.frames[0].position > 0 {
		l.damaged(Damage{From: 0, To: l.ring.frames[0].position, File: l.dir, What: "the segments are gone"})
		start = l.ring.frames[0].position
	}
	l.First = start
	if from > start {
		// What is below is of interest to nobody, but the last segment is looked
		// at as a whole, because its end must be found.
		start = max(start, min(from, last))
	}
	if from < l.First && from > 0 {
		l.damaged(Damage{From: from, To: l.First, File: l.dir, What: "the segments that the snapshot needs are missing"})
	}
	at, link, known := start, uint32(0), false // known: link is the CRC of the batch before
	for {
		if r, s := l.runAt(at, link, known); r != nil {
			l.pieces = append(l.pieces, piece{at, r.to, s})
			l.Batches += r.batches
			l.Packets += r.packets
			at, link, known, l.Sequence = r.to, r.crc, true, r.sequence
			continue
		}
		if is, ok := l.ring.frame(at); ok && (known && is.link == link || !known && l.current) {
			if s := l.owes(at); s != nil {
				l.cover(s, is)
			}
			l.addRing(is)
			at, link, known, l.Sequence = is.end, is.crc, true, is.sequence
			continue
		}
		next, damaged := l.behind(at, from)
		if !damaged {
			l.cut(at)
			break
		}
		d := l.where(at, ringWhere)
		d.From, d.To = at, next
		l.damaged(d)
		at, link, known = next, 0, false
	}
	l.End, l.crc = at, 0
	if known {
		l.crc = link
	}
	switch {
	case !l.Clean:
	case l.End == l.mark.End:
		l.Sequence, l.crc = l.mark.Sequence, l.mark.CRC
	case l.End > max(l.mark.End, from):
		l.damaged(Damage{From: l.End, To: l.End, File: l.path(markName(l.shard)), What: fmt.Sprintf("the log goes on behind the mark of the clean end at %d", l.mark.End)})
	}
}

// runAt finds the run of a segment at whose beginning or in which a position is.
func (l *layout) runAt(at uint64, link uint32, known bool) (*run, *segment) {
	for i := len(l.segments) - 1; i >= 0; i-- {
		s := l.segments[i]
		if !s.covers(at) {
			continue
		}
		for j := range s.runs {
			r := &s.runs[j]
			if r.from <= at && at < r.to && !(r.from == at && known && r.link != link) {
				return r, s
			}
		}
	}
	return nil, nil
}

// owes returns the segment that was known to have a position, and has it not.
func (l *layout) owes(at uint64) *segment {
	for i := len(l.segments) - 1; i >= 0; i-- {
		s := l.segments[i]
		if !s.covers(at) {
			continue
		}
		if i+1 < len(l.segments) {
			return s // the one behind it was begun when all before was on disk
		}
		for j := range s.runs {
			if r := &s.runs[j]; r.from > at && r.synced > at {
				return s
			}
		}
	}
	return nil
}

// cover notes that the ring has a batch which the segment owes.
func (l *layout) cover(s *segment, is frame) {
	name := l.path(s.name)
	if n := len(l.Covered); n > 0 && l.Covered[n-1].File == name && l.Covered[n-1].To == is.position {
		l.Covered[n-1].To = is.end
		return
	}
	l.Covered = append(l.Covered, Damage{From: is.position, To: is.end, File: name, Offset: offsetOf(is.position, s.header.first),
		What: "no whole batch; the part of the log in memory has it"})
}

func (l *layout) addRing(is frame) {
	if n := len(l.pieces); n > 0 && l.pieces[n-1].segment == nil && l.pieces[n-1].to == is.position {
		l.pieces[n-1].to = is.end
	} else {
		l.pieces = append(l.pieces, piece{is.position, is.end, nil})
	}
	l.Batches++
	l.Packets += is.packets
}

// behind says whether something behind a position proves that it was there
// once, and where the log goes on then. Without proof it is the end: what was
// never synced may come through a power cut in any pieces.
func (l *layout) behind(at, from uint64) (next uint64, damaged bool) {
	candidate := ^uint64(0)
	consider := func(position uint64, proof bool) {
		if position > at {
			candidate = min(candidate, position)
			damaged = damaged || proof
		}
	}
	for _, s := range l.segments {
		// A segment begins where everything before is on disk.
		if s.limit > s.header.first {
			consider(s.header.first, true)
		}
		for _, r := range s.runs {
			consider(r.from, r.synced > at || s.readErr != nil)
		}
	}
	tail := uint64(0) // where it went on, when nothing of it is left
	if l.current {
		tail = l.ring.appended
		if is, ok := l.ring.after(at); ok {
			consider(is.position, true)
		}
	}
	if l.Clean {
		tail = max(tail, l.mark.End)
	}
	if tail = max(tail, from); tail > at {
		damaged = true
		candidate = min(candidate, tail)
	}
	return candidate, damaged
}

// where names the place of a position in a file.
func (l *layout) where(at uint64, ringWhere string) Damage {
	for i := len(l.segments) - 1; i >= 0; i-- {
		if s := l.segments[i]; s.covers(at) {
			d := Damage{File: l.path(s.name), Offset: offsetOf(at, s.header.first), What: "no whole batch"}
			if s.readErr != nil {
				d.What += ": " + s.readErr.Error()
			}
			if s.bytes <= d.Offset {
				d.What = "the file is too short, or the segment behind it is missing"
			}
			return d
		}
	}
	if l.ring != nil {
		return Damage{File: ringWhere, Offset: (ringPage + int64(at&uint64(len(l.ring.units)-1))) * unitBytes, What: "no whole batch"}
	}
	return Damage{File: l.dir, What: "no segment has it"}
}

// cut notes what lies behind the end.
func (l *layout) cut(end uint64) {
	to := uint64(0)
	for _, s := range l.segments {
		if s.limit <= end {
			continue
		}
		to = max(to, s.junk)
		for _, r := range s.runs {
			to = max(to, r.to)
		}
	}
	if to > end {
		d := l.where(end, "")
		d.From, d.To, d.What = end, to, "the tail is torn"
		l.Cuts = append(l.Cuts, d)
	}
}

// each hands every whole batch from a position on to f, header included.
func (l *layout) each(from uint64, f func(is frame, units []tick.Unit) error) error {
	scanner := scanner{framer: framer{identity: l.Identity, shard: l.shard}}
	for _, p := range l.pieces {
		if p.to <= from {
			continue
		}
		at := max(p.from, from)
		if p.segment == nil {
			for at < p.to {
				is, ok := l.ring.frame(at)
				if !ok {
					return fmt.Errorf("journal: no batch begins at position %d", at)
				}
				if err := f(is, l.ring.at(at, int(is.end-at))); err != nil {
					return err
				}
				at = is.end
			}
			continue
		}
		if err := readSegment(l.fs, l.path(p.segment.name), &scanner, p.segment.header.first, at, p.to, f); err != nil {
			return err
		}
	}
	return nil
}

// readSegment hands the batches of [from,to) to f: all of them or an error.
func readSegment(fsys vfs.FS, name string, scanner *scanner, first, from, to uint64, f func(frame, []tick.Unit) error) error {
	file, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	at := from
	_, err = scanner.scan(file, first, from, to, func(is frame, units []tick.Unit) error {
		if is.position != at {
			return errMisplaced
		}
		at = is.end
		return f(is, units)
	})
	if errors.Is(err, errMisplaced) || err == nil && at != to {
		return &DamagedError{[]Damage{{From: at, To: to, File: name, Offset: offsetOf(at, first), What: "no whole batch begins here"}}}
	}
	return err
}

var errMisplaced = errors.New("a batch is missing")
