package feeds

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"

	"tickproc/internal/clock"
	"tickproc/internal/stat"
	"tickproc/tick"
)

// RecorderOptions make a Recorder. Dir and Venue are required.
type RecorderOptions struct {
	Dir   string // made if it is not there
	Venue string
	// Run tells the capture of one process from that of another: all that it
	// receives is of after Run, in ns. 0 = not told.
	Run int64
	// RotateBytes of compressed data end a file. Default 1 GiB.
	RotateBytes int64
	// RotateEvery ends a file by age. Default 24 h.
	RotateEvery time.Duration
	// QueueBytes bounds what waits to be compressed, a line. Beyond it lines of
	// the capture are dropped and counted. Default 32 MiB.
	QueueBytes int
	Logger     *slog.Logger // nil = silent
}

const recorderFlushEvery = time.Second

// Recorder writes raw frames to capture files, one a connection and one for
// REST, named <venue>-<line>-<UTC time>.gz, as CaptureReader reads them. The
// lines' goroutines copy into bounded queues; one goroutine, run by the feed,
// compresses. Files are flushed every second, so that is what a crash loses.
//
// A file that continues another after rotation does not repeat what was
// subscribed, but names the other: read them together.
type Recorder struct {
	options RecorderOptions
	wake    chan struct{} // a queue is half full

	mu    sync.Mutex // guards lines, which grow while a feed is set up
	lines []*LineRecorder
}

// NewRecorder returns a recorder; it touches no file before the first frame.
func NewRecorder(o RecorderOptions) *Recorder {
	if o.RotateBytes == 0 {
		o.RotateBytes = 1 << 30
	}
	if o.RotateEvery == 0 {
		o.RotateEvery = 24 * time.Hour
	}
	if o.QueueBytes == 0 {
		o.QueueBytes = 32 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Recorder{options: o, wake: make(chan struct{}, 1)}
}

// Line returns the recorder of a line, the same one for the same name.
func (r *Recorder) Line(name string) *LineRecorder {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lines {
		if l.name == name {
			return l
		}
	}
	l := &LineRecorder{name: name, limit: r.options.QueueBytes, wake: r.wake, next: 1, chunkFirst: 1}
	l.number.Store(-1)
	r.lines = append(r.lines, l)
	return l
}

// run writes until stop is closed, then writes the rest and closes the files.
func (r *Recorder) run(stop <-chan struct{}) {
	ticker := time.NewTicker(recorderFlushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-r.wake:
			r.each((*LineRecorder).drain)
		case <-ticker.C:
			r.each((*LineRecorder).drain)
			r.each((*LineRecorder).flush)
		case <-stop:
			r.each((*LineRecorder).drain)
			r.each((*LineRecorder).finish)
			return
		}
	}
}

func (r *Recorder) each(do func(*LineRecorder, *RecorderOptions) error) {
	r.mu.Lock()
	lines := r.lines
	r.mu.Unlock()
	for _, l := range lines {
		if err := do(l, &r.options); err != nil {
			l.Stats.Errors.Add(1)
			if now := clock.Nanos(); l.loggedAt == 0 || now-l.loggedAt >= logEvery {
				l.loggedAt = now
				r.options.Logger.Error("cannot record", "venue", r.options.Venue, "connection", l.name, "error", err)
			}
		}
	}
}

// LineRecorderStats counts what became of a line's capture.
type LineRecorderStats struct {
	Lines   stat.Counter // taken
	Dropped stat.Counter // the queue was full, or the file could not be written
	Errors  stat.Counter // of the file
}

// LineRecorder takes what one line sends and receives.
type LineRecorder struct {
	Stats LineRecorderStats

	name  string
	limit int
	wake  chan<- struct{}
	// number is the line's as packets have it; -1 = not told. It is set before the
	// recorder runs.
	number atomic.Int32
	// kernel: receive times are the kernel's, where they can be. It is set before
	// the line runs.
	kernel atomic.Bool

	// The mutex is held for a copy of the frame, or to swap two slices: lines of
	// any length do not fit a ring, and recording is off unless asked for.
	mu         sync.Mutex
	queue      []byte
	next       uint64 // ordinal of the next frame
	chunkFirst uint64 // next when the queue was last emptied
	lost       uint64 // lines dropped since the last one taken
	lastAt     int64

	// owner: the recorder's goroutine
	spare    []byte
	file     *os.File
	before   string // name of the last file, which the next continues
	zip      *gzip.Writer
	written  counter
	openedAt time.Time
	loggedAt int64
}

func (l *LineRecorder) open(at int64, url string) { l.add(at, false, 0, "open", maskURL(url), nil) }

// close also tells until when the socket was heard.
func (l *LineRecorder) close(at int64, reason tick.Reason, heard int64) {
	l.add(at, false, 0, "close", "", strconv.AppendInt([]byte(reason.String()+" "), heard, 10))
}

// sent bears the time of the line before it: the reading goroutine alone
// stamps, so that times ascend.
func (l *LineRecorder) sent(text []byte) { l.add(0, false, 0, "sent", "", maskText(text)) }

// frame copies a frame into the queue.
//
// hot: per frame, 0 allocs.
func (l *LineRecorder) frame(at int64, ordinal uint64, binary bool, payload []byte) {
	tag := "text"
	if binary {
		tag = "binary"
	}
	l.add(at, true, ordinal, tag, "", payload)
}

// rest takes a good answer. Ordinal 0 is that of answers that are no data of a line.
func (l *LineRecorder) rest(at int64, ordinal uint64, url string, body []byte) {
	l.add(at, true, ordinal, "rest", maskURL(url), body)
}

