package coinbase

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tickproc/book"
	"tickproc/feeds"
	"tickproc/feeds/sim"
	"tickproc/internal/testdata"
	"tickproc/tick"
)

var labStart = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

// lab is a simulated venue whose time the test moves, and a client that
// decodes what it hears and keeps the books by the catalog's rules.
type lab struct {
	*sim.Exchange
	t       *testing.T
	now     time.Time
	decoder feeds.Decoder
	in      []tick.Instrument
	syncs   []*book.Sync
	ordinal uint64

	trades map[uint32][]tick.Trade
	quotes map[uint32][]heardQuote
	shown  map[uint32][]shownBook // each time that a book was valid behind a message
	gaps   int
	faults int // frames that could not be used
}

type heardQuote struct {
	nanos    int64
	bid, ask tick.Level
}

type shownBook struct {
	nanos      int64
	bids, asks []tick.Level
}

func newLab(t *testing.T, o sim.Options) *lab {
	t.Helper()
	if len(o.Venues) == 0 {
		o.Venues = []sim.Venue{{}}
	}
	o.Venues[0].Name, o.Venues[0].Dialect = venueName, Dialect(venueName)
	e, err := sim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	l := &lab{Exchange: e, t: t, now: labStart, trades: map[uint32][]tick.Trade{}, quotes: map[uint32][]heardQuote{}, shown: map[uint32][]shownBook{}}
	e.Step(l.now)
	if l.in, err = (adapter{}).ParseCatalog(l.get(adapter{}.CatalogRequests()[0].URL)); err != nil {
		t.Fatal(err)
	}
	var known []*tick.Instrument
	for i := range l.in {
		l.in[i].ID = uint32(i)
		known = append(known, &l.in[i])
		s := book.NewSync(l.in[i].Sync, l.in[i].PriceDigits, l.in[i].SizeDigits)
		s.Up()
		l.syncs = append(l.syncs, s)
	}
	l.decoder = adapter{}.NewDecoder(nil, feeds.NewTable(known))
	return l
}

