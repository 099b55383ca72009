package pipeline

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var killUpgradeRounds = flag.Int("kill-upgrade-rounds", 1, "how often the real binary is killed and another build goes on")

// buildWithoutWindows builds the real binary of sources that write no row of
// windows: to it the real one is a build that has one more kind of row.
func buildWithoutWindows(t *testing.T) string {
	t.Helper()
	source, err := filepath.Abs(filepath.Join("..", "indicators", "window.go"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	const writes = "\trows, u := tick.NewRow(out.Rows, tick.RowWindow)\n"
	if strings.Count(string(text), writes) != 1 {
		t.Fatalf("%s does not write rows as it did", source)
	}
	dir := t.TempDir()
	changed := filepath.Join(dir, "window.go")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(text), writes, "\tif out != nil {\n\t\treturn\n\t}\n"+writes, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{source: changed}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	return buildBinary(t, "-overlay", file)
}

// A killed binary is replaced by a build that writes one more kind of row, and
// back, again and again. What it makes of the log that the other one wrote has
// the new kind, from the last snapshot on, here from the beginning; the other
// rows, which are sent again with it, are there once.
func TestKilledAndUpgraded(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	l := newKillLab(t, "kill-upgrade-rounds", *killUpgradeRounds, fewVenues)
	builds := []string{buildWithoutWindows(t), l.binary}
	rows := func(table, where string) int64 {
		r, err := l.client.Query(t.Context(), "SELECT count() FROM "+table+" WHERE "+where)
		if err != nil {
			return -1
		}
		return r.Int(0, 0)
	}
	l.binary, l.settings.Snapshots.Every = builds[0], Duration(24*time.Hour)
	l.configure()
	l.start()
	await(t, "bars are there", 90*time.Second, func() bool { return rows("bars", "final AND interval = '1s'") > 20 })
	l.kill()
	r, err := l.client.Query(t.Context(), "SELECT max(ts) FROM bars WHERE final AND interval = '1s'")
	if err != nil {
		t.Fatal(err)
	}
	old := fmt.Sprintf("ts <= '%s'", r.Text(0, 0))
	if n := rows("windows", "true"); n != 0 {
		t.Fatalf("%d rows of a kind that this build does not have", n)
	}
	l.binary, l.settings.Snapshots.Every = builds[1], Duration(2*time.Second)
	l.configure()
	l.start()
	await(t, "the old log has given rows of the new kind", 90*time.Second, func() bool { return rows("windows", old+" AND name <> 'vwap_session'") > 0 })
	for round := range *killUpgradeRounds {
		if l.random.IntN(2) == 0 {
			l.awaitReady()
		}
		l.awhile()
		l.kill()
		l.binary = builds[round%2]
		l.start()
	}
	if l.binary != builds[1] {
		l.awhile()
		l.kill()
		l.binary = builds[1]
		l.start()
	}
	l.awaitReady()
	l.concludes(*killUpgradeRounds / 2)
	log, err := os.ReadFile(l.log)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(log), "panic") {
		t.Error("a build did not bear the other's state")
	}
}
