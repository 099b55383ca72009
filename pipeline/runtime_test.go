package pipeline

import (
	"slices"
	"testing"
)

// The environment has the last word, and a container's limit is what auto
// means; what is not in force is said.
func TestTunedRuntime(t *testing.T) {
	t.Parallel()
	f := func(r Runtime, environment map[string]string, limit int64, want tuned) {
		t.Helper()
		have := r.tune(func(name string) (string, bool) { value, ok := environment[name]; return value, ok }, limit)
		if have.gogc != want.gogc || have.limit != want.limit || !slices.Equal(have.notes, want.notes) {
			t.Errorf("%+v\n%+v\n%+v", r, have, want)
		}
	}
	f(Runtime{GOGC: 100}, nil, 1000, tuned{gogc: 100})
	f(Runtime{GOGC: GOGCOff, MemoryLimit: 2 << 30}, nil, 1000, tuned{gogc: -1, limit: 2 << 30})
	f(Runtime{GOGC: 400, MemoryLimit: MemoryAuto}, map[string]string{"GOGC": ""}, 1000, tuned{gogc: 400, limit: 900})
	f(Runtime{GOGC: 100, MemoryLimit: MemoryAuto}, nil, 0,
		tuned{gogc: 100, notes: []string{"runtime.memory_limit is auto, and nothing limits this process's memory: there is no limit"}})
	f(Runtime{GOGC: 100}, map[string]string{"GOGC": "50", "GOMEMLIMIT": "1GiB"}, 0, tuned{})
	f(Runtime{GOGC: GOGCOff, MemoryLimit: MemoryAuto}, map[string]string{"GOGC": "50", "GOMEMLIMIT": "1GiB"}, 1000,
		tuned{notes: []string{"the environment's GOGC=50 stands, not runtime.gogc: off", "the environment's GOMEMLIMIT=1GiB stands, not runtime.memory_limit: auto"}})
}