// backfill takes the end of a backfill, behind its answers.
func (l *LineRecorder) backfill(at int64, text []byte) { l.add(at, false, 0, "backfill", "", text) }

func (l *LineRecorder) restStatus(at int64, code int, url string, body []byte) {
	l.add(at, false, 0, "reststatus "+strconv.Itoa(code), maskURL(url), body)
}

// add appends one line of the capture to the queue, or drops it.
func (l *LineRecorder) add(at int64, frame bool, ordinal uint64, tag, url string, payload []byte) {
	url = strings.ReplaceAll(url, " ", "%20")
	broken := bytes.IndexByte(payload, '\n') >= 0 || bytes.IndexByte(payload, '\r') >= 0
	encode := tag == "binary" || broken && frame
	size := len(payload)
	if encode {
		size = base64.StdEncoding.EncodedLen(size)
	}
	const spare = 128 // for the time, the tag and comments
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue)+size+len(url)+spare > l.limit {
		l.lost++
		l.Stats.Dropped.Add(1)
		return
	}
	q := l.queue
	if l.lost > 0 {
		q = append(strconv.AppendUint(append(q, "# dropped "...), l.lost, 10), '\n')
		l.lost = 0
	}
	if frame {
		if ordinal != l.next {
			q = append(strconv.AppendUint(append(q, "# first_ordinal "...), ordinal, 10), '\n')
		}
		l.next = ordinal + 1
	}
	l.lastAt = max(l.lastAt, at)
	q = append(strconv.AppendInt(q, l.lastAt, 10), ' ')
	q = append(q, tag...)
	if encode && tag != "binary" {
		q = append(q, "64"...)
	}
	if url != "" {
		q = append(append(q, ' '), url...)
	}
	if tag != "open" {
		q = append(q, ' ')
	}
	at0 := len(q)
	if encode {
		q = base64.StdEncoding.AppendEncode(q, payload)
	} else {
		q = append(q, payload...)
	}
	if broken && !encode {
		// There is no encoded form of these: they are notes, not data.
		for i, c := range q[at0:] {
			if c == '\n' || c == '\r' {
				q[at0+i] = ' '
			}
		}
	}
	l.queue = append(q, '\n')
	l.Stats.Lines.Add(1)
	if len(l.queue) > l.limit/2 {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// drain compresses what is queued.
func (l *LineRecorder) drain(o *RecorderOptions) error {
	l.mu.Lock()
	chunk, first := l.queue, l.chunkFirst
	l.queue, l.chunkFirst = l.spare[:0], l.next
	l.mu.Unlock()
	l.spare = chunk
	if len(chunk) == 0 {
		return nil
	}
	err := l.write(o, chunk, first)
	if err != nil {
		l.Stats.Dropped.Add(uint64(bytes.Count(chunk, []byte("\n"))))
		l.abandon()
	}
	return err
}

func (l *LineRecorder) write(o *RecorderOptions, chunk []byte, first uint64) error {
	if l.file != nil && (l.written.n >= o.RotateBytes || time.Since(l.openedAt) >= o.RotateEvery) {
		if err := l.finish(o); err != nil {
			return err
		}
	}
	if l.file == nil {
		if err := l.create(o, first); err != nil {
			return err
		}
	}
	_, err := l.zip.Write(chunk)
	return err
}

// create begins a file whose next frame has the ordinal first.
func (l *LineRecorder) create(o *RecorderOptions, first uint64) error {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return err
	}
	now := time.Now()
	for at := now; ; at = at.Add(time.Millisecond) { // two files of one millisecond need two names
		name := fmt.Sprintf("%s-%s-%s.gz", o.Venue, l.name, at.UTC().Format("20060102T150405.000Z"))
		name = strings.Map(func(r rune) rune {
			if r == '/' || r == '\\' || r < ' ' {
				return '_'
			}
			return r
		}, name)
		f, err := os.OpenFile(filepath.Join(o.Dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		l.file, l.written = f, counter{w: f}
		break
	}
	l.openedAt = now
	l.zip, _ = gzip.NewWriterLevel(&l.written, gzip.BestSpeed) // fails on unknown levels only
	_, err := fmt.Fprintf(l.zip, "# venue %s\n# line %s\n# first_ordinal %d\n", o.Venue, l.name, first)
	if number := l.number.Load(); o.Run != 0 && number >= 0 && err == nil {
		_, err = fmt.Fprintf(l.zip, "# run %d\n# number %d\n", o.Run, number)
	}
	if l.kernel.Load() && err == nil {
		_, err = fmt.Fprintf(l.zip, "# recv_src %s\n", ReceivedKernel)
	}
	if l.before != "" && err == nil {
		_, err = fmt.Fprintf(l.zip, "# continues %s\n", l.before)
	}
	l.before = filepath.Base(l.file.Name())
	return err
}

func (l *LineRecorder) flush(*RecorderOptions) error {
	if l.file == nil {
		return nil
	}
	err := l.zip.Flush()
	if err != nil {
		l.abandon()
	}
	return err
}

// finish ends the file with its checksum.
func (l *LineRecorder) finish(*RecorderOptions) error {
	if l.file == nil {
		return nil
	}
	err := errors.Join(l.zip.Close(), l.file.Close())
	l.file, l.zip = nil, nil
	return err
}

// abandon gives up a file that cannot be written; what was flushed is readable.
func (l *LineRecorder) abandon() {
	if l.file != nil {
		l.file.Close()
		l.file, l.zip = nil, nil
	}
}

// counter counts what goes through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
