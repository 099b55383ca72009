package ops

import (
	"fmt"
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
		Nbbo: []NbboLine{
			{Pair: "BTC-USDT", Type: "spot", Bid: "61799.78", BidVenue: "binance-spot", Ask: "61799.77", AskVenue: "okx", Venues: 3, Crossed: true},
			{Pair: "BTC-USD", Type: "spot"},
		},
		Stages: []StageLine{
			{Name: "socket read to shard", P50: 999, P99: 12345 * time.Nanosecond, Max: 2345678 * time.Microsecond, Count: 17},
			{Name: "QuestDB: one post"},
		},
		Footer: []string{"", "Ctrl-C ends everything."},
	}
}

const sampleText = `console: http://127.0.0.1:9000/

VENUE         SYMBOL         MSG/S BOOK             BID        ASK GAPS      LAG  LAST 1s BAR (open high low close volume)
binance-spot  BTCUSDT         1234 valid       61799.78   61799.79    2   1.23ms  61799 61800 61798 61799.78 0.51
binance-coinm BTCUSD_261225      0 quote-dif          -          -    0  -1h0m0s  -

BEST OF                     BID                       ASK               VENUES
BTC-USDT  spot         61799.78 binance-spot     61799.77 okx           3 x
BTC-USD   spot                - -                       - -             0

STAGE                                    P50       P99       MAX     COUNT
socket read to shard                   999ns   12.35µs     2.35s        17
QuestDB: one post                         0s        0s        0s         0

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
	text, cut := strings.CutPrefix(out.String(), "\x1b[15A\x1b[J") // up over the first, and away with it
	if !cut || text != strings.TrimSuffix(sampleText, "\nCtrl-C ends everything.\n") {
		t.Errorf("second: %q", out.String())
	}
	out.Reset()
	s.Draw(less)
	if !strings.HasPrefix(out.String(), "\x1b[13A\x1b[J") {
		t.Errorf("third: %q", out.String())
	}
}

func TestViewAsLines(t *testing.T) {
	t.Parallel()
	have := strings.Join(sampleView().Lines(), "\n")
	const want = `binance-spot BTCUSDT msg/s=1234 book=valid bid=61799.78 ask=61799.79 lag=1.23ms gaps=2 bar=[61799 61800 61798 61799.78 0.51]
binance-coinm BTCUSD_261225 msg/s=0 book=quote-differ bid=- ask=- lag=-1h0m0s gaps=0 bar=[-]
nbbo BTC-USDT spot bid=61799.78 binance-spot ask=61799.77 okx venues=3 crossed=true
nbbo BTC-USD spot bid= ask= venues=0 crossed=false
stage "socket read to shard" p50=999ns p99=12.35µs max=2.35s n=17
stage "QuestDB: one post" p50=0s p99=0s max=0s n=0`
	if have != want {
		t.Errorf("%s\nwant\n%s", have, want)
	}
}

// A screen that is too low for all instruments has one line a venue, and those
// whose book is not valid as far as there is room; one that is too narrow cuts.
func TestScreenFitsTheTerminal(t *testing.T) {
	t.Parallel()
	v := &View{Header: []string{"console"}}
	for _, venue := range []string{"binance-spot", "bybit-inverse"} {
		for i := range 10 {
			book := "valid"
			if i == 3 {
				book = "sequence"
			}
			v.Instruments = append(v.Instruments, InstrumentLine{Venue: venue, Symbol: fmt.Sprintf("BTC-USDT-%d", i), PerSecond: 100,
				Book: book, Bid: "61799.78", Ask: "61799.79", Gaps: 1, Lag: time.Millisecond, LastBar: "1 2 3 4 5"})
		}
	}
	var out strings.Builder
	columns, lines := 0, 0
	s := Screen{W: &out, Size: func() (int, int) { return columns, lines }}
	f := func(c, l int, want string) {
		t.Helper()
		columns, lines = c, l
		out.Reset()
		s.drawn = 0
		s.Draw(v)
		if out.String() != want {
			t.Errorf("%d x %d:\n%s\nwant:\n%s", c, l, out.String(), want)
		}
	}
	const head = "console\n\nVENUE         SYMBOL         MSG/S BOOK             BID        ASK GAPS      LAG  \n"
	const venues = "binance-spot  BTC-USDT-0      1000 9/10 good   61799.78   61799.79   10      1ms  \n" +
		"bybit-inverse BTC-USDT-0      1000 9/10 good   61799.78   61799.79   10      1ms  \n"
	const bad = "binance-spot  BTC-USDT-3       100 sequence    61799.78   61799.79    1      1ms  \n"
	const stages = "\nSTAGE                                    P50       P99       MAX     COUNT\n"
	f(82, 9, head+venues+bad+stages)
	f(82, 8, head+venues+stages)
	f(20, 4, "console\n\nVENUE         SYMBOL\n")
	columns, lines = 0, 0
	out.Reset()
	s.Draw(v)
	if n := strings.Count(out.String(), "1 2 3 4 5\n"); n != 20 {
		t.Errorf("%d instruments without a limit", n)
	}
}
