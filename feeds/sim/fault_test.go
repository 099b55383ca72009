package sim_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	. "tickproc/feeds/sim"
	"tickproc/tick"
)

var dialer = websocket.Dialer{HandshakeTimeout: 10 * time.Second}

// spotLab has a client on all streams of spot BTCUSDT.
func spotLab(t *testing.T, o Options) (*lab, *conn) {
	l := newLab(t, o)
	return l, l.dial(BinanceSpot, combinedPath(BinanceSpot, streamsOf(BinanceSpot, "BTCUSDT")), dialer)
}

// gaps returns how many ids are missing, come twice, or come after a larger one.
func gaps(ids []int64) (missing, twice, late int) {
	largest := int64(0)
	seen := map[int64]bool{}
	for _, id := range ids {
		switch {
		case seen[id]:
			twice++
		case id < largest:
			late++
		}
		seen[id] = true
		largest = max(largest, id)
	}
	return int(largest-slices.Min(ids)) + 1 - len(seen), twice, late
}

// kinds lists the faults that struck.
func (l *lab) kinds() (out []FaultKind) {
	for _, r := range l.FaultLog() {
		out = append(out, r.Kind)
	}
	return out
}

// Each fault of trades, and what the truth says of it.
func TestTradeFaults(t *testing.T) {
	t.Parallel()
	f := func(kind FaultKind, missing, twice, late int) {
		t.Helper()
		l, c := spotLab(t, Options{})
		l.run(2 * time.Second)
		l.inject(Fault{Kind: kind, Venue: BinanceSpot, Symbol: "BTCUSDT", Channel: tick.ChannelTrades, Count: 2})
		l.run(5 * time.Second)
		l.finish()
		ids := tradeIDs(t, c.all())
		if m, tw, la := gaps(ids); m != missing || tw != twice || la != late {
			t.Fatalf("%s: %d missing, %d twice, %d late; want %d, %d, %d", kind, m, tw, la, missing, twice, late)
		}
		if got := l.kinds(); !slices.Equal(got, []FaultKind{kind, kind}) {
			t.Fatalf("%s: recorded %v", kind, got)
		}
		times := map[int64]uint32{}
		for _, id := range ids {
			times[id]++
		}
		for _, tr := range l.truth(BinanceSpot, "BTCUSDT").Trades {
			if tr.Delivered != times[tr.ID] || tr.Doubtful != 0 {
				t.Fatalf("%s: trade %+v was read %d times", kind, tr, times[tr.ID])
			}
		}
	}
	f(FaultDrop, 2, 0, 0)
	f(FaultDuplicate, 0, 2, 0)
	f(FaultReorder, 0, 0, 2)
	f(FaultTruncate, 2, 0, 0)
	f(FaultLateTrade, 0, 0, 2)
	f(FaultDuplicateTrade, 0, 2, 0)
	f(FaultGarbage, 0, 0, 0)
}

// Damaged frames are no JSON, and whole ones still come.
func TestDamagedFrames(t *testing.T) {
	t.Parallel()
	for _, kind := range []FaultKind{FaultGarbage, FaultTruncate} {
		l, c := spotLab(t, Options{})
		l.inject(Fault{Kind: kind, Venue: BinanceSpot, Count: 50})
		l.run(5 * time.Second)
		l.finish()
		good, bad := 0, 0
		for _, f := range c.all() {
			if json.Valid([]byte(f)) {
				good++
			} else {
				bad++
			}
		}
		if bad != 50 || good < 100 {
			t.Fatalf("%s: %d damaged, %d whole", kind, bad, good)
		}
	}
}

// A dropped depth message breaks the chain; nothing else of the symbol does.
func TestDroppedDepthBreaksTheChain(t *testing.T) {
	t.Parallel()
	l, c := spotLab(t, Options{})
	l.run(time.Second)
	l.inject(Fault{Kind: FaultDrop, Venue: BinanceSpot, Channel: tick.ChannelDepth})
	l.run(time.Second)
	l.finish()
	last, breaks := uint64(0), 0
	frames := c.all()
	for _, f := range frames {
		if _, m := parse(t, f); m.Event == "depthUpdate" {
			if last != 0 && m.U != last+1 {
				breaks++
			}
			last = m.Last
		}
	}
	if missing, _, _ := gaps(tradeIDs(t, frames)); breaks != 1 || missing != 0 {
		t.Fatalf("%d breaks, %d trades missing", breaks, missing)
	}
}

