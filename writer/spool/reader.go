package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"tickproc/internal/vfs"
)

// reader reads a table's segments for its sender.
// owner: the table's sender.
type reader struct {
	name string // of the open file
	file vfs.File
	buf  []byte
}

func (r *reader) close() {
	if r.file != nil {
		_ = r.file.Close()
	}
	r.file, r.name = nil, ""
}

// room returns memory of n bytes, which the next call uses again.
func (r *reader) room(n int) []byte {
	if cap(r.buf) < n {
		r.buf = make([]byte, n)
	}
	return r.buf[:n]
}

func (r *reader) open(fsys vfs.FS, name string) (vfs.File, error) {
	if r.name != name {
		r.close()
		f, err := fsys.Open(name)
		if err != nil {
			return nil, err
		}
		r.file, r.name = f, name
	}
	return r.file, nil
}

// diskBatch is what was read at a place: a batch, or damage up to end.
type diskBatch struct {
	lines   []byte
	rows    int // -1 with damage: unknown
	bytes   int // of the payload, with damage
	oldest  int64
	end     int64
	meta    []byte
	after   []byte // meta of the record behind unreadable ones
	damaged bool
}

const (
	readHeadBytes = 4 << 10
	searchBytes   = 1 << 20
)

// readAt fills b as far as the file goes.
func readAt(f vfs.File, b []byte, at int64) ([]byte, error) {
	n, err := f.ReadAt(b, at)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b[:n], err
}

// batch reads whole records from p.from on: with one read, and a second one
// where the first record alone is longer.
func (r *reader) batch(s *Spool, table string, p place, rowsMax, bytesMax int) (d diskBatch, err error) {
	f, err := r.open(s.o.FS, p.name)
	if err != nil {
		return d, err
	}
	buf, err := readAt(f, r.room(int(min(p.to-p.from, int64(bytesMax)+readHeadBytes))), p.from-p.first)
	if err != nil {
		return d, err
	}
	h, ok := s.headIn(f, buf, table, p.first, p.from, p.to)
	if !ok {
		return s.overDamage(f, table, p, p.from)
	}
	if n := int(h.end() - p.from); n > len(buf) {
		if buf, err = readAt(f, r.room(n), p.from-p.first); err != nil {
			return d, err
		}
		if len(buf) < n {
			return diskBatch{damaged: true, end: h.end(), rows: h.rows, bytes: h.payloadBytes, meta: h.meta}, nil
		}
	}
	d.end, d.oldest = p.from, h.oldestNanos
	at, filled := 0, 0
	for {
		payload := buf[at+h.bytes : at+h.bytes+h.payloadBytes]
		if payloadSum(s.identity, h.offset, payload) != h.payloadSum {
			if d.end == p.from {
				return diskBatch{damaged: true, end: h.end(), rows: h.rows, bytes: h.payloadBytes, meta: bytes.Clone(h.meta)}, nil
			}
			break // the next call meets it first
		}
		d.meta = append(d.meta[:0], h.meta...)
		filled += copy(buf[filled:], payload) // heads are left out
		d.rows += h.rows
		d.end = h.end()
		at += h.bytes + h.payloadBytes
		if h, err = readHead(buf[at:]); err != nil || !s.belongs(&h, table, d.end, p.to) || int(h.end()-p.from) > len(buf) ||
			d.rows+h.rows > rowsMax || filled+h.payloadBytes > bytesMax {
			break
		}
	}
	d.lines = buf[:filled]
	return d, nil
}

// belongs reports that a record is one of this place.
func (s *Spool) belongs(h *head, table string, offset, to int64) bool {
	return h.identity == s.identity && h.offset == offset && h.name == table && h.end() <= to
}

// headIn returns the head at offset; buf holds the file from there on, as far as it was read.
func (s *Spool) headIn(f vfs.File, buf []byte, table string, first, offset, to int64) (h head, ok bool) {
	n, ok := readLengths(buf)
	if !ok || int64(n) > to-offset {
		return h, false
	}
	if n > len(buf) {
		var err error
		if buf, err = readAt(f, make([]byte, n), offset-first); err != nil || len(buf) < n {
			return h, false
		}
	}
	h, err := readHead(buf)
	return h, err == nil && s.belongs(&h, table, offset, to)
}

