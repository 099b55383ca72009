package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"tickproc/engine"
	"tickproc/writer/questdb"
	"tickproc/writer/spool"
)

// A folder is used by one process; the next finds what the last one left.
func TestDataDir(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/data"
	d, err := openDataDir(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openDataDir(path); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("used twice: %v", err)
	}
	if r, err := d.readLastRun(); err != nil || r != (lastRun{}) {
		t.Errorf("a new folder: %+v, %v", r, err)
	}
	for _, want := range []lastRun{{Generation: 1, Shards: 2, Build: "b"}, {Generation: 2, Shards: 1}} {
		if err := d.writeLastRun(want); err != nil {
			t.Fatal(err)
		}
		want.Format = lastRunFormat
		if have, err := d.readLastRun(); err != nil || have != want {
			t.Errorf("%+v, want %+v: %v", have, want, err)
		}
	}
	d.close()
	if d, err = openDataDir(path); err != nil {
		t.Fatal(err)
	}
	defer d.close()
	f := func(text string, want ...string) {
		t.Helper()
		if err := os.WriteFile(path+"/run.json", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := d.readLastRun()
		for _, w := range want {
			if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), w) {
				t.Errorf("%q: %v does not say %q", text, err, w)
			}
		}
	}
	f(`{"format": 9}`, "run.json", "format 9")
	for _, text := range []string{"", `{"form`, "null", "[]", `{"format": 1}`, `{"format": 1, "generation": 1}`, `{"format": 1, "generation": 1, "shards": -1}`,
		`{"format": 1, "generation": 1, "shards": 1, "crc": "00000000"}`, `{"format": 1, "generation": 1, "shards": 1, "crc": 7}`} {
		f(text, "run.json is damaged", "remove it")
	}
}

// A bit that flips in the file, anywhere, is noticed, or changes nothing. An
// earlier version's has no checksum, and a later one's may have fields more.
func TestLastRunIsSealed(t *testing.T) {
	t.Parallel()
	d, err := openDataDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	want := lastRun{Format: lastRunFormat, Generation: 12, Shards: 3, Build: "<b>"}
	if err := d.writeLastRun(want); err != nil {
		t.Fatal(err)
	}
	name := d.join("run.json")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	put := func(text []byte) (lastRun, error) {
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return d.readLastRun()
	}
	for bit := range 8 * len(whole) {
		text := slices.Clone(whole)
		text[bit/8] ^= 1 << (bit % 8)
		if have, err := put(text); err == nil && have != want {
			t.Errorf("bit %d: %+v of\n%s", bit, have, text)
		}
	}
	for n := range len(whole) - 1 { // without its line break it is whole
		if have, err := put(whole[:n]); err == nil {
			t.Errorf("%d bytes: %+v", n, have)
		}
	}
	if have, err := put([]byte(`{"generation": 12, "format": 1, "shards": 3, "build": "<b>"}`)); err != nil || have != want {
		t.Errorf("without a checksum: %+v, %v", have, err)
	}
	more := map[string]any{"format": 1, "generation": 12, "shards": 3, "build": "<b>", "more": []int{1}}
	text, err := json.Marshal(more)
	if err != nil {
		t.Fatal(err)
	}
	if more["crc"], err = sumFields(text); err != nil {
		t.Fatal(err)
	}
	if text, err = json.MarshalIndent(more, "", "\t"); err != nil {
		t.Fatal(err)
	}
	if have, err := put(text); err != nil || have != want {
		t.Errorf("with a field more: %+v, %v", have, err)
	}
}

