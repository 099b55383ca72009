package feeds

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/klauspost/compress/gzip"
)

// Tag says what a capture's line holds.
type Tag uint8

const (
	TagOpen       Tag = iota // a socket was opened: URL
	TagSent                  // we sent Payload on it
	TagText                  // a text frame: Payload
	TagBinary                // a binary frame: Payload
	TagREST                  // a REST answer: URL, Payload
	TagClose                 // the socket ended: Payload is the reason's name and, in newer ones, until when it was heard
	TagRESTStatus            // a failed REST request: Code (0 = no answer), URL, Payload
	TagBackfill              // what came of fetching missed trades: Payload, see ParseBackfillEnd
)

// Record is one line of a capture. Its slices lie in the reader's memory until
// the reader's next Next.
type Record struct {
	RecvNanos int64
	Tag       Tag
	// Ordinal is the number on its line of a frame or REST answer; 0 for others.
	Ordinal uint64
	Code    int
	URL     []byte
	Payload []byte
}

// lineLimit bounds a capture's line. Longer ones are malformed.
const lineLimit = 256 << 20

// CaptureReader reads a capture, gzip or plain:
//
//	# venue NAME · # line NAME · # first_ordinal N · # run N · # number N · # recv_src SOURCE · # continues FILE
//	<receive time, ns> open URL
//	<receive time, ns> text FRAME
//
// Further lines: sent TEXT, binary BASE64, rest URL BODY, close REASON TIME,
// reststatus CODE URL BODY, backfill TEXT; text64 and rest64 hold base64 where the payload has
// line breaks.
// Malformed lines are counted and skipped; a truncated end is read up to its
// last whole line. It copies nothing but base64. One goroutine uses it.
type CaptureReader struct {
	// Venue and Line are those of the comments at the beginning; "" = not told.
	Venue, Line string
	// Continues is the name of the file, of the same folder, that this one
	// continues: a socket that was opened there may still be open. "" = none.
	Continues string
	// Run and Number say which packets of a log are of the capture: those of the
	// process that began at Run, in ns, and of line Number in it. Run is 0 where
	// they are not told.
	Run    int64
	Number uint16
	// ReceiveSource says whose receive times these are: "kernel", of the kernel's
	// stamps where they could be, else "" or "user".
	ReceiveSource string
	// Malformed counts the lines that could not be read, FirstMalformed says
	// what was wrong with the first.
	Malformed      uint64
	FirstMalformed string
	// Truncated is set at the end if the last line was not whole.
	Truncated bool

	src        io.Reader
	file       *os.File
	zipped     bool
	ahead      *readAhead // nil unless asked for
	buf        []byte
	start, end int // unread bytes of buf
	err        error
	lines      uint64
	ordinal    uint64 // of the next frame
	decoded    []byte
	record     Record
}

// OpenCapture opens a capture file. Close it.
func OpenCapture(path string) (*CaptureReader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := NewCaptureReader(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	r.file = f
	return r, nil
}

// NewCaptureReader reads a capture from src, as far as the comments that open it.
func NewCaptureReader(src io.Reader) (*CaptureReader, error) {
	r := &CaptureReader{buf: make([]byte, 256<<10), ordinal: 1}
	head := make([]byte, 2)
	n, err := io.ReadFull(src, head)
	src = io.MultiReader(bytes.NewReader(head[:n]), src)
	switch {
	case err != nil && err != io.EOF && err != io.ErrUnexpectedEOF:
		return nil, err
	case n == 2 && head[0] == 0x1f && head[1] == 0x8b:
		r.zipped = true
		z, err := gzip.NewReader(src)
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			r.err, r.Truncated = io.EOF, true
		case err != nil:
			return nil, fmt.Errorf("read gzip: %w", err)
		default:
			r.src = z
		}
	default:
		r.src = src
	}
	for {
		if r.start == r.end && r.err == nil {
			r.fill()
			continue
		}
		if r.start == r.end || r.buf[r.start] != '#' {
			return r, nil
		}
		if line, ok := r.nextLine(); ok {
			r.comment(line)
		}
	}
}

// ReadAhead decompresses on a goroutine of its own from here on, until Close.
// A capture that is not compressed stays as it is.
func (r *CaptureReader) ReadAhead() {
	if r.zipped && r.src != nil && r.ahead == nil {
		r.ahead = newReadAhead(r.src)
		r.src = r.ahead
	}
}

