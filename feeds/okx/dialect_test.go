package okx

import (
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/shopspring/decimal"

	"tickproc/book"
	"tickproc/feeds"
	"tickproc/feeds/sim"
	"tickproc/tick"
)

var labStart = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

// lab is a simulated venue whose time the test moves, and what our decoder
// makes of its frames.
type lab struct {
	*sim.Exchange
	t           *testing.T
	now         time.Time
	instruments []*tick.Instrument
	names       map[string]uint32
	decoder     feeds.Decoder
	canary      *feeds.Canary
	books       []*book.Sync
	// what was read, by instrument
	trades, forced [][]tick.Trade
	quotes         [][]tick.Level
	quoteHeads     [][]tick.Depth
	marks          [][]tick.Mark
	interests      [][]tick.OpenInterest
	invalid        []int // messages after which the book was not valid
	frames, faulty int
	checkBooks     bool
	pending        []func(*sim.Truth) // checks against the truth, which a tap may not ask for
	pendingOf      []uint32
}

func newLab(t *testing.T, seed uint64) *lab {
	t.Helper()
	e, err := sim.New(sim.Options{Seed: seed, Venues: []sim.Venue{{Name: "okx", Dialect: Dialect("okx")}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	l := &lab{Exchange: e, t: t, now: labStart, names: map[string]uint32{}, checkBooks: true}
	e.Step(l.now)
	for _, r := range (venue{}).CatalogRequests() {
		all, err := venue{}.ParseCatalog(l.get(r.URL))
		if err != nil || len(all) == 0 {
			t.Fatalf("%s: %d instruments, %v", r.URL, len(all), err)
		}
		for _, in := range all {
			in.ID = uint32(len(l.instruments))
			l.names[in.Symbol] = in.ID
			l.instruments = append(l.instruments, &in)
			sync := book.NewSync(in.Sync, in.PriceDigits, in.SizeDigits)
			sync.Up()
			l.books = append(l.books, sync)
		}
	}
	n := len(l.instruments)
	l.trades, l.forced, l.quotes, l.quoteHeads = make([][]tick.Trade, n), make([][]tick.Trade, n), make([][]tick.Level, n), make([][]tick.Depth, n)
	l.marks, l.interests, l.invalid = make([][]tick.Mark, n), make([][]tick.OpenInterest, n), make([]int, n)
	table := feeds.NewTable(l.instruments)
	l.canary = feeds.NewCanary(slog.New(slog.NewTextHandler(io.Discard, nil)))
	table.Canary = l.canary
	l.decoder = venue{}.NewDecoder(&feeds.Connection{Subscriptions: l.subscriptions()}, table)
	return l
}

func (l *lab) subscriptions() (all []feeds.Subscription) {
	for _, in := range l.instruments {
		all = append(all, feeds.Subscription{Instrument: in, Channels: venue{}.Channels()})
	}
	return all
}

// get asks REST.
func (l *lab) get(address string) []byte {
	w := httptest.NewRecorder()
	l.Handler("okx").ServeHTTP(w, httptest.NewRequest(http.MethodGet, strings.TrimPrefix(address, restBase), nil))
	return w.Body.Bytes()
}

// streams are the simulator's names of all that is subscribed.
func (l *lab) streams() (all []string) {
	for _, s := range l.subscriptions() {
		for _, a := range args(s) {
			if name := a.Channel + ":" + a.Symbol; !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return append(all, "liquidation-orders:SWAP", "liquidation-orders:FUTURES")
}

func (l *lab) tap() {
	if err := l.Tap("okx", l.streams(), l.take); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) run(d time.Duration) {
	for end := l.now.Add(d); l.now.Before(end); {
		l.now = l.now.Add(10 * time.Millisecond)
		l.Step(l.now)
	}
}

func (l *lab) BeforeDelta(*tick.Depth) {}
func (l *lab) AfterDelta(*tick.Depth)  {}

// take decodes a frame and notes what it says.
func (l *lab) take(frame []byte) {
	l.frames++
	at := feeds.Stamp{Line: 4, Ordinal: 9, ReceiveNanos: received}
	units, _, err := l.decoder.Decode(nil, frame, at)
	if err != nil {
		l.faulty++
		return
	}
	if err := fault(units); err != nil {
		l.t.Fatalf("%s: %v", frame, err)
	}
	for ; len(units) > 0; units = units[tick.PacketUnits(&units[0]):] {
		u := &units[0]
		id := u.Header().Instrument
		sync := l.books[id]
		switch u.KindOf() {
		case tick.KindTrade:
			l.trades[id] = append(l.trades[id], *u.Trade())
		case tick.KindLiquidation:
			l.forced[id] = append(l.forced[id], *u.Trade())
		case tick.KindMark:
			l.marks[id] = append(l.marks[id], *u.Mark())
		case tick.KindOpenInterest:
			l.interests[id] = append(l.interests[id], *u.OpenInterest())
		case tick.KindQuote:
			l.quoteHeads[id], l.quotes[id] = append(l.quoteHeads[id], *u.Depth()), append(l.quotes[id], tick.Levels(units)...)
		case tick.KindSnapshot, tick.KindDepth:
			if u.KindOf() == tick.KindSnapshot {
				sync.Snapshot(units[:tick.PacketUnits(u)], l)
			} else {
				sync.Delta(units[:tick.PacketUnits(u)], l)
			}
			if !sync.IsValid() {
				l.invalid[id]++
				continue
			}
			l.note(id, sync, u.Depth().ExchangeNanos)
		default:
			l.t.Fatalf("%s: kind %d", frame, u.KindOf())
		}
	}
}

// note keeps a valid book for the comparison with the truth.
func (l *lab) note(id uint32, sync *book.Sync, nanos int64) {
	if !l.checkBooks {
		return
	}
	top := func(s *book.Side) []tick.Level {
		all := make([]tick.Level, min(sim.TruthDepth, s.Len()))
		s.CopyBest(all)
		return all
	}
	bids, asks, at := top(&sync.Book.Bids), top(&sync.Book.Asks), sync.LastID()
	l.pendingOf = append(l.pendingOf, id)
	l.pending = append(l.pending, func(t *sim.Truth) {
		for _, b := range t.Books(at, 0) {
			if slices.Equal(b.Bids, bids) && slices.Equal(b.Asks, asks) {
				return
			}
		}
		l.t.Fatalf("%s: at id %d, %d ns the book is\n%v\n%v\nthe truth is %+v", t.Symbol, at, nanos, bids, asks, t.Books(at, 0))
	})
}

// compare holds everything that was read against the truth; quotes, marks and
// forced orders must all have come where complete.
func (l *lab) compare(complete bool) {
	l.t.Helper()
	truths := map[uint32]*sim.Truth{}
	for _, t := range l.Truth() {
		truths[l.names[t.Symbol]] = &t
	}
	for i, check := range l.pending {
		check(truths[l.pendingOf[i]])
	}
	for id, in := range l.instruments {
		t := truths[uint32(id)]
		if t.PriceDigits != in.PriceDigits || t.SizeDigits != in.SizeDigits {
			l.t.Fatalf("%s: digits %d, %d; the truth has %d, %d", in.Symbol, in.PriceDigits, in.SizeDigits, t.PriceDigits, t.SizeDigits)
		}
		byID := map[uint64]*sim.Trade{}
		for i := range t.Trades {
			byID[uint64(t.Trades[i].ID)] = &t.Trades[i]
		}
		for _, got := range l.trades[id] {
			want := byID[got.ID.Lo]
			if want == nil || want.Price != got.Price || want.Size != got.Size || want.Sell != (got.Flags&tick.FlagSell != 0) || want.TimeNanos != got.ExchangeNanos {
				l.t.Fatalf("%s: trade %+v, the truth is %+v", in.Symbol, got, want)
			}
		}
		for i, got := range l.quoteHeads[id] {
			bid, ask := l.quotes[id][2*i], l.quotes[id][2*i+1]
			if !slices.ContainsFunc(t.QuotesAt(got.LastID, 0), func(q sim.Quote) bool { return q.Bid == bid && q.Ask == ask && q.TimeNanos == got.ExchangeNanos }) {
				l.t.Fatalf("%s: quote %+v %v %v, the truth is %+v", in.Symbol, got, bid, ask, t.QuotesAt(got.LastID, 0))
			}
		}
		l.compareReferences(in, t, complete)
		for i, got := range l.forced[id] {
			if complete && (t.Liquidations[i].Price != got.Price || t.Liquidations[i].Size != got.Size || t.Liquidations[i].Sell != (got.Flags&tick.FlagSell != 0) || t.Liquidations[i].TimeNanos != got.ExchangeNanos) {
				l.t.Fatalf("%s: liquidation %+v, the truth is %+v", in.Symbol, got, t.Liquidations[i])
			}
		}
		for i, got := range l.interests[id] {
			if want := t.OpenInterests; complete && (want[i].TimeNanos != got.ExchangeNanos || !decimal.New(want[i].Size, -int32(t.SizeDigits)).Equal(decimal.New(got.Size, -int32(got.SizeDigits)))) {
				l.t.Fatalf("%s: open interest %+v, the truth is %+v", in.Symbol, got, want[i])
			}
		}
		if !complete {
			continue
		}
		if len(l.trades[id]) != len(t.Trades) || len(l.quoteHeads[id]) < len(t.Quotes) || len(l.forced[id]) != len(t.Liquidations) || len(l.interests[id]) != len(t.OpenInterests) {
			l.t.Errorf("%s: %d trades, %d quotes, %d liquidations, %d open interests; the truth has %d, %d, %d, %d", in.Symbol,
				len(l.trades[id]), len(l.quoteHeads[id]), len(l.forced[id]), len(l.interests[id]), len(t.Trades), len(t.Quotes), len(t.Liquidations), len(t.OpenInterests))
		}
		if l.invalid[id] != 0 || l.books[id].Counts.Applied == 0 || l.books[id].Counts.Duplicate != 0 {
			l.t.Errorf("%s: %d times invalid, %+v", in.Symbol, l.invalid[id], l.books[id].Counts)
		}
	}
}

func (l *lab) compareReferences(in *tick.Instrument, t *sim.Truth, complete bool) {
	l.t.Helper()
	at := map[int64]sim.Reference{}
	for _, r := range t.References {
		at[r.TimeNanos] = r
	}
	marks, indexes, rates := 0, 0, 0
	for _, got := range l.marks[in.ID] {
		want, ok := at[got.ExchangeNanos]
		if !ok {
			l.t.Fatalf("%s: %+v at a time that is none of the truth's", in.Symbol, got)
		}
		is := func(x int64, digits uint8, want int64, wantDigits uint8) bool {
			return decimal.New(x, -int32(digits)).Equal(decimal.New(want, -int32(wantDigits)))
		}
		if got.Mark != tick.Absent {
			if marks++; !is(got.Mark, got.PriceDigits, want.Mark, want.PriceDigits) {
				l.t.Fatalf("%s: %+v, the truth is %+v", in.Symbol, got, want)
			}
		}
		if got.Index != tick.Absent {
			if indexes++; !is(got.Index, got.PriceDigits, want.Index, want.PriceDigits) {
				l.t.Fatalf("%s: %+v, the truth is %+v", in.Symbol, got, want)
			}
		}
		if got.FundingRate != tick.Absent {
			if rates++; !is(got.FundingRate, got.RateDigits, want.FundingRate, want.RateDigits) || int64(got.NextFundingSeconds) != want.NextFundingNanos/1e9 {
				l.t.Fatalf("%s: %+v, the truth is %+v", in.Symbol, got, want)
			}
		}
	}
	n := len(t.References)
	wantRates := 0
	if in.Type == tick.TypePerpetual {
		wantRates = n
	}
	if complete && (marks != n || indexes != n || rates != wantRates || in.Type == tick.TypeSpot != (n == 0)) {
		l.t.Errorf("%s: %d marks, %d indexes, %d rates of %d", in.Symbol, marks, indexes, rates, n)
	}
}

// What the simulated market did is what our decoder reads: trades, quotes,
// every book, reference prices, open interest and forced orders.
func TestDecodeGivesWhatTheDialectWrote(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	l := newLab(t, seed)
	l.tap()
	l.run(30 * time.Second)
	for _, symbol := range []string{"BTC-USDT-SWAP", "ETH-USD-261225"} {
		if err := l.Liquidate("okx", symbol, 7, symbol[0] == 'B'); err != nil {
			t.Fatal(err)
		}
	}
	l.run(5 * time.Second)
	l.compare(true)
	forced := 0
	for _, f := range l.forced {
		forced += len(f)
	}
	if l.faulty != 0 || l.frames < 5000 || forced < 2 {
		t.Errorf("%d of %d frames not decoded, %d liquidations", l.faulty, l.frames, forced)
	}
	for kind := range l.canary.Signs {
		if n := l.canary.Signs[kind].Load(); n != 0 {
			t.Errorf("%v: %d signs", feeds.CanaryKind(kind), n)
		}
	}
	for _, in := range l.instruments {
		if in.Type != tick.TypeSpot && in.ContractSize == (tick.Number{}) || in.Type == tick.TypeFuture && in.ExpiryNanos != time.Date(2026, 12, 25, 8, 0, 0, 0, time.UTC).UnixNano() || in.State != tick.StateTrading {
			t.Errorf("%+v", in)
		}
	}
	for _, r := range (venue{}).VolumeRequests() {
		volumes, err := venue{}.ParseVolumes(l.get(r.URL))
		if err != nil || len(volumes) == 0 {
			t.Fatalf("%s: %v, %v", r.URL, volumes, err)
		}
		for symbol, v := range volumes {
			if v <= 0 {
				t.Errorf("%s: volume %v", symbol, v)
			}
		}
	}
}

// Nothing for a minute: the venue says that it lives, and the book goes on.
func TestQuietBookStands(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	l.tap()
	l.run(time.Second)
	if err := l.Inject(sim.Fault{Kind: sim.FaultQuiet, Venue: "okx", Symbol: "BTC-USDT", For: 130 * time.Second}); err != nil {
		t.Fatal(err)
	}
	l.run(2 * time.Second)
	id := l.names["BTC-USDT"]
	applied, quotes := l.books[id].Counts.Applied, len(l.quoteHeads[id])
	l.run(125 * time.Second)
	if n := l.books[id].Counts.Applied - applied; n != 2 || len(l.quoteHeads[id])-quotes != 2 || !l.books[id].IsValid() {
		t.Errorf("%d messages of the book, %d quotes, in two quiet minutes; %+v", n, len(l.quoteHeads[id])-quotes, l.books[id].Counts)
	}
	l.run(10 * time.Second)
	l.compare(true)
}

// Loss and reordering break the chain from there to the next snapshot; what
// comes twice is known; fields that nobody knows change nothing. A size that
// is not the book's shows nowhere: the venue gives no checksum.
func TestFaultsOfMessages(t *testing.T) {
	t.Parallel()
	f := func(kind sim.FaultKind, wantBroken bool, reason tick.Reason) {
		t.Helper()
		l := newLab(t, 11)
		l.tap()
		l.run(2 * time.Second)
		const symbol = "BTC-USDT-SWAP"
		id := l.names[symbol]
		if err := l.Inject(sim.Fault{Kind: kind, Venue: "okx", Symbol: symbol, Channel: tick.ChannelDepth}); err != nil {
			t.Fatal(err)
		}
		l.checkBooks = kind != sim.FaultAlter
		l.run(2 * time.Second)
		state, got := l.books[id].State()
		if broken := state != book.Valid; broken != wantBroken || broken && got != reason {
			t.Errorf("%v: state %v, %v", kind, state, got)
		}
		counts := l.books[id].Counts
		if wantBroken && counts.Gaps != 1 || kind == sim.FaultDuplicate && counts.Duplicate != 1 {
			t.Errorf("%v: %+v", kind, counts)
		}
		if n := l.canary.Signs[feeds.CanaryField].Load(); (kind == sim.FaultExtraField) != (n == 1) {
			t.Errorf("%v: %d unknown fields told", kind, n)
		}
		for other, sync := range l.books {
			if uint32(other) != id && !sync.IsValid() {
				t.Errorf("%v: the book of %s suffers", kind, l.instruments[other].Symbol)
			}
		}
		if err := l.Inject(sim.Fault{Kind: sim.FaultResnapshot, Venue: "okx", Symbol: symbol, Channel: tick.ChannelDepth}); err != nil {
			t.Fatal(err)
		}
		l.checkBooks = true
		l.run(2 * time.Second)
		if !l.books[id].IsValid() {
			t.Errorf("%v: a snapshot does not mend the book", kind)
		}
		l.compare(false)
	}
	f(sim.FaultDrop, true, tick.ReasonSequence)
	f(sim.FaultReorder, true, tick.ReasonSequence)
	f(sim.FaultTruncate, true, tick.ReasonSequence)
	f(sim.FaultDuplicate, false, 0)
	f(sim.FaultGarbage, false, 0)
	f(sim.FaultExtraField, false, 0)
	f(sim.FaultAlter, false, 0)

	// A trade that is missing shows in the ids.
	l := newLab(t, 12)
	l.tap()
	l.run(2 * time.Second)
	if err := l.Inject(sim.Fault{Kind: sim.FaultDrop, Venue: "okx", Symbol: "BTC-USDT", Channel: tick.ChannelTrades}); err != nil {
		t.Fatal(err)
	}
	l.run(5 * time.Second)
	var jumps []uint64
	all := l.trades[l.names["BTC-USDT"]]
	for i := 1; i < len(all); i++ {
		if step := all[i].ID.Lo - all[i-1].ID.Lo; step != 1 {
			jumps = append(jumps, step)
		}
	}
	if !slices.Equal(jumps, []uint64{2}) {
		t.Errorf("jumps of trade ids: %v", jumps)
	}
}

// client is a websocket to the simulated venue.
type client struct {
	*websocket.Conn
	t *testing.T
}

func (l *lab) dial(path string) *client {
	l.t.Helper()
	ws, _, err := websocket.DefaultDialer.DialContext(l.t.Context(), l.WSURL("okx")+path, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { ws.Close() })
	ws.SetReadDeadline(time.Now().Add(20 * time.Second))
	return &client{ws, l.t}
}

func (c *client) say(text string) {
	c.t.Helper()
	if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// answers reads notices until there are n, in the venue's frames.
func (c *client) answers(d feeds.Decoder, n int) (all []feeds.Notice) {
	c.t.Helper()
	for len(all) < n {
		_, frame, err := c.ReadMessage()
		if err != nil {
			c.t.Fatal(err)
		}
		_, notice, err := d.Decode(nil, frame, stamp)
		if err != nil {
			c.t.Fatalf("%s: %v", frame, err)
		}
		if notice.Kind != feeds.NoticeNone && notice.Kind != feeds.NoticeIgnored {
			all = append(all, notice)
		}
	}
	return all
}

// Our requests and the venue's answers: every stream of every request is
// answered for, and by its number.
func TestDialogue(t *testing.T) {
	t.Parallel()
	l := newLab(t, 5)
	if err := l.Listen(); err != nil {
		t.Fatal(err)
	}
	a, _ := New("okx")
	plan := a.Plan(l.subscriptions())
	for _, c := range plan {
		_, path, _ := strings.Cut(strings.TrimPrefix(c.URL, "wss://"), "/")
		ws := l.dial("/" + path)
		d := a.NewDecoder(&c, feeds.NewTable(l.instruments))
		requests := a.Subscribe(&c, c.Subscriptions, 0)
		granted := map[uint32]tick.Channels{}
		for i, r := range requests {
			ws.say(string(r.Text))
			for _, n := range ws.answers(d, max(r.Answers, 1)) {
				if n.Kind != feeds.NoticeAck || n.Request != i || (n.Channel == 0) != (r.Answers == 0) {
					t.Errorf("%s: %+v", r.Text, n)
				}
				granted[n.Instrument] |= n.Channel
			}
		}
		for _, s := range c.Subscriptions {
			if want := s.Channels &^ tick.ChannelLiquidations; granted[s.Instrument.ID] != want {
				t.Errorf("%s: granted %v, want %v", s.Instrument.Symbol, granted[s.Instrument.ID], want)
			}
		}
	}

	ws := l.dial("/ws/v5/public")
	d := a.NewDecoder(&plan[0], feeds.NewTable(l.instruments))
	swap := l.names["BTC-USDT-SWAP"]
	f := func(text string, want ...feeds.Notice) {
		t.Helper()
		ws.say(text)
		got := ws.answers(d, len(want))
		for i := range got {
			if want[i].Text == "" {
				got[i].Text = ""
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s\ngot  %+v\nwant %+v", text, got, want)
		}
	}
	refused := func(code int, text string) feeds.Notice {
		return feeds.Notice{Kind: feeds.NoticeRefused, Request: 1, Code: code, Text: text}
	}
	f("ping", feeds.Notice{Kind: feeds.NoticePong})
	f("nonsense", feeds.Notice{Kind: feeds.NoticeRefused, Request: -1, Code: 60012})
	f(`{"id":"2","op":"dance"}`, refused(60019, "Invalid op: dance"))
	f(`{"id":"2","op":"subscribe"}`, refused(60013, "Invalid args"))
	// One bad name keeps the others not out.
	depth := feeds.Notice{Kind: feeds.NoticeAck, Request: 1, Channel: tick.ChannelDepth, Instrument: swap}
	f(`{"id":"2","op":"subscribe","args":[{"channel":"books","instId":"X-Y"},{"channel":"books","instId":"BTC-USDT-SWAP"}]}`,
		refused(60018, "Wrong URL or channel:books,instId:X-Y doesn't exist. Please use the correct URL, channel and parameters referring to API document."), depth)
	f(`{"id":"2","op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT-SWAP"}]}`, depth) // again
	f(`{"id":"2","op":"unsubscribe","args":[{"channel":"books","instId":"BTC-USDT-SWAP"}]}`, depth)
	f(`{"id":"2","op":"subscribe","args":[{"channel":"trades-all","instId":"BTC-USDT-SWAP"}]}`, refused(64001, ""))
	f(`{"id":"2","op":"subscribe","args":[{"channel":"index-tickers","instId":"BTC-EUR"}]}`, refused(60018, ""))
	f(`{"id":"2","op":"subscribe","args":[{"channel":"funding-rate","instId":"BTC-USDT"}]}`,
		feeds.Notice{Kind: feeds.NoticeRefused, Request: 1, Channel: tick.ChannelFunding, Instrument: l.names["BTC-USDT"], Code: 60018})
	inject := func(kind sim.FaultKind) {
		t.Helper()
		if err := l.Inject(sim.Fault{Kind: kind, Venue: "okx", Symbol: "BTC-USDT-SWAP", Channel: tick.ChannelDepth}); err != nil {
			t.Fatal(err)
		}
	}
	const again = `{"id":"2","op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT-SWAP"}]}`
	inject(sim.FaultRefuse)
	f(again, refused(64003, ""))
	inject(sim.FaultRateLimit)
	f(again, refused(60014, ""))
	inject(sim.FaultUnknown)
	unknown := refused(60018, "")
	unknown.Channel, unknown.Instrument = tick.ChannelDepth, swap
	f(again, unknown)
	f(again, depth)
	// The end of a connection is announced.
	if err := l.Inject(sim.Fault{Kind: sim.FaultShutdown, Venue: "okx", Symbol: "BTC-USDT-SWAP", Channel: tick.ChannelDepth}); err != nil {
		t.Fatal(err)
	}
	if n := ws.answers(d, 1)[0]; n.Kind != feeds.NoticeReconnect || n.Code != 64008 {
		t.Errorf("%+v", n)
	}
}

// Requests are counted by the hour, pings are not.
func TestRequestsPerHour(t *testing.T) {
	t.Parallel()
	l := newLab(t, 6)
	if err := l.Listen(); err != nil {
		t.Fatal(err)
	}
	hasty := l.dial("/ws/v5/business")
	trades := func(n int, want feeds.NoticeKind, code int) {
		t.Helper()
		for range n {
			hasty.say(`{"id":"2","op":"unsubscribe","args":[{"channel":"trades-all","instId":"BTC-USDT-SWAP"}]}`)
			if got := hasty.answers(l.decoder, 1)[0]; got.Kind != want || got.Code != code {
				t.Fatalf("%+v", got)
			}
			hasty.say("ping")
			if got := hasty.answers(l.decoder, 1)[0]; got.Kind != feeds.NoticePong {
				t.Fatalf("%+v", got)
			}
		}
	}
	trades(480, feeds.NoticeAck, 0)
	trades(2, feeds.NoticeRefused, 60014)
}

func TestDialectSymbols(t *testing.T) {
	t.Parallel()
	d := Dialect("okx")
	if Dialect("binance-spot") != nil {
		t.Error("speaks for others")
	}
	for _, name := range []string{"PEPE-USDT", "PEPE-USDT-SWAP", "1INCH-USD-SWAP", "BTC-USD-270326"} {
		s, err := d.Spec(name)
		again, _ := d.Spec(name)
		if in := (venue{}).Instrument(name); err != nil || s != again || s.Name != name || s.Type != in.Type || s.Inverse != in.Inverse || s.Alias != "" && s.Alias != indexOf(&in) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	for _, name := range []string{"", "BTC", "btc-usdt", "BTCUSDT", "BTC-USD-261399", "BTC-USD-261225-92000-C", "BTC-USDT-PERP"} {
		if s, err := d.Spec(name); err == nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
