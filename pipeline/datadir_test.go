package pipeline

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"tickproc/engine"
	"tickproc/writer/questdb"
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
	for text, want := range map[string]string{`{"format": 9}`: "format 9", `{"form`: "run.json"} {
		if err := os.WriteFile(path+"/run.json", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := d.readLastRun(); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
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
