package binance_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	. "tickproc/feeds/sim"
	"tickproc/internal/testdata"
	"tickproc/tick"
)

// binanceShapes are the keys of each message in the venue's order, and the
// form of one price and size.
var binanceShapes = map[string]struct {
	keys          map[string]string
	price, amount string
}{
	BinanceSpot: {map[string]string{
		"trade":       "e E s t p q T m M",
		"bookTicker":  "u s b B a A",
		"depthUpdate": "e E s U u b a",
	}, `^\d+\.\d{8}$`, `^\d+\.\d{8}$`},
	BinanceUSDM: {map[string]string{
		"trade":       "e E T s t p q X m",
		"bookTicker":  "e u s b B a A T E",
		"depthUpdate": "e E T s U u pu b a",
	}, `^\d+\.\d0$`, `^\d+\.\d{3}$`},
	BinanceCOINM: {map[string]string{
		"trade":       "e E T s t p q X m",
		"bookTicker":  "u e s ps b B a A T E",
		"depthUpdate": "e E T s ps U u pu b a",
	}, `^\d+\.\d$`, `^\d+$`},
}

// orderedKeys returns the keys of a frame's data in order, joined by spaces,
// and the type of each value.
func orderedKeys(t *testing.T, frame string) (keys string, types map[string]string) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(frame))
	types = map[string]string{}
	var walk func(depth int)
	var names []string
	walk = func(depth int) {
		d.Token() // {
		for d.More() {
			key, _ := d.Token()
			if depth == 0 && key == "data" {
				walk(1)
				continue
			}
			var value json.RawMessage
			if err := d.Decode(&value); err != nil {
				t.Fatalf("%s: %v", frame, err)
			}
			if depth == 1 {
				names = append(names, key.(string))
				switch value[0] {
				case '"':
					types[key.(string)] = "text"
				case '[':
					types[key.(string)] = "list"
				case 't', 'f':
					types[key.(string)] = "bool"
				default:
					types[key.(string)] = "number"
				}
			}
		}
		d.Token() // }
	}
	walk(0)
	return strings.Join(names, " "), types
}

func TestBinanceFramesHaveTheVenuesShape(t *testing.T) {
	t.Parallel()
	for _, venue := range VenueNames() {
		e, err := newExchange(Options{Seed: 4})
		if err != nil {
			t.Fatal(err)
		}
		symbol := firstSymbol[venue]
		var frames []string
		e.Tap(venue, streamsOf(venue, symbol), func(f []byte) { frames = append(frames, string(f)) })
		for at := time.Duration(0); at < 5*time.Second; at += 5 * time.Millisecond {
			e.Step(labStart.Add(at))
		}
		shape := binanceShapes[venue]
		price, amount := regexp.MustCompile(shape.price), regexp.MustCompile(shape.amount)
		seen := map[string]int{}
		for _, f := range frames {
			stream, m := parse(t, f)
			seen[m.Event]++
			if keys, _ := orderedKeys(t, f); keys != shape.keys[m.Event] {
				t.Fatalf("%s %s: keys %q, want %q", venue, m.Event, keys, shape.keys[m.Event])
			}
			kind := map[string]string{"trade": "@trade", "bookTicker": "@bookTicker", "depthUpdate": "@depth@"}[m.Event]
			if !strings.HasPrefix(stream, strings.ToLower(symbol)+kind) || m.Symbol != symbol {
				t.Fatalf("%s: stream %q, symbol %q", venue, stream, m.Symbol)
			}
			var bids, asks [][2]string
			if m.Event == "trade" {
				bids = [][2]string{{m.Price, m.Size}}
			} else if json.Unmarshal(m.B, &bids) != nil || json.Unmarshal(m.A, &asks) != nil {
				t.Fatalf("%s: levels of %s", venue, f)
			}
			for _, l := range append(bids, asks...) {
				if !price.MatchString(l[0]) || !amount.MatchString(l[1]) {
					t.Fatalf("%s: level %v in %s", venue, l, f)
				}
			}
			if ms := labStart.UnixMilli(); m.Sent != 0 && (m.Sent < ms || m.Sent > ms+5000 || m.Time > m.Sent) {
				t.Fatalf("%s: times of %s", venue, f)
			}
		}
		if seen["trade"] == 0 || seen["bookTicker"] == 0 || seen["depthUpdate"] == 0 {
			t.Fatalf("%s: %v", venue, seen)
		}
	}
}