func (l *lab) get(address string) []byte {
	l.t.Helper()
	w := httptest.NewRecorder()
	l.Handler(venueName).ServeHTTP(w, httptest.NewRequest("GET", strings.TrimPrefix(address, "https://api.coinbase.com"), nil))
	body, err := io.ReadAll(w.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return body
}

// run moves time in steps of 10 ms.
func (l *lab) run(d time.Duration) {
	for end := l.now.Add(d); l.now.Before(end); {
		l.now = l.now.Add(10 * time.Millisecond)
		l.Step(l.now)
	}
}

// listen taps all streams of every instrument on one connection.
func (l *lab) listen() {
	l.t.Helper()
	var names []string
	for i := range l.in {
		for _, channel := range []string{"market_trades:", "ticker:", "level2:"} {
			names = append(names, channel+l.in[i].Symbol)
		}
	}
	if err := l.Tap(venueName, names, l.hear); err != nil {
		l.t.Fatal(err)
	}
}

// hear does with a frame what a feed and its shards do.
func (l *lab) hear(frame []byte) {
	if frame == nil {
		return // the end
	}
	l.ordinal++
	units, notice, err := l.decoder.Decode(nil, frame, feeds.Stamp{Line: 4, Ordinal: l.ordinal})
	if err != nil {
		l.faults++
		return
	}
	if notice.Kind == feeds.NoticeGap {
		l.gaps++
		for _, s := range l.syncs {
			s.Invalidate(tick.ReasonSequence)
		}
	}
	for len(units) > 0 {
		p := units[:tick.PacketUnits(&units[0])]
		units = units[len(p):]
		l.packet(p)
	}
}

func (l *lab) packet(p []tick.Unit) {
	h := p[0].Header()
	switch h.Kind {
	case tick.KindTrade:
		l.trades[h.Instrument] = append(l.trades[h.Instrument], *p[0].Trade())
	case tick.KindQuote:
		levels := tick.Levels(p)
		l.quotes[h.Instrument] = append(l.quotes[h.Instrument], heardQuote{h.ExchangeNanos, levels[0], levels[1]})
	case tick.KindDepth, tick.KindSnapshot:
		s := l.syncs[h.Instrument]
		if h.Kind == tick.KindSnapshot {
			s.Snapshot(p, &listener{})
		} else {
			s.Delta(p, &listener{})
		}
		if !s.IsValid() {
			return
		}
		b := shownBook{nanos: h.ExchangeNanos}
		b.bids = make([]tick.Level, min(sim.TruthDepth, s.Book.Bids.Len()))
		b.asks = make([]tick.Level, min(sim.TruthDepth, s.Book.Asks.Len()))
		s.Book.Bids.CopyBest(b.bids)
		s.Book.Asks.CopyBest(b.asks)
		l.shown[h.Instrument] = append(l.shown[h.Instrument], b)
	default:
		l.t.Fatalf("kind %d", h.Kind)
	}
}

// check compares all that was heard with what the market did: nothing may ever
// be wrong, whatever was lost.
func (l *lab) check() (trades, quotes, books int) {
	l.t.Helper()
	for _, truth := range l.Truth() {
		id := uint32(slices.IndexFunc(l.in, func(in tick.Instrument) bool { return in.Symbol == truth.Symbol }))
		happened := map[uint64]sim.Trade{}
		for _, t := range truth.Trades {
			happened[uint64(t.ID)] = t
		}
		for _, have := range l.trades[id] {
			t, ok := happened[have.ID.Lo]
			if !ok || t.Price != have.Price || t.Size != have.Size || t.TimeNanos != have.ExchangeNanos || t.Sell != (have.Flags&tick.FlagSell != 0) {
				l.t.Fatalf("%s: trade %+v, the market's %+v", truth.Symbol, have, t)
			}
			trades++
		}
		for _, have := range l.quotes[id] {
			if !slices.ContainsFunc(truth.QuotesAt(0, have.nanos), func(q sim.Quote) bool { return q.Bid == have.bid && q.Ask == have.ask }) {
				l.t.Fatalf("%s: quote %+v, the market's %+v", truth.Symbol, have, truth.QuotesAt(0, have.nanos))
			}
			quotes++
		}
		for _, have := range l.shown[id] {
			if !slices.ContainsFunc(truth.Books(0, have.nanos), func(b sim.Book) bool { return slices.Equal(b.Bids, have.bids) && slices.Equal(b.Asks, have.asks) }) {
				l.t.Fatalf("%s at %d: book\n%v\n%v\nthe market's\n%+v", truth.Symbol, have.nanos, have.bids, have.asks, truth.Books(0, have.nanos))
			}
			books++
		}
	}
	return trades, quotes, books
}

// What the simulated market did is what the decoder gives, in every trade,
// quote and book.
func TestDecodedIsWhatWasDone(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	l := newLab(t, sim.Options{Seed: seed})
	l.run(2 * time.Second)
	l.listen()
	l.run(20 * time.Second)
	trades, quotes, books := l.check()
	t.Logf("%d trades, %d quotes, %d books", trades, quotes, books)
	if l.faults != 0 || l.gaps != 0 || trades < 100 || quotes < 100 || books < 1000 {
		t.Errorf("%d faults, %d gaps, %d trades, %d quotes, %d books", l.faults, l.gaps, trades, quotes, books)
	}
	for i, s := range l.syncs {
		if s.Book.Check(); !s.IsValid() {
			t.Errorf("%s is not valid", l.in[i].Symbol)
		}
	}
	// Each trade since we listened was heard once and in order, the last before as backfill.
	for id, heard := range l.trades {
		backfill := 0
		for i, tr := range heard {
			if i > 0 && tr.ID.Lo != heard[i-1].ID.Lo+1 {
				t.Fatalf("%s: trade %d behind %d", l.in[id].Symbol, tr.ID.Lo, heard[i-1].ID.Lo)
			}
			if tr.Flags&tick.FlagBackfill != 0 {
				backfill++
			}
		}
		if backfill > 100 || backfill == 0 && l.in[id].Symbol == "BTC-USD" {
			t.Errorf("%s: %d trades are backfill", l.in[id].Symbol, backfill)
		}
	}
}

// Frames lost, doubled, swapped and broken: a book that is said to be valid is
// the market's, each time; every loss is noticed at the next frame, and a whole
// book mends it.
func TestFaultsNeverShowAWrongBook(t *testing.T) {
	t.Parallel()
	for _, kind := range []sim.FaultKind{sim.FaultDrop, sim.FaultDuplicate, sim.FaultReorder, sim.FaultGarbage, sim.FaultTruncate, sim.FaultExtraField, sim.FaultDropFrame} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			l := newLab(t, sim.Options{Seed: 5})
			l.run(time.Second) // no stream is without a snapshot
			l.listen()
			for range 60 {
				if err := l.Inject(sim.Fault{Kind: kind, Venue: venueName}); err != nil {
					t.Fatal(err)
				}
				l.run(200 * time.Millisecond)
				if slices.ContainsFunc(l.syncs, func(s *book.Sync) bool { return !s.IsValid() }) {
					if err := l.Inject(sim.Fault{Kind: sim.FaultResnapshot, Venue: venueName, Channel: tick.ChannelDepth}); err != nil {
						t.Fatal(err)
					}
				}
				l.run(50 * time.Millisecond)
			}
			_, _, books := l.check()
			struck := 0
			for _, r := range l.FaultLog() {
				if r.Kind == kind {
					struck++
				}
			}
			t.Logf("%d faults, %d gaps, %d books", struck, l.gaps, books)
			want, broken := 0, 0
			switch kind {
			case sim.FaultDrop, sim.FaultReorder, sim.FaultDropFrame:
				want = struck
			case sim.FaultTruncate:
				want, broken = struck, struck
			case sim.FaultGarbage: // beside the frame, not in its place, and without a number
				broken = struck
			}
			if l.gaps != want || l.faults != broken || struck < 50 || books < 500 {
				t.Errorf("%d faults made %d gaps and %d frames unusable, want %d and %d; %d books", struck, l.gaps, l.faults, want, broken, books)
			}
			for i, s := range l.syncs {
				if !s.IsValid() {
					t.Errorf("%s is not mended", l.in[i].Symbol)
				}
			}
		})
	}
}

