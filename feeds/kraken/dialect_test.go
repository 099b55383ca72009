package kraken

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tickproc/book"
	"tickproc/feeds"
	"tickproc/feeds/sim"
	"tickproc/tick"
)

var labStart = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

// lab is a simulated venue whose time the test moves, and a client that
// decodes what it hears and keeps the books by the catalog's rules.
type lab struct {
	*sim.Exchange
	t       *testing.T
	now     time.Time
	adapter *venue
	decoder feeds.Decoder
	in      []tick.Instrument
	syncs   []*book.Sync
	ordinal uint64

	trades  map[uint32][]tick.Trade
	quotes  map[uint32][]heardQuote
	states  map[uint32][]tick.State
	shown   map[uint32][]shownBook // each time that a book was valid behind a message
	invalid int                    // times that a checksum said no
	faults  int                    // frames that could not be used
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
	l := &lab{Exchange: e, t: t, now: labStart, adapter: new(venue),
		trades: map[uint32][]tick.Trade{}, quotes: map[uint32][]heardQuote{}, states: map[uint32][]tick.State{}, shown: map[uint32][]shownBook{}}
	e.Step(l.now)
	all, err := l.adapter.ParseCatalog(l.get(l.adapter.CatalogRequests()[0].URL))
	if err != nil {
		t.Fatal(err)
	}
	var known []*tick.Instrument
	for i := range all {
		all[i].ID = uint32(i)
		known = append(known, &all[i])
	}
	l.in, l.decoder = all, l.adapter.NewDecoder(nil, feeds.NewTable(known))
	return l
}

func (l *lab) get(address string) []byte {
	l.t.Helper()
	w := httptest.NewRecorder()
	l.Handler(venueName).ServeHTTP(w, httptest.NewRequest("GET", strings.TrimPrefix(address, restURL), nil))
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

// listen taps streams of every instrument, books of a depth.
func (l *lab) listen(depth int) {
	l.t.Helper()
	names := []string{"instrument"}
	for i := range l.in {
		rule := l.in[i].Sync
		rule.Truncate = uint16(depth)
		s := book.NewSync(rule, l.in[i].PriceDigits, l.in[i].SizeDigits)
		s.Up()
		l.syncs = append(l.syncs, s)
		names = append(names, "trade:"+l.in[i].Symbol, "ticker:"+l.in[i].Symbol+":bbo", fmt.Sprintf("book:%s:%d", l.in[i].Symbol, depth))
	}
	if err := l.Tap(venueName, names, l.hear); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) hear(frame []byte) {
	if frame == nil {
		return // the end
	}
	l.ordinal++
	units, _, err := l.decoder.Decode(nil, frame, feeds.Stamp{Line: 4, Ordinal: l.ordinal})
	if err != nil {
		l.faults++
		return
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
	case tick.KindStatus:
		l.states[h.Instrument] = append(l.states[h.Instrument], p[0].Status().State)
	case tick.KindDepth, tick.KindSnapshot:
		s := l.syncs[h.Instrument]
		was := s.IsValid()
		if h.Kind == tick.KindSnapshot {
			s.Snapshot(p, ignore{})
		} else {
			s.Delta(p, ignore{})
		}
		if !s.IsValid() {
			if _, reason := s.State(); was {
				l.invalid++
				if reason != tick.ReasonChecksum && reason != tick.ReasonCrossed {
					l.t.Errorf("%s: invalid for %v", l.in[h.Instrument].Symbol, reason)
				}
			}
			return
		}
		b := shownBook{nanos: h.ExchangeNanos}
		b.bids = make([]tick.Level, min(10, s.Book.Bids.Len()))
		b.asks = make([]tick.Level, min(10, s.Book.Asks.Len()))
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
		at := slices.IndexFunc(l.in, func(in tick.Instrument) bool { return in.Symbol == truth.Symbol })
		id := uint32(at)
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
// quote and book; every checksum agrees, with books of any depth.
func TestDecodedIsWhatWasDone(t *testing.T) {
	t.Parallel()
	for _, depth := range []int{10, 25, 100, 1000} {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			t.Parallel()
			l := newLab(t, sim.Options{Seed: uint64(depth)})
			l.run(2 * time.Second)
			l.listen(depth)
			l.run(20 * time.Second)
			trades, quotes, books := l.check()
			checked := uint64(0)
			for i, s := range l.syncs {
				s.Book.Check()
				if checked += s.Counts.Checksums; !s.IsValid() || s.Book.Bids.Len() > depth || s.Book.Asks.Len() > depth {
					t.Errorf("%s: valid %v, %d and %d levels", l.in[i].Symbol, s.IsValid(), s.Book.Bids.Len(), s.Book.Asks.Len())
				}
			}
			t.Logf("%d trades, %d quotes, %d books", trades, quotes, books)
			if l.faults != 0 || l.invalid != 0 || int(checked) != books || trades < 100 || quotes < 500 || books < 1000 {
				t.Errorf("%d faults, %d invalid, %d checksums, %d trades, %d quotes, %d books", l.faults, l.invalid, checked, trades, quotes, books)
			}
			// Each trade since we listened was heard once, the last before as backfill.
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
				if backfill > 50 || backfill == 0 && l.in[id].Symbol == "BTC/USD" {
					t.Errorf("%s: %d trades are backfill", l.in[id].Symbol, backfill)
				}
			}
		})
	}
}

