package feeds

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"tickproc/tick"
)

// recorded reads all files of a line, in the order of their names.
func recorded(t *testing.T, dir, line string) (all []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "toy-"+line+"-*.gz"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		r, records := readAll(t, f)
		f.Close()
		if r.Venue != "toy" || r.Line != line || r.Malformed > 0 {
			t.Errorf("%s: venue %q, line %q, malformed %d: %s", path, r.Venue, r.Line, r.Malformed, r.FirstMalformed)
		}
		all = append(all, records...)
	}
	return all
}

// record runs a recorder while use feeds it.
func record(o RecorderOptions, use func(r *Recorder)) {
	r := NewRecorder(o)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { defer close(done); r.run(stop) }()
	use(r)
	close(stop)
	<-done
}

func TestRecorderWritesWhatTheReaderReads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	record(RecorderOptions{Dir: dir, Venue: "toy"}, func(r *Recorder) {
		l := r.Line("public-0")
		if r.Line("public-0") != l {
			t.Error("two recorders of one line")
		}
		l.open(100, "wss://h/stream?token=hush&streams=a/b")
		l.sent([]byte(`{"method":"SUBSCRIBE","params":["a"]}`))
		l.frame(101, 1, false, []byte(`{"e": "trade"}`))
		l.frame(102, 2, true, []byte{0, 1, 2, '\n'})
		l.frame(103, 3, false, []byte("two\nlines"))
		l.frame(104, 4, false, []byte("carriage\rreturn"))
		l.frame(105, 5, false, nil)
		l.close(106, tick.ReasonSilence, 105)
		rest := r.Line("rest")
		rest.rest(90, 0, "https://h/catalog", []byte("A"))
		rest.rest(91, 0, "https://h/catalog", []byte("B"))
		rest.rest(110, 1, "https://h/depth?symbol=A&signature=abc", []byte("{\n}"))
		rest.restStatus(111, 429, "https://h/depth?a b", []byte("slow\ndown"))
		rest.rest(112, 2, "https://h/depth", nil)
	})
	same(t, recorded(t, dir, "public-0"),
		"100 open #0 0 wss://h/stream?token=***&streams=a/b|",
		`100 sent #0 0 |{"method":"SUBSCRIBE","params":["a"]}`,
		`101 text #1 0 |{"e": "trade"}`,
		"102 binary #2 0 |\x00\x01\x02\n",
		"103 text #3 0 |two\nlines",
		"104 text #4 0 |carriage\rreturn",
		"105 text #5 0 |",
		"106 close #0 0 |silence 105")
	same(t, recorded(t, dir, "rest"),
		"90 rest #0 0 https://h/catalog|A", "91 rest #0 0 https://h/catalog|B",
		"110 rest #1 0 https://h/depth?symbol=A&signature=***|{\n}",
		"111 reststatus #0 429 https://h/depth?a%20b|slow down",
		"112 rest #2 0 https://h/depth|")
}

func TestRecorderFlushesEverySecond(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		record(RecorderOptions{Dir: dir, Venue: "toy"}, func(r *Recorder) {
			r.Line("x").frame(1, 1, false, []byte("a"))
			time.Sleep(recorderFlushEvery + 1)
			synctest.Wait()
			// Killed here, this would be on the disk.
			same(t, recorded(t, dir, "x"), "1 text #1 0 |a")
		})
	})
}

