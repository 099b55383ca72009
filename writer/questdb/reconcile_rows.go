package questdb

import (
	"errors"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"

	"tickproc/writer/spool"
)

// reconcileRecord is a record of the spool, and which times are in it.
type reconcileRecord struct {
	spool.KeptRecord
	from, to int64
	waiting  bool
	damaged  bool
}

// keptRow is a row as a line has it.
type keptRow struct {
	key    string // ts and keys
	ts     int64
	group  string                 // the symbols of the key
	longs  int64                  // remainders of its integers, summed
	values [reconciledMax]float64 // NaN = null
	rank   rank
	acked  bool
	newer  bool // there is a version that is not acknowledged
}

func (x *tableReconciliation) describe() {
	for _, kind := range []bool{true, false} {
		for _, c := range x.table.columns {
			if c.key && c.kind != designated && (c.kind == symbol) == kind {
				x.keys = append(x.keys, c)
				if kind {
					x.symbols++
				}
			}
		}
	}
	for _, name := range reconciled[x.index] {
		i := slices.IndexFunc(x.table.columns, func(c column) bool { return c.name == name })
		x.values = append(x.values, x.table.columns[i])
	}
	_, x.ranked = rankNames[x.index]
}

const keySeparator = "\x00"

// parse reads a line.
func (x *tableReconciliation) parse(line string) (row keptRow, ok bool) {
	var keys [8]string
	for i := range row.values {
		row.values[i] = math.NaN()
	}
	ok = scanLine(line, func(name, value string) {
		if name == "ts" {
			row.ts, _ = strconv.ParseInt(value, 10, 64)
			return
		}
		for i := range x.keys {
			if x.keys[i].name == name {
				keys[i] = value
			}
		}
		for i := range x.values {
			if x.values[i].name == name {
				row.values[i] = parseValue(value)
			}
		}
	})
	if !ok {
		return row, false
	}
	x.identify(&row, keys[:len(x.keys)])
	if x.ranked {
		row.rank, _ = rankOf([]byte(line))
	}
	return row, true
}

// parseValue reads a number or a truth.
func parseValue(text string) float64 {
	switch text {
	case "t":
		return 1
	case "f":
		return 0
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

func (x *tableReconciliation) identify(row *keptRow, keys []string) {
	ts := strconv.FormatInt(row.ts, 10)
	row.key = ts + keySeparator + strings.Join(keys, keySeparator)
	symbols := len(keys[0])
	for _, text := range keys[1:x.symbols] {
		symbols += len(keySeparator) + len(text)
	}
	row.group = row.key[len(ts)+len(keySeparator):][:symbols]
	for i, text := range keys[x.symbols:] {
		if x.keys[x.symbols+i].kind == long {
			v, _ := strconv.ParseInt(text, 10, 64)
			row.longs += v % keyModulus
		}
	}
}

// find lists the records, and which times they have rows of.
func (x *tableReconciliation) find() error {
	acked := x.view.Acked(x.index)
	x.minutes = map[int64]int64{}
	unreadable, err := x.view.Records(x.index, 0, func(k spool.KeptRecord, meta []byte) error {
		r := reconcileRecord{KeptRecord: k, waiting: k.Offset >= acked, from: math.MaxInt64, to: math.MinInt64}
		note := func(from, to, rows int64) {
			r.from, r.to = min(r.from, from), max(r.to, to)
			first, last := max(from, x.from)/reconcileStep, min(to, x.to-1)/reconcileStep
			for at := first; at <= last; at++ {
				x.minutes[at*reconcileStep] += rows/(last-first+1) + 1
			}
		}
		spans, err := decodeSpans(meta)
		// Tables whose loss is only counted have none; where trades were fetched one
		// may reach over hours that have no row.
		wide := slices.ContainsFunc(spans, func(s span) bool { return s.to-s.from > hour })
		if err != nil || len(spans) == 0 || wide {
			spans = nil
			lines, err := x.payload(&r)
			if err != nil {
				return err
			}
			x.rows(lines, func(row keptRow) { note(row.ts, row.ts, 1) })
		}
		for _, s := range spans {
			note(s.from, s.to, s.rows)
		}
		if r.waiting {
			x.report.Waiting += int64(k.Rows)
		}
		x.records = append(x.records, r)
		return nil
	})
	x.report.Unreadable += unreadable
	return err
}

// payload is nil where there is none any more, or it is damaged.
func (x *tableReconciliation) payload(r *reconcileRecord) ([]byte, error) {
	if r.damaged {
		return nil, nil
	}
	lines, err := x.view.Payload(&r.KeptRecord)
	switch {
	case errors.Is(err, spool.ErrDamaged):
		r.damaged = true
		x.report.Unreadable += r.End - r.Offset
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	}
	return lines, err
}

func (x *tableReconciliation) rows(lines []byte, f func(keptRow)) {
	for text := range strings.Lines(view(lines)) {
		if row, ok := x.parse(strings.TrimSuffix(text, "\n")); ok {
			f(row)
		}
	}
}

// kept is the last acknowledged version of each key of [from, to).
func (x *tableReconciliation) kept(from, to int64) (map[string]*keptRow, error) {
	kept := map[string]*keptRow{}
	for i := range x.records {
		r := &x.records[i]
		if r.to < from || r.from >= to {
			continue
		}
		lines, err := x.payload(r)
		if err != nil {
			return nil, err
		}
		x.rows(lines, func(row keptRow) {
			if row.ts < from || row.ts >= to {
				return
			}
			was := kept[row.key]
			switch {
			case r.waiting && was != nil:
				was.newer = true
			case r.waiting:
				row.newer = true
				kept[row.key] = &row
			default:
				row.acked = true
				kept[row.key] = &row
			}
		})
	}
	return kept, nil
}
