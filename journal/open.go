package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"tickproc/internal/vfs"
	"tickproc/tick"
)

// Open opens a log, or makes one where there is none, and repairs what a killed
// run left: a torn tail is cut, and what may not be on disk is written there
// again. It starts nothing: run Run, or call Drain. What it found is returned
// again by later Opens until Acknowledge.
//
// With damage in the middle and the policy Refuse it changes nothing and
// returns a *DamagedError.
func Open(o Options) (*Log, Found, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, Found{}, err
	}
	fail := func(err error) (*Log, Found, error) {
		return nil, Found{}, fmt.Errorf("journal: open shard %d in %s: %w", o.Shard, o.Dir, err)
	}
	if o.Expect != 0 {
		if _, err := o.FS.List(o.Dir); errors.Is(err, fs.ErrNotExist) {
			return fail(&AnotherLogError{Want: o.Expect})
		}
	}
	if err := vfs.MakeDir(o.FS, o.Dir); err != nil {
		return fail(err)
	}
	memory, err := o.memory() // now that the directory's real path is known
	if err != nil {
		return fail(err)
	}
	is, err := inspectTwice(&o, memory)
	if err != nil {
		return fail(err)
	}
	if o.Expect != 0 && (is.New || is.Identity != o.Expect) {
		return fail(&AnotherLogError{Want: o.Expect, Have: is.Identity, Blank: is.litter})
	}
	if len(is.Damages) > 0 && (o.OnDamage == Refuse || is.Identity == 0) {
		return fail(&DamagedError{is.Damages})
	}
	l := &Log{o: o, memory: memory, maxBatch: o.maxBatch()}
	l.status.Store(&Status{})
	if is.New {
		is.Identity = o.NewIdentity()
	}
	l.identity = is.Identity
	l.holes = is.Damages
	l.framer = framer{identity: is.Identity, shard: o.Shard}
	l.drainer = drainer{framer: l.framer, ordinal: is.ordinal, session: is.ordinal + 1}
	if err := l.repair(is); err != nil {
		return fail(err)
	}
	if err := l.ready(is); err != nil {
		l.leave()
		return fail(err)
	}
	l.found = is.Found
	return l, is.Found, nil
}

// ErrAnotherLog is wrapped by the error of Open where the log is not the expected one.
var ErrAnotherLog = errors.New("it is another log")

// AnotherLogError says which log was expected and which is there. Nothing was
// changed.
type AnotherLogError struct {
	Want, Have Identity // Have is 0 where there is none
	Blank      []string // files that hold nothing, and may have held it
}

func (e *AnotherLogError) Error() string {
	text := fmt.Sprintf("it is the log %s, expected is %s", e.Have, e.Want)
	if e.Have == 0 || e.Have == e.Want {
		text = fmt.Sprintf("the log %s is not there", e.Want)
	}
	if len(e.Blank) > 0 {
		text += "; blank: " + strings.Join(e.Blank, ", ")
	}
	return text
}

// Unwrap lets errors.Is find ErrAnotherLog.
func (e *AnotherLogError) Unwrap() error { return ErrAnotherLog }

// memory is where the ring lies.
func (o *Options) memory() (Memory, error) {
	if o.Memory != nil {
		return o.Memory, nil
	}
	if !o.RingOnDisk {
		m, ok, err := defaultMemory(o)
		if err != nil {
			return nil, fmt.Errorf("journal: ring: %w", err)
		}
		if ok {
			return m, nil
		}
	}
	return FileMemory(o.FS, o.Dir), nil
}

// inspectTwice reads again what looks damaged: the fault may be of the reading.
func inspectTwice(o *Options, memory Memory) (*layout, error) {
	is, err := inspect(o, memory)
	if err == nil && (is.Lost() || len(is.Covered) > 0) {
		is, err = inspect(o, memory)
	}
	return is, err
}

