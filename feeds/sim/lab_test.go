package sim_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tickproc/feeds/binance"
	. "tickproc/feeds/sim"
	"tickproc/tick"
)

// lab is an exchange whose time the test moves, with real sockets.
type lab struct {
	*Exchange
	t   *testing.T
	now time.Time
}

// The market speaks Binance in these tests: its frames are read by
// encoding/json, not by the product's decoder.
const (
	BinanceSpot  = binance.Spot
	BinanceUSDM  = binance.USDM
	BinanceCOINM = binance.COINM
)

func VenueNames() []string { return []string{BinanceSpot, BinanceUSDM, BinanceCOINM} }

func DefaultSymbols(venue string) []Symbol { return binance.Dialect(venue).DefaultSymbols() }

// newExchange simulates all venues unless some are named.
func newExchange(o Options) (*Exchange, error) {
	if len(o.Venues) == 0 {
		for _, name := range VenueNames() {
			o.Venues = append(o.Venues, Venue{Name: name})
		}
	}
	o.Venues = slices.Clone(o.Venues)
	for i := range o.Venues {
		if d := binance.Dialect(o.Venues[i].Name); d != nil {
			o.Venues[i].Dialect = d
		}
	}
	return New(o)
}

var labStart = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

func newLab(t *testing.T, o Options) *lab {
	t.Helper()
	o.Seed = 7
	e, err := newExchange(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	l := &lab{Exchange: e, t: t, now: labStart}
	e.Step(l.now)
	return l
}

// run moves time in steps of 10 ms.
func (l *lab) run(d time.Duration) {
	for end := l.now.Add(d); l.now.Before(end); {
		l.now = l.now.Add(10 * time.Millisecond)
		l.Step(l.now)
	}
}

// finish drains and closes, with all clients answering.
func (l *lab) finish() {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 10*time.Second)
	defer cancel()
	if err := l.Drain(ctx); err != nil {
		l.t.Fatal(err)
	}
	l.Close()
}

func (l *lab) inject(f Fault) {
	l.t.Helper()
	if err := l.Inject(f); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) truth(venue, symbol string) Truth {
	l.t.Helper()
	for _, t := range l.Truth() {
		if t.Venue == venue && t.Symbol == symbol {
			return t
		}
	}
	l.t.Fatalf("no truth of %s %s", venue, symbol)
	return Truth{}
}

// conn is a client that reads all the time.
type conn struct {
	*websocket.Conn
	t      *testing.T
	frames chan string // closed at the end
	err    error       // why it ended; valid once frames is closed
}

func (l *lab) dial(venue, path string, dialer websocket.Dialer, prepare ...func(*websocket.Conn)) *conn {
	l.t.Helper()
	before := l.connections(venue)
	ws, _, err := dialer.DialContext(l.t.Context(), l.WSURL(venue)+path, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { ws.Close() })
	// The handshake is answered a moment before the venue lists the client.
	l.await("the venue lists the client", func() bool { return l.connections(venue) > before })
	for _, p := range prepare {
		p(ws)
	}
	c := &conn{Conn: ws, t: l.t, frames: make(chan string, 1<<18)}
	go func() {
		defer close(c.frames)
		for {
			_, text, err := ws.ReadMessage()
			if err != nil {
				c.err = err
				return
			}
			c.frames <- string(text)
		}
	}()
	return c
}

func (l *lab) connections(venue string) uint64 {
	for _, s := range l.Stats() {
		if s.Venue == venue {
			return s.Connections
		}
	}
	return 0
}

