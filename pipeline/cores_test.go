package pipeline

import (
	"strings"
	"testing"

	"tickproc/internal/hardware"
)

// planned is a configuration's threads on a machine, or what is wrong.
func planned(t *testing.T, text string, cores int, of hardware.Cores) string {
	t.Helper()
	host := testHost()
	host.Cores, host.Machine = cores, &of
	c, err := Parse("t.yaml", []byte(text), host)
	if err != nil {
		return strings.TrimSpace(strings.Split(err.Error(), "\n")[0])
	}
	var out strings.Builder
	if err := c.threads(cores, &of).print(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func feedOf(more string) string {
	return "feeds:\n  - venue: binance-spot\n    symbols: [A]\n" + more
}

// Nonsense is refused, with what to do about it.
func TestThreadsThatWouldStarveAreRefused(t *testing.T) {
	t.Parallel()
	f := func(text string, cores int, of hardware.Cores, want string) {
		t.Helper()
		if have := planned(t, text, cores, of); have != want {
			t.Errorf("have %s\nwant %s", have, want)
		}
	}
	allowed := hardware.Cores{Allowed: []int{0, 1, 2, 3, 6}}
	f(feedOf("    read: {mode: busy, cores: [1]}\nshards: 1"), 2, hardware.Cores{},
		`t.yaml:2:3: feeds: 1 socket that is read busily needs 3 cores, and there are 2; use read.mode: netpoll for some`)
	f(feedOf("    read: {mode: busy, cores: [1, 2]}\nshards: 2\nwait: spin"), 5, allowed,
		`t.yaml:2:3: feeds: 2 sockets that are read busily and 2 shards that spin need 6 cores, and there are 5; use read.mode: netpoll for some, or wait: auto`)
	f(feedOf("    read: {mode: busy, cores: [5]}"), 5, allowed,
		`t.yaml:4:32: feeds[0].read.cores[0]: this process may not run on core 5; choose of 0-3,6, or widen its cpu set`)
	f(feedOf("    read: {mode: busy, cores: [1, 2, 3]}\nshards: 3\npin: true"), 5, allowed,
		`t.yaml:6:6: pin: 3 shards cannot have a core each: sockets take all but 2 of 5; leave pin out, or use fewer shards or cores`)
	f(minimal+"shards: 6\npin: true", 8, allowed,
		`t.yaml:3:6: pin: 6 shards cannot have a core each of 5; leave pin out, or use fewer shards`)
	f(minimal+"shards: 1\nwait: spin", 8, hardware.Cores{Quota: 1.5},
		`t.yaml:3:7: wait: 1.5 cores of time is all that this container is given, and spin with 1 shard would use up 1 core of it: then the kernel stops every thread until the next period; raise the container's cpu limit, or give it a cpu set instead; or use auto or park, or fewer shards`)
}

// The plan says who is where, and what could be better.
func TestThreadsThatArePlanned(t *testing.T) {
	t.Parallel()
	f := func(text string, cores int, of hardware.Cores, want string) {
		t.Helper()
		if have := planned(t, text, cores, of); have != want {
			t.Errorf("have\n%s\nwant\n%s", have, want)
		}
	}
	f(minimal+"shards: 1", 2, hardware.Cores{}, `# threads: 2 goroutines at once
THREAD      CORE  WITHOUT WORK
shard 0     any   spins for some microseconds where a core is free, then sleeps
all others  any   sleep
`)
	f(feedOf("    read: {mode: busy, cores: [6], spin: 2s}\nshards: 2\nwait: spin\npin: true\nruntime: {gogc: off}"), 8,
		hardware.Cores{Allowed: []int{0, 1, 2, 3, 5, 6, 7}, Isolated: []int{5, 6}, NoHz: []int{6}, Quota: 6.5},
		`# threads: 8 goroutines at once, on cores 0-3,5-7, of which 5-6 are isolated, a quota of 6.5 cores of time
THREAD                  CORE  WITHOUT WORK
binance-spot: socket 1  6     spins up to 2s, then sleeps
shard 0                 5     spins, and never gives its core up
shard 1                 0     spins, and never gives its core up
all others              any   sleep
  others may run on core 0, too: boot with isolcpus=0 to keep them away
  the timer interrupts core 0,5: boot with nohz_full=0,5 to quieten it
  this container has a quota of 6.5 cores of time: a cpu set does not stop threads that spin, a quota may
  runtime.gogc is off and there is no runtime.memory_limit: memory grows until the system ends the process
`)
	f(minimal+"shards: 1\nwait: spin", 8, hardware.Cores{Allowed: []int{0, 1}}, `# threads: 8 goroutines at once, on cores 0-1
THREAD      CORE  WITHOUT WORK
shard 0     any   spins, and never gives its core up
all others  any   sleep
  shards spin and are not pinned: the scheduler may move them, pin: true keeps them
`)
}

func TestRanges(t *testing.T) {
	t.Parallel()
	for want, numbers := range map[string][]int{"": nil, "7": {7}, "0-3,6,8-9": {0, 1, 2, 3, 6, 8, 9}} {
		if have := ranges(numbers); have != want {
			t.Errorf("%v: %s", numbers, have)
		}
	}
}

// check shows the plan of threads between the configuration and the sockets.
func TestCheckPrintsThreads(t *testing.T) {
	t.Parallel()
	c, err := Parse("t.yaml", []byte(minimal+"shards: 1\nruntime: {gogc: off}"), testHost())
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := Check(t.Context(), &out, CheckOptions{Config: c, Machine: &hardware.Cores{Allowed: []int{0, 1}}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# threads: ", "on cores 0-1\n", "shard 0     any   spins for some microseconds", "runtime.gogc is off and there is no runtime.memory_limit", "# sockets\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
