package questdb

import (
	"slices"
	"testing"
	"time"

	"tickproc/internal/questdbserver"
)

// QuestDB is killed while it creates tables. Those that it cannot use are made
// again, the others are left alone.
func TestHalfMadeTablesAreMadeAgain(t *testing.T) {
	t.Parallel()
	server := questdbserver.NewForTest(t)
	c := NewClient(server.URL(), Credentials{}, 20*time.Second)
	s := newSink(t, server.URL(), nil)
	if err := s.CheckSchema(t.Context()); err != nil {
		t.Fatal(err)
	}
	ids := func() map[string]int64 {
		all := map[string]int64{}
		for _, row := range query(t, c, "SELECT table_name, id FROM tables()") {
			r := Result{Rows: [][]any{row}}
			all[r.Text(0, 0)] = r.Int(0, 1)
		}
		return all
	}
	before := ids()
	server.Kill()
	halfMade := []string{"trades", "bars", "gaps"}
	for i, cut := range []struct {
		file   string
		length int
	}{{"_txnlog", 0}, {"_meta", 4096}, {"_meta", 0}} {
		if err := server.CutCreation(halfMade[i], cut.file, cut.length); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, table := range halfMade {
		if _, err := c.Query(t.Context(), "INSERT INTO "+table+" SELECT * FROM "+table+" LIMIT 0"); err == nil {
			t.Errorf("%s takes rows: this test shows nothing", table)
		}
	}
	if err := s.CheckSchema(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := ids()
	for table, id := range before {
		if again := after[table] != id; again != slices.Contains(halfMade, table) {
			t.Errorf("%s was made again: %v", table, again)
		}
	}
	trades(t, s, 3)
	closes(t, s)
	conserved(t, s)
	reads(t, c, "SELECT count() FROM trades", "3")
}
