package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// What looks at a data_dir says what is missing when there is none or a flag
// cannot be read, and exits 2; it exits 3 when no process takes its command.
func TestDataDirUsageErrors(t *testing.T) {
	t.Parallel()
	const feed = "feeds:\n  - venue: binance-spot\n    symbols: [BTCUSDT]\n"
	without := file(t, "without.yaml", feed)
	idle := file(t, "idle.yaml", "data_dir: "+filepath.Join(t.TempDir(), "data")+"\n"+feed)
	exits := func(code int, arguments string, want ...string) {
		t.Helper()
		r := tickproc(t, strings.Fields(arguments)...)
		if r.code != code || r.stdout != "" {
			t.Errorf("%s: exit %d, standard output %q", arguments, r.code, r.stdout)
		}
		for _, part := range want {
			if !strings.Contains(r.stderr, part) {
				t.Errorf("%s: %q does not say %q", arguments, r.stderr, part)
			}
		}
	}
	f := func(arguments string, want ...string) { t.Helper(); exits(2, arguments, want...) }
	for _, command := range []string{"journal ls", "journal cat", "journal fsck", "journal gc", "snapshot --list", "deadletter ls", "deadletter replay"} {
		f(command+" -c "+without, "data_dir", "./data", "name the folder that a service has run on")
	}
	for _, command := range []string{"snapshot --list", "snapshot", "resend --since 30m", "deadletter ls"} {
		f(command, "-c FILE")
	}
	f("journal ls", "data_dir")
	exits(3, "snapshot -c "+idle, "no running process", "data_dir")
	exits(3, "resend --since 30m -c "+idle, "no running process", "data_dir")
	f("resend -c "+idle, "--since 30m")
	f("resend --since yesterday -c "+idle, "--since", "2026-01-02T15:04:05Z")
	f("journal cat --kind trades -c "+idle, "--kind", `"trades"`, "trade")
	f("journal cat --from yesterday -c "+idle, "--from", "2026-01-02T15:04:05Z")
	f("journal cat --to 5 -c "+idle, "--to", "2026-01-02T15:04:05Z")
	f("verify --data-dir ./data", "./data", "no spool")
	f("replay", "--from-journal")
	f("replay --from-journal x.gz", "leave the files out")
	f("replay --from-journal --venue okx -c "+idle, "--venue", "leave it out")
	f("replay --from 2026-01-02T15:04:05Z x.gz", "--from", "--from-journal")
	f("replay --from-journal --from 2026-01-02T15:04:05Z --to 2026-01-02T15:04:05Z -c "+idle, "--from", "--to", "nothing in between")
	f("replay --from-journal -c "+without, "data_dir", "./data")
	f("replay --from-journal --data-dir "+t.TempDir(), "has no log", "journal: enabled")
	f("reprocess", "-c FILE")
	f("reprocess -c "+idle, "--from")
	f("reprocess --from yesterday -c "+idle, "--from", "2026-01-02T15:04:05Z")
	f("reprocess --from 2026-01-02T15:04:05Z --sink kafka -c "+idle, "--sink", "none or questdb")
	f("reprocess --from 2026-01-02T15:04:05Z -c "+without, "data_dir", "./data")
	f("journal lst", "lst")
	f("deadletter lst", "lst")
}
