package pipeline

import (
	"log/slog"
	"math"
	"runtime/debug"

	"tickproc/internal/hardware"
)

// memoryShare is how much of a container's memory runtime.memory_limit: auto
// takes: the rest is for what Go does not count, the logs' memory among it.
const memoryShare = 0.9

// tuned is what becomes of a Runtime on this machine.
type tuned struct {
	gogc  int   // percent, negative = off; 0 = left alone
	limit int64 // bytes; 0 = left alone
	notes []string
}

// tune decides. limit is what the container's memory is limited to, 0 = not.
func (r *Runtime) tune(lookup func(string) (string, bool), limit int64) (t tuned) {
	if value, set := lookup("GOGC"); set && value != "" {
		if r.GOGC != 100 {
			t.notes = append(t.notes, "the environment's GOGC="+value+" stands, not runtime.gogc: "+r.GOGC.String())
		}
	} else {
		t.gogc = int(r.GOGC)
	}
	switch value, set := lookup("GOMEMLIMIT"); {
	case r.MemoryLimit == 0:
	case set && value != "":
		t.notes = append(t.notes, "the environment's GOMEMLIMIT="+value+" stands, not runtime.memory_limit: "+r.MemoryLimit.String())
	case r.MemoryLimit != MemoryAuto:
		t.limit = int64(r.MemoryLimit)
	case limit > 0:
		t.limit = int64(math.Round(float64(limit) * memoryShare))
	default:
		t.notes = append(t.notes, "runtime.memory_limit is auto, and nothing limits this process's memory: there is no limit")
	}
	return t
}

// apply puts it into force.
func (t *tuned) apply(logger *slog.Logger) {
	for _, note := range t.notes {
		logger.Info(note)
	}
	if t.gogc != 0 {
		debug.SetGCPercent(t.gogc)
	}
	if t.limit != 0 {
		debug.SetMemoryLimit(t.limit)
	}
}

// lockMemory keeps what is mapped by now in RAM, where that is configured.
func (r *Runtime) lockMemory(logger *slog.Logger) {
	if r.Mlock != On {
		return
	}
	if err := hardware.LockMemory(); err != nil {
		logger.Warn("runtime.mlock: memory is not locked, pages may be taken away", "error", err)
	}
}
