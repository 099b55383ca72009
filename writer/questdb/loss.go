package questdb

import (
	"cmp"
	"maps"
	"slices"

	"tickproc/tick"
)

// losses remember what never reached the database, by instrument and table,
// until a row in gaps can say so. While the database is away a loss grows
// instead of becoming many rows; it is written when the database takes rows
// again.
// owner: the goroutine that writes rows.
type losses struct {
	open map[lossKey]loss
	// written is the last row of each key. A row in gaps has its start for a
	// key: a second loss with the same start goes on with the first.
	written  map[lossKey]loss
	answered uint64 // answers when the last loss was noted
	since    int64  // when the oldest of open was noted
	untold   []untold
}

// untold is where a restart comes upon a loss again, until a durable row tells.
type untold struct {
	table  int
	offset int64
}

// By name: what an earlier run wrote may be lost, when this one has other ids.
type lossKey struct {
	table         int
	venue, symbol string
	reason        tick.Reason
}

type loss struct {
	from, to int64 // ts
	rows     int64 // -1 = unknown
}

func (l loss) with(o loss) loss {
	both := loss{from: min(l.from, o.from), to: max(l.to, o.to), rows: l.rows + o.rows}
	if l.rows < 0 || o.rows < 0 {
		both.rows = -1
	}
	return both
}

// lossInterval bounds how often losses become rows where the database is slow
// rather than away.
const lossInterval = 1e9

func newLosses() losses {
	return losses{open: map[lossKey]loss{}, written: map[lossKey]loss{}}
}

func (l *losses) note(key lossKey, add loss, answered uint64, now int64) {
	if len(l.open) == 0 {
		l.since = now
	}
	l.answered = answered
	if before, ok := l.open[key]; ok {
		add = before.with(add)
	} else if before, ok := l.written[key]; ok && before.from == add.from {
		add = before.with(add)
	}
	l.open[key] = add
}

// due reports that rows get through again, or need not.
func (l *losses) due(answered uint64, now int64) bool {
	return (len(l.open) > 0 || len(l.untold) > 0) && answered > l.answered && now-l.since >= lossInterval
}

// take calls f with every open loss, in a fixed order, and closes them.
func (l *losses) take(f func(lossKey, loss)) {
	keys := slices.SortedFunc(maps.Keys(l.open), func(a, b lossKey) int {
		return cmp.Or(a.table-b.table, cmp.Compare(a.venue, b.venue), cmp.Compare(a.symbol, b.symbol), cmp.Compare(a.reason, b.reason))
	})
	for _, key := range keys {
		f(key, l.open[key])
		l.written[key] = l.open[key]
		delete(l.open, key)
	}
}