// client is a real socket to the lab.
type client struct {
	*websocket.Conn
	l      *lab
	frames chan []byte
}

func (l *lab) dial() *client {
	l.t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial(l.WSURL(venueName), nil)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { ws.Close() })
	c := &client{ws, l, make(chan []byte, 10_000)}
	go func() {
		defer close(c.frames)
		for {
			_, frame, err := ws.ReadMessage()
			if err != nil {
				return
			}
			c.frames <- frame
		}
	}()
	return c
}

// next returns the next frame; nil at the end.
func (c *client) next() []byte {
	c.l.t.Helper()
	select {
	case frame := <-c.frames:
		return frame
	case <-time.After(10 * time.Second):
		c.l.t.Fatal("no frame for 10 s")
		return nil
	}
}

// say sends the texts of requests.
func (c *client) say(requests []feeds.SubscribeRequest) {
	c.l.t.Helper()
	for _, r := range requests {
		c.text(string(r.Text))
	}
}

func (c *client) text(text string) {
	c.l.t.Helper()
	if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.l.t.Fatal(err)
	}
}

// The adapter's own texts over a real socket: what stands comes before its
// answer, answers are told apart by their order, a request with a product that
// does not exist is refused whole, a book is had anew, heartbeats come.
func TestDialogue(t *testing.T) {
	t.Parallel()
	l := newLab(t, sim.Options{Seed: 3})
	if err := l.Listen(); err != nil {
		t.Fatal(err)
	}
	l.run(2 * time.Second)
	a := adapter{}
	find := func(symbol string) *tick.Instrument {
		return &l.in[slices.IndexFunc(l.in, func(in tick.Instrument) bool { return in.Symbol == symbol })]
	}
	btc, eth := find("BTC-USD"), find("ETH-USD")
	nope := a.Instrument("NOPE-USD")
	subscriptions := []feeds.Subscription{{Instrument: btc, Channels: served}, {Instrument: eth, Channels: tick.ChannelDepth}}
	plan := a.Plan(subscriptions)[0]
	c := l.dial()

	var got []string
	expect := func(want ...string) {
		t.Helper()
		got = got[:0]
		for range want {
			frame := c.next()
			units, notice, err := l.decoder.Decode(nil, frame, stamp)
			if err != nil {
				t.Fatalf("%s: %v", frame, err)
			}
			words := map[feeds.NoticeKind]string{feeds.NoticeAck: "ack ", feeds.NoticeRefused: "refused ", feeds.NoticePong: "heartbeat ", feeds.NoticeIgnored: "ignored "}[notice.Kind]
			if notice.Kind == feeds.NoticeAck || notice.Kind == feeds.NoticeRefused {
				words += string(rune('0'+notice.Request)) + " "
			}
			if len(units) > 0 {
				words += map[tick.Kind]string{tick.KindTrade: "trades ", tick.KindQuote: "quote ", tick.KindSnapshot: "book ", tick.KindDepth: "delta "}[units[0].KindOf()] + l.in[units[0].Header().Instrument].Symbol
			}
			got = append(got, strings.TrimSpace(words))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	c.say(plan.Greetings)
	c.say(a.Subscribe(&plan, plan.Subscriptions, 1))
	expect("ack 0", "trades BTC-USD", "ack 1", "quote BTC-USD", "ack 2", "book BTC-USD", "book ETH-USD", "ack 3")

	c.say(a.Subscribe(&plan, []feeds.Subscription{{Instrument: find("SOL-USD"), Channels: tick.ChannelTrades}, {Instrument: &nope, Channels: tick.ChannelTrades}}, 4))
	expect("refused 4")

	// In USDC is in dollars, and had already.
	c.text(`{"type":"subscribe","product_ids":["BTC-USDC"],"channel":"level2"}`)
	expect("ack 5")

	depth := []feeds.Subscription{{Instrument: btc, Channels: tick.ChannelDepth}}
	c.say(a.Unsubscribe(&plan, depth, 6))
	c.say(a.Subscribe(&plan, depth, 7))
	expect("ack 6", "book BTC-USD", "ack 7")

	for _, kind := range []sim.FaultKind{sim.FaultRefuse, sim.FaultUnknown, sim.FaultRateLimit} {
		if err := l.Inject(sim.Fault{Kind: kind, Venue: venueName}); err != nil {
			t.Fatal(err)
		}
	}
	// Eight messages a second are the limit by the wall clock: another socket says these.
	c = l.dial()
	l.decoder = a.NewDecoder(nil, feeds.NewTable([]*tick.Instrument{btc, eth}))
	c.text(`{"type":"hello"}`)
	expect("refused /") // about none of our requests
	sol := `{"type":"subscribe","product_ids":["ETH-USD"],"channel":"level2"}`
	for range 4 {
		c.text(sol)
	}
	expect("refused 0", "refused 1", "refused 2", "book ETH-USD", "ack 3")
	c.text(`{"type":"subscribe","product_ids":["BTC-USD"],"channel":"level3"}`)
	c.text(`{"type":"unsubscribe","channel":"level2"}`)
	c.text(`{"type":"subscribe","channel":"heartbeats"}`)
	expect("refused 4", "ack 5", "ack 6")
	l.run(2 * time.Second)
	expect("heartbeat", "heartbeat")
}

// Who says too much, or nothing at all, is sent away.
func TestLimits(t *testing.T) {
	t.Parallel()
	l := newLab(t, sim.Options{Seed: 3})
	if err := l.Listen(); err != nil {
		t.Fatal(err)
	}
	c := l.dial()
	for range 30 {
		if c.WriteMessage(websocket.TextMessage, []byte(`{"type":"subscribe","channel":"heartbeats"}`)) != nil {
			break
		}
	}
	last := ""
	for frame := c.next(); frame != nil; frame = c.next() {
		last = string(frame)
	}
	if last != `{"type":"error","message":"rate limit exceeded"}` {
		t.Errorf("last: %s", last)
	}
	c = l.dial()
	for deadline := time.Now().Add(10 * time.Second); l.Stats()[0].Clients == 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the client is not listed")
		}
	}
	l.run(6 * time.Second)
	if frame := c.next(); frame != nil {
		t.Errorf("%s for a client that subscribed nothing", frame)
	}
}

