package simulation

import (
	"fmt"

	"tickproc/journal"
	"tickproc/tick"
)

// memory is a tmpfs: what is stored there outlives a process, and no power cut.
type memory struct {
	boot  uint64
	rings map[string][]tick.Unit
}

func newMemory(boot uint64) *memory { return &memory{boot: boot, rings: map[string][]tick.Unit{}} }

// of is the folder of a generation of logs.
func (m *memory) of(generation uint64) journal.Memory { return folder{m, generation} }

// forget empties one.
func (m *memory) forget(generation uint64) {
	f := folder{m, generation}
	for shard := range shardsMax {
		delete(m.rings, f.Where(fmt.Sprintf("shard-%02d.ring", shard)))
	}
}

type folder struct {
	*memory
	generation uint64
}

func (f folder) Where(name string) string { return fmt.Sprintf("/memory/%d/%s", f.generation, name) }
func (f folder) Boot() uint64             { return f.boot }

func (f folder) Load(name string) ([]tick.Unit, error) {
	if units, ok := f.rings[f.Where(name)]; ok {
		return append([]tick.Unit(nil), units...), nil
	}
	return nil, nil
}

func (f folder) Make(name string, units int) (journal.Ring, error) {
	r := &ring{f, f.Where(name), make([]tick.Unit, units)}
	f.rings[r.name] = r.units
	return r, nil
}

type ring struct {
	folder
	name  string
	units []tick.Unit
}

func (r *ring) Units() []tick.Unit   { return r.units }
func (r *ring) Flush(int, int) error { return nil }
func (r *ring) Mapped() bool         { return true }
func (r *ring) Close(remove bool) error {
	if remove {
		delete(r.rings, r.name)
	}
	return nil
}
