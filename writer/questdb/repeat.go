package questdb

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Repeat says that the rows were computed before, and may stand already in
// another, later or better version.
type Repeat uint8

const (
	// RepeatNone: they were not, or what is known of ranks decides (rank.go).
	RepeatNone Repeat = iota
	// RepeatSame: from the same packets, so that equal versions are equal rows. A
	// later version stands, and so does a better one of the same.
	RepeatSame
	// RepeatCorrected: from packets that were made right, and each key once, in its
	// last version. What stands gives way unless it claims more: that nothing was
	// missed, or that the interval was over. Versions and numbers of trades are what
	// may have been wrong.
	RepeatCorrected
)

// rejudge is judge for a row that is computed again.
func (r Repeat) rejudge(row, stands rank, outranked bool) verdict {
	switch {
	case r == RepeatSame && stands.rev > row.rev:
		return drops
	case r == RepeatSame:
		return judge(row, stands, false, outranked, false)
	case stands.complete && !row.complete, stands.complete == row.complete && stands.final && !row.final:
		return drops
	}
	return sends
}

// gapKeeper keeps gaps from being opened again: a row of gaps that is computed
// again may be of before the gap was closed, or repaired.
// owner: the table's sender.
type gapKeeper struct{ client *Client }

type gapKey struct {
	venue, symbol, channel, reason, ord string
	ts                                  int64
}

// gapStanding is how far a gap has come: closed, repaired, its backfill ended.
type gapStanding struct{ closed, repaired, ended bool }

func (a gapStanding) furtherThan(b gapStanding) bool {
	switch {
	case a.closed != b.closed:
		return a.closed
	case a.repaired != b.repaired:
		return a.repaired
	}
	return a.ended && !b.ended
}

// sift returns the lines without those of gaps that have come further, and how
// many were dropped. An error changes nothing.
func (k *gapKeeper) sift(ctx context.Context, lines []byte) (rest []byte, dropped int, err error) {
	var keys []gapKey
	var rows []gapStanding
	all := strings.SplitAfter(strings.TrimSuffix(view(lines), "\n"), "\n")
	for _, line := range all {
		key, standing := gapOf(strings.TrimSuffix(line, "\n"))
		keys, rows = append(keys, key), append(rows, standing)
	}
	stand, err := k.present(ctx, keys)
	if err != nil {
		return nil, 0, err
	}
	for i, line := range all {
		if there, ok := stand[keys[i]]; ok && there.furtherThan(rows[i]) {
			dropped++
			continue
		}
		rest = append(rest, line...)
	}
	if dropped == 0 {
		return lines, 0, nil
	}
	if n := len(rest); n > 0 && rest[n-1] != '\n' {
		rest = append(rest, '\n')
	}
	return rest, dropped, nil
}

// gapOf reads a line of gaps.
func gapOf(line string) (key gapKey, is gapStanding) {
	is.ended = true
	scanLine(line, func(name, value string) {
		switch name {
		case "venue":
			key.venue = strings.Clone(value)
		case "symbol":
			key.symbol = strings.Clone(value)
		case "channel":
			key.channel = strings.Clone(value)
		case "reason":
			key.reason = strings.Clone(value)
		case "ord":
			key.ord = strings.Clone(value)
		case "ts":
			key.ts, _ = strconv.ParseInt(value, 10, 64)
		case "ts_end":
			is.closed = true
		case "repaired":
			is.repaired = value == "t"
		case "backfill":
			is.ended = value != "pending"
		}
	})
	return key, is
}

func (k *gapKeeper) present(ctx context.Context, keys []gapKey) (map[gapKey]gapStanding, error) {
	found := map[gapKey]gapStanding{}
	var times []int64
	for _, key := range keys {
		times = append(times, key.ts)
	}
	slices.Sort(times)
	for list := range slices.Chunk(slices.Compact(times), lookupMax) {
		var texts []string
		for _, ts := range list {
			texts = append(texts, moment(ts))
		}
		r, err := k.client.Query(ctx, fmt.Sprintf("SELECT ts, venue, symbol, channel, reason, ord, ts_end IS NOT NULL, repaired, backfill FROM gaps WHERE ts IN (%s)",
			strings.Join(texts, ", ")))
		if err != nil {
			return nil, err
		}
		for i := range r.Rows {
			ts, err := time.Parse(time.RFC3339Nano, r.Text(i, 0))
			if err != nil {
				return nil, fmt.Errorf("QuestDB names the time %q: %w", r.Text(i, 0), err)
			}
			found[gapKey{r.Text(i, 1), r.Text(i, 2), r.Text(i, 3), r.Text(i, 4), fmt.Sprint(r.Int(i, 5)), ts.UnixNano()}] =
				gapStanding{closed: r.True(i, 6), repaired: r.True(i, 7), ended: r.Text(i, 8) != "pending"}
		}
	}
	return found, nil
}