// Messages of books lost, doubled, swapped, altered and broken: a book that is
// said to be valid is the market's, each time; what is not is noticed by its
// checksum, and a snapshot mends it.
func TestFaultsNeverShowAWrongBook(t *testing.T) {
	t.Parallel()
	for _, kind := range []sim.FaultKind{sim.FaultDrop, sim.FaultDuplicate, sim.FaultReorder, sim.FaultAlter, sim.FaultGarbage, sim.FaultTruncate, sim.FaultExtraField} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			l := newLab(t, sim.Options{Seed: 5})
			l.listen(10)
			for range 60 {
				if err := l.Inject(sim.Fault{Kind: kind, Venue: venueName, Channel: tick.ChannelDepth}); err != nil {
					t.Fatal(err)
				}
				l.run(150 * time.Millisecond)
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
			t.Logf("%d faults, noticed %d times, %d books", struck, l.invalid, books)
			switch kind {
			case sim.FaultAlter: // at once, each time
				if l.invalid != struck {
					t.Errorf("%d of %d noticed", l.invalid, struck)
				}
			case sim.FaultDuplicate, sim.FaultExtraField: // sizes are absolute, and new fields nothing to us
				if l.invalid != 0 || l.faults != 0 {
					t.Errorf("%d invalid, %d faults", l.invalid, l.faults)
				}
			case sim.FaultGarbage: // beside the message, not in its place
				if l.invalid != 0 || l.faults != struck {
					t.Errorf("%d invalid, %d faults of %d", l.invalid, l.faults, struck)
				}
			default: // but for what the next message says again
				if l.invalid < struck/3 {
					t.Errorf("%d of %d noticed", l.invalid, struck)
				}
			}
			if struck < 50 || books < 500 {
				t.Errorf("%d faults, %d books", struck, books)
			}
			for i, s := range l.syncs {
				if !s.IsValid() {
					t.Errorf("%s is not mended", l.in[i].Symbol)
				}
			}
		})
	}
}

// A checksum that is 0 says nothing, and is no fault of the book.
func TestNoChecksum(t *testing.T) {
	t.Parallel()
	l := newLab(t, sim.Options{Seed: 6})
	l.listen(10)
	l.run(time.Second)
	if err := l.Inject(sim.Fault{Kind: sim.FaultConstantChecksum, Venue: venueName, For: time.Second}); err != nil {
		t.Fatal(err)
	}
	l.run(3 * time.Second)
	_, _, books := l.check()
	checked := uint64(0)
	for _, s := range l.syncs {
		checked += s.Counts.Checksums
	}
	if l.invalid != 0 || checked == 0 || int(checked) >= books {
		t.Errorf("%d invalid, %d checksums, %d books", l.invalid, checked, books)
	}
}

