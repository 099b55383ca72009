package ops

import (
	"strings"
	"testing"
	"time"
)

func sampleView() *View {
	return &View{
		Header: []string{"console: http://127.0.0.1:9000/"},
		Instruments: []InstrumentLine{
			{Venue: "binance-spot", Symbol: "BTCUSDT", PerSecond: 1234.4, Book: "valid", Bid: "61799.78", Ask: "61799.79",
				Lag: 1234567 * time.Nanosecond, Gaps: 2, LastBar: "61799 61800 61798 61799.78 0.51"},
			{Venue: "binance-coinm", Symbol: "BTCUSD_261225", Book: "quote-differ", Bid: "-", Ask: "-", Lag: -time.Hour, LastBar: "-"},
		},
		Stages: []StageLine{
			{Name: "socket read to shard", P50: 999, P99: 12345 * time.Nanosecond, Max: 2345678 * time.Microsecond, Count: 17},
			{Name: "QuestDB: one post"},
		},
		Footer: []string{"", "Ctrl-C ends everything."},
	}
}

const sampleText = `console: http://127.0.0.1:9000/

VENUE          SYMBOL           MSG/S  BOOK                      BID            ASK        LAG  GAPS  LAST 1s BAR (open high low close volume)
binance-spot   BTCUSDT           1234  valid                61799.78       61799.79     1.23ms     2  61799 61800 61798 61799.78 0.51
binance-coinm  BTCUSD_261225        0  quote-differ                -              -    -1h0m0s     0  -

STAGE                                     P50        P99        MAX        COUNT
socket read to shard                    999ns    12.35µs      2.35s           17
QuestDB: one post                          0s         0s         0s            0

Ctrl-C ends everything.
`

func TestScreenDrawsOverWhatItDrew(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	s := Screen{W: &out}
	s.Draw(sampleView())
	if out.String() != sampleText {
		t.Errorf("first:\n%s\nwant:\n%s", out.String(), sampleText)
	}
	out.Reset()
	less := sampleView()
	less.Footer = nil
	s.Draw(less)
	text, cut := strings.CutPrefix(out.String(), "\x1b[11A\x1b[J") // up over the first, and away with it
	if !cut || text != strings.TrimSuffix(sampleText, "\nCtrl-C ends everything.\n") {
		t.Errorf("second: %q", out.String())
	}
	out.Reset()
	s.Draw(less)
	if !strings.HasPrefix(out.String(), "\x1b[9A\x1b[J") {
		t.Errorf("third: %q", out.String())
	}
}

func TestViewAsLines(t *testing.T) {
	t.Parallel()
	have := strings.Join(sampleView().Lines(), "\n")
	const want = `binance-spot BTCUSDT msg/s=1234 book=valid bid=61799.78 ask=61799.79 lag=1.23ms gaps=2 bar=[61799 61800 61798 61799.78 0.51]
binance-coinm BTCUSD_261225 msg/s=0 book=quote-differ bid=- ask=- lag=-1h0m0s gaps=0 bar=[-]
stage "socket read to shard" p50=999ns p99=12.35µs max=2.35s n=17
stage "QuestDB: one post" p50=0s p99=0s max=0s n=0`
	if have != want {
		t.Errorf("%s\nwant\n%s", have, want)
	}
}
