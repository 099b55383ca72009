package journal

import (
	"errors"
	"path/filepath"
	"testing"
)

// A caller that has a snapshot of a log is not given another one, and nothing is
// changed by asking: what is brought back afterwards is opened as it was.
func TestExpectedLog(t *testing.T) {
	t.Parallel()
	m, all := smallLog(t, 8, 4096)
	l, found := m.copy(false).open()
	_ = l
	identity := found.Identity

	open := func(c *machine, expect Identity, damage Policy) (*Log, Found, error) {
		o := c.options()
		o.Expect, o.OnDamage = expect, damage
		return Open(o)
	}
	refused := func(c *machine, expect Identity, what string) {
		t.Helper()
		before := c.disk.String()
		_, _, err := open(c, expect, Skip)
		var another *AnotherLogError
		if !errors.As(err, &another) || another.Want != expect {
			t.Fatalf("%s: %v", what, err)
		}
		if after := c.disk.String(); after != before {
			t.Errorf("%s: the refusal changed the disk from\n%s\nto\n%s", what, before, after)
		}
	}
	refused(m.copy(false), identity+1, "another identity")

	// All segments are blank, and the ring is gone.
	c := m.copy(true)
	names, err := listSegments(c.disk, c.o.Dir, 0)
	must(t, err)
	for _, s := range names {
		f, err := c.disk.OpenWrite(filepath.Join(c.o.Dir, s.name))
		must(t, err)
		_, err = f.WriteAt(make([]byte, s.bytes), 0)
		must(t, err)
		must(t, f.Sync())
	}
	refused(c, identity, "blank segments")

	// Both headers of the segments are damaged: whose they are is known all the same.
	c = m.copy(true)
	for _, s := range names {
		f, err := c.disk.OpenWrite(filepath.Join(c.o.Dir, s.name))
		must(t, err)
		_, err = f.WriteAt(make([]byte, headerUnits*unitBytes), 0)
		must(t, err)
		must(t, f.Sync())
	}
	l, _, err = open(c, identity, Skip)
	must(t, err)
	if have := readAll(t, l, 0); len(have) != len(all) {
		t.Errorf("%d batches of %d are read under damaged headers", len(have), len(all))
	}
}
