package journal

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"tickproc/internal/vfs"
	"tickproc/tick"
)

// A segment file is a header unit, the same again (without the identity in it
// no frame could be checked), and then frames, the unit of position p at offset
// 64·(2+p-first). It is allocated ahead, so its end is where its frames end. Its ordinal counts the segments made; a segment counts only up to the
// first position of those made after it: what lies behind was given up.
//
// Words of the header: magic, format, shard; identity; first position; sequence
// of the batch there; ordinal; session; 0; CRC.
const (
	segmentMagic = 0x47455354 // "TSEG"
	headerUnits  = 2
)

// offsetOf is where the unit of a position lies in a segment, in bytes.
func offsetOf(position, first uint64) int64 { return int64(position-first+headerUnits) * unitBytes }

type segmentHeader struct {
	identity        Identity
	first, sequence uint64
	ordinal         uint64
	// session is the ordinal of the first segment that this run of the process
	// made: the ring says the same one if it is that run's.
	session uint64
}

func (h segmentHeader) write(f vfs.File, shard int) error {
	u := [headerUnits]tick.Unit{{word0(segmentMagic, shard), uint64(h.identity), h.first, h.sequence, h.ordinal, h.session}}
	seal(&u[0])
	u[1] = u[0]
	_, err := f.WriteAt(bytesOf(u[:]), 0)
	return err
}

func segmentName(shard int, ordinal, first uint64) string {
	return fmt.Sprintf("shard-%02d-%08d-%020d.log", shard, ordinal, first)
}

// parseSegmentName reports whether a file's name is that of a segment.
func parseSegmentName(name string) (shard int, ordinal, first uint64, ok bool) {
	n, err := fmt.Sscanf(name, "shard-%d-%d-%d.log", &shard, &ordinal, &first)
	return shard, ordinal, first, err == nil && n == 3 && segmentName(shard, ordinal, first) == name
}

// segment is one file as it was found or made.
type segment struct {
	name     string // in the log's directory
	header   segmentHeader
	headerOK bool // one of the copies is good
	faulty   bool // one is not
	bytes    int64
	modNanos int64
	limit    uint64 // first position of what was made later
	scanned
}

// covers reports whether the segment is the place of a position.
func (s *segment) covers(position uint64) bool {
	return s.header.first <= position && position < s.limit
}

// listSegments returns the shard's segment files in the order they were made,
// with what their names say.
func listSegments(fsys vfs.FS, dir string, shard int) ([]*segment, error) {
	entries, err := fsys.List(dir)
	if err != nil {
		return nil, err
	}
	var all []*segment
	for _, e := range entries {
		if of, ordinal, first, ok := parseSegmentName(e.Name); ok && of == shard && !e.Dir {
			all = append(all, &segment{name: e.Name, bytes: e.Size, modNanos: e.ModNanos, header: segmentHeader{first: first, ordinal: ordinal}})
		}
	}
	slices.SortFunc(all, func(a, b *segment) int { return strings.Compare(a.name, b.name) })
	slices.SortStableFunc(all, func(a, b *segment) int { return int(int64(a.header.ordinal - b.header.ordinal)) })
	setLimits(all)
	return all, nil
}

func setLimits(all []*segment) {
	limit := ^uint64(0)
	for _, s := range slices.Backward(all) {
		s.limit = limit
		limit = min(limit, s.header.first)
	}
}

// readHeader takes the copy of the header that is good and agrees with the name.
func (s *segment) readHeader(f vfs.File, shard int) {
	var all [headerUnits]tick.Unit
	readSome(f, bytesOf(all[:]), 0)
	for i := range all {
		u := &all[i]
		h := segmentHeader{identity: Identity(u[1]), first: u[2], sequence: u[3], ordinal: u[4], session: u[5]}
		if !sealed(u, segmentMagic, shard) || h.first != s.header.first || h.ordinal != s.header.ordinal {
			s.faulty = true
			continue
		}
		s.header, s.headerOK = h, true
	}
}

