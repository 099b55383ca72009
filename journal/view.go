package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"tickproc/internal/vfs"
	"tickproc/tick"
)

// View is a log as its files were when they were looked at, perhaps those of a
// running process. It changes and locks nothing.
type View struct {
	Found
	is     *layout
	o      Options
	memory Memory
}

// Inspect looks at a log's files from Options.From on. Damage does not fail it,
// whatever the policy: it is in Found.
func Inspect(o Options) (*View, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	memory, err := o.memory()
	if err != nil {
		return nil, err
	}
	is, err := inspectTwice(&o, memory)
	if err != nil {
		return nil, fmt.Errorf("journal: shard %d in %s: %w", o.Shard, o.Dir, err)
	}
	return &View{Found: is.Found, is: is, o: o, memory: memory}, nil
}

// Read hands every batch from a position on to f, as Log.Read does; where there
// is damage positions jump. Segments that a running process removes meanwhile
// end it with an error.
func (v *View) Read(from uint64, f func(position uint64, batch []tick.Unit) error) error {
	err := v.is.each(from, func(is frame, units []tick.Unit) error { return f(is.position, units[1:]) })
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("journal: retention removed a segment while it was read: read again from %d: %w", v.First, err)
	}
	return err
}

// SegmentInfo is a segment for people.
type SegmentInfo struct {
	File             string
	First, End       uint64 // positions; End is where its good batches end
	Bytes            int64  // of the file
	Batches, Packets uint64
	// FirstNanos and LastNanos are receive times of packets, 0 if there are none.
	FirstNanos, LastNanos int64
	Modified              time.Time
}

// Segments lists the segments that were looked at, in their order.
func (v *View) Segments() []SegmentInfo {
	var all []SegmentInfo
	for _, s := range v.is.segments {
		i := SegmentInfo{File: v.is.path(s.name), First: s.header.first, End: s.header.first, Bytes: s.bytes, Modified: time.Unix(0, s.modNanos)}
		for n, r := range s.runs {
			if n == 0 {
				i.FirstNanos = r.firstNanos
			}
			i.End, i.LastNanos = r.to, r.nanos
			i.Batches += r.batches
			i.Packets += r.packets
		}
		all = append(all, i)
	}
	return all
}

// List looks at all segments of a log, for journal ls.
func List(o Options) ([]SegmentInfo, error) {
	o.From = 0
	v, err := Inspect(o)
	if err != nil {
		return nil, err
	}
	return v.Segments(), nil
}

// Report is what Fsck found.
type Report struct {
	Found
	Segments []SegmentInfo
	Ring     string // where it is, or would be
	// RingBatches are the whole batches in the ring, RingEnd where they end.
	RingBatches int
	RingEnd     uint64
	Unfinished  []string // files that hold nothing
	// Faults are all that is not as it should be, Damages and Covered; torn tails
	// are not among them: a log that was not closed may have one.
	Faults []Damage
}

// Fsck reads everything there is of a log.
func Fsck(o Options) (Report, error) {
	o.From = 0
	v, err := Inspect(o)
	if err != nil {
		return Report{}, err
	}
	r := Report{
		Found: v.Found, Segments: v.Segments(), Ring: v.memory.Where(ringName(o.Shard)), Faults: slices.Concat(v.Damages, v.Covered),
		RingEnd: v.is.ring.end(),
	}
	if v.is.ring != nil {
		r.RingBatches = len(v.is.ring.frames)
	}
	for _, name := range v.is.litter {
		r.Unfinished = append(r.Unfinished, v.is.path(name))
	}
	return r, nil
}

// First is the position from which on a shard's log is there, as the names of its
// segments say.
func First(fsys vfs.FS, dir string, shard int) (uint64, error) {
	all, err := listSegments(fsys, dir, shard)
	if err != nil || len(all) == 0 {
		return 0, err
	}
	first := all[0].header.first
	for _, s := range all {
		first = min(first, s.header.first)
	}
	return first, nil
}

// Shards lists the shards that have a log in a directory.
func Shards(fsys vfs.FS, dir string) ([]int, error) {
	entries, err := fsys.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []int
	for _, e := range entries {
		if shard, _, _, ok := parseSegmentName(e.Name); ok {
			all = append(all, shard)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
