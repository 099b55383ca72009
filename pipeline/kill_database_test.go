package pipeline

import (
	"flag"
	"testing"
)

var killDatabaseRounds = flag.Int("kill-database-rounds", 2, "how often QuestDB is killed, alone or with the real binary")

// QuestDB is killed at random instants while the real binary runs, and both at
// once, and comes back on the same files before or after the binary does. What
// it had acknowledged is there in the end, and nothing twice, also where it
// cannot open a table any more before that is repaired as the service says.
func TestDatabaseKilledAtAnyInstant(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	l := newKillLab(t, "kill-database-rounds", *killDatabaseRounds, fewVenues)
	restart := func() {
		t.Helper()
		if err := l.server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	l.start()
	recoveries, worked := 0, false
	for range *killDatabaseRounds {
		if l.random.IntN(3) > 0 { // else in what the last round left to be done
			l.awaitReady()
			worked = true
		}
		l.awhile()
		both := l.random.IntN(2) == 0
		l.server.Kill()
		if l.random.IntN(3) == 0 {
			if err := l.server.TearIndex("trades", "venue"); err == nil {
				t.Log("an index of trades is torn")
			}
		}
		if !both {
			l.awhile()
			restart()
			continue
		}
		l.kill()
		if worked { // else it may have been killed before there was a log
			recoveries, worked = recoveries+1, false
		}
		if l.random.IntN(2) == 0 {
			restart()
			l.start()
		} else {
			l.start() // on a database that is not there
			l.awhile()
			restart()
		}
	}
	l.awaitReady()
	l.concludes(recoveries)
}