// repair writes what may not be on disk into a new segment, which takes the
// place of the old ones at once or not at all and becomes the current one.
func (l *Log) repair(is *layout) error {
	incidentFile := filepath.Join(l.o.Dir, incidentName(l.o.Shard))
	found := incident{is.RingLost, is.Cuts, is.Damages}
	var before incident
	if there, err := readSealed(l.o.FS, incidentFile, &before); there {
		if err != nil {
			before = incident{RingLost: true} // something had been found
		}
		found.add(before)
		is.RingLost, is.Cuts, is.Damages = found.RingLost, found.Cuts, found.Damages
	}
	if found.some() {
		if err := writeSealed(l.o.FS, incidentFile, &found); err != nil {
			return err
		}
	}
	if err := makeReserve(l.o.FS, l.reserveName(), l.o.ReserveBytes); err != nil {
		return fmt.Errorf("the reserve for a full disk cannot be made, it needs %d bytes: %w", l.o.ReserveBytes, err)
	}
	w := rewriter{log: l}
	if err := w.rewrite(is); err != nil {
		w.abandon()
		return fmt.Errorf("the log's tail cannot be written to a new segment of %d bytes: %w", w.bytes, err)
	}
	// From here on the new segments count.
	from := w.made[0].header.first
	for _, s := range is.segments {
		if s.header.first >= from {
			if err := l.o.FS.Remove(is.path(s.name)); err != nil {
				return err
			}
			continue
		}
		s.limit = min(s.limit, from)
		if s.bytes > offsetOf(s.limit, s.header.first) && !is.touches(s) {
			if err := truncate(l.o.FS, is.path(s.name), offsetOf(s.limit, s.header.first)); err != nil {
				return err
			}
			s.bytes = offsetOf(s.limit, s.header.first)
		}
		l.drainer.segments = append(l.drainer.segments, s)
	}
	for _, name := range is.litter {
		if err := l.o.FS.Remove(is.path(name)); err != nil {
			return err
		}
	}
	l.drainer.segments = append(l.drainer.segments, w.made...)
	setLimits(l.drainer.segments)
	return l.o.FS.SyncDir(l.o.Dir)
}

// touches: the segment is evidence of damage and stays as it is.
func (l *layout) touches(s *segment) bool {
	return slices.ContainsFunc(l.Damages, func(d Damage) bool { return d.File == l.path(s.name) })
}

