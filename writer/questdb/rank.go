package questdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A bar or window may be computed twice: live and from a capture, before and
// after a restart. And a row may be sent twice: from the spool, from the dead
// letters. An upsert takes the later row, which may be the worse one: the first
// interval of a run is incomplete, the last not final. So a row that could be
// worse is guarded: before it is sent the present row of its key is read, and
// the worse of the two is dropped.
//
// What a guard needs is in the line itself, so that it is there after a restart.

// guard is a row to be looked at before it is sent.
type guard struct {
	start, end int // its line in the batch
	key        rankKey
	rank       rank
}

type rankKey struct {
	venue, symbol, name string
	ts                  int64
}

// rank orders rows of one key.
type rank struct {
	complete, final bool
	rev, trades     int64
}

// betterThan: complete, then final, then later corrected, then of more trades.
func (a rank) betterThan(b rank) bool {
	switch {
	case a.complete != b.complete:
		return a.complete
	case a.final != b.final:
		return a.final
	case a.rev != b.rev:
		return a.rev > b.rev
	}
	return a.trades > b.trades
}

func (a rank) best() bool { return a.complete && a.final && a.rev == 0 }

// rankNames is the key column of each ranked table.
var rankNames = map[int]string{tableBars: "interval", tableWindows: "name"}

// guards reads the lines of a ranked table that are wanted for their rank and
// the time of their key.
func guards(lines []byte, name string, wanted func(r rank, ts int64) bool) []guard {
	var found []guard
	for at := 0; at < len(lines); {
		end := at + bytes.IndexByte(lines[at:], '\n') + 1
		if end == at {
			end = len(lines)
		}
		line := lines[at:end]
		if r, ok := rankOf(line); ok {
			if ts := timeOf(line); wanted(r, ts) {
				found = append(found, guard{at, end, keyOf(line, name, ts), r})
			}
		}
		at = end
	}
	return found
}

// rankOf reads a line's rank; its key costs more and is read for few.
func rankOf(line []byte) (r rank, ok bool) {
	text := strings.TrimSuffix(view(line), "\n")
	end := strings.LastIndexByte(text, ' ')
	if end < 0 {
		return r, false
	}
	// From the end, where they stand: no value there has a space or a comma in it.
	found := 0
	for fields := text[:end]; ; {
		i := strings.LastIndexAny(fields, ", ")
		if i < 0 {
			return r, false
		}
		field, value, _ := strings.Cut(fields[i+1:], "=")
		switch field {
		case "complete":
			r.complete = value == "t"
		case "final":
			r.final = value == "t"
		case "rev":
			r.rev, _ = strconv.ParseInt(strings.TrimSuffix(value, "i"), 10, 64)
		case "trades":
			r.trades, _ = strconv.ParseInt(strings.TrimSuffix(value, "i"), 10, 64)
		default:
			found--
		}
		if found++; found == 4 || fields[i] == ' ' {
			return r, true
		}
		fields = fields[:i]
	}
}

func keyOf(line []byte, name string, ts int64) rankKey {
	tags := splitTags(strings.TrimSuffix(string(line), "\n"))
	return rankKey{tags["venue"], tags["symbol"], tags[name], ts}
}

func timeOf(line []byte) int64 {
	text := strings.TrimSuffix(view(line), "\n")
	ts, _ := strconv.ParseInt(text[strings.LastIndexByte(text, ' ')+1:], 10, 64)
	return ts
}

func everyRow(rank, int64) bool { return true }

// ranker decides about guarded rows.
// owner: the table's sender.
type ranker struct {
	table  *table
	name   string // key column
	client *Client
	repeat Repeat
	// settled: rows that were acknowledged before are visible to SQL.
	settled bool
	// outranked are keys whose row of this run was dropped. A correction of any
	// other key corrects our own row and always replaces it, also by less.
	outranked map[rankKey]struct{}
	// startedNanos: of rows of an earlier time a correction may have been
	// outranked by the run before, whose outranked are forgotten.
	startedNanos int64
	// versions returns the ranks of a key's rows that the spool keeps; nil where
	// there is none.
	versions func(keys map[rankKey]bool) (map[rankKey][]rank, error)
}

const (
	outrankedMax = 1 << 16 // forgotten at once beyond: only the next corrections are looked at less closely
	lookupMax    = 100     // times a query, which travels in a URL
	settleMax    = 5 * time.Second
)

// verdict on a row whose key has a present row.
type verdict int

const (
	sends   verdict = iota
	drops           // a better one stands
	depends         // on whether the present row is an earlier or later one of our own
)

// judge compares a row with the present one. again: it is sent again, so that
// its own later versions may stand already; outranked: one of its key was dropped.
func judge(row, stands rank, again, outranked, early bool) verdict {
	switch {
	case again && stands.rev > row.rev && row.betterThan(stands):
		return depends // our own correction for the worse, or another run's row
	case again && stands.rev > row.rev:
		return drops
	case !stands.betterThan(row):
		return sends
	case row.rev == 0, outranked && !again:
		return drops
	case again && stands.rev >= row.rev:
		return drops
	case again, early:
		return depends
	}
	return sends // it corrects what this run sent
}