// An abrupt end still delivers what was sent before; a polite one says so.
func TestDisconnects(t *testing.T) {
	t.Parallel()
	for _, kind := range []FaultKind{FaultDisconnect, FaultClose, FaultShutdown} {
		l, c := spotLab(t, Options{})
		l.run(3 * time.Second)
		l.inject(Fault{Kind: kind, Venue: BinanceSpot, Symbol: "BTCUSDT"})
		l.run(3 * time.Second)
		frames := c.all()
		var closed *websocket.CloseError
		polite := errors.As(c.err, &closed) && closed.Code == websocket.CloseGoingAway
		if polite != (kind != FaultDisconnect) {
			t.Fatalf("%s: ended by %v", kind, c.err)
		}
		announced := slices.ContainsFunc(frames, func(f string) bool { return strings.HasPrefix(f, `{"e":"serverShutdown","E":`) })
		if announced != (kind == FaultShutdown) {
			t.Fatalf("%s: announced %v", kind, announced)
		}
		l.finish()
		read := 0
		for _, tr := range l.truth(BinanceSpot, "BTCUSDT").Trades {
			read += int(tr.Delivered)
			if tr.Doubtful != 0 {
				t.Fatalf("%s: %+v", kind, tr)
			}
		}
		if ids := tradeIDs(t, frames); len(ids) == 0 || len(ids) != read {
			t.Fatalf("%s: %d trades read, truth says %d", kind, len(ids), read)
		}
	}
}

// A half-open connection neither sends nor answers nor ends, until its time.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{})
	c := l.dial(BinanceSpot, combinedPath(BinanceSpot, streamsOf(BinanceSpot, "BTCUSDT")), dialer, func(ws *websocket.Conn) {
		ws.SetPongHandler(func(string) error { t.Error("answered a ping"); return nil })
	})
	l.run(time.Second)
	l.inject(Fault{Kind: FaultHalfOpen, Venue: BinanceSpot, For: 30 * time.Second})
	l.run(20 * time.Second)
	sent := l.Stats()[0].Clients
	if err := c.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteMessage(websocket.TextMessage, []byte(`{"method":"LIST_SUBSCRIPTIONS","id":1}`)); err != nil {
		t.Fatal(err)
	}
	l.run(11 * time.Second)
	frames := c.all()
	if slices.ContainsFunc(frames, func(f string) bool { return strings.Contains(f, "result") }) || sent != 1 {
		t.Fatalf("answered; %d clients", sent)
	}
	trades := l.truth(BinanceSpot, "BTCUSDT").Trades
	ids := tradeIDs(t, frames)
	if i := slices.IndexFunc(trades, func(tr Trade) bool { return tr.Delivered == 0 }); i != len(ids) || len(trades)-i < 20 {
		t.Fatalf("%d of %d trades read, first lost %d", len(ids), len(trades), i)
	}
}

// A slow connection delivers all, in order, later.
func TestSlow(t *testing.T) {
	t.Parallel()
	l, c := spotLab(t, Options{})
	l.inject(Fault{Kind: FaultSlow, Venue: BinanceSpot, For: 2 * time.Second})
	l.run(1900 * time.Millisecond)
	if n := l.Stats()[0].Frames; n != 0 {
		t.Fatalf("%d frames while slow", n)
	}
	l.run(time.Second)
	l.finish()
	ids := tradeIDs(t, c.all())
	if missing, twice, late := gaps(ids); missing+twice+late != 0 || len(ids) != len(l.truth(BinanceSpot, "BTCUSDT").Trades) {
		t.Fatalf("%d missing, %d twice, %d late of %d", missing, twice, late, len(ids))
	}
}