// headAt reads the head at offset.
func (s *Spool) headAt(f vfs.File, scratch []byte, table string, first, offset, to int64) (h head, ok bool, err error) {
	buf, err := readAt(f, scratch[:min(int64(len(scratch)), to-offset)], offset-first)
	if err != nil {
		return h, false, err
	}
	h, ok = s.headIn(f, buf, table, first, offset, to)
	return h, ok, nil
}

// overDamage finds where the stream can be read again behind a head that cannot.
func (s *Spool) overDamage(f vfs.File, table string, p place, from int64) (diskBatch, error) {
	next, h, err := s.search(f, table, p.first, from+1, p.to)
	if err != nil {
		return diskBatch{}, err
	}
	d := diskBatch{damaged: true, rows: -1, end: next}
	if next < p.to {
		d.after = bytes.Clone(h.meta)
	}
	return d, nil
}

// search returns the first offset at or behind from where a record is, or to.
func (s *Spool) search(f vfs.File, table string, first, from, to int64) (int64, head, error) {
	buf := make([]byte, min(searchBytes, max(to-from, 0)))
	for from < to {
		window, err := readAt(f, buf[:min(int64(len(buf)), to-from)], from-first)
		if err != nil {
			return 0, head{}, err
		}
		for at := 0; ; at++ {
			i := bytes.Index(window[at:], recordMagic[:])
			if i < 0 {
				break
			}
			at += i
			offset := from + int64(at)
			h, ok, err := s.headAt(f, make([]byte, readHeadBytes), table, first, offset, to)
			if err != nil || ok {
				return offset, h, err
			}
		}
		if int64(len(window)) <= int64(len(recordMagic)-1) || from+int64(len(window)) >= to {
			break
		}
		from += int64(len(window) - len(recordMagic) + 1)
	}
	return to, head{}, nil
}

// walk calls f with each record's head of a place, until it returns false, and
// passes over what cannot be read, whose bytes come with the next head.
func (l *lane) walk(s *Spool, p place, f func(h *head, damaged int64) bool) error {
	file, err := s.o.FS.Open(p.name)
	if err != nil {
		return err
	}
	defer file.Close()
	scratch := make([]byte, readHeadBytes)
	damaged := int64(0)
	for at := p.from; at < p.to; {
		h, ok, err := s.headAt(file, scratch, l.name, p.first, at, p.to)
		if err != nil {
			return err
		}
		if !ok {
			next, _, err := s.search(file, l.name, p.first, at+1, p.to)
			if err != nil {
				return err
			}
			damaged += next - at
			at = next
			continue
		}
		if !f(&h, damaged) {
			return nil
		}
		damaged = 0
		at = h.end()
	}
	return nil
}

// payload reads one record's.
func (s *Spool) payload(p place, h *head) ([]byte, error) {
	f, err := s.o.FS.Open(p.name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := readAt(f, make([]byte, h.payloadBytes), h.offset-p.first+int64(h.bytes))
	if err == nil && (len(b) < h.payloadBytes || payloadSum(s.identity, h.offset, b) != h.payloadSum) {
		err = fmt.Errorf("%s at %d: %w", p.name, h.offset, errNoRecord)
	}
	return b, err
}

// Segments are named by their table and their first offset.
func segmentName(table string, first int64) string { return fmt.Sprintf("%s-%020d.seg", table, first) }

func parseSegment(name string) (table string, first int64, ok bool) {
	rest, ok := strings.CutSuffix(name, ".seg")
	i := strings.LastIndexByte(rest, '-')
	if !ok || i < 1 || len(rest)-i-1 != 20 {
		return "", 0, false
	}
	first, err := strconv.ParseInt(rest[i+1:], 10, 64)
	return rest[:i], first, err == nil && first >= 0
}
