package writer

import (
	"context"
	"sync"

	"tickproc/tick"
)

// Memory is the sink without a database: it counts rows by kind and keeps the
// newest few of each.
type Memory struct {
	keep int

	mu    sync.Mutex // readers look while the writer writes; taken once a Write
	kinds [memoryKinds]memoryKind
}

type memoryKind struct {
	rows   uint64
	recent [][]tick.Unit // a circle of keep rows
}

const memoryKinds = int(tick.RowNbbo-tick.RowTrade) + 1

// NewMemory returns a sink that keeps the last keep rows of each kind.
func NewMemory(keep int) *Memory { return &Memory{keep: keep} }

// Write counts rows. Catalog packets are no rows.
func (m *Memory) Write(packets []tick.Unit) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(packets) > 0 {
		n := tick.PacketUnits(&packets[0])
		if n == 0 || n > len(packets) {
			panic("BUG: a torn row")
		}
		if kind := packets[0].KindOf(); kind >= tick.RowTrade && kind <= tick.RowNbbo {
			m.kinds[kind-tick.RowTrade].add(packets[:n], m.keep)
		}
		packets = packets[n:]
	}
}

func (k *memoryKind) add(row []tick.Unit, keep int) {
	switch at := int(k.rows % uint64(max(keep, 1))); {
	case keep == 0:
	case at < len(k.recent):
		k.recent[at] = append(k.recent[at][:0], row...)
	default:
		k.recent = append(k.recent, append([]tick.Unit(nil), row...))
	}
	k.rows++
}

// Idle does nothing: no row waits.
func (m *Memory) Idle(int64) {}

// Close does nothing.
func (m *Memory) Close(context.Context) error { return nil }

// Rows returns how many rows of a kind came; any goroutine may ask.
func (m *Memory) Rows(kind tick.Kind) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kinds[kind-tick.RowTrade].rows
}

// Recent returns copies of the newest rows of a kind, oldest first; any
// goroutine may ask.
func (m *Memory) Recent(kind tick.Kind) [][]tick.Unit {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := &m.kinds[kind-tick.RowTrade]
	var rows [][]tick.Unit
	for i := range k.recent {
		at := (int(k.rows%uint64(m.keep)) + i) % len(k.recent)
		if len(k.recent) < m.keep {
			at = i
		}
		rows = append(rows, append([]tick.Unit(nil), k.recent[at]...))
	}
	return rows
}
