package indicators

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"tickproc/internal/testdata"
	"tickproc/tick"
)

// recorded reads the trades of a Binance capture, with digits that hold its
// prices and sizes.
func recorded(t testing.TB, name string, priceDigits, sizeDigits uint8) []Trade {
	t.Helper()
	file, err := os.Open(filepath.Join(testdata.Dir(t), "captures", name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var trades []Trade
	lines := bufio.NewScanner(unzipped)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		_, frame, _ := bytes.Cut(lines.Bytes(), []byte(" text "))
		if !bytes.Contains(frame, []byte("@trade")) {
			continue
		}
		var message struct {
			Stream string
			Data   struct {
				// E and T differ in case from e and t, which encoding/json
				// would otherwise take for the same.
				Event  string `json:"e"`
				Sent   int64  `json:"E"`
				ID     uint64 `json:"t"`
				Millis int64  `json:"T"`
				Price  string `json:"p"`
				Size   string `json:"q"`
				Maker  bool   `json:"m"`
				Market bool   `json:"M"`
				Kind   string `json:"X"`
			}
		}
		if err := json.Unmarshal(frame, &message); err != nil {
			t.Fatalf("%s: %v", frame, err)
		}
		data := message.Data
		if data.Event != "trade" || data.Kind != "" && data.Kind != "MARKET" {
			continue
		}
		price, err := tick.ParseScaled([]byte(data.Price), priceDigits)
		if err != nil {
			t.Fatal(err)
		}
		size, err := tick.ParseScaled([]byte(data.Size), sizeDigits)
		if err != nil {
			t.Fatal(err)
		}
		trades = append(trades, Trade{TsNanos: data.Millis * milli, ID: tick.ID{Lo: data.ID}, Price: price, Size: size, Sell: data.Maker})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return trades
}

// Minute bars of the recorded sessions equal those of an independent calculator.
func TestRecordedSessions(t *testing.T) {
	t.Parallel()
	f := func(name string, priceDigits, sizeDigits uint8) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(testdata.Dir(t), "expected", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var expected struct {
			Trades           int
			Volume, Notional decimal.Decimal
			Bars             map[string][]json.RawMessage
		}
		if err := json.Unmarshal(text, &expected); err != nil {
			t.Fatal(err)
		}
		trades := recorded(t, name, priceDigits, sizeDigits)
		if len(trades) != expected.Trades {
			t.Errorf("%s: %d trades, want %d", name, len(trades), expected.Trades)
		}
		spec := BarsSpec{Interval: time.Minute, Grace: defaultGrace, Lateness: defaultLateness}
		bars := NewBars(spec, new(Coverage))
		session := NewSessionVWAP(WindowSpec{Grace: defaultGrace, Lateness: defaultLateness}, new(Coverage))
		var out, sessionOut Out
		now := int64(0)
		for i := range trades {
			now = max(now, trades[i].TsNanos)
			for _, in := range []Indicator{bars, session} {
				to := &out
				if in == Indicator(session) {
					to = &sessionOut
				}
				if in.Deadline() <= now {
					in.Advance(now, to)
				}
				in.Trade(&trades[i])
			}
		}
		bars.Finish(&out)
		session.Finish(&sessionOut)

		rows, _ := parse(t, out.Rows)
		last := map[string]tick.BarRow{}
		for _, r := range rows {
			last[strconv.FormatInt(r.TsNanos/milli, 10)] = r
		}
		if len(last) != len(expected.Bars) {
			t.Errorf("%s: %d bars, want %d", name, len(last), len(expected.Bars))
		}
		for start, want := range expected.Bars {
			r := last[start]
			got := []decimal.Decimal{
				decimal.New(r.Open, -int32(priceDigits)), decimal.New(r.High, -int32(priceDigits)),
				decimal.New(r.Low, -int32(priceDigits)), decimal.New(r.Close, -int32(priceDigits)),
				r.Volume.Decimal(sizeDigits), r.Notional.Decimal(priceDigits + sizeDigits), decimal.NewFromInt(int64(r.Trades))}
			for i, text := range want {
				number, err := decimal.NewFromString(string(bytes.Trim(text, `"`)))
				if err != nil {
					t.Fatal(err)
				}
				if !got[i].Equal(number) {
					t.Errorf("%s: bar %s: value %d is %s, want %s", name, start, i, got[i], number)
				}
			}
		}
		newest := rows[len(rows)-1]
		if newest.Flags&tick.RowFinal != 0 {
			t.Errorf("%s: the last bar is final", name)
		}

		// The trades of a capture lie in two days at most; the sums of both are the whole.
		_, windows := parse(t, sessionOut.Rows)
		days := map[int64]tick.WindowRow{}
		for _, r := range windows {
			days[dayOf(r.TsNanos-1)] = r
		}
		var whole sums
		for _, r := range days {
			whole.add(&sums{r.Volume, r.Notional, r.Trades})
		}
		if !whole.volume.Decimal(sizeDigits).Equal(expected.Volume) || !whole.notional.Decimal(priceDigits+sizeDigits).Equal(expected.Notional) {
			t.Errorf("%s: session %s, %s; want %s, %s", name, whole.volume.Decimal(sizeDigits), whole.notional.Decimal(priceDigits+sizeDigits), expected.Volume, expected.Notional)
		}
	}
	f("binance-spot-btcusdt-20240808", 2, 8)
	f("binance-usdm-btcusdt-20240808", 2, 3)
	f("binance-coinm-btcusd_perp-20240808", 1, 0)
}
