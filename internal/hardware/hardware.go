// Package hardware is what the operating system gives and takes: cores that
// threads may run on, the limits of a container, pages. What a system does not
// tell is the zero value, and what it cannot do is an error.
package hardware

import (
	"errors"
	"strconv"
	"strings"
)

// ErrUnsupported is the answer of systems other than Linux.
var ErrUnsupported = errors.New("not possible on this operating system")

// Cores are those that this process may use.
type Cores struct {
	// Allowed are the numbers of the cores that its threads may run on, ascending;
	// nil = nobody knows.
	Allowed []int
	// Isolated are those that the kernel leaves to whoever is pinned there
	// (isolcpus), NoHz those without a timer tick (nohz_full).
	Isolated, NoHz []int
	// Quota is how many cores' time a container is given; 0 = there is no quota.
	Quota float64
}

// list reads the kernel's form of a set of numbers, 0-3,7.
func list(text string) (all []int) {
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		from, to, isRange := strings.Cut(part, "-")
		low, err := strconv.Atoi(from)
		if err != nil {
			continue
		}
		high := low
		if isRange {
			if high, err = strconv.Atoi(to); err != nil {
				continue
			}
		}
		for n := low; n <= high && high-low < 1<<16; n++ {
			all = append(all, n)
		}
	}
	return all
}

// quota reads cgroup v2's cpu.max: "max 100000" or "150000 100000".
func quota(text string) float64 {
	fields := strings.Fields(text)
	if len(fields) != 2 {
		return 0
	}
	given, err := strconv.ParseFloat(fields[0], 64)
	period, err2 := strconv.ParseFloat(fields[1], 64)
	if err != nil || err2 != nil || given <= 0 || period <= 0 {
		return 0
	}
	return given / period
}

// memory reads memory.max in bytes; 0 = no limit.
func memory(text string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n <= 0 || n > 1<<60 { // cgroup v1 says none by a huge number
		return 0
	}
	return n
}