// Quiet: nothing of the symbol, everything of the others. Stale depth: quotes
// go on, depth stands, and then joins without a break.
func TestMarketFaults(t *testing.T) {
	t.Parallel()
	count := func(kind FaultKind) (depth, quotes, other int, breaks int) {
		l := newLab(t, Options{})
		c := l.dial(BinanceSpot, combinedPath(BinanceSpot, append(streamsOf(BinanceSpot, "BTCUSDT"), "ethusdt@bookTicker")), dialer)
		l.run(time.Second)
		l.inject(Fault{Kind: kind, Venue: BinanceSpot, Symbol: "BTCUSDT", For: 4 * time.Second})
		from := l.now.UnixMilli() + 200
		until := from + 3600
		l.run(6 * time.Second)
		// Spot quotes carry no time: the truth has it.
		for _, q := range l.truth(BinanceSpot, "BTCUSDT").Quotes {
			if q.TimeNanos > from*1e6 && q.TimeNanos < until*1e6 {
				quotes++
			}
		}
		for _, q := range l.truth(BinanceSpot, "ETHUSDT").Quotes {
			if q.TimeNanos > from*1e6 && q.TimeNanos < until*1e6 {
				other++
			}
		}
		l.finish()
		last := uint64(0)
		for _, f := range c.all() {
			if _, m := parse(t, f); m.Event == "depthUpdate" {
				if m.Sent > from && m.Sent < until {
					depth++
				}
				if last != 0 && m.U != last+1 {
					breaks++
				}
				last = m.Last
			}
		}
		return depth, quotes, other, breaks
	}
	if depth, quotes, other, breaks := count(FaultQuiet); depth != 0 || quotes != 0 || other == 0 || breaks != 0 {
		t.Fatalf("quiet: %d depth, %d quotes, %d of another symbol, %d breaks", depth, quotes, other, breaks)
	}
	if depth, quotes, other, breaks := count(FaultStaleDepth); depth != 0 || quotes == 0 || other == 0 || breaks != 0 {
		t.Fatalf("stale depth: %d depth, %d quotes, %d of another symbol, %d breaks", depth, quotes, other, breaks)
	}
}

func TestRESTFaults(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{})
	path := depthPath(BinanceSpot, "BTCUSDT", 100)
	l.inject(Fault{Kind: FaultRESTLimit, Venue: BinanceSpot, Symbol: "BTCUSDT", For: 7 * time.Second})
	l.inject(Fault{Kind: FaultRESTError, Venue: BinanceSpot, Symbol: "BTCUSDT"})
	l.inject(Fault{Kind: FaultRESTGarbage, Venue: BinanceSpot, Symbol: "BTCUSDT"})
	l.inject(Fault{Kind: FaultRESTSlow, Venue: BinanceSpot, Symbol: "BTCUSDT", For: time.Millisecond})
	if status, _, _ := l.get(BinanceSpot, depthPath(BinanceSpot, "ETHUSDT", 100)); status != 200 {
		t.Fatalf("another symbol: %d", status)
	}
	if status, header, _ := l.get(BinanceSpot, path); status != 429 || header.Get("Retry-After") != "7" {
		t.Fatalf("%d, Retry-After %q", status, header.Get("Retry-After"))
	}
	if status, _, _ := l.get(BinanceSpot, path); status != 500 {
		t.Fatalf("status %d", status)
	}
	if status, _, body := l.get(BinanceSpot, path); status != 200 || json.Valid([]byte(body)) {
		t.Fatalf("%d %.80s", status, body)
	}
	for range 2 { // the slow one, then one without a fault
		if status, _, body := l.get(BinanceSpot, path); status != 200 || !json.Valid([]byte(body)) {
			t.Fatalf("%d %.80s", status, body)
		}
	}
	if want := []FaultKind{FaultRESTLimit, FaultRESTError, FaultRESTGarbage, FaultRESTSlow}; !slices.Equal(l.kinds(), want) {
		t.Fatalf("recorded %v", l.kinds())
	}
}

// A huge frame arrives whole; a bomb is small on the wire where the client
// offered compression.
func TestHugeFrames(t *testing.T) {
	t.Parallel()
	for _, kind := range []FaultKind{FaultHuge, FaultBomb} {
		l := newLab(t, Options{Compression: true})
		c := l.dial(BinanceSpot, "/ws/btcusdt@trade", websocket.Dialer{EnableCompression: true})
		l.inject(Fault{Kind: kind, Venue: BinanceSpot, Bytes: 5 << 20})
		l.run(3 * time.Second)
		l.finish()
		if frames := c.all(); len(frames[0]) != 5<<20 || len(tradeIDs(t, frames[1:])) != len(frames)-1 {
			t.Fatalf("%s: %d bytes, %d frames", kind, len(frames[0]), len(frames))
		}
	}
}