func TestRecorderRotates(t *testing.T) {
	dir := t.TempDir()
	var want []string
	synctest.Test(t, func(t *testing.T) {
		record(RecorderOptions{Dir: dir, Venue: "toy", RotateEvery: time.Minute}, func(r *Recorder) {
			l := r.Line("x")
			for i := range uint64(300) {
				l.frame(int64(i), i+1, false, []byte("a"))
				want = append(want, fmt.Sprintf("%d text #%d 0 |a", i, i+1))
				time.Sleep(time.Second)
			}
		})
	})
	files, _ := filepath.Glob(filepath.Join(dir, "*.gz"))
	if len(files) != 5 || !strings.HasPrefix(filepath.Base(files[1]), "toy-x-20000101T00010") {
		t.Errorf("files %q", files)
	}
	same(t, recorded(t, dir, "x"), want...)
	for i, path := range files {
		before := ""
		if i > 0 {
			before = filepath.Base(files[i-1])
		}
		r, err := OpenCapture(path)
		if err != nil || r.Continues != before {
			t.Fatalf("%s continues %q, want %q, error %v", path, r.Continues, before, err)
		}
		r.Close()
	}

	dir = t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		record(RecorderOptions{Dir: dir, Venue: "toy", RotateBytes: 1}, func(r *Recorder) {
			l := r.Line("x")
			for i := range uint64(3) {
				l.frame(int64(i), i+1, false, []byte("a"))
				time.Sleep(recorderFlushEvery + 1)
			}
		})
	})
	if files, _ = filepath.Glob(filepath.Join(dir, "*.gz")); len(files) != 3 {
		t.Errorf("files %q", files)
	}
	same(t, recorded(t, dir, "x"), want[:3]...)
}

func TestRecorderThatIsBehindDropsAndTells(t *testing.T) {
	dir := t.TempDir()
	var l *LineRecorder
	r := NewRecorder(RecorderOptions{Dir: dir, Venue: "toy", QueueBytes: 1000})
	l = r.Line("x")
	for i := range uint64(20) { // nobody takes: the queue fills
		l.frame(int64(i), i+1, false, make([]byte, 100))
	}
	kept := l.Stats.Lines.Load()
	if l.Stats.Dropped.Load() != 20-kept || kept == 0 || kept > 9 {
		t.Fatalf("kept %d, dropped %d", kept, l.Stats.Dropped.Load())
	}
	r.each((*LineRecorder).drain)
	l.frame(100, 21, false, []byte("after"))
	r.each((*LineRecorder).drain)
	r.each((*LineRecorder).finish)
	all := recorded(t, dir, "x")
	if len(all) != int(kept)+1 || all[kept] != "100 text #21 0 |after" {
		t.Errorf("%d records, last %q", len(all), all[len(all)-1])
	}
}

func TestRecorderWithoutADirectoryCountsItsLosses(t *testing.T) {
	dir := t.TempDir()
	blocked := filepath.Join(dir, "file")
	if err := os.WriteFile(blocked, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r := NewRecorder(RecorderOptions{Dir: filepath.Join(blocked, "sub"), Venue: "toy"})
	l := r.Line("x")
	l.frame(1, 1, false, []byte("a"))
	r.each((*LineRecorder).drain)
	if l.Stats.Dropped.Load() != 1 || l.Stats.Errors.Load() != 1 {
		t.Errorf("dropped %d, errors %d", l.Stats.Dropped.Load(), l.Stats.Errors.Load())
	}
}

// What a feed records tells the same as what it delivered.
func TestFeedIsRecorded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := quick(&toy{}, "A")
	o.Recorder = NewRecorder(RecorderOptions{Dir: dir, Venue: "toy"})
	s := &server{
		socket: func(n int, ws *websocket.Conn) {
			listen(ws, `{"sub":"A"}`)
			say(ws, "ack 0", fmt.Sprint("trade A ", n))
			if n == 1 {
				listen(ws, "")
			}
		},
		rest: func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 0 {
				http.Error(w, "wait", 503)
				return
			}
			io.WriteString(w, "book 5")
		},
	}
	s.start(t, &o)
	r := newRig(t, o)
	r.until("10.4 trade 0 1")
	r.feed.Resync(0, 1, 0)
	r.until("11.1 snapshot 0 5 epoch 1")
	r.stop()
	withoutTime := func(all []string) (cut []string) {
		for _, s := range all {
			_, s, _ = strings.Cut(s, " ")
			if what, heard, _ := strings.Cut(s, "|"); strings.HasPrefix(what, "close ") {
				reason, heard, _ := strings.Cut(heard, " ")
				if at, err := strconv.ParseInt(heard, 10, 64); err != nil || at <= 0 {
					t.Errorf("%q does not tell until when the socket was heard", s)
				}
				s = what + "|" + reason
			}
			cut = append(cut, s)
		}
		return cut
	}
	socket := []string{"open #0 0 wss://toy.example/stream?token=***|", `sent #0 0 |{"sub":"A"}`}
	same(t, withoutTime(recorded(t, dir, "public-0")), append(append(append(append([]string{}, socket...),
		"text #1 0 |ack 0", "text #2 0 |trade A 0", "close #0 0 |disconnect"), socket...),
		"text #3 0 |ack 0", "text #4 0 |trade A 1", "close #0 0 |stopped")...)
	same(t, withoutTime(recorded(t, dir, "rest")),
		"reststatus #0 503 https://api.toy.example/depth?symbol=A|wait ", "rest #1 0 https://api.toy.example/depth?symbol=A|book 5")
	if r.feed.Stats()[0].Recorder.Lines.Load() != 10 {
		t.Errorf("%d lines", r.feed.Stats()[0].Recorder.Lines.Load())
	}
}

