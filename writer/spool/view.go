package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"tickproc/internal/vfs"
)

// View is a spool as another process sees it, also while its owner writes. It
// takes no lock, starts nothing and changes nothing. One goroutine uses it.
//
// Files that the owner removes meanwhile are passed over: what was in them is
// not kept any more.
type View struct {
	s     *Spool
	acked map[string]int64
	file  reader
}

// KeptRecord is a record of a View, by its place.
type KeptRecord struct {
	Offset, End int64 // in the table's stream
	Rows        int
	name        string // of the file
	at          int64  // of the payload in the file
	bytes       int    // of the payload
	sum         uint32
}

// ErrUnreadable is wrapped by the errors of a View's disk.
var ErrUnreadable = errors.New("the spool cannot be read")

// OpenView looks at a spool. The error wraps ErrUnreadable, and fs.ErrNotExist
// where there is no spool.
func OpenView(fsys vfs.FS, dir string, tables []string) (*View, error) {
	v := &View{s: &Spool{o: Options{FS: fsys, Dir: dir}}}
	if err := v.s.readIdentity(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	for i, name := range tables {
		v.s.lanes = append(v.s.lanes, &lane{name: name, index: i})
	}
	// Positions before segments: what is acknowledged is then in the segments found.
	var err error
	if v.acked, _, _, err = v.s.openAcks(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	entries, err := fsys.List(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	for _, e := range entries {
		table, first, ok := parseSegment(e.Name)
		if i := slices.Index(tables, table); ok && !e.Dir && i >= 0 {
			l := v.s.lanes[i]
			l.segs = append(l.segs, &segment{name: filepath.Join(dir, e.Name), first: first, end: first + e.Size})
		}
	}
	for _, l := range v.s.lanes {
		slices.SortFunc(l.segs, func(a, b *segment) int { return int(max(-1, min(1, a.first-b.first))) })
	}
	return v, nil
}

// Acked is up to where the database had everything of a table when the view was
// opened, or a little before. During a resend it goes back.
func (v *View) Acked(table int) int64 { return v.acked[v.s.lanes[table].name] }

// Records calls f with each record of a table that begins at from or behind it,
// in order, with its meta, which is valid until f returns. It returns how many
// bytes could not be read.
func (v *View) Records(table int, from int64, f func(r KeptRecord, meta []byte) error) (damaged int64, err error) {
	l := v.s.lanes[table]
	for i, g := range l.segs {
		p := place{seg: g, name: g.name, first: g.first, from: max(from, g.first), to: g.end}
		if i+1 < len(l.segs) {
			p.to = min(p.to, l.segs[i+1].first)
		}
		if p.from >= p.to {
			continue
		}
		var stop error
		err := l.walk(v.s, p, func(h *head, bytes int64) bool {
			damaged += bytes
			at := h.offset - g.first + int64(h.bytes)
			stop = f(KeptRecord{Offset: h.offset, End: h.end(), Rows: h.rows, name: g.name, at: at, bytes: h.payloadBytes, sum: h.payloadSum}, h.meta)
			return stop == nil
		})
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return damaged, fmt.Errorf("%w: %s: %w", ErrUnreadable, g.name, err)
		case stop != nil:
			return damaged, stop
		}
	}
	return damaged, nil
}

// ErrDamaged: what the disk has is not what was written.
var ErrDamaged = errors.New("the record is damaged")

// Payload reads a record's lines, which are valid until the next call. The error
// wraps fs.ErrNotExist where the owner has removed the file, or ErrDamaged.
func (v *View) Payload(r *KeptRecord) ([]byte, error) {
	f, err := v.file.open(v.s.o.FS, r.name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	b, err := readAt(f, v.file.room(r.bytes), r.at)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %s: %w", ErrUnreadable, r.name, err)
	case len(b) < r.bytes || payloadSum(v.s.identity, r.Offset, b) != r.sum:
		return nil, fmt.Errorf("%s at %d: %w", r.name, r.Offset, ErrDamaged)
	}
	return b, nil
}

// Close ends the use of its files.
func (v *View) Close() { v.file.close() }