// The instrument channel tells of every change; an event that finer prices
// come with goes on in the decoder, and the old rule's checksums then say no.
func TestChangesOfPairs(t *testing.T) {
	t.Parallel()
	l := newLab(t, sim.Options{Seed: 8})
	l.listen(100)
	l.run(time.Second)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(l.SetState(venueName, "SOL/USD", tick.StateHalted))
	check(l.SetState(venueName, "SOL/USD", tick.StateRestricted))
	check(l.SetState(venueName, "SOL/USD", tick.StateTrading))
	check(l.List(venueName, sim.Symbol{Name: "NEW/EUR"}))
	check(l.Delist(venueName, "DOGE/USD"))
	l.run(time.Second)
	l.check()
	at := func(symbol string) uint32 {
		return uint32(slices.IndexFunc(l.in, func(in tick.Instrument) bool { return in.Symbol == symbol }))
	}
	// The first is of the whole list.
	for symbol, want := range map[string][]tick.State{
		"BTC/USD": {tick.StateTrading}, "SOL/USD": {tick.StateTrading, tick.StateHalted, tick.StateRestricted, tick.StateTrading}, "DOGE/USD": {tick.StateTrading, tick.StateDelisted},
	} {
		if got := l.states[at(symbol)]; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", symbol, got, want)
		}
	}
	all, err := l.adapter.ParseCatalog(l.get(l.adapter.CatalogRequests()[0].URL))
	check(err)
	var symbols []string
	for _, in := range all {
		symbols = append(symbols, in.Symbol)
	}
	if !slices.Equal(symbols, []string{"BTC/USD", "ETH/BTC", "ETH/USD", "NEW/EUR", "SOL/USD"}) {
		t.Errorf("%v", symbols)
	}
}

// The catalog and the volumes of the simulated REST, whose names are the old
// ones.
func TestSimulatedREST(t *testing.T) {
	t.Parallel()
	l := newLab(t, sim.Options{Seed: 9})
	if in := l.in[slices.IndexFunc(l.in, func(in tick.Instrument) bool { return in.Symbol == "BTC/USD" })]; in.PriceDigits != 1 || in.SizeDigits != 8 || in.Tick != (tick.Number{Mantissa: 1, Digits: 1}) || in.State != tick.StateTrading || in.Sync.ChecksumPriceDigits != 1 {
		t.Errorf("%+v", in)
	}
	volumes, err := l.adapter.ParseVolumes(l.get(l.adapter.VolumeRequests()[0].URL))
	if err != nil || len(volumes) != len(l.in) {
		t.Fatalf("%v, %v", volumes, err)
	}
	for _, in := range l.in {
		if volumes[in.Symbol] <= 0 {
			t.Errorf("%s: volume %v", in.Symbol, volumes[in.Symbol])
		}
	}
	for path, want := range map[string]string{"/0/public/Ticker?pair=NOPE": "EQuery:Unknown asset pair", "/0/public/Nope": "EGeneral:Unknown method", "/0/public/SystemStatus": `"status":"online"`, "/0/public/AssetPairs?pair=XXBTZUSD": `"XXBTZUSD"`} {
		if body := string(l.get(path)); !strings.Contains(body, want) {
			t.Errorf("%s: %s, want %s", path, body, want)
		}
	}
	if _, err := Dialect(venueName).Spec("XBT/USD"); err == nil {
		t.Error("the old spelling is an instrument")
	}
}

// Frames have the venue's keys in the venue's order.
func TestFramesHaveTheVenuesShape(t *testing.T) {
	t.Parallel()
	l := newLab(t, sim.Options{Seed: 4})
	shapes := map[string]string{
		"trade":      keysOf(t, tradeUpdate),
		"ticker":     keysOf(t, tickerBBO),
		"book":       keysOf(t, bookUpdate),
		"instrument": "channel type data assets pairs symbol base quote status qty_precision qty_increment price_precision cost_precision marginable has_index cost_min tick_size price_increment qty_min",
	}
	seen := map[string]int{}
	if err := l.Tap(venueName, []string{"trade:BTC/USD", "ticker:BTC/USD:bbo", "ticker:BTC/USD:trades", "book:BTC/USD:10", "instrument"}, func(frame []byte) {
		var m struct{ Channel, Type string }
		if frame == nil || strings.Contains(string(frame), `"status"`) && !strings.Contains(string(frame), `"pairs"`) {
			return // the end, and the greeting
		}
		if err := json.Unmarshal(frame, &m); err != nil {
			t.Fatal(err)
		}
		seen[m.Channel+" "+m.Type]++
		// A side of a book may be empty.
		levels := strings.NewReplacer(" price qty", "")
		want := shapes[m.Channel]
		keys := keysOf(t, string(frame))
		if m.Channel == "book" {
			keys, want = levels.Replace(keys), levels.Replace(want)
		}
		if keys != want {
			t.Fatalf("keys %q, want %q", keys, want)
		}
	}); err != nil {
		t.Fatal(err)
	}
	l.run(5 * time.Second)
	if len(seen) != 6 { // no trade was before, and no pair changed
		t.Errorf("%v", seen)
	}
}