// The shapes above, and the types of the values, are those of recorded frames.
func TestBinanceShapesAreTheRecordedOnes(t *testing.T) {
	t.Parallel()
	dir := testdata.Dir(t)
	for venue, file := range map[string]string{BinanceSpot: "binance-spot-btcusdt", BinanceUSDM: "binance-usdm-btcusdt", BinanceCOINM: "binance-coinm-btcusd_perp"} {
		f, err := os.Open(filepath.Join(dir, "captures", file+"-20240808.gz"))
		if err != nil {
			t.Skipf("SKIPPED: %v", err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		_, ours := tapped(t, Options{Seed: 4}, venue, time.Second)
		types := map[string]map[string]string{}
		for _, frame := range ours {
			_, m := parse(t, frame)
			_, types[m.Event] = orderedKeys(t, frame)
		}
		lines := bufio.NewScanner(z)
		lines.Buffer(nil, 1<<22)
		for n := 0; lines.Scan() && n < 3000; {
			_, rest, _ := strings.Cut(lines.Text(), " ")
			tag, frame, _ := strings.Cut(rest, " ")
			if tag != "text" {
				continue
			}
			n++
			_, m := parse(t, frame)
			keys, have := orderedKeys(t, frame)
			if keys != binanceShapes[venue].keys[m.Event] {
				t.Fatalf("%s %s: recorded keys %q, ours %q", venue, m.Event, keys, binanceShapes[venue].keys[m.Event])
			}
			for key, kind := range have {
				if types[m.Event][key] != kind {
					t.Fatalf("%s %s: recorded %s is a %s, ours a %s", venue, m.Event, key, kind, types[m.Event][key])
				}
			}
		}
	}
}

func TestBinanceRawPathSendsBareData(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{})
	c := l.dial(BinanceSpot, "/ws/btcusdt@trade/ethusdt@bookTicker", dialer)
	l.run(3 * time.Second)
	l.finish()
	seen := map[string]bool{}
	for _, f := range c.all() {
		stream, m := parse(t, f)
		if stream != "" {
			t.Fatalf("wrapped: %s", f)
		}
		seen[m.Event+" "+m.Symbol] = true
	}
	if len(seen) != 2 || !seen["trade BTCUSDT"] || !seen["bookTicker ETHUSDT"] {
		t.Fatalf("saw %v", seen)
	}
}

func TestBinanceDialogue(t *testing.T) {
	t.Parallel()
	for _, venue := range VenueNames() {
		l := newLab(t, Options{})
		path := "/stream"
		if venue == BinanceUSDM {
			path = "/public/stream"
		}
		f := func(c *conn, text, want string) {
			t.Helper()
			if got := c.ask(text); got != want {
				t.Fatalf("%s: %s\n answered %s\n want     %s", venue, text, got, want)
			}
		}
		symbol := strings.ToLower(firstSymbol[venue])
		c := l.dial(venue, path, dialer)
		f(c, `{"method":"SUBSCRIBE","params":["`+symbol+`@trade","nosuch@trade"],"id":1}`, `{"result":null,"id":1}`)
		f(c, `{"method":"LIST_SUBSCRIPTIONS","id":"two"}`, `{"result":["`+symbol+`@trade","nosuch@trade"],"id":"two"}`)
		f(c, `{"method":"UNSUBSCRIBE","params":["nosuch@trade"],"id":3}`, `{"result":null,"id":3}`)
		f(c, `{"method":"LIST_SUBSCRIPTIONS","id":4}`, `{"result":["`+symbol+`@trade"],"id":4}`)

		l.run(3 * time.Second)
		f(c, `{"method":"UNSUBSCRIBE","params":["`+symbol+`@trade"],"id":5}`, `{"result":null,"id":5}`)
		before := l.truth(venue, firstSymbol[venue])
		l.run(3 * time.Second)
		l.finish()
		if rest := c.all(); len(rest) != 0 {
			t.Fatalf("%s: %d frames after the last UNSUBSCRIBE", venue, len(rest))
		}
		after := l.truth(venue, firstSymbol[venue])
		if len(before.Trades) == 0 || before.Trades[0].Delivered != 1 || before.SubscribedNanos != [6]int64{labStart.Add(time.Millisecond).UnixNano()} {
			t.Fatalf("%s: before %+v", venue, before.SubscribedNanos)
		}
		if last := after.Trades[len(after.Trades)-1]; last.Delivered != 0 || last.Doubtful != 0 {
			t.Fatalf("%s: %+v went to nobody", venue, last)
		}
	}
}

func TestBinanceDialogueRefusesNonsense(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{})
	f := func(text string, code int, id string) {
		t.Helper()
		c := l.dial(BinanceSpot, "/ws", dialer)
		defer c.Close()
		var got struct {
			Error struct {
				Code int
				Msg  string
			}
			ID json.RawMessage
		}
		answer := c.ask(text)
		if err := json.Unmarshal([]byte(answer), &got); err != nil || got.Error.Code != code || got.Error.Msg == "" || string(got.ID) != id {
			t.Fatalf("%s answered %s, want code %d, id %s", text, answer, code, id)
		}
	}
	f(`{`, 3, "")
	f(`hello`, 3, "")
	f(`[1]`, 2, "")
	f(`{"method":"SUBSCRIBE","params":["btcusdt@trade"]}`, 2, "")
	f(`{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1.5}`, 2, "")
	f(`{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":{}}`, 2, "")
	f(`{"method":"SUBSCRIBE","params":"btcusdt@trade","id":7}`, 2, "7")
	f(`{"method":"SUBSCRIBE","id":7}`, 2, "7")
	f(`{"method":"FOO","params":[],"id":7}`, 2, "7")
	f(`{"id":7}`, 2, "7")

	many := make([]string, 1024+1)
	for i := range many {
		many[i] = "s" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i/26) + "@trade"
	}
	list, _ := json.Marshal(many)
	f(`{"method":"SUBSCRIBE","params":`+string(list)+`,"id":8}`, 2, "8")
}

