package indicators

import (
	"fmt"
	"testing"

	"tickproc/tick"
)

// An indicator that was configured in mid-stream calls no row complete that
// needs trades from before, also after it was saved and loaded; from then on its
// rows are those of one that was always there.
func TestBegunInMidStream(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds {
		for _, spec := range append([]Spec{kind.Default}, examples[kind.Name]...) {
			t.Run(fmt.Sprintf("%s/%+v", kind.Name, spec), func(t *testing.T) {
				t.Parallel()
				step, _, _ := timing(spec)
				reach, end := step, floorTo(noon, step) // a row is about [end-reach, end)
				if window, ok := spec.(WindowSpec); ok {
					reach = int64(window.Span)
					if reach == 0 {
						reach, end = int64(day), dayOf(noon)
					}
				}
				begin := end - reach/2
				always, later := spec.New(new(Coverage)), spec.New(new(Coverage))
				later.Begin(begin)
				var all, some Out
				pace := max(step/4, reach/64)
				for ts, id := begin-64*pace, uint64(1); ts < end+3*reach+4*step; ts, id = ts+pace, id+1 {
					trade := Trade{TsNanos: ts, ID: tick.ID{Lo: id}, Price: 100 + int64(id%5), Size: 1 + int64(id%3)}
					always.Trade(&trade)
					always.Advance(ts, &all)
					if ts < begin {
						continue
					}
					later.Trade(&trade)
					again := spec.New(new(Coverage))
					if rest, err := again.LoadState(later.AppendState(nil)); err != nil || len(rest) > 0 {
						t.Fatal(err)
					}
					later = again
					later.Advance(ts, &some)
				}
				bars, windows := parse(t, some.Rows)
				want := map[int64]string{}
				wholeBars, wholeWindows := parse(t, all.Rows)
				for _, r := range wholeBars {
					want[r.TsNanos] = fmt.Sprint(r)
				}
				for _, r := range wholeWindows {
					want[r.TsNanos] = fmt.Sprint(r)
				}
				whole := 0
				check := func(from, ts int64, flags tick.RowFlags, row string) {
					t.Helper()
					complete := flags&tick.RowComplete != 0
					switch {
					case complete != (from >= begin):
						t.Errorf("a row from %d, begun at %d: complete %v", from-end, begin-end, complete)
					case complete:
						if whole++; row != want[ts] {
							t.Errorf("%s, want %s", row, want[ts])
						}
					}
				}
				for _, r := range bars {
					check(r.TsNanos, r.TsNanos, r.Flags, fmt.Sprint(r))
				}
				for _, r := range windows {
					from := r.TsNanos - reach
					if spec.(WindowSpec).Span == 0 {
						from = dayOf(r.TsNanos - 1)
					}
					check(from, r.TsNanos, r.Flags, fmt.Sprint(r))
				}
				if whole == 0 || whole == len(bars)+len(windows) {
					t.Errorf("%d complete rows of %d", whole, len(bars)+len(windows))
				}
			})
		}
	}
}