// A client that leaves at a frame beyond its limit has not read what follows,
// even if the venue ends the connection before it sees that.
func TestHugeFrameThatEndsTheClient(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{Rate: 2000})
	c := l.dial(BinanceSpot, "/ws/btcusdt@trade", dialer, func(ws *websocket.Conn) { ws.SetReadLimit(1 << 20) })
	l.run(time.Second)
	l.inject(Fault{Kind: FaultHuge, Venue: BinanceSpot, Bytes: 2 << 20})
	l.run(time.Second)
	_ = l.Inject(Fault{Kind: FaultDisconnect, Venue: BinanceSpot}) // unless it has left already
	read := map[int64]bool{}
	for _, id := range tradeIDs(t, c.all()) {
		read[id] = true
	}
	c.Close()
	l.Close()
	doubtful := 0
	for _, x := range l.truth(BinanceSpot, "BTCUSDT").Trades {
		if x.Delivered > 0 && !read[x.ID] {
			t.Errorf("trade %d counts as delivered and was not read", x.ID)
		}
		doubtful += int(x.Doubtful)
	}
	if len(read) == 0 || doubtful == 0 {
		t.Errorf("%d read, %d doubtful", len(read), doubtful)
	}
}

// A client that does not read is cut off; what it had in hand is doubtful.
func TestSlowClientIsCutOff(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{ClientQueue: 8, Rate: 5000})
	ws, _, err := dialer.Dial(l.WSURL(BinanceSpot)+combinedPath(BinanceSpot, streamsOf(BinanceSpot, "BTCUSDT")), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	l.await("the client is cut off", func() bool {
		l.run(100 * time.Millisecond)
		return l.Stats()[0].SlowClients > 0
	})
	l.Close()
	delivered := 0
	for _, tr := range l.truth(BinanceSpot, "BTCUSDT").Trades {
		delivered += int(tr.Delivered)
	}
	if delivered != 0 {
		t.Fatalf("%d trades delivered for sure to a client that read nothing", delivered)
	}
}

func TestInjectRefuses(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{})
	f := func(fault Fault) {
		t.Helper()
		if err := l.Inject(fault); err == nil {
			t.Fatalf("%+v was taken", fault)
		}
	}
	f(Fault{Kind: FaultDrop, Venue: "nowhere"})
	f(Fault{Kind: FaultDrop, Venue: BinanceSpot, Symbol: "NOSUCH"})
	f(Fault{Venue: BinanceSpot})
	f(Fault{Kind: FaultDisconnect, Venue: BinanceSpot}) // nobody is connected
}

// All faults at once, at random: whatever the client could read is what the
// truth says was delivered, or doubted.
func TestRandomFaultsKeepTheTruth(t *testing.T) {
	t.Parallel()
	rates := Faults{}
	for _, k := range FaultKinds() {
		switch {
		case k == FaultHuge || k == FaultBomb || k == FaultHalfOpen || k == FaultAlter:
		case OfMessages(k):
			rates[k] = 0.01
		case OfClients(k):
			rates[k] = 6
		}
	}
	for _, venue := range VenueNames() {
		symbol := firstSymbol[venue]
		l := newLab(t, Options{Faults: rates})
		times := map[int64]uint32{}
		collect := func(frames []string) {
			for _, id := range tradeIDs(t, frames) {
				times[id]++
			}
		}
		var all []*conn
		c := l.dial(venue, combinedPath(venue, streamsOf(venue, symbol)), dialer)
		for range 300 {
			l.run(100 * time.Millisecond)
			for _, s := range l.Stats() {
				if s.Venue == venue && s.Clients == 0 {
					all = append(all, c)
					c = l.dial(venue, combinedPath(venue, streamsOf(venue, symbol)), dialer)
				}
			}
		}
		all = append(all, c)
		l.finish()
		for _, c := range all {
			collect(c.all())
		}
		truth := l.truth(venue, symbol)
		undelivered := 0
		for _, tr := range truth.Trades {
			if n := times[tr.ID]; n < tr.Delivered || n > tr.Delivered+tr.Doubtful {
				t.Fatalf("%s: %+v was read %d times", venue, tr, n)
			}
			if tr.Delivered == 0 {
				undelivered++
			}
		}
		last := truth.Trades[len(truth.Trades)-1]
		if undelivered == 0 || last.Delivered != 1 || len(l.FaultLog()) < 50 {
			t.Fatalf("%s: %d of %d trades undelivered, last %+v, %d faults", venue, undelivered, len(truth.Trades), last, len(l.FaultLog()))
		}
	}
}