// A client that sends more than the venue allows is cut off.
func TestBinanceMessageLimit(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{})
	c := l.dial(BinanceSpot, "/ws", dialer)
	for range 30 {
		if c.WriteMessage(1, []byte(`{"method":"LIST_SUBSCRIPTIONS","id":1}`)) != nil {
			break
		}
	}
	c.all() // returns only when the connection ends
	if s := l.Stats()[0]; s.Venue != BinanceSpot || s.FastClients != 1 || s.Clients != 0 {
		t.Fatalf("%+v", s)
	}
}

// On USD-M books and trades live on the public tier; the market tier takes the
// same streams and stays silent; the untiered paths are retired. COIN-M and
// spot have no tiers.
func TestBinanceTiers(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{})
	streams := strings.Join(streamsOf(BinanceUSDM, "BTCUSDT"), "/")
	public := l.dial(BinanceUSDM, "/public/stream?streams="+streams, dialer)
	market := l.dial(BinanceUSDM, "/market/stream?streams="+streams, dialer)
	l.run(time.Second)
	l.finish()
	if len(public.all()) == 0 || len(market.all()) != 0 {
		t.Fatal("want all on the public tier and nothing on the market tier")
	}
	refused := newLab(t, Options{})
	f := func(venue, path string) {
		t.Helper()
		c, answer, err := dialer.Dial(refused.WSURL(venue)+path, nil)
		if err == nil {
			c.Close()
		}
		if answer == nil || answer.StatusCode != 404 {
			t.Fatalf("%s%s: %v %v, want 404", venue, path, answer, err)
		}
	}
	f(BinanceUSDM, "/stream")
	f(BinanceUSDM, "/ws/btcusdt@trade")
	f(BinanceSpot, "/public/stream")
	f(BinanceCOINM, "/public/ws")
	f(BinanceSpot, "/wsx")
}

func TestBinancePathPrefix(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{PathPrefix: "/lab/a"})
	if status, _, _ := l.get(BinanceSpot, "/api/v3/time"); status != 200 {
		t.Fatalf("status %d", status)
	}
	c := l.dial(BinanceSpot, "/ws/btcusdt@bookTicker", dialer)
	l.run(time.Second)
	l.finish()
	if len(c.all()) == 0 {
		t.Fatal("no frames behind the prefix")
	}
	if !strings.HasSuffix(l.WSURL(BinanceSpot), "/lab/a") {
		t.Fatal(l.WSURL(BinanceSpot))
	}
}

