package questdb

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
)

// ReplayReport says what became of dead letters.
type ReplayReport struct {
	Sent       int // QuestDB has them now
	Outranked  int // a better or later row of their key stands; they are dropped
	Refused    int // again; they stay
	Unreadable int // lines that are no dead letters; they stay
}

// ReplayDeadLetters sends the rows in o.DeadLetterDir that keep accepts, nil =
// all, and takes out of the file those that QuestDB has then, or has better.
// Those that are refused again stay as they are, as do all that were not come
// to when an error ended it: a database that does not answer, or a table that
// does not fit. A service may be adding to the file at the same time.
func ReplayDeadLetters(ctx context.Context, o Options, keep func(DeadLetter) bool) (report ReplayReport, err error) {
	o.SpoolDir = "" // it is of the process that writes
	s, err := New(o)
	if err != nil {
		return report, err
	}
	defer s.cancel()
	lines, err := deadLetterLines(o.DeadLetterDir)
	if err != nil {
		return report, err
	}
	gone := map[string]int{}
	for _, text := range lines {
		var d DeadLetter
		table := -1
		if json.Unmarshal(text, &d) == nil {
			for i := range s.lanes {
				if s.lanes[i].table.name == d.Table && strings.HasPrefix(d.Line, d.Table+",") {
					table = i
				}
			}
		}
		if table < 0 {
			report.Unreadable++
			continue
		}
		if keep != nil && !keep(d) {
			continue
		}
		var done bool
		if done, err = s.senders[table].replay(ctx, d.Line, &report); err != nil {
			break
		}
		if done {
			gone[string(text)]++
		}
	}
	for _, x := range s.senders {
		x.schema.client.closeIdle()
	}
	if len(gone) > 0 {
		if fault := removeDeadLetters(o.DeadLetterDir, gone); fault != nil {
			return report, fmt.Errorf("dead letters were sent but not taken out of the file: %w", fault)
		}
	}
	return report, err
}

// replay sends one line. done: it need not be kept.
func (x *sender) replay(ctx context.Context, line string, report *ReplayReport) (done bool, err error) {
	if x.verifiedAt == 0 {
		if err := x.schema.ensure(ctx, x.table); err != nil {
			return false, err
		}
		x.verifiedAt = x.sink.o.Now()
	}
	lines := []byte(line + "\n")
	stands := false
	switch {
	case x.ranker != nil:
		_, dropped, err := x.ranker.sift(ctx, lines, true)
		if err != nil {
			return false, err
		}
		stands = dropped > 0
	case x.index == tableGaps:
		// What is in the table came later: it may be closed, or repaired.
		if stands, err = x.gapStands(ctx, line); err != nil {
			return false, err
		}
	}
	if stands {
		report.Outranked++
		return true, nil
	}
	a := x.post(ctx, lines, 1)
	switch {
	case a.err == nil:
		report.Sent++
		return true, nil
	case a.refused:
		report.Refused++
		x.sink.o.Logger.LogAttrs(ctx, slog.LevelWarn, "refused again", slog.String("table", x.table.name), slog.Any("reason", a.err), slog.String("line", line))
		return false, nil
	}
	return false, a.err
}

func (x *sender) gapStands(ctx context.Context, line string) (bool, error) {
	k := keyOf([]byte(line), "channel", timeOf([]byte(line)))
	tags := splitTags(line)
	ord := "0"
	if _, rest, ok := strings.Cut(line, "ord="); ok {
		if i := strings.IndexByte(rest, 'i'); i > 0 && fitsInt(rest[:i]) {
			ord = rest[:i]
		}
	}
	r, err := x.schema.client.Query(ctx, fmt.Sprintf("SELECT count() FROM gaps WHERE ts = %s AND venue = %s AND symbol = %s AND channel = %s AND reason = %s AND ord = %s",
		moment(k.ts), literal(k.venue), literal(k.symbol), literal(k.name), literal(tags["reason"]), ord))
	if err != nil {
		return false, err
	}
	return len(r.Rows) == 1 && r.Int(0, 0) > 0, nil
}

func fitsInt(text string) bool {
	return text != "" && len(text) < 19 && strings.Trim(text, "0123456789") == ""
}
