package pipeline

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"tickproc/internal/hardware"
)

// threads is which threads have a core to themselves, and what is wrong, or
// could be better, about that.
type threads struct {
	list   []thread
	cores  int
	of     hardware.Cores
	faults Errors
	advice []string
}

// thread is one that a configuration speaks of.
type thread struct {
	name  string
	core  int // noCore = any
	waits string
}

const noCore = -1

// waitTexts say what the values of wait do.
var waitTexts = map[string]string{
	"auto": "spins for some microseconds where a core is free, then sleeps", "spin": "spins, and never gives its core up",
	"yield": "lets others run, and looks again", "park": "sleeps",
}

// threads plans them for a machine on which so many goroutines run at once.
func (c *Config) threads(cores int, of *hardware.Cores) *threads {
	t := &threads{cores: cores, of: *of}
	shards := c.ShardCount(cores)
	sockets := t.sockets(c)
	spinners := sockets
	if c.Wait == "spin" {
		spinners += shards
	}
	t.spinning(c, shards, sockets, spinners)
	t.pinShards(c, shards)
	t.advise(c, spinners)
	return t
}

func (t *threads) fault(path, reason, remedy string) {
	t.faults = append(t.faults, Fault{Path: path, Reason: reason, Remedy: remedy})
}

// sockets plans those that are read busily, and returns how many they are.
func (t *threads) sockets(c *Config) (count int) {
	first := map[Core]string{}
	for i := range c.Feeds {
		f := &c.Feeds[i]
		path := fmt.Sprintf("feeds[%d].read", i)
		busy := f.Read.Mode == "busy"
		if !busy && f.Read.Spin > 0 {
			t.fault(path+".spin", "is of mode busy: the poller waits and never spins", "add mode: busy and cores, or remove it")
		}
		switch {
		case busy && len(f.Read.Cores) == 0:
			t.fault(path+".mode", "busy needs a core for each socket", "add cores: [2], or use netpoll")
		case !busy && len(f.Read.Cores) > 0:
			t.fault(path+".cores", "are of mode busy", "add mode: busy, or remove them")
			continue
		}
		for j, core := range f.Read.Cores {
			at := fmt.Sprintf("%s.cores[%d]", path, j)
			switch {
			case first[core] != "":
				t.fault(at, fmt.Sprintf("core %v is taken by %s", core, first[core]), "a thread that spins needs a core to itself: choose another")
			case t.of.Allowed != nil && !slices.Contains(t.of.Allowed, core.Number()):
				t.fault(at, fmt.Sprintf("this process may not run on core %v", core), fmt.Sprintf("choose of %s, or widen its cpu set", ranges(t.of.Allowed)))
			}
			first[core] = at
			count++
			t.list = append(t.list, thread{fmt.Sprintf("%s: socket %d", f.Venue, j+1), core.Number(), fmt.Sprintf("spins up to %v, then sleeps", f.Read.Spin)})
		}
	}
	return count
}

// spinning refuses to spin where that starves what is waited for.
func (t *threads) spinning(c *Config, shards, sockets, spinners int) {
	if spinners == 0 {
		return
	}
	path, who := "wait", "spin with "+plural(shards, "shard")
	remedy := "use auto or park, or fewer shards"
	if sockets > 0 {
		path, who = "feeds", plural(sockets, "socket")+" that "+map[bool]string{true: "is", false: "are"}[sockets == 1]+" read busily"
		remedy = "use read.mode: netpoll for some"
		if c.Wait == "spin" {
			who += " and " + plural(shards, "shard") + " that spin"
			remedy += ", or wait: auto"
		}
	}
	verb := "needs"
	if sockets > 1 || sockets > 0 && c.Wait == "spin" {
		verb = "need"
	}
	// The others, the garbage collector among them, need two more.
	if need := spinners + 2; t.cores < need {
		t.fault(path, fmt.Sprintf("%s %s %d cores, and there are %d", who, verb, need, t.cores), remedy)
	}
	if q := t.of.Quota; q > 0 && q < float64(spinners)+1 {
		t.fault(path, fmt.Sprintf("%s of time is all that this container is given, and %s would use up %s of it: then the kernel stops every thread until the next period",
			coresOf(q), who, coresOf(float64(spinners))), "raise the container's cpu limit, or give it a cpu set instead; or "+remedy)
	}
}

func coresOf(n float64) string {
	text := strconv.FormatFloat(n, 'g', 3, 64)
	if n == 1 {
		return text + " core"
	}
	return text + " cores"
}