// Frames have the keys of recorded ones in their order.
func TestFramesHaveTheVenuesShape(t *testing.T) {
	t.Parallel()
	sample := func(file string) string {
		text, err := os.ReadFile(filepath.Join(testdata.Dir(t), "samples", "nautilus", "coinbase", file))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	recorded := wireFrames(t)
	shapes := map[string]string{"l2_data": keysOf(t, string(recorded[2])), "market_trades": keysOf(t, tradesFrame), "ticker": keysOf(t, tickerFrame)}
	// What the samples have beside: a client id that the venue sends no more.
	for channel, file := range map[string]string{"l2_data": "ws_l2_data_update.json", "market_trades": "ws_market_trades.json", "ticker": "ws_ticker.json"} {
		want, got := strings.Fields(strings.Replace(keysOf(t, sample(file)), "client_id ", "", 1)), strings.Fields(shapes[channel])
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			t.Errorf("%s: sample %v, ours %v", channel, want, got)
		}
	}
	l := newLab(t, sim.Options{Seed: 4})
	seen := map[string]int{}
	if err := l.Tap(venueName, []string{"market_trades:BTC-USD", "ticker:BTC-USD", "level2:BTC-USD"}, func(frame []byte) {
		if frame == nil {
			return
		}
		var m struct {
			Channel string
			Events  []struct{ Type string }
		}
		if err := json.Unmarshal(frame, &m); err != nil {
			t.Fatal(err)
		}
		kind := m.Channel + " " + m.Events[0].Type
		want := shapes[m.Channel]
		if strings.Contains(string(frame), `"updates":[]`) {
			kind, want = "nothing", strings.TrimSuffix(want, " side event_time price_level new_quantity")
		}
		seen[kind]++
		keys := strings.Fields(keysOf(t, string(frame)))
		if m.Channel == "ticker" {
			slices.Sort(keys) // the venue changed the order once
			sorted := strings.Fields(want)
			slices.Sort(sorted)
			want = strings.Join(sorted, " ")
		}
		if got := strings.Join(keys, " "); got != want {
			t.Fatalf("keys %q, want %q", got, want)
		}
	}); err != nil {
		t.Fatal(err)
	}
	l.run(5 * time.Second)
	if err := l.Inject(sim.Fault{Kind: sim.FaultQuiet, Venue: venueName, For: time.Second}); err != nil {
		t.Fatal(err)
	}
	l.run(2 * time.Second)
	for _, kind := range []string{"l2_data snapshot", "l2_data update", "market_trades update", "ticker snapshot", "ticker update", "nothing"} {
		if seen[kind] == 0 {
			t.Errorf("no %s among %v", kind, seen)
		}
	}
}