// sift returns the lines without those of worse rows, and how many were
// dropped. An error changes nothing.
func (r *ranker) sift(ctx context.Context, lines []byte, again bool) (rest []byte, dropped int, err error) {
	if again {
		r.settled = false
	}
	wanted := everyRow
	if !again && r.repeat == RepeatNone {
		wanted = r.couldBeWorse
	}
	all := guards(lines, r.name, wanted)
	asked, inBatch := all[:0], map[rankKey]bool{}
	for _, g := range all {
		// An earlier one of the batch may be dropped, and then so may this.
		if again || r.repeat != RepeatNone || inBatch[g.key] || r.questions(g) {
			asked = append(asked, g)
			inBatch[g.key] = true
		}
	}
	if len(asked) == 0 {
		return lines, 0, nil
	}
	stand, err := r.present(ctx, asked)
	if err != nil {
		return nil, 0, err
	}
	own, err := r.own(asked, stand, again)
	if err != nil {
		return nil, 0, err
	}
	if len(r.outranked) > outrankedMax {
		clear(r.outranked)
	}
	at := 0
	for _, g := range asked {
		stands, ok := stand[g.key]
		_, outranked := r.outranked[g.key]
		verdict, ours := sends, false
		switch {
		case ok && r.repeat != RepeatNone:
			verdict = r.repeat.rejudge(g.rank, stands, outranked)
			ours = r.repeat == RepeatSame && stands.rev > g.rank.rev
		case ok:
			verdict = judge(g.rank, stands, again, outranked, r.early(g.key.ts))
		}
		if verdict == depends {
			// What stands is ours and later: it stays. Ours and earlier: it is
			// corrected. Of another run: the better one stays.
			ours = slices.Contains(own[g.key], stands)
			verdict = sends
			if ours && stands.rev > g.rank.rev || !ours && stands.betterThan(g.rank) {
				verdict = drops
			}
		}
		if verdict == sends {
			delete(r.outranked, g.key)
			continue
		}
		if !ours { // a later one of our own is to be corrected by the next
			r.outranked[g.key] = struct{}{}
		}
		if rest == nil {
			rest = make([]byte, 0, len(lines))
		}
		rest = append(rest, lines[at:g.start]...)
		at = g.end
		dropped++
	}
	if dropped == 0 {
		return lines, 0, nil
	}
	return append(rest, lines[at:]...), dropped, nil
}

// own returns what the spool keeps of the keys where that decides.
func (r *ranker) own(asked []guard, stand map[rankKey]rank, again bool) (map[rankKey][]rank, error) {
	unsure := map[rankKey]bool{}
	for _, g := range asked {
		if stands, ok := stand[g.key]; ok && judge(g.rank, stands, again, false, r.early(g.key.ts)) == depends {
			unsure[g.key] = true
		}
	}
	if len(unsure) == 0 || r.versions == nil {
		return nil, nil
	}
	return r.versions(unsure)
}

func (r *ranker) questions(g guard) bool {
	_, outranked := r.outranked[g.key]
	return g.rank.rev == 0 || outranked || r.early(g.key.ts)
}

// couldBeWorse reports whether a row that is sent for the first time could be
// worse than what stands. Of an earlier time any could: it may be made of a log
// that lost its last part, and what that part gave may have been delivered.
func (r *ranker) couldBeWorse(row rank, ts int64) bool { return !row.best() || r.early(ts) }

func (r *ranker) early(ts int64) bool { return r.versions != nil && ts < r.startedNanos }

// present reads the ranks that stand at the times of guards.
func (r *ranker) present(ctx context.Context, asked []guard) (map[rankKey]rank, error) {
	if err := r.settle(ctx); err != nil {
		return nil, err
	}
	var times []int64
	for _, g := range asked {
		times = append(times, g.key.ts)
	}
	found := map[rankKey]rank{}
	slices.Sort(times)
	times = slices.Compact(times)
	for len(times) > 0 {
		n := min(len(times), lookupMax)
		var list []string
		for _, ts := range times[:n] {
			list = append(list, moment(ts))
		}
		times = times[n:]
		rows, err := r.client.Query(ctx, fmt.Sprintf("SELECT ts, venue, symbol, %s, complete, final, rev, trades FROM %s WHERE ts IN (%s)",
			r.name, r.table.name, strings.Join(list, ", ")))
		if err != nil {
			return nil, err
		}
		for i := range rows.Rows {
			ts, err := time.Parse(time.RFC3339Nano, rows.Text(i, 0))
			if err != nil {
				return nil, fmt.Errorf("QuestDB names the time %q: %w", rows.Text(i, 0), err)
			}
			found[rankKey{rows.Text(i, 1), rows.Text(i, 2), rows.Text(i, 3), ts.UnixNano()}] =
				rank{rows.True(i, 4), rows.True(i, 5), rows.Int(i, 6), rows.Int(i, 7)}
		}
	}
	return found, nil
}

// settle waits until SQL sees what was acknowledged before: once, and again for
// each batch that is sent again, because the rows before it may be of its keys.
func (r *ranker) settle(ctx context.Context) error {
	if r.settled {
		return nil
	}
	ctx, cancel := r.client.pace.Timeout(ctx, settleMax)
	defer cancel()
	err := r.client.Settle(ctx, r.table.name)
	if err == nil || errors.Is(err, ErrBehind) {
		// A table that stays behind keeps no row back.
		r.settled = true
		return nil
	}
	return err
}

// versions reads from the spool what it keeps of some keys.
func (x *sender) versions(keys map[rankKey]bool) (map[rankKey][]rank, error) {
	found := map[rankKey][]rank{}
	err := x.spool.Kept(x.index, 0, func(_, _ int64, meta []byte, payload func() ([]byte, error)) bool {
		spans, err := decodeSpans(meta)
		if err != nil || !slices.ContainsFunc(spans, func(s span) bool {
			for k := range keys {
				if k.venue == s.venue && k.symbol == s.symbol && s.from <= k.ts && k.ts <= s.to {
					return true
				}
			}
			return false
		}) {
			return true
		}
		lines, err := payload()
		if err != nil {
			return true // damaged: it is reported when it is sent
		}
		for _, g := range guards(lines, x.ranker.name, everyRow) {
			if keys[g.key] {
				found[g.key] = append(found[g.key], g.rank)
			}
		}
		return true
	})
	return found, err
}
