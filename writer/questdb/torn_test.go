package questdb

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"tickproc/internal/questdbserver"
)

// QuestDB is killed between two stores to the header of a symbol's index. What
// it leaves is told with what repairs it, rows wait meanwhile, and the repair as
// it is told loses none.
func TestTornIndexIsToldAndRepaired(t *testing.T) {
	t.Parallel()
	server := questdbserver.NewForTest(t)
	c := NewClient(server.URL(), Credentials{}, 20*time.Second)
	s := newSink(t, server.URL(), nil)
	trades(t, s, 3)
	closes(t, s)
	reads(t, c, "SELECT count() FROM trades", "3")
	w := NewWatch(Options{URL: server.URL(), Logger: quiet()}, Lease{})
	look := func() []Trouble {
		found, err := w.look(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	server.Kill()
	if err := server.TearIndex("trades", "venue"); err != nil {
		t.Fatal(err)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	const told = "QuestDB table trades cannot be opened: QuestDB was killed while it wrote the header of a symbol's index: " +
		"stop QuestDB and run, in its root directory: for f in db/trades~*/*.k; do dd if=$f of=$f bs=1 skip=1 seek=29 count=8 conv=notrunc; done"
	found := look()
	if len(found) != 1 || found[0].String() != told {
		t.Fatalf("told %v, want %s", found, told)
	}
	s = newSink(t, server.URL(), nil)
	trades(t, s, 5)
	until(t, "the table was not to be had", func() bool { return s.Stats.Tables[tableTrades].SchemaFails.Load() > 0 })

	server.Stop()
	_, command, _ := strings.Cut(found[0].Remedy, "root directory: ")
	repair := exec.Command("sh", "-c", command)
	repair.Dir = server.Dir()
	if out, err := repair.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	closes(t, s)
	reads(t, c, "SELECT count() FROM trades", "5")
	conserved(t, s)
	if found := look(); len(found) != 0 {
		t.Errorf("still told: %v", found)
	}
}