// pinShards gives each shard a core that nobody else has, isolated ones first.
func (t *threads) pinShards(c *Config, shards int) {
	var free []int
	if c.Pin {
		candidates := t.of.Allowed
		if candidates == nil {
			for n := range t.cores {
				candidates = append(candidates, n)
			}
		}
		for _, isolated := range []bool{true, false} {
			for _, n := range candidates {
				if slices.Contains(t.of.Isolated, n) == isolated && !slices.ContainsFunc(t.list, func(x thread) bool { return x.core == n }) {
					free = append(free, n)
				}
			}
		}
		switch {
		case shards > min(t.cores, len(candidates)):
			t.fault("pin", fmt.Sprintf("%s cannot have a core each of %d", plural(shards, "shard"), min(t.cores, len(candidates))), "leave pin out, or use fewer shards")
		case shards > len(free):
			t.fault("pin", fmt.Sprintf("%s cannot have a core each: sockets take all but %d of %d", plural(shards, "shard"), len(free), len(candidates)),
				"leave pin out, or use fewer shards or cores")
		}
	}
	for i := range shards {
		core := noCore
		if i < len(free) {
			core = free[i]
		}
		t.list = append(t.list, thread{fmt.Sprintf("shard %d", i), core, waitTexts[c.Wait]})
	}
}

// shardCore is the core of a shard's thread.
func (t *threads) shardCore(shard int) int {
	if i := slices.IndexFunc(t.list, func(x thread) bool { return x.name == fmt.Sprintf("shard %d", shard) }); i >= 0 {
		return t.list[i].core
	}
	return noCore
}

// advise says what is allowed and could be better.
func (t *threads) advise(c *Config, spinners int) {
	var shared, ticking []int
	for _, x := range t.list {
		if x.core == noCore {
			continue
		}
		if !slices.Contains(t.of.Isolated, x.core) {
			shared = append(shared, x.core)
		}
		if !slices.Contains(t.of.NoHz, x.core) {
			ticking = append(ticking, x.core)
		}
	}
	slices.Sort(shared)
	slices.Sort(ticking)
	note := func(format string, arguments ...any) { t.advice = append(t.advice, fmt.Sprintf(format, arguments...)) }
	if len(shared) > 0 && t.of.Allowed != nil {
		note("others may run on core %s, too: boot with isolcpus=%[1]s to keep them away", ranges(shared))
	}
	if len(ticking) > 0 && t.of.Allowed != nil && spinners > 0 {
		note("the timer interrupts core %s: boot with nohz_full=%[1]s to quieten it", ranges(ticking))
	}
	if c.Wait == "spin" && !c.Pin {
		note("shards spin and are not pinned: the scheduler may move them, pin: true keeps them")
	}
	if t.of.Quota > 0 && spinners > 0 {
		note("this container has a quota of %s of time: a cpu set does not stop threads that spin, a quota may", coresOf(t.of.Quota))
	}
	if r := &c.Runtime; r.GOGC == GOGCOff && r.MemoryLimit == 0 {
		note("runtime.gogc is off and there is no runtime.memory_limit: memory grows until the system ends the process")
	}
}

// print is the plan for people.
func (t *threads) print(w io.Writer) error {
	fmt.Fprintf(w, "# threads: %s at once", plural(t.cores, "goroutine"))
	if t.of.Allowed != nil {
		fmt.Fprintf(w, ", on cores %s", ranges(t.of.Allowed))
	}
	if len(t.of.Isolated) > 0 {
		fmt.Fprintf(w, ", of which %s are isolated", ranges(t.of.Isolated))
	}
	if t.of.Quota > 0 {
		fmt.Fprintf(w, ", a quota of %s of time", coresOf(t.of.Quota))
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "THREAD\tCORE\tWITHOUT WORK")
	for _, x := range t.list {
		core := "any"
		if x.core != noCore {
			core = strconv.Itoa(x.core)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", x.name, core, x.waits)
	}
	fmt.Fprintf(table, "all others\tany\tsleep\n")
	if err := table.Flush(); err != nil {
		return err
	}
	for _, line := range t.advice {
		fmt.Fprintln(w, "  "+line)
	}
	return nil
}

// ranges writes ascending numbers as the kernel does: 0-3,7.
func ranges(numbers []int) string {
	var parts []string
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] <= numbers[j]+1 {
			j++
		}
		if numbers[i] == numbers[j] {
			parts = append(parts, strconv.Itoa(numbers[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", numbers[i], numbers[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ",")
}