func truncate(fsys vfs.FS, name string, size int64) error {
	f, err := fsys.OpenWrite(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

// ready makes the ring and removes the mark: the log can be appended to.
func (l *Log) ready(is *layout) (err error) {
	d := &l.drainer
	l.end, l.sequence, l.link = is.End, is.Sequence, is.crc
	l.appended.Store(is.End)
	l.synced.Store(is.End)
	d.written, d.syncedAt = is.End, l.o.Now()
	if l.ring, err = l.memory.Make(ringName(l.o.Shard), ringPage+int(l.o.RingBytes/unitBytes)); err != nil {
		return err
	}
	all := l.ring.Units()
	l.mapped, l.counts, l.units = l.ring.Mapped(), &all[ringCount], all[ringPage:]
	if l.mapped {
		l.counts[0], l.counts[1] = l.end, ^l.end
	}
	all[0] = ringHeader{identity: l.identity, units: uint64(len(l.units)), boot: l.memory.Boot(), session: d.session}.unit(l.o.Shard)
	if err = l.ring.Flush(0, 1); err == nil {
		err = removeDurably(l.o.FS, filepath.Join(l.o.Dir, markName(l.o.Shard)))
	}
	if err != nil {
		l.ring.Close(false)
	}
	return err
}

// Acknowledge says that what Open found has been noted elsewhere, durably: the
// next Open does not tell it again.
func (l *Log) Acknowledge() error {
	return removeDurably(l.o.FS, filepath.Join(l.o.Dir, incidentName(l.o.Shard)))
}

// rewriter copies the end of the log into a new segment under another name, as
// large as it must be: one rename makes it count. Only where damage has left
// holes there are several.
type rewriter struct {
	log    *Log
	bytes  int64 // of each file
	made   []*segment
	files  []vfs.File
	end    uint64 // of what was given to the current file
	buffer []tick.Unit
}

const freshSuffix = ".new"

func (w *rewriter) rewrite(is *layout) error {
	l := w.log
	if err := w.sweep(); err != nil {
		return err
	}
	from, least := is.uncertain()
	w.bytes = max(l.o.SegmentBytes, offsetOf(is.End, least))
	err := is.each(from, func(f frame, units []tick.Unit) error {
		if f.position < least {
			return nil // on disk: what is not lies within one ring's length
		}
		if len(w.made) == 0 || w.end != f.position {
			if err := w.next(f.position, f.sequence); err != nil {
				return err
			}
		} else if len(w.buffer) >= scanBlock {
			if err := w.flush(); err != nil {
				return err
			}
		}
		w.buffer = append(w.buffer, units...)
		w.end = f.end
		return nil
	})
	if err != nil {
		return err
	}
	if len(w.made) == 0 || w.end != is.End {
		if err := w.next(is.End, is.Sequence+1); err != nil {
			return err
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	for _, f := range w.files {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	// The last one first: the old files hold what is before it.
	for _, s := range slices.Backward(w.made) {
		name := filepath.Join(l.o.Dir, s.name)
		if err := l.o.FS.Rename(name+freshSuffix, name); err != nil {
			return err
		}
		if err := l.o.FS.SyncDir(l.o.Dir); err != nil {
			return err
		}
	}
	last := len(w.files) - 1
	for _, f := range w.files[:last] {
		f.Close()
	}
	d := &l.drainer
	d.file, d.current, d.capacity = w.files[last], w.made[last], uint64(w.bytes/unitBytes)-headerUnits
	return nil
}

// uncertain says from where on the log must be written again: pieces from
// there, and of them the batches that begin at least at a position.
func (l *layout) uncertain() (from, least uint64) {
	if l.Clean {
		return l.End, l.End
	}
	if n := len(l.segments); n > 0 {
		// All that is older was synced before the last segment was made.
		from = l.segments[n-1].header.first
	}
	for _, p := range l.pieces {
		if p.segment == nil {
			from = min(from, p.from)
			break
		}
	}
	least = from
	if end := l.ring.end(); l.current && end > uint64(len(l.ring.units)) {
		least = end - uint64(len(l.ring.units))
		for _, p := range l.pieces {
			if p.segment == nil {
				least = min(least, p.from) // no segment has it
				break
			}
		}
		least = max(from, least)
	}
	return from, least
}

// next begins a file.
func (w *rewriter) next(position, sequence uint64) error {
	if err := w.flush(); err != nil {
		return err
	}
	l := w.log
	d := &l.drainer
	d.ordinal++
	s := &segment{headerOK: true, bytes: w.bytes, modNanos: l.o.Now(), header: segmentHeader{
		identity: l.identity, first: position, sequence: sequence, ordinal: d.ordinal, session: d.session,
	}}
	s.name = segmentName(l.o.Shard, d.ordinal, position)
	f, err := makeSegment(l.o.FS, filepath.Join(l.o.Dir, s.name+freshSuffix), "", w.bytes, s.header, l.o.Shard)
	if err != nil {
		return err
	}
	w.made, w.files, w.end = append(w.made, s), append(w.files, f), position
	return nil
}

func (w *rewriter) flush() error {
	if len(w.buffer) == 0 {
		return nil
	}
	last := len(w.made) - 1
	_, err := w.files[last].WriteAt(bytesOf(w.buffer), offsetOf(w.end-uint64(len(w.buffer)), w.made[last].header.first))
	w.buffer = w.buffer[:0]
	return err
}

// sweep removes what an Open that was killed left.
func (w *rewriter) sweep() error {
	l := w.log
	entries, err := l.o.FS.List(l.o.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, fresh := strings.CutSuffix(e.Name, freshSuffix)
		if of, ordinal, _, ok := parseSegmentName(name); fresh && ok && of == l.o.Shard {
			l.drainer.ordinal = max(l.drainer.ordinal, ordinal)
			if err := l.o.FS.Remove(filepath.Join(l.o.Dir, e.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// abandon leaves what could not be completed; the old files still count.
func (w *rewriter) abandon() {
	for i, f := range w.files {
		f.Close()
		w.log.o.FS.Remove(filepath.Join(w.log.o.Dir, w.made[i].name+freshSuffix))
	}
}