// Close ends ReadAhead, and closes the file of OpenCapture.
func (r *CaptureReader) Close() error {
	if r.ahead != nil {
		r.ahead.Close()
	}
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// Next returns the next record; io.EOF is the end, any other error that of
// the source or its compression.
//
// hot: per frame, 0 allocs.
func (r *CaptureReader) Next() (*Record, error) {
	for {
		line, ok := r.nextLine()
		if !ok {
			return nil, r.err
		}
		if len(line) == 0 {
			continue
		}
		if line[0] == '#' {
			r.comment(line)
			continue
		}
		if reason := r.parse(line); reason != "" {
			r.malformed(reason)
			continue
		}
		return &r.record, nil
	}
}

// nextLine returns the next line without its end; false at the end, with the
// reason in r.err.
func (r *CaptureReader) nextLine() ([]byte, bool) {
	scanned := r.start
	for {
		if i := bytes.IndexByte(r.buf[scanned:r.end], '\n'); i >= 0 {
			line := r.buf[r.start : scanned+i]
			r.start = scanned + i + 1
			r.lines++
			return line, true
		}
		scanned = r.end
		if r.err != nil {
			rest := r.buf[r.start:r.end]
			r.start = r.end
			if len(rest) == 0 {
				return nil, false
			}
			// Compression says itself whether its end is whole.
			if r.zipped && r.err == io.EOF && !r.Truncated {
				r.lines++
				return rest, true
			}
			r.Truncated = true
			return nil, false
		}
		if r.end-r.start >= lineLimit {
			r.lines++
			r.malformed("longer than the limit")
			r.skipLine()
			scanned = r.start
			continue
		}
		moved := r.start
		r.fill()
		scanned -= moved - r.start
	}
}

// fill reads more bytes, after moving the unread ones to the front, into a
// larger buffer if they fill it.
func (r *CaptureReader) fill() {
	if r.start > 0 {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
	if r.end == len(r.buf) {
		r.buf = append(r.buf, make([]byte, len(r.buf))...)
	}
	n, err := r.src.Read(r.buf[r.end:])
	r.end += n
	if err == io.ErrUnexpectedEOF {
		err, r.Truncated = io.EOF, true
	}
	r.err = err
}

// skipLine drops everything up to and including the next line end.
func (r *CaptureReader) skipLine() {
	for {
		if i := bytes.IndexByte(r.buf[r.start:r.end], '\n'); i >= 0 {
			r.start += i + 1
			return
		}
		r.start = r.end
		if r.err != nil {
			return
		}
		r.fill()
	}
}

func (r *CaptureReader) comment(line []byte) {
	key, value, _ := bytes.Cut(bytes.TrimSpace(line[1:]), []byte(" "))
	switch string(key) {
	case "venue":
		r.Venue = string(value)
	case "line":
		r.Line = string(value)
	case "recv_src":
		r.ReceiveSource = string(value)
	case "continues":
		r.Continues = string(value)
	case "run":
		if n, rest := leadingInt(value); len(rest) == 0 && n > 0 {
			r.Run = n
		}
	case "number":
		if n, rest := leadingInt(value); len(rest) == 0 && n >= 0 && n <= math.MaxUint16 {
			r.Number = uint16(n)
		}
	case "first_ordinal":
		if n, rest := leadingInt(value); len(rest) == 0 && n >= 0 {
			r.ordinal = uint64(n)
		}
	}
}

func (r *CaptureReader) malformed(reason string) {
	if r.Malformed == 0 {
		r.FirstMalformed = fmt.Sprintf("line %d: %s", r.lines, reason)
	}
	r.Malformed++
}

// parse fills r.record; a reason says why it could not.
func (r *CaptureReader) parse(line []byte) (reason string) {
	at, line := leadingInt(line)
	if at < 0 || len(line) == 0 || line[0] != ' ' {
		return "does not begin with a receive time"
	}
	tag, payload := cutSpace(line[1:])
	rec := Record{RecvNanos: at}
	frame, encoded := false, false
	switch string(tag) {
	case "text", "text64":
		rec.Tag, frame, encoded = TagText, true, len(tag) == len("text64")
	case "binary":
		rec.Tag, frame, encoded = TagBinary, true, true
	case "rest", "rest64":
		rec.Tag, frame, encoded = TagREST, true, len(tag) == len("rest64")
		rec.URL, payload = cutSpace(payload)
		if len(rec.URL) == 0 {
			return "rest without a URL"
		}
	case "open":
		if len(payload) == 0 {
			return "open without a URL"
		}
		rec.Tag, rec.URL, payload = TagOpen, payload, nil
	case "sent":
		rec.Tag = TagSent
	case "close":
		rec.Tag = TagClose
	case "backfill":
		rec.Tag = TagBackfill
	case "reststatus":
		code, rest := leadingInt(payload)
		if code < 0 || code > math.MaxInt32 || len(rest) == 0 || rest[0] != ' ' {
			return "reststatus without a code"
		}
		rec.Tag, rec.Code = TagRESTStatus, int(code)
		if rec.URL, payload = cutSpace(rest[1:]); len(rec.URL) == 0 {
			return "reststatus without a URL"
		}
	default:
		return "unknown tag"
	}
	if frame {
		// A frame keeps its number even if its line was damaged.
		rec.Ordinal = r.ordinal
		r.ordinal++
	}
	if encoded {
		need := base64.StdEncoding.DecodedLen(len(payload))
		if cap(r.decoded) < need {
			r.decoded = make([]byte, need, 2*need)
		}
		n, err := base64.StdEncoding.Decode(r.decoded[:need], payload)
		if err != nil {
			return "payload is no base64"
		}
		payload = r.decoded[:n]
	}
	rec.Payload = payload
	r.record = rec
	return ""
}

func cutSpace(b []byte) (before, after []byte) {
	if i := bytes.IndexByte(b, ' '); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}

// leadingInt reads the digits that b begins with; -1 if there are none or too many.
func leadingInt(b []byte) (int64, []byte) {
	v, i := int64(0), 0
	for i < len(b) && b[i]-'0' <= 9 && i < 19 {
		v = v*10 + int64(b[i]-'0')
		i++
	}
	if i == 0 || v < 0 || i < len(b) && b[i]-'0' <= 9 {
		return -1, b
	}
	return v, b[i:]
}

// CaptureMerge reads several captures as one session.
type CaptureMerge struct {
	readers []*CaptureReader
	heads   []*Record // nil = the reader is at its end
	heap    []int     // readers with a head, the earliest first
	last    int       // whose record the caller holds; -1 = none
}

// MergeCaptures merges by receive time, then by place in readers; the order
// within a capture is kept.
func MergeCaptures(readers []*CaptureReader) *CaptureMerge {
	return &CaptureMerge{readers: readers, heads: make([]*Record, len(readers)), last: -1}
}

// Next returns the next record and the place of its reader; io.EOF is the end
// of all. An error of one capture ends the merge.
func (m *CaptureMerge) Next() (*Record, int, error) {
	if m.heap == nil {
		m.heap = make([]int, 0, len(m.readers))
		for i := range m.readers {
			if err := m.load(i); err != nil {
				return nil, i, err
			}
		}
		for i := len(m.heap)/2 - 1; i >= 0; i-- {
			m.sink(i)
		}
	}
	// Only now may the reader of the last record move on: its memory was the caller's.
	if m.last >= 0 {
		if err := m.load(m.last); err != nil {
			return nil, m.last, err
		}
		if m.heads[m.last] == nil {
			m.heap[0] = m.heap[len(m.heap)-1]
			m.heap = m.heap[:len(m.heap)-1]
		}
		m.sink(0)
	}
	if len(m.heap) == 0 {
		m.last = -1
		return nil, 0, io.EOF
	}
	m.last = m.heap[0]
	return m.heads[m.last], m.last, nil
}

// load reads the next head of a reader, and enters it into the heap at first.
func (m *CaptureMerge) load(i int) error {
	first := m.last < 0
	rec, err := m.readers[i].Next()
	if errors.Is(err, io.EOF) {
		m.heads[i] = nil
		return nil
	}
	if err != nil {
		return err
	}
	m.heads[i] = rec
	if first {
		m.heap = append(m.heap, i)
	}
	return nil
}

// sink restores the heap after its element at i has become later.
func (m *CaptureMerge) sink(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(m.heap); c++ {
			if m.before(m.heap[c], m.heap[least]) {
				least = c
			}
		}
		if least == i {
			return
		}
		m.heap[i], m.heap[least] = m.heap[least], m.heap[i]
		i = least
	}
}

func (m *CaptureMerge) before(a, b int) bool {
	x, y := m.heads[a].RecvNanos, m.heads[b].RecvNanos
	return x < y || x == y && a < b
}