// run is frames that follow one another without a hole.
type run struct {
	from, to          uint64
	synced            uint64 // the largest that a frame says
	batches, packets  uint64
	sequence          uint64 // of the last frame
	link, crc         uint32 // what the first frame says of the one before; of the last frame
	firstNanos, nanos int64
}

func (r *run) add(is frame) {
	if r.batches == 0 {
		r.from, r.link, r.firstNanos = is.position, is.link, is.firstNanos
	}
	r.to, r.sequence, r.crc, r.nanos = is.end, is.sequence, is.crc, is.nanos
	r.synced = max(r.synced, is.synced)
	r.batches++
	r.packets += is.packets
}

// joins reports whether a frame is the one behind the run.
func (r *run) joins(is frame) bool {
	return r.to == is.position && r.sequence+1 == is.sequence && r.crc == is.link
}

// scanned is what the frames of a file are.
type scanned struct {
	runs []run
	// junk is where the last unit ends that is in no frame and not zero; 0: none.
	junk    uint64
	readErr error // a part could not be read and counts as zeros
}

func (s *scanned) take(is frame) {
	if n := len(s.runs); n == 0 || !s.runs[n-1].joins(is) {
		s.runs = append(s.runs, run{})
	}
	s.runs[len(s.runs)-1].add(is)
}

// scanBlock is how many units are read at once: 1 MiB.
const scanBlock = 1 << 14

// scanner reads the frames of segments. Its buffer is reused.
type scanner struct {
	framer
	buffer []tick.Unit
}

// scan reads the frames of a segment whose first unit has position first, in
// [from,limit), and hands each whole one to emit, header included; the units
// are valid during the call. What is no frame is stepped over unit by unit. It
// fails only when emit does.
func (s *scanner) scan(f vfs.File, first, from, limit uint64, emit func(is frame, units []tick.Unit) error) (found scanned, err error) {
	if size, err := f.Size(); err == nil {
		if n := int(min(scanBlock, max(size/unitBytes, 1))); n > len(s.buffer) {
			s.buffer = make([]tick.Unit, n)
		}
	}
	base, have := from, 0 // buffer[:have] are the units at base
	ended := false
	// at returns n units at a position, nil if the file ends before.
	at := func(position uint64, n int) []tick.Unit {
		i := int(position - base)
		if i+n <= have {
			return s.buffer[i : i+n]
		}
		if ended {
			return nil
		}
		have = copy(s.buffer, s.buffer[i:have])
		base, i = position, 0
		if n > len(s.buffer) {
			s.buffer = append(s.buffer, make([]tick.Unit, n-len(s.buffer))...)
		}
		want := min(uint64(len(s.buffer)-have), limit-base-uint64(have))
		into := bytesOf(s.buffer[have : have+int(want)])
		got, err := readSome(f, into, offsetOf(base+uint64(have), first))
		if err != nil {
			found.readErr = err
		}
		have += got / unitBytes
		ended = got < len(into)
		if n > have {
			return nil
		}
		return s.buffer[:n]
	}
	for position := from; position < limit; {
		u := at(position, 1)
		if u == nil {
			break
		}
		if n := s.claims(&u[0], position); n > 0 && uint64(n) <= limit-position {
			if units := at(position, n); units != nil {
				if is, ok := s.check(units); ok {
					found.take(is)
					if emit != nil {
						if err := emit(is, units); err != nil {
							return found, err
						}
					}
					position = is.end
					continue
				}
			}
			u = at(position, 1)
		}
		position++
		if u[0] != (tick.Unit{}) {
			found.junk = position
		}
	}
	return found, nil
}

// readSome reads as much as there is. What cannot be read is zeros and an
// error: the rest may still be good.
func readSome(f vfs.File, into []byte, offset int64) (n int, err error) {
	n, err = f.ReadAt(into, offset)
	if err == nil || err == io.EOF {
		return n, nil
	}
	const block = 4096
	for n = 0; n < len(into); {
		part := into[n:min(n+block, len(into))]
		got, e := f.ReadAt(part, offset+int64(n))
		switch {
		case e == io.EOF:
			return n + got, err
		case e != nil:
			clear(part)
			err = e
		}
		n += len(part)
	}
	return n, err
}