// Mark prices and liquidations live on USD-M's market tier, and on COIN-M's
// only one; open interest is asked for. What is told is the truth.
func TestBinanceDerivatives(t *testing.T) {
	t.Parallel()
	f := func(venue, tier string, markKeys, orderKeys, interestKeys string) {
		t.Helper()
		symbol := firstSymbol[venue]
		low := strings.ToLower(symbol)
		l := newLab(t, Options{})
		c := l.dial(venue, tier+"/stream?streams="+low+"@markPrice@1s/"+low+"@forceOrder", dialer)
		l.run(3 * time.Second)
		if err := l.Liquidate(venue, symbol, 5, true); err != nil {
			t.Fatal(err)
		}
		_, _, body := l.get(venue, restRoot(venue)+"openInterest?symbol="+symbol)
		l.finish()
		truth := l.truth(venue, symbol)
		marks, orders := 0, 0
		for _, frame := range c.all() {
			var m struct {
				Data struct {
					Event string          `json:"e"`
					Sent  int64           `json:"E"`
					Mark  string          `json:"p"`
					Index string          `json:"P"` // or json would read it as p
					Rate  string          `json:"r"`
					Next  int64           `json:"T"`
					Order json.RawMessage `json:"o"`
				}
			}
			if err := json.Unmarshal([]byte(frame), &m); err != nil {
				t.Fatal(err)
			}
			if m.Data.Order != nil {
				orders++
				if keys, _ := orderedKeys(t, `{"data":`+string(m.Data.Order)+`}`); keys != orderKeys || !strings.Contains(frame, `"S":"SELL"`) {
					t.Fatalf("%s: %s", venue, frame)
				}
				continue
			}
			if keys, _ := orderedKeys(t, frame); keys != markKeys {
				t.Fatalf("%s: keys %q, want %q", venue, keys, markKeys)
			}
			r := truth.References[marks]
			marks++
			if m.Data.Mark != tick.FormatScaled(r.Mark, r.PriceDigits) || m.Data.Rate != tick.FormatScaled(r.FundingRate, r.RateDigits) || m.Data.Next != r.NextFundingNanos/1e6 {
				t.Fatalf("%s: %s, truth %+v", venue, frame, r)
			}
		}
		if marks != 3 || orders != len(truth.Liquidations) {
			t.Fatalf("%s: %d marks, %d of %d liquidations", venue, marks, orders, len(truth.Liquidations))
		}
		if keys, _ := orderedKeys(t, `{"data":`+body+`}`); keys != interestKeys {
			t.Fatalf("%s: %s", venue, body)
		}
	}
	f(BinanceUSDM, "/market", "e E s p i P r T", "s S o f q p ap X l z T", "openInterest symbol time")
	f(BinanceCOINM, "", "e E s p P i r T", "s ps S o f q p ap X l z T", "symbol pair openInterest contractType time")
}

// Faults of subscriptions in the venue's words; a symbol that it does not know
// is taken in silence, as always.
func TestBinanceSubscriptionFaults(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{})
	c := l.dial(BinanceSpot, "/ws", dialer)
	f := func(kind FaultKind, want string) {
		t.Helper()
		if err := l.Inject(Fault{Kind: kind, Venue: BinanceSpot, Channel: tick.ChannelTrades}); err != nil {
			t.Fatal(err)
		}
		if got := c.ask(`{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}`); got != want {
			t.Fatalf("%s: %s, want %s", kind, got, want)
		}
	}
	f(FaultRefuse, `{"error":{"code":2,"msg":"Invalid request: stream btcusdt@trade is not available"},"id":1}`)
	f(FaultRateLimit, `{"error":{"code":-1003,"msg":"Too many requests"},"id":1}`)
	f(FaultUnknown, `{"result":null,"id":1}`)
	l.run(2 * time.Second)
	l.finish()
	if n := len(c.all()); n != 0 {
		t.Fatalf("%d frames of a stream that was not taken", n)
	}
}
