package questdb

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"tickproc/tick"
	"tickproc/writer/spool"
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
	unknown  []spool.Loss // of which nothing but their neighbours can be read
}

// untold is where a restart comes upon a loss again, until a durable row tells.
type untold struct {
	table  int
	offset int64
}

type instrumentName struct{ venue, symbol string }

// By name: what an earlier run wrote may be lost, when this one has other ids.
type lossKey struct {
	table         int
	venue, symbol string
	reason        tick.Reason
}

type loss struct {
	from, to int64 // ts
	rows     int64 // or lostUnknown
}

const lostUnknown = -1

func (l loss) with(o loss) loss {
	both := loss{from: min(l.from, o.from), to: max(l.to, o.to), rows: l.rows + o.rows}
	if l.rows < 0 || o.rows < 0 {
		both.rows = lostUnknown
	}
	return both
}

// lossInterval bounds how often losses become rows where the database is slow
// rather than away.
const lossInterval = 1e9

func newLosses() losses {
	return losses{open: map[lossKey]loss{}, written: map[lossKey]loss{}}
}

// none reports that nothing waits to be said, nor to be settled.
func (l *losses) none() bool { return len(l.open)+len(l.unknown)+len(l.untold) == 0 }

// await notes when something began to wait, and for which answer.
func (l *losses) await(answered uint64, now int64) {
	if l.none() {
		l.since = now
	}
	l.answered = answered
}

func (l *losses) note(key lossKey, add loss, answered uint64, now int64) {
	l.await(answered, now)
	if before, ok := l.open[key]; ok {
		add = before.with(add)
	} else if before, ok := l.written[key]; ok && before.from == add.from {
		add = before.with(add)
	}
	l.open[key] = add
}

// noteUnknown notes rows of which nobody can say what they were.
func (l *losses) noteUnknown(what spool.Loss, answered uint64, now int64) {
	l.await(answered, now)
	l.unknown = append(l.unknown, what)
}

// spread says of each instrument that such rows may have been its own: from its
// rows before them to its rows behind them, and where it has none there, from the
// first to the last of all others'. That is done as late as can be, for at a start
// instruments become known after what cannot be read.
func (l *losses) spread(lanes []lane, instruments []instrument) {
	for _, what := range l.unknown {
		t := lanes[what.Table].table
		before, after := spansByName(what.Before), spansByName(what.After)
		if t.channel == "" || len(before)+len(after) == 0 {
			continue
		}
		all := loss{math.MaxInt64, math.MinInt64, lostUnknown}
		maybe := map[instrumentName]bool{}
		for _, side := range []map[instrumentName]span{before, after} {
			for name, w := range side {
				all.from, all.to = min(all.from, w.from), max(all.to, w.to)
				maybe[name] = true
			}
		}
		for i := range instruments {
			if in := &instruments[i]; in.known && t.mayHave(in) {
				maybe[instrumentName{in.Venue, in.Symbol}] = true
			}
		}
		for name := range maybe {
			missed := all
			if w, ok := before[name]; ok {
				missed.from = w.to
			}
			if w, ok := after[name]; ok {
				missed.to = w.from
			}
			missed.to = max(missed.from, missed.to)
			l.note(lossKey{what.Table, name.venue, name.symbol, tick.ReasonSink}, missed, l.answered, l.since)
		}
	}
	l.unknown = nil
}

// spansByName are those of a record.
func spansByName(meta []byte) map[instrumentName]span {
	spans, _ := decodeSpans(meta) // what cannot be read is another loss
	all := map[instrumentName]span{}
	for _, w := range spans {
		all[instrumentName{w.venue, w.symbol}] = w
	}
	return all
}

// mayHave reports whether rows of the table can be an instrument's.
func (t *table) mayHave(in *instrument) bool {
	for _, c := range tick.AllChannels {
		if t.channel == c.String() {
			return in.Channels.Has(c)
		}
	}
	return true
}

// due reports that rows get through again, or need not.
func (l *losses) due(answered uint64, now int64) bool {
	return !l.none() && answered > l.answered && now-l.since >= lossInterval
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