// keysOf returns the keys of a frame in order, each once.
func keysOf(t *testing.T, frame string) string {
	t.Helper()
	var keys []string
	d := json.NewDecoder(strings.NewReader(frame))
	var objects []bool // open ones, else arrays
	key := false
	for {
		token, err := d.Token()
		if err == io.EOF {
			return strings.Join(keys, " ")
		}
		if err != nil {
			t.Fatalf("%s: %v", frame, err)
		}
		switch v := token.(type) {
		case json.Delim:
			if v == '{' || v == '[' {
				objects, key = append(objects, v == '{'), v == '{'
				continue
			}
			objects = objects[:len(objects)-1]
		case string:
			if key {
				if !slices.Contains(keys, v) {
					keys = append(keys, v)
				}
				key = false
				continue
			}
		}
		key = len(objects) > 0 && objects[len(objects)-1]
	}
}

// The catalog and the volumes of the simulated REST; aliases are listed there,
// and none of ours.
func TestSimulatedREST(t *testing.T) {
	t.Parallel()
	l := newLab(t, sim.Options{Seed: 9, Venues: []sim.Venue{{Symbols: []sim.Symbol{{Name: "BTC-USD"}, {Name: "USDT-USDC"}, {Name: "ETH-PERP-INTX"}, {Name: "NEW-EUR"}}}}})
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	body := l.get(adapter{}.CatalogRequests()[0].URL)
	if !strings.Contains(string(body), `"product_id":"BTC-USDC"`) || !strings.HasSuffix(string(body), `"num_products":5}`) {
		t.Fatalf("%s", body)
	}
	check(l.SetState(venueName, "NEW-EUR", tick.StateHalted))
	check(l.SetState(venueName, "USDT-USDC", tick.StateRestricted))
	check(l.SetTick(venueName, "BTC-USD", 5, 1))
	all, err := adapter{}.ParseCatalog(l.get(adapter{}.CatalogRequests()[0].URL))
	check(err)
	if len(all) != 4 {
		t.Fatalf("%+v", all)
	}
	for i, want := range []struct {
		symbol, base, quote string
		kind                tick.InstrumentType
		state               tick.State
		step                tick.Number
	}{
		{"BTC-USD", "BTC", "USD", tick.TypeSpot, tick.StateTrading, tick.Number{Mantissa: 5, Digits: 1}},
		{"USDT-USDC", "USDT", "USDC", tick.TypeSpot, tick.StateRestricted, tick.Number{Mantissa: 1, Digits: 4}},
		{"ETH-PERP-INTX", "ETH", "USDC", tick.TypePerpetual, tick.StateTrading, tick.Number{Mantissa: 1, Digits: 1}},
		{"NEW-EUR", "NEW", "EUR", tick.TypeSpot, tick.StateHalted, tick.Number{Mantissa: 1, Digits: 4}},
	} {
		if in := all[i]; in.Symbol != want.symbol || in.Base != want.base || in.Quote != want.quote || in.Type != want.kind || in.State != want.state || in.Tick != want.step || in.ContractSize.Mantissa != 1 {
			t.Errorf("%+v, want %+v", in, want)
		}
	}
	volumes, err := adapter{}.ParseVolumes(l.get(adapter{}.VolumeRequests()[0].URL))
	if err != nil || len(volumes) != 4 {
		t.Fatalf("%v, %v", volumes, err)
	}
	for _, in := range all {
		if volumes[in.Symbol] <= 0 {
			t.Errorf("%s: volume %v", in.Symbol, volumes[in.Symbol])
		}
	}
	for path, want := range map[string]string{restURL + "/BTC-USD": `"product_id":"BTC-USD"`, restURL + "/NOPE": "NOT_FOUND", restURL + "?product_type=FUTURE": `"num_products":1}`,
		"/api/v3/brokerage/time": "epochMillis", "/nope": "404"} {
		if body := string(l.get(path)); !strings.Contains(body, want) {
			t.Errorf("%s: %s, want %s", path, body, want)
		}
	}
	for _, name := range []string{"BTC-USDC", "BTCUSD", "-USD", "A-", "-PERP-INTX", "A-B-C"} {
		if _, err := Dialect(venueName).Spec(name); err == nil {
			t.Errorf("%s is an instrument", name)
		}
	}
	if Dialect("coinbase-pro") != nil {
		t.Error("another venue's dialect")
	}
}
