package bench

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Machine is where a report was made. What the system does not tell is "" or 0.
type Machine struct {
	CPU        string  `json:"cpu"`
	Cores      int     `json:"cores"`      // of the machine
	MaxProcs   int     `json:"gomaxprocs"` // that Go uses
	Governor   string  `json:"governor"`
	OS         string  `json:"os"`
	Kernel     string  `json:"kernel"`
	Go         string  `json:"go"`
	LoadBefore string  `json:"load_before"` // 1, 5 and 15 min
	LoadAfter  string  `json:"load_after"`
	Steal      float64 `json:"steal"`  // share of all cores' time that the hypervisor gave to others
	Others     float64 `json:"others"` // share that other processes used
	told       bool    // steal and others are known
}

// look is a machine before the measurements.
type look struct {
	Machine
	from  time.Time
	ticks ticks
	own   time.Duration
}

// ticks of /proc/stat over all cores, in hundredths of a second.
type ticks struct{ busy, idle, steal uint64 }

func lookAtMachine() look {
	m := Machine{CPU: cpuName(), Cores: runtime.NumCPU(), MaxProcs: runtime.GOMAXPROCS(0), OS: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
		Governor: firstLine("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"), Kernel: firstLine("/proc/sys/kernel/osrelease"), LoadBefore: load()}
	t, _ := readTicks(contents("/proc/stat"))
	return look{Machine: m, from: time.Now(), ticks: t, own: cpuTime() + childrenTime()}
}

// since fills in what happened meanwhile.
func (l *look) since() Machine {
	m := l.Machine
	m.LoadAfter = load()
	now, ok := readTicks(contents("/proc/stat"))
	if ok {
		m.Steal, m.Others, m.told = sharesOf(l.ticks, now, cpuTime()+childrenTime()-l.own)
	}
	return m
}

// sharesOf says what became of the cores' time between two looks, of which
// this process and its children used own. False where no time has passed.
func sharesOf(before, after ticks, own time.Duration) (steal, others float64, ok bool) {
	busy, stolen := float64(after.busy-before.busy), float64(after.steal-before.steal)
	all := busy + stolen + float64(after.idle-before.idle)
	if all <= 0 {
		return 0, 0, false
	}
	return stolen / all, max(0, busy-own.Seconds()*100) / all, true
}

// readTicks reads the first line of /proc/stat: user nice system idle iowait
// irq softirq steal guest guest_nice, of which guests are counted in user.
func readTicks(stat string) (t ticks, ok bool) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return t, false
	}
	for i, field := range fields[1:9] {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return t, false
		}
		switch i {
		case 3, 4:
			t.idle += n
		case 7:
			t.steal += n
		default:
			t.busy += n
		}
	}
	return t, true
}

const (
	stealMuch  = 0.01
	othersMuch = 0.05
)

// calm reports that next to nobody else used the machine.
func (m *Machine) calm() bool { return m.Steal <= 2*stealMuch && m.Others <= 2*othersMuch }

// warnings say why figures of this run are worth little.
func (m *Machine) warnings() []string {
	all := []string{}
	if m.Steal > stealMuch {
		all = append(all, fmt.Sprintf("the hypervisor gave %.0f %% of the cores' time to others: tails are theirs, compare p50 and ratios alone", 100*m.Steal))
	}
	if m.Others > othersMuch {
		all = append(all, fmt.Sprintf("other processes used %.0f %% of the cores: stop them and measure again; until then p99, p99.9 and max are theirs, and ratios are worth more than times", 100*m.Others))
	}
	if one, _, _ := strings.Cut(m.LoadBefore, " "); !m.told && one != "" {
		if load, err := strconv.ParseFloat(one, 64); err == nil && load > float64(m.Cores)/4 {
			all = append(all, fmt.Sprintf("the load was %s on %d cores before the first line: stop what runs and measure again", one, m.Cores))
		}
	}
	switch m.Governor {
	case "", "performance":
	default:
		all = append(all, "the governor is "+m.Governor+": cores may be slow at first; choose \"performance\" for figures that repeat")
	}
	return all
}

func (m *Machine) String() string {
	or := func(text string) string {
		if text == "" {
			return "unknown"
		}
		return text
	}
	shares := "unknown"
	if m.told {
		shares = fmt.Sprintf("%.1f %% stolen, %.1f %% used by others", 100*m.Steal, 100*m.Others)
	}
	return fmt.Sprintf("%s, %d cores (%d used), governor %s, %s %s, %s\nload %s before, %s after; of the cores' time: %s\n",
		or(m.CPU), m.Cores, m.MaxProcs, or(m.Governor), m.OS, or(m.Kernel), m.Go, or(m.LoadBefore), or(m.LoadAfter), shares)
}

func load() string {
	fields := strings.Fields(contents("/proc/loadavg"))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

func cpuName() string {
	for line := range strings.Lines(contents("/proc/cpuinfo")) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// contents of a file of the kernel's, "" where there is none.
func contents(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}

func firstLine(path string) string {
	line, _, _ := strings.Cut(contents(path), "\n")
	return line
}
