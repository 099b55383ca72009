package questdb

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tickproc/internal/questdbserver"
)

// leaseLab has writers that look in turns, each once SQL sees what the others
// wrote.
type leaseLab struct {
	t      *testing.T
	server *questdbserver.Server
	client *Client
	start  time.Time // of all looks: nothing stands for long
}

// On one server, and one after the other: the table has one name.
func TestLeases(t *testing.T) {
	t.Parallel()
	l := newLeaseLab(t)
	for _, x := range []struct {
		name string
		test func(l *leaseLab)
	}{{"two writers", testTwoWriters}, {"restart", testRestartAndCopy}, {"of somebody else", testForeignTable}, {"as it runs", testWatchesRun},
		{"trouble", testLeasesThroughTrouble}} {
		t.Run(x.name, func(t *testing.T) {
			l.t = t
			query(t, l.client, "DROP TABLE IF EXISTS leases")
			x.test(l)
		})
	}
}

func newLeaseLab(t *testing.T) *leaseLab {
	server := questdbserver.NewForTest(t, "QDB_DEV_MODE_ENABLED=true")
	l := &leaseLab{t, server, NewClient(server.URL(), Credentials{}, 0), time.Now()}
	tables, err := New(Options{URL: server.URL(), Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	if err := tables.CheckSchema(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *leaseLab) writer(id string) *Watch {
	return NewWatch(Options{URL: l.server.URL(), Logger: quiet()}, Lease{ID: id, Instance: "of " + id})
}

// look is one look of w, which must have the troubles.
func (l *leaseLab) look(w *Watch, want ...string) {
	l.t.Helper()
	if err := l.client.Settle(l.t.Context(), "leases"); err != nil {
		l.t.Fatal(err)
	}
	l.lookNow(w, want...)
}

func (l *leaseLab) lookNow(w *Watch, want ...string) {
	l.t.Helper()
	found, err := w.look(l.t.Context(), l.start)
	if err != nil {
		l.t.Fatal(err)
	}
	got := make([]string, len(found))
	for i := range found {
		got[i] = found[i].String()
	}
	if len(got) != len(want) || slices.ContainsFunc(want, func(part string) bool {
		return !slices.ContainsFunc(got, func(text string) bool { return strings.Contains(text, part) })
	}) {
		l.t.Errorf("%s tells %q, want %q", w.lease.who.ID, got, want)
	}
}

// Two writers of the same tables tell of each other, until one gives its lease
// back, or is killed and stands still.
func testTwoWriters(l *leaseLab) {
	a, b := l.writer("a"), l.writer("b")
	l.look(a)
	l.look(b) // what they find may be of one that is no more
	l.look(a)
	l.look(b, `second process that writes our tables: instance "of a"`)
	l.look(a, `its lease is b`)
	if a.Others() != 1 || b.Others() != 1 {
		l.t.Errorf("others: %d, %d", a.Others(), b.Others())
	}

	ended, cancel := context.WithCancel(l.t.Context())
	cancel()
	b.Run(ended) // gives back
	l.look(a)

	b = l.writer("b") // again, in the same data_dir
	l.look(b)
	for range leaseMissesMax {
		l.look(a, "its lease is b")
	}
	l.look(a) // b was killed

	c := l.writer("c") // begins beside what b left
	l.look(c)
	l.look(a)
	l.look(c, "its lease is a")
	l.look(a, "its lease is c")
	if r := query(l.t, l.client, "SELECT count() FROM leases"); fmt.Sprint(r) != "[[3]]" {
		l.t.Errorf("%v rows of three writers", r)
	}
}

// One that was killed and started again is no second one. A copy of its data_dir
// is.
func testRestartAndCopy(l *leaseLab) {
	before, after := l.writer("a"), l.writer("a")
	l.look(before)
	l.look(before)
	for range 5 {
		l.look(after)
	}
	l.look(before)
	l.look(after)
	l.look(before, "a copy of our data_dir")
	l.look(after, "a copy of our data_dir")
	l.look(before, "a copy of our data_dir")
	for range leaseMissesMax {
		l.look(after, "a copy of our data_dir")
	}
	l.look(after)
	l.look(after)
}

// What QuestDB does to the table makes nobody appear or vanish: it is suspended,
// dropped, the server is killed and started again, a table of years ago comes back.
func testLeasesThroughTrouble(l *leaseLab) {
	a, b := l.writer("a"), l.writer("b")
	l.look(a)
	l.look(b)
	l.look(a)
	l.look(b, "its lease is a")
	l.look(a, "its lease is b")

	if err := l.client.Settle(l.t.Context(), "leases"); err != nil {
		l.t.Fatal(err)
	}
	query(l.t, l.client, "ALTER TABLE leases SUSPEND WAL")
	for range 2 * leaseMissesMax {
		l.lookNow(b, "leases is suspended", "its lease is a")
	}
	query(l.t, l.client, "ALTER TABLE leases RESUME WAL")
	l.look(a, "its lease is b")
	l.look(b, "its lease is a")

	query(l.t, l.client, "DROP TABLE leases")
	l.lookNow(a, "its lease is b")
	l.look(a, "its lease is b")
	l.look(b, "its lease is a")
	l.look(a, "its lease is b")

	if err := l.client.Settle(l.t.Context(), "leases"); err != nil {
		l.t.Fatal(err)
	}
	l.server.Kill()
	for range 2 * leaseMissesMax {
		if _, err := a.look(l.t.Context(), l.start); err == nil {
			l.t.Fatal("a server that is away answers")
		}
	}
	if err := l.server.Restart(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	l.look(b, "its lease is a")
	l.look(a, "its lease is b")

	query(l.t, l.client, "INSERT INTO leases (ts, id, run, beat, held, seen) VALUES (0, 'old', 'old', 1, true, '2020-01-01T00:00:00Z')")
	l.look(b, "its lease is a")
	l.look(a, "its lease is b")
}

// A table of that name that is somebody else's is told, and left alone.
func testForeignTable(l *leaseLab) {
	query(l.t, l.client, "CREATE TABLE leases (ts TIMESTAMP_NS, flat VARCHAR) TIMESTAMP(ts) PARTITION BY DAY WAL")
	a := l.writer("a")
	for range 2 {
		l.look(a, "leases does not fit, so that a second instance is not noticed")
	}
	query(l.t, l.client, "DROP TABLE leases")
	l.look(a)
}

// As the service runs it: both tell, in the log as well, and when one has ended
// the other says so.
func testWatchesRun(l *leaseLab) {
	var (
		running sync.WaitGroup
		logs    [2]lockedText
		watches [2]*Watch
		stop    [2]context.CancelFunc
	)
	for i := range watches {
		watches[i] = NewWatch(Options{URL: l.server.URL(), Logger: slog.New(slog.NewTextHandler(&logs[i], nil))}, Lease{ID: fmt.Sprint("lease", i)})
		var ctx context.Context
		ctx, stop[i] = context.WithCancel(l.t.Context())
		running.Go(func() { watches[i].Run(ctx) })
	}
	defer func() { stop[1](); running.Wait() }()
	until(l.t, "both tell", func() bool { return len(watches[0].Troubles()) == 1 && len(watches[1].Troubles()) == 1 })
	stop[0]()
	until(l.t, "the other one sees that it is alone", func() bool { return len(watches[1].Troubles()) == 0 && watches[1].Others() == 0 })
	for _, said := range []string{`attention" table=leases problem="tells of a second process`, `no longer so" table=leases problem="tells of a second process`} {
		if text := logs[1].String(); !strings.Contains(text, said) {
			l.t.Errorf("%s is not in\n%s", said, text)
		}
	}
}

type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