func TestRecordZeroAllocs(t *testing.T) {
	l := NewRecorder(RecorderOptions{}).Line("x")
	payload := []byte(`{"e":"trade"}`)
	ordinal := uint64(0)
	zeroAllocs(t, func() {
		ordinal++
		l.frame(1, ordinal, false, payload)
		if len(l.queue) > 1000 {
			l.queue = l.queue[:0]
		}
	})
}

// FuzzRecord holds that any payload comes back as it went in, or, where a
// note cannot hold a line break, with spaces.
func FuzzRecord(f *testing.F) {
	f.Add([]byte("{}"), "https://h/p", uint64(1), false)
	f.Add([]byte("a\r\nb"), "https://h/p?token=x y\n", uint64(9), true)
	f.Fuzz(func(t *testing.T, payload []byte, url string, ordinal uint64, binary bool) {
		if url == "" || strings.ContainsAny(url, "\r\n") {
			t.Skip("no URL")
		}
		ordinal = ordinal >> 2 // a capture's numbers are signed
		l := NewRecorder(RecorderOptions{}).Line("x")
		l.frame(1, ordinal, binary, payload)
		l.rest(2, ordinal+1, url, payload)
		l.restStatus(3, 500, url, payload)
		l.frame(4, ordinal+2, binary, payload)
		shown := strings.ReplaceAll(maskURL(url), " ", "%20")
		tag := "text"
		if binary {
			tag = "binary"
		}
		note := strings.NewReplacer("\r", " ", "\n", " ").Replace(string(payload))
		r, all := readAll(t, bytes.NewReader(l.queue))
		if r.Malformed > 0 {
			t.Fatal(r.FirstMalformed)
		}
		same(t, all,
			fmt.Sprintf("1 %s #%d 0 |%s", tag, ordinal, payload),
			fmt.Sprintf("2 rest #%d 0 %s|%s", ordinal+1, shown, payload),
			fmt.Sprintf("3 reststatus #0 500 %s|%s", shown, note),
			fmt.Sprintf("4 %s #%d 0 |%s", tag, ordinal+2, payload))
	})
}

// A capture names the process and the number of its line, where both are told: so
// it is known which packets of a log it is of.
func TestCapturesNameTheirLog(t *testing.T) {
	t.Parallel()
	f := func(run int64, number int32, wantRun int64, wantNumber uint16) {
		t.Helper()
		dir := t.TempDir()
		record(RecorderOptions{Dir: dir, Venue: "toy", Run: run}, func(r *Recorder) {
			l := r.Line("public-0")
			if number >= 0 {
				l.number.Store(number)
			}
			l.frame(100, 1, false, []byte("x"))
		})
		files, err := filepath.Glob(filepath.Join(dir, "*.gz"))
		if err != nil || len(files) != 1 {
			t.Fatalf("%v, %v", files, err)
		}
		r, err := OpenCapture(files[0])
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if r.Run != wantRun || r.Number != wantNumber || r.Line != "public-0" {
			t.Errorf("run %d, number %d of line %s", r.Run, r.Number, r.Line)
		}
	}
	f(1786000000000000000, 7, 1786000000000000000, 7)
	f(1786000000000000000, 0, 1786000000000000000, 0)
	f(1786000000000000000, -1, 0, 0)
	f(0, 7, 0, 0)
}