// Without run.json the snapshots say which logs are live, and, where there are
// none, the logs themselves: nothing that was logged is lost.
func TestStartWithoutRunJSON(t *testing.T) {
	t.Parallel()
	remove := func(l *durableLab) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(l.config.DataDir, "run.json"), []byte("{"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := l.start(); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "run.json is damaged") {
			t.Fatalf("a torn one: %v", err)
		}
		if err := os.Remove(filepath.Join(l.config.DataDir, "run.json")); err != nil {
			t.Fatal(err)
		}
	}
	l := newDurableLab(t)
	s := l.mustStart()
	l.record(s, tradesOf(l.list(s, "BTC-USDT"), 1, 10, 150))
	hash := fmt.Sprintf("state=%016x", s.drivers[0].Shard.StateHash())
	l.settled(s)
	s.abandon() // no snapshot was taken
	l.dir.close()
	remove(l)
	s = l.mustStart()
	l.saidAll(hash, "snapshot_position=0 ")
	l.stop(s)

	l.rows.marks[0] = spool.Mark{Epoch: 1, Position: 1 << 40} // beyond the log: a new generation
	s = l.mustStart()
	l.list(s, "ETH-USDT")
	hash = l.stop(s)
	remove(l)
	s = l.mustStart()
	l.saidAll(hash)
	if g := s.durable.run.Generation; g != 2 {
		t.Errorf("generation %d, want 2", g)
	}
	l.stop(s)
	if r, err := (&dataDir{path: l.config.DataDir, around: machine}).readLastRun(); err != nil || r.Generation != 2 || r.Shards != 1 {
		t.Errorf("%+v, %v", r, err)
	}

	remove(l)
	for _, state := range l.states() {
		if err := os.RemoveAll(filepath.Dir(state)); err != nil {
			t.Fatal(err)
		}
	}
	l.refused("begin with a snapshot") // and does not begin anew
}

// The configuration does not say how many logs there are.
func TestShardsWithoutRunJSON(t *testing.T) {
	t.Parallel()
	l := newDurableLab(t)
	l.config.Shards = AutoCount(3)
	l.mustStart().abandon()
	l.dir.close()
	if err := os.Remove(filepath.Join(l.config.DataDir, "run.json")); err != nil {
		t.Fatal(err)
	}
	r, err := (&dataDir{path: l.config.DataDir, around: machine}).readLastRun()
	if err != nil || r.Generation != 1 || r.Shards != 3 {
		t.Errorf("%+v, %v", r, err)
	}
}

// A log names options by their hash; they come back as they were, every field.
func TestOptionsAreKept(t *testing.T) {
	t.Parallel()
	d, err := openDataDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	c := DefaultConfig()
	c.Bars.Intervals = []Duration{Duration(3 * time.Second)}
	want := c.engineOptions()
	want.EnsureDefaults()
	for range 2 {
		if err := d.keepOptions(want); err != nil {
			t.Fatal(err)
		}
	}
	h := hashOptions(want)
	have, err := d.options(h)
	if err != nil || !reflect.DeepEqual(have, want) {
		t.Errorf("%v\nhave %+v\nwant %+v", err, have, want)
	}
	if other := hashOptions(engine.Options{}); other == h {
		t.Error("other options have the same hash")
	}
	if err := os.WriteFile(d.join("options", h.String()+".json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := d.options(h); err == nil {
		t.Error("damaged options were read")
	}
}

func TestBuildID(t *testing.T) {
	t.Parallel()
	if id, err := buildID(); err != nil || len(id) != 64 {
		t.Errorf("%q, %v", id, err)
	}
}

// A folder keeps its lease, and no other has the same.
func TestLeaseOfDataDir(t *testing.T) {
	t.Parallel()
	leaseOf := func(path string) (string, error) {
		d, err := openDataDir(path)
		if err != nil {
			t.Fatal(err)
		}
		defer d.close()
		return d.lease()
	}
	here, there := t.TempDir(), t.TempDir()
	first, err := leaseOf(here)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := leaseOf(here); err != nil || again != first {
		t.Errorf("%q, then %q, %v", first, again, err)
	}
	if other, err := leaseOf(there); err != nil || other == first {
		t.Errorf("another folder has %q, this one %q, %v", other, first, err)
	}
	if err := os.WriteFile(filepath.Join(here, questdb.LeaseFile), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := leaseOf(here); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("a damaged one: %v", err)
	}
}
