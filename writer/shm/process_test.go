package shm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"tickproc/writer/shm/layout"
	"tickproc/writer/shm/reader"
)

// The test binary is also the other process: SHM_TEST says which.
func TestMain(m *testing.M) {
	switch dir := os.Getenv("SHM_DIR"); os.Getenv("SHM_TEST") {
	case "":
		os.Exit(m.Run())
	case "writer":
		os.Exit(writeForEver(dir))
	case "words":
		os.Exit(printWords(dir))
	}
}

// writeForEver publishes trades until it is killed.
func writeForEver(dir string) int {
	w, err := Create(Options{Dir: dir, RingBytes: 1, Instruments: 8})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	bids, asks := sides(nil, nil)
	for n := uint64(1); ; n++ {
		w.Ring(0).Rows(trade(uint32(n%5), n))
		w.Ring(0).Image(&Standing{Instrument: uint32(n % 5), LastID: n}, bids, asks)
		w.Ring(0).End()
		w.Beat()
	}
}

// printWords is what shmcat --words and tickproc_shm.py --words do.
func printWords(dir string) int {
	r, err := reader.Open(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	fmt.Fprintln(os.Stderr, "following epoch", r.Epoch())
	var m reader.Message
	for {
		ended, moved := r.Alive(), false
		for i := range r.Rings() {
			for r.Ring(i).Next(&m) {
				moved = true
				fmt.Println(wordsLine(i, &m))
			}
		}
		switch {
		case moved:
		case errors.Is(ended, reader.ErrStopped):
			return 0
		case ended != nil:
			return 3
		default:
			time.Sleep(time.Millisecond) // another process: nothing here waits for it
		}
	}
}

func wordsLine(ring int, m *reader.Message) string {
	var b strings.Builder
	fmt.Fprint(&b, ring, " ", m.Position)
	for _, w := range m.Words() {
		fmt.Fprintf(&b, " %x", w)
	}
	return b.String()
}

// process is another one.
type process struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr output
	done           chan struct{}
}

type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func run(t *testing.T, env []string, name string, arguments ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(name, arguments...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() { p.kill() })
	return p
}

// myself runs this binary as another process.
func myself(t *testing.T, what, dir string) *process {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return run(t, []string{"SHM_TEST=" + what, "SHM_DIR=" + dir}, binary)
}

func (p *process) kill() {
	select {
	case <-p.done:
	default:
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// wait returns the exit code.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(2 * time.Minute):
		p.t.Fatalf("%v does not end: %s", p.cmd.Args, p.stderr.String())
	}
	return p.cmd.ProcessState.ExitCode()
}

// await polls until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline, poll := time.After(2*time.Minute), time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for !so() {
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// A writer in another process is killed in the middle of whatever it does. Its
// readers go on with what there is, see that it is silent, and then that another
// has begun; a late one finds the new epoch alone.
func TestWriterIsKilled(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	var epochs []uint64
	for round := range 5 {
		p := myself(t, "writer", dir)
		var r *reader.Reader
		await(t, "the writer is there", func() bool {
			var err error
			if r, err = reader.Open(dir); err != nil && !errors.Is(err, reader.ErrNone) && !errors.Is(err, reader.ErrReplaced) && !errors.Is(err, reader.ErrStopped) {
				t.Fatalf("%v: %s", err, p.stderr.String())
			}
			if err == nil && round > 0 && r.Epoch() == epochs[round-1] { // the killed one's
				r.Close()
				return false
			}
			return err == nil
		})
		epochs = append(epochs, r.Epoch())
		if round > 0 && epochs[round] <= epochs[round-1] {
			t.Fatalf("epoch %d after %d", epochs[round], epochs[round-1])
		}
		ring := r.Ring(0)
		var m reader.Message
		read := func() (n int) {
			for ring.Next(&m) {
				id := m.Trade().ID.Lo
				if m.Kind() != layout.KindTrade || !same(&m, trade(uint32(id%5), id)) {
					t.Fatalf("a message that nobody wrote: %x", m.Words())
				}
				if n++; n > 1000 {
					break // it writes faster than this reads
				}
			}
			return n
		}
		await(t, "something came", func() bool { return read() > 500 })
		if err := r.AliveAt(r.Heartbeat()); err != nil {
			t.Errorf("while it lives: %v", err)
		}
		p.kill()
		for read() > 0 {
		}
		var x reader.Image
		for id := range uint32(5) {
			if r.Image(id, &x) && (x.Instrument != id || x.LastID%5 != uint64(id) || x.Trade.ID.Lo != x.LastID) {
				t.Errorf("a torn image: %+v", x)
			}
		}
		if read() > 0 {
			t.Error("a dead writer wrote")
		}
		beat := r.Heartbeat()
		if r.AliveAt(beat.Add(time.Duration(layout.HeartbeatStale))) != nil || !errors.Is(r.AliveAt(beat.Add(time.Duration(layout.HeartbeatStale)+1)), reader.ErrSilent) {
			t.Error("the silence is not noticed, or too soon")
		}
		next, err := Create(Options{Dir: dir, RingBytes: 1, Instruments: 8})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Alive(); !errors.Is(err, reader.ErrReplaced) {
			t.Errorf("after the next start: %v", err)
		}
		if read() > 0 {
			t.Error("the next writer wrote into the ring of the one before")
		}
		late := open(t, dir)
		if late.Epoch() <= r.Epoch() || late.Alive() != nil || late.Ring(0).Next(&m) || late.Image(0, &x) {
			t.Error("the next epoch is not new")
		}
		if err := next.Close(); err != nil {
			t.Error(err)
		}
		if err := late.Alive(); !errors.Is(err, reader.ErrStopped) {
			t.Errorf("after the end: %v", err)
		}
		if _, err := reader.Open(dir); !errors.Is(err, reader.ErrStopped) {
			t.Errorf("opened after the end: %v", err)
		}
		if !late.Ring(0).Next(&m) || m.Kind() != layout.KindEnd {
			t.Error("the end is no message")
		}
		r.Close()
	}
}

// Readers that die leave nothing behind that the writer could notice.
func TestReaderIsKilled(t *testing.T) {
	t.Parallel()
	w := small(t, Options{})
	for range 3 {
		p := myself(t, "words", w.Dir())
		await(t, "it follows", func() bool { return strings.Contains(p.stderr.String(), "following") })
		n := uint64(0)
		await(t, "it reads", func() bool {
			n++
			w.Ring(0).Rows(trade(1, n))
			w.Ring(0).End()
			w.Beat()
			return p.stdout.String() != ""
		})
		p.kill()
	}
	w.Ring(0).Rows(trade(1, 1))
}
