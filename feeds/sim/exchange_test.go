package sim_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	. "tickproc/feeds/sim"
)

// Started by the wall clock, all venues talk; after Drain the truth stands
// still and every trade since the subscription was delivered.
func TestStartDrainClose(t *testing.T) {
	t.Parallel()
	e, err := newExchange(Options{Seed: 1, Rate: 300, PingEvery: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := e.Start(ctx); err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	l := &lab{Exchange: e, t: t}
	conns := map[string]*conn{}
	for _, venue := range VenueNames() {
		conns[venue] = l.dial(venue, combinedPath(venue, streamsOf(venue, firstSymbol[venue])), dialer)
	}
	read := map[string][]string{}
	for venue, c := range conns {
		for len(tradeIDs(t, read[venue])) < 20 {
			read[venue] = append(read[venue], c.next())
		}
	}
	if err := e.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	before := e.Truth()
	e.Close()
	after := e.Truth()
	for i := range before {
		if !slices.Equal(before[i].Trades, after[i].Trades) {
			t.Fatalf("%s %s: the truth moved after Drain", before[i].Venue, before[i].Symbol)
		}
	}
	for venue, c := range conns {
		ids := tradeIDs(t, append(read[venue], c.all()...))
		var want []int64
		for _, tr := range l.truth(venue, firstSymbol[venue]).Trades {
			if tr.Delivered == 1 {
				want = append(want, tr.ID)
			}
			if tr.Doubtful != 0 {
				t.Fatalf("%s: doubtful %+v", venue, tr)
			}
		}
		if !slices.Equal(ids, want) {
			t.Fatalf("%s: read %d trades, truth delivered %d", venue, len(ids), len(want))
		}
	}
}

// A client that leaves by itself makes doubtful what it had not confirmed, and
// keeps what it had.
func TestClientThatLeaves(t *testing.T) {
	t.Parallel()
	l, c := spotLab(t, Options{PingEvery: time.Second})
	l.run(3 * time.Second)
	l.await("the client answers a ping", func() bool { return l.FirstAnswered(BinanceSpot) })
	l.run(900 * time.Millisecond) // not confirmed
	l.await("the last trade is written", func() bool {
		trades := l.truth(BinanceSpot, "BTCUSDT").Trades
		return trades[len(trades)-1].Delivered == 1
	})
	c.Close()
	l.await("the venue notices", func() bool { return l.Stats()[0].Clients == 0 })
	trades := l.truth(BinanceSpot, "BTCUSDT").Trades
	first, last := trades[0], trades[len(trades)-1]
	if first.Delivered != 1 || first.Doubtful != 0 || last.Delivered != 0 || last.Doubtful != 1 {
		t.Fatalf("first %+v, last %+v", first, last)
	}
}

func TestOptionsRefused(t *testing.T) {
	t.Parallel()
	f := func(o Options, want ...string) {
		t.Helper()
		_, err := newExchange(o)
		if err == nil {
			t.Fatalf("%+v was taken", o)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Fatalf("%q does not name %q", err, w)
			}
		}
	}
	f(Options{Rate: -1, PathPrefix: "lab/"}, "rate -1", "lab/")
	f(Options{Venues: []Venue{{Name: "nowhere"}}}, "nowhere", "dialect")
	f(Options{Venues: []Venue{{Name: BinanceSpot}, {Name: BinanceSpot}}}, "twice")
	f(Options{Venues: []Venue{{Name: BinanceSpot, Symbols: []Symbol{{Name: "BTCUSDT"}, {Name: "BTCUSDT"}}}}}, "twice")
	f(Options{Venues: []Venue{{Name: BinanceCOINM, Symbols: []Symbol{{Name: "BTCUSDT"}}}}}, "BTCUSD_PERP")
	f(Options{Faults: Faults{FaultDrop: -1}}, "drop")
}

// Symbols outside the table trade too.
func TestUnknownSymbolsGetAMarket(t *testing.T) {
	t.Parallel()
	o := Options{Seed: 1, Venues: []Venue{
		{Name: BinanceSpot, Symbols: []Symbol{{Name: "PEPEUSDT"}, {Name: "ETHBTC", Rate: 2}}},
		{Name: BinanceUSDM, Symbols: []Symbol{{Name: "1000SHIBUSDT"}}},
		{Name: BinanceCOINM, Symbols: []Symbol{{Name: "ADAUSD_PERP"}}},
	}}
	e, err := newExchange(o)
	if err != nil {
		t.Fatal(err)
	}
	for at := time.Duration(0); at < time.Minute; at += time.Second {
		e.Step(labStart.Add(at))
	}
	for _, tr := range e.Truth() {
		oldest, _ := tr.Oldest()
		if _, _, ok := tr.BookAt(oldest); !ok {
			t.Fatalf("%s %s: the oldest image %d is not there", tr.Venue, tr.Symbol, oldest)
		}
		if len(tr.Trades) < 50 || len(tr.Quotes) < 50 {
			t.Fatalf("%s %s: %d trades, %d quotes", tr.Venue, tr.Symbol, len(tr.Trades), len(tr.Quotes))
		}
	}
}

// The venue pings every 20 s of its time and gives up on who stays silent for
// a minute.
func TestPings(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{Rate: 1})
	pings := make(chan string, 100)
	l.dial(BinanceSpot, "/ws/btcusdt@trade", dialer)
	silent := l.dial(BinanceSpot, "/ws/btcusdt@trade", dialer, func(ws *websocket.Conn) {
		ws.SetPingHandler(func(payload string) error { pings <- payload; return nil })
	})
	for i := range 100 {
		l.run(time.Second)
		// Time must not outrun the client that does answer.
		l.await("the other client answers", func() bool { return i < 20 || l.FirstAnswered(BinanceSpot) })
	}
	silent.all()
	if n := len(pings); n != 4 {
		t.Fatalf("%d pings before the end, want 4", n)
	}
	if n := l.Stats()[0].Clients; n != 1 {
		t.Fatalf("%d clients left, want the one that answered", n)
	}
}

// Run ends with its context and frees the addresses.
func TestRun(t *testing.T) {
	t.Parallel()
	e, err := newExchange(Options{Venues: []Venue{{Name: BinanceSpot}}})
	if err != nil {
		t.Fatal(err)
	}
	if e.WSURL(BinanceSpot) != "" || e.WSURL("nowhere") != "" {
		t.Fatal("addresses before Run")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Run(ctx); err != nil {
		t.Fatal(err)
	}
	other, err := newExchange(Options{Venues: []Venue{{Name: BinanceSpot, Address: strings.TrimPrefix(e.WSURL(BinanceSpot), "ws://")}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Listen(); err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	third, _ := newExchange(Options{Venues: []Venue{{Name: BinanceSpot, Address: strings.TrimPrefix(other.WSURL(BinanceSpot), "ws://")}}})
	if err := third.Listen(); err == nil || !strings.Contains(err.Error(), "choose a free address") {
		t.Fatalf("two on one address: %v", err)
	}
}