// keysOf returns the keys of a frame in order, each once.
func keysOf(t *testing.T, frame string) string {
	t.Helper()
	var keys []string
	d := json.NewDecoder(strings.NewReader(frame))
	var inObject []bool
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
				inObject, key = append(inObject, v == '{'), v == '{'
				continue
			}
			inObject = inObject[:len(inObject)-1]
			key = len(inObject) > 0 && inObject[len(inObject)-1]
			continue
		case string:
			if key {
				if !slices.Contains(keys, v) {
					keys = append(keys, v)
				}
				key = false
				continue
			}
		}
		key = len(inObject) > 0 && inObject[len(inObject)-1]
	}
}

// The adapter's own texts over a real socket: greeted, every stream answered
// for its request and channel, snapshots behind their answers, a symbol that
// is refused refused alone, a book had anew, heartbeats when nothing else is said.
func TestDialogue(t *testing.T) {
	t.Parallel()
	l := newLab(t, sim.Options{Seed: 3})
	if err := l.Listen(); err != nil {
		t.Fatal(err)
	}
	if _, answer, err := websocket.DefaultDialer.Dial(l.WSURL(venueName)+"/v1", nil); err == nil || answer == nil || answer.StatusCode != 404 {
		t.Errorf("another path: %v", err)
	}
	ws, _, err := websocket.DefaultDialer.Dial(l.WSURL(venueName)+"/v2", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	frames := make(chan []byte, 10_000)
	go func() {
		defer close(frames)
		for {
			_, frame, err := ws.ReadMessage()
			if err != nil {
				return
			}
			frames <- frame
		}
	}()
	next := func() ([]tick.Unit, feeds.Notice) {
		t.Helper()
		select {
		case frame, ok := <-frames:
			if !ok {
				t.Fatal("the connection ended")
			}
			units, notice, err := l.decoder.Decode(nil, frame, stamp)
			if err != nil {
				t.Fatalf("%s: %v", frame, err)
			}
			return units, notice
		case <-time.After(10 * time.Second):
			t.Fatal("no frame for 10 s")
		}
		return nil, feeds.Notice{}
	}
	expect := func(want feeds.Notice) {
		t.Helper()
		units, got := next()
		got.Text = strings.TrimSuffix(got.Text, " NOPE/USD")
		if len(units) != 0 || got != want {
			t.Fatalf("%d units, %+v, want %+v", len(units), got, want)
		}
	}
	expectPacket := func(kind tick.Kind, instrument uint32) {
		t.Helper()
		units, notice := next()
		if len(units) == 0 || notice != (feeds.Notice{}) || units[0].KindOf() != kind || units[0].Header().Instrument != instrument {
			t.Fatalf("%d units, %+v", len(units), notice)
		}
	}
	send := func(requests ...feeds.SubscribeRequest) {
		t.Helper()
		for _, r := range requests {
			if err := ws.WriteMessage(websocket.TextMessage, r.Text); err != nil {
				t.Fatal(err)
			}
		}
	}

	btc := slices.IndexFunc(l.in, func(in tick.Instrument) bool { return in.Symbol == "BTC/USD" })
	eth := slices.IndexFunc(l.in, func(in tick.Instrument) bool { return in.Symbol == "ETH/USD" })
	nope := l.adapter.Instrument("NOPE/USD")
	nope.ID = uint32(len(l.in))
	known := []*tick.Instrument{&nope}
	for i := range l.in {
		known = append(known, &l.in[i])
	}
	l.decoder = l.adapter.NewDecoder(nil, feeds.NewTable(known))
	one, two := uint32(btc), uint32(eth)
	plan := l.adapter.Plan([]feeds.Subscription{{Instrument: &l.in[btc], Channels: books}, {Instrument: &nope, Channels: tick.ChannelDepth}, {Instrument: &l.in[eth], Channels: tick.ChannelDepth}})[0]

	expect(feeds.Notice{Kind: feeds.NoticeIgnored}) // online
	send(plan.Greetings...)
	expect(feeds.Notice{Kind: feeds.NoticeAck})
	send(l.adapter.Subscribe(&plan, plan.Subscriptions, 1)...)
	expect(feeds.Notice{Kind: feeds.NoticeAck, Request: 1, Channel: tick.ChannelTrades, Instrument: one}) // no trade was before
	expect(feeds.Notice{Kind: feeds.NoticeAck, Request: 2, Channel: tick.ChannelQuotes, Instrument: one})
	expectPacket(tick.KindQuote, one)
	expect(feeds.Notice{Kind: feeds.NoticeAck, Request: 3, Channel: tick.ChannelDepth, Instrument: one})
	expectPacket(tick.KindSnapshot, one)
	expect(feeds.Notice{Kind: feeds.NoticeRefused, Request: 3, Channel: tick.ChannelDepth, Instrument: nope.ID, Text: "Currency pair not supported"})
	expect(feeds.Notice{Kind: feeds.NoticeAck, Request: 3, Channel: tick.ChannelDepth, Instrument: two})
	expectPacket(tick.KindSnapshot, two)

	// A book had anew, and one that is not there to be ended.
	again := []feeds.Subscription{{Instrument: &l.in[eth], Channels: tick.ChannelDepth}}
	send(l.adapter.Unsubscribe(&plan, again, 4)...)
	send(l.adapter.Unsubscribe(&plan, again, 5)...)
	send(l.adapter.Subscribe(&plan, again, 6)...)
	send(l.adapter.Subscribe(&plan, again, 7)...)
	expect(feeds.Notice{Kind: feeds.NoticeAck, Request: 4})
	expect(feeds.Notice{Kind: feeds.NoticeAck, Request: 5})
	expect(feeds.Notice{Kind: feeds.NoticeAck, Request: 6, Channel: tick.ChannelDepth, Instrument: two})
	expectPacket(tick.KindSnapshot, two)
	expect(feeds.Notice{Kind: feeds.NoticeAck, Request: 7, Channel: tick.ChannelDepth, Instrument: two})

	send(feeds.SubscribeRequest{Text: l.adapter.Profile().PingText})
	expect(feeds.Notice{Kind: feeds.NoticePong})
	for text, why := range map[string]string{
		`{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":20},"req_id":93}`:    "Subscription depth not supported",
		`{"method":"subscribe","params":{"channel":"nothing","symbol":["BTC/USD"],"depth":20},"req_id":93}`: "Subscription channel not supported",
		`{"method":"dance","req_id":93}`: "Unsupported method",
	} {
		send(feeds.SubscribeRequest{Text: []byte(text)})
		if units, got := next(); len(units) != 0 || got.Kind != feeds.NoticeRefused || got.Request != 8 || got.Text != why {
			t.Errorf("%s: %+v", text, got)
		}
	}
	send(feeds.SubscribeRequest{Text: []byte(`{`)})
	expect(feeds.Notice{Kind: feeds.NoticeRefused, Request: -1, Text: "Malformed request"})

	// Faults of subscriptions, in the venue's words.
	sol := slices.IndexFunc(l.in, func(in tick.Instrument) bool { return in.Symbol == "SOL/USD" })
	other := []feeds.Subscription{{Instrument: &l.in[sol], Channels: tick.ChannelTrades}}
	for i, f := range []struct {
		kind sim.FaultKind
		text string
	}{{sim.FaultRefuse, "Subscription not available"}, {sim.FaultRateLimit, "Exceeded msg rate"}, {sim.FaultUnknown, "Currency pair not supported SOL/USD"}} {
		if err := l.Inject(sim.Fault{Kind: f.kind, Venue: venueName}); err != nil {
			t.Fatal(err)
		}
		send(l.adapter.Subscribe(&plan, other, 20+i)...)
		expect(feeds.Notice{Kind: feeds.NoticeRefused, Request: 20 + i, Channel: tick.ChannelTrades, Instrument: uint32(sol), Text: f.text})
	}

	// Quiet: a heartbeat a second. Then maintenance, which ends the connection.
	if err := l.Inject(sim.Fault{Kind: sim.FaultQuiet, Venue: venueName, For: time.Minute}); err != nil {
		t.Fatal(err)
	}
	l.run(20 * time.Millisecond)
	l.run(10 * time.Second)
	if err := l.Inject(sim.Fault{Kind: sim.FaultMaintenance, Venue: venueName}); err != nil {
		t.Fatal(err)
	}
	notices := map[feeds.NoticeKind]int{}
	text := ""
	for frame := range frames {
		_, notice, err := l.decoder.Decode(nil, frame, stamp)
		if err != nil {
			t.Fatal(err)
		}
		if notices[notice.Kind]++; notice.Kind == feeds.NoticeMaintenance {
			text = notice.Text
		}
	}
	if notices[feeds.NoticeMaintenance] != 1 || notices[feeds.NoticePong] < 5 || text != "maintenance" {
		t.Errorf("%v, %q", notices, text)
	}
}