// await polls until something is so.
func (l *lab) await(what string, so func() bool) {
	l.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !so(); runtime.Gosched() {
		if time.Now().After(deadline) {
			l.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// next returns the next frame.
func (c *conn) next() string {
	c.t.Helper()
	select {
	case f, ok := <-c.frames:
		if !ok {
			c.t.Fatalf("connection ended: %v", c.err)
		}
		return f
	case <-time.After(10 * time.Second):
		c.t.Fatal("no frame for 10 s")
		return ""
	}
}

// all returns the frames until the connection ended.
func (c *conn) all() []string {
	c.t.Helper()
	deadline := time.After(10 * time.Second)
	var out []string
	for {
		select {
		case f, ok := <-c.frames:
			if !ok {
				return out
			}
			out = append(out, f)
		case <-deadline:
			c.t.Fatal("the connection did not end")
		}
	}
}

// get asks REST.
func (l *lab) get(venue, path string) (status int, header http.Header, body string) {
	l.t.Helper()
	r, err := http.Get(l.RESTURL(venue) + path)
	if err != nil {
		l.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return r.StatusCode, r.Header, string(b)
}

// message is what the tests read of any Binance frame, by encoding/json alone.
type message struct {
	Event  string          `json:"e"`
	Symbol string          `json:"s"`
	U      uint64          `json:"U"`
	Last   uint64          `json:"u"`
	Prev   uint64          `json:"pu"`
	ID     int64           `json:"t"`
	Price  string          `json:"p"`
	Size   string          `json:"q"`
	Time   int64           `json:"T"`
	Sent   int64           `json:"E"`
	Sell   bool            `json:"m"`
	B, A   json.RawMessage // levels, or the price of a quote
}

// kinds of exact keys: encoding/json matches names without case, so a map
// comes first.
func parse(t testing.TB, frame string) (stream string, m message) {
	t.Helper()
	var outer, body map[string]json.RawMessage
	if err := json.Unmarshal([]byte(frame), &outer); err != nil {
		t.Fatalf("frame %s: %v", frame, err)
	}
	body = outer
	if d, ok := outer["data"]; ok {
		json.Unmarshal(outer["stream"], &stream)
		body = nil
		if err := json.Unmarshal(d, &body); err != nil {
			t.Fatalf("frame %s: %v", frame, err)
		}
	}
	for key, into := range map[string]any{"e": &m.Event, "s": &m.Symbol, "U": &m.U, "u": &m.Last, "pu": &m.Prev, "t": &m.ID,
		"p": &m.Price, "q": &m.Size, "T": &m.Time, "E": &m.Sent, "m": &m.Sell} {
		if raw, ok := body[key]; ok {
			if err := json.Unmarshal(raw, into); err != nil {
				t.Fatalf("frame %s: key %s: %v", frame, key, err)
			}
		}
	}
	m.B, m.A = body["b"], body["a"]
	if m.Event == "" && body["B"] != nil {
		m.Event = "bookTicker" // spot names no event there
	}
	if m.Event == "bookTicker" {
		var q [4]string
		for i, key := range []string{"b", "B", "a", "A"} {
			json.Unmarshal(body[key], &q[i])
		}
		m.B, _ = json.Marshal([][2]string{{q[0], q[1]}})
		m.A, _ = json.Marshal([][2]string{{q[2], q[3]}})
	}
	return stream, m
}

// tradeIDs returns the ids of the trades among frames, in the order of arrival.
func tradeIDs(t testing.TB, frames []string) (ids []int64) {
	t.Helper()
	for _, f := range frames {
		if strings.Contains(f, `"trade"`) && json.Valid([]byte(f)) {
			_, m := parse(t, f)
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// model is a slow book: sizes by price, both as text.
type model struct {
	bids, asks map[string]string
	last       uint64
}

func (b *model) apply(t testing.TB, bids, asks json.RawMessage) {
	t.Helper()
	if b.bids == nil {
		b.bids, b.asks = map[string]string{}, map[string]string{}
	}
	for _, s := range []struct {
		raw  json.RawMessage
		side map[string]string
	}{{bids, b.bids}, {asks, b.asks}} {
		var levels [][2]string
		if err := json.Unmarshal(s.raw, &levels); err != nil {
			t.Fatal(err)
		}
		for _, l := range levels {
			if strings.Trim(l[1], "0.") == "" {
				delete(s.side, l[0])
			} else {
				s.side[l[0]] = l[1]
			}
		}
	}
}

// top returns the n best levels a side, scaled, found the slow way.
func (b *model) top(t testing.TB, n int, priceDigits, sizeDigits uint8) (bids, asks []tick.Level) {
	t.Helper()
	best := func(side map[string]string, asks bool) (out []tick.Level) {
		s := &sideModel{asks: asks}
		for p, q := range side {
			price, err1 := tick.ParseScaled([]byte(p), priceDigits)
			size, err2 := tick.ParseScaled([]byte(q), sizeDigits)
			if err1 != nil || err2 != nil {
				t.Fatal(err1, err2)
			}
			s.insert(tick.Level{Price: price, Size: size}, n)
		}
		return s.levels
	}
	return best(b.bids, false), best(b.asks, true)
}

type sideModel struct {
	levels []tick.Level
	asks   bool
}

// insert keeps the n best by insertion.
func (s *sideModel) insert(l tick.Level, n int) {
	at := 0
	for at < len(s.levels) && (s.levels[at].Price < l.Price) == s.asks {
		at++
	}
	s.levels = append(s.levels[:at:at], append([]tick.Level{l}, s.levels[at:]...)...)
	s.levels = s.levels[:min(n, len(s.levels))]
}

// snapshot reads a depth answer of REST into the model.
func (b *model) snapshot(t testing.TB, body string) {
	t.Helper()
	var s struct {
		ID   uint64          `json:"lastUpdateId"`
		Bids json.RawMessage `json:"bids"`
		Asks json.RawMessage `json:"asks"`
	}
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	b.bids, b.asks = nil, nil
	b.apply(t, s.Bids, s.Asks)
	b.last = s.ID
}

// streams of a symbol.
func streamsOf(venue, symbol string) []string {
	low, depth := strings.ToLower(symbol), "@depth@0ms"
	if venue == BinanceSpot {
		depth = "@depth@100ms"
	}
	return []string{low + "@trade", low + "@bookTicker", low + depth}
}

// combinedPath subscribes them by URL.
func combinedPath(venue string, streams []string) string {
	path := "/stream?streams=" + strings.Join(streams, "/")
	if venue == BinanceUSDM {
		path = "/public" + path
	}
	return path
}

var firstSymbol = map[string]string{BinanceSpot: "BTCUSDT", BinanceUSDM: "BTCUSDT", BinanceCOINM: "BTCUSD_PERP"}

func restRoot(venue string) string {
	return map[string]string{BinanceSpot: "/api/v3/", BinanceUSDM: "/fapi/v1/", BinanceCOINM: "/dapi/v1/"}[venue]
}

func depthPath(venue, symbol string, limit int) string {
	return restRoot(venue) + "depth?symbol=" + symbol + "&limit=" + strconv.Itoa(limit)
}
