package sim_test

import (
	"slices"
	"testing"
	"time"

	. "tickproc/feeds/sim"
	"tickproc/tick"
)

// Derivatives have a mark price each second, open interest, liquidations; what
// is sent is what the truth keeps.
func TestReferencePrices(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{Venues: []Venue{plainVenue(Profile{}, true)}})
	c := l.plain()
	c.say("sub marks:AAA", "sub")
	l.run(30 * time.Second)
	if err := l.Liquidate("plain", "AAA", 7, true); err != nil {
		t.Fatal(err)
	}
	l.finish()
	truth := l.truth("plain", "AAA")
	frames := c.rest()
	var marks, interests, liquidations []uint64
	for _, r := range truth.References {
		marks = append(marks, uint64(r.Mark))
		if r.NextFundingNanos <= r.TimeNanos || r.NextFundingNanos%int64(8*time.Hour) != 0 || r.FundingRate == 0 || r.PriceDigits != 3 {
			t.Fatalf("%+v", r)
		}
		if drift := r.Mark - r.Index; drift > 3*5*100 || drift < -3*5*100 {
			t.Fatalf("mark %d, index %d", r.Mark, r.Index)
		}
	}
	for _, o := range truth.OpenInterests {
		interests = append(interests, uint64(o.Size))
	}
	for _, x := range truth.Liquidations {
		liquidations = append(liquidations, uint64(x.Size))
	}
	f := func(kind string, want []uint64) {
		t.Helper()
		var got []uint64
		for _, m := range only(frames, kind) {
			got = append(got, m.ID)
		}
		if len(want) == 0 || !slices.Equal(got, want) {
			t.Fatalf("%s: read %v, truth %v", kind, got, want)
		}
	}
	f("funding", marks)
	f("open_interest", interests)
	f("liquidations", liquidations)
	if len(marks) != 30 || liquidations[len(liquidations)-1] != 7 {
		t.Fatalf("%d marks, liquidations %v", len(marks), liquidations)
	}
}

// Halts stop trading and say so; what is listed trades, what is delisted is
// silent; all of it is told on the venue's own stream and kept by the truth.
func TestCatalogChanges(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{Venues: []Venue{plainVenue(Profile{}, true)}})
	c := l.plain()
	c.say("sub status", "sub")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	l.run(time.Second)
	l.inject(Fault{Kind: FaultHalt, Venue: "plain", Symbol: "AAA", For: 3 * time.Second})
	halted := len(l.truth("plain", "AAA").Trades)
	l.run(2900 * time.Millisecond)
	if n := len(l.truth("plain", "AAA").Trades); n != halted {
		t.Fatalf("%d trades while halted", n-halted)
	}
	l.run(3 * time.Second)
	if n := len(l.truth("plain", "AAA").Trades); n == halted {
		t.Fatal("no trade after the halt")
	}
	must(l.SetState("plain", "BBB", tick.StateRestricted))
	must(l.List("plain", Symbol{Name: "CCC"}))
	d := l.plain()
	d.say("sub trades:CCC", "sub")
	l.run(3 * time.Second)
	must(l.Delist("plain", "CCC"))
	listed := l.truth("plain", "CCC")
	l.run(3 * time.Second)
	if got, _ := d.say("sub book:CCC:10", "sub"); got.Outcome != UnknownSymbol {
		t.Fatalf("outcome %d", got.Outcome)
	}
	l.finish()
	after := l.truth("plain", "CCC")
	if len(listed.Trades) == 0 || len(after.Trades) != len(listed.Trades) {
		t.Fatalf("%d trades while listed, %d after", len(listed.Trades), len(after.Trades))
	}
	var got []string
	for _, m := range only(c.rest(), "status") {
		got = append(got, m.Symbol+" "+m.State)
	}
	if want := []string{"AAA halted", "AAA trading", "BBB restricted", "CCC trading", "CCC delisted"}; !slices.Equal(got, want) {
		t.Fatalf("told %v, want %v", got, want)
	}
	if changes := after.Changes; len(changes) != 2 || changes[0].Kind != ChangeListed || changes[1].Kind != ChangeDelisted {
		t.Fatalf("%+v", changes)
	}
	for _, err := range []error{l.List("plain", Symbol{Name: "AAA"}), l.List("plain", Symbol{Name: "LONG"}), l.Delist("plain", "CCC"), l.SetTick("plain", "AAA", 0, 1)} {
		if err == nil {
			t.Fatal("nonsense was taken")
		}
	}
}

// A finer tick brings more digits, a coarser one leaves what stands; the market
// goes on, and the book is the truth.
func TestTickChanges(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{Rate: 200, Venues: []Venue{plainVenue(Profile{}, true)}})
	c := l.plain()
	c.say("sub book:AAA:10", "sub")
	l.run(time.Second)
	if err := l.SetTick("plain", "AAA", 1, 3); err != nil {
		t.Fatal(err)
	}
	c.say("unsub book:AAA:10", "ok")
	c.say("sub book:AAA:10", "sub")
	l.run(2 * time.Second)
	truth := l.truth("plain", "AAA")
	if truth.PriceDigits != 3 || !slices.ContainsFunc(truth.Trades, func(x Trade) bool { return x.Price%10 != 0 }) {
		t.Fatalf("no trade at a finer price, at %d digits", truth.PriceDigits)
	}
	if err := l.SetTick("plain", "AAA", 2, 1); err != nil {
		t.Fatal(err)
	}
	l.run(2 * time.Second)
	l.finish()
	truth = l.truth("plain", "AAA")
	if truth.PriceDigits != 3 || truth.Changes[1].Tick != 200 {
		t.Fatalf("%d digits, %+v", truth.PriceDigits, truth.Changes)
	}
	book, compared := plainBook{}, 0
	for _, m := range c.rest() {
		if m.Kind == "snapshot" {
			compared = 1
		}
		if book.apply(&m); compared == 0 {
			continue
		}
		top := book.top(0)
		if found := truth.Books(m.ID, 0); len(found) == 0 || !slices.Equal(found[0].Bids, top[0]) || !slices.Equal(found[0].Asks, top[1]) {
			t.Fatalf("at %d: book %v, truth %+v", m.ID, top, found)
		}
		compared++
	}
	if compared < 20 {
		t.Fatalf("%d books compared", compared)
	}
}

// BenchmarkManySymbols moves 2000 instruments, 25 events a second each, by
// 5 ms of the venue's time, with a tap on a stream of each.
func BenchmarkManySymbols(b *testing.B) {
	venue := plainVenue(Profile{}, true)
	var streams []string
	for i := range 2000 {
		name := string([]byte{byte('A' + i/100), byte('A' + i/10%10), byte('A' + i%10)})
		venue.Symbols = append(venue.Symbols, Symbol{Name: name})
		streams = append(streams, "book:"+name+":50", "trades:"+name)
	}
	e, err := New(Options{Seed: 1, Rate: 25, Levels: 100, History: 16, Venues: []Venue{venue}})
	if err != nil {
		b.Fatal(err)
	}
	frames := 0
	if err := e.Tap("plain", streams, func([]byte) { frames++ }); err != nil {
		b.Fatal(err)
	}
	now := labStart
	e.Step(now)
	for b.Loop() {
		now = now.Add(5 * time.Millisecond)
		e.Step(now)
	}
	b.ReportMetric(float64(frames)/now.Sub(labStart).Seconds(), "frames/venue-s")
	b.ReportMetric(b.Elapsed().Seconds()/now.Sub(labStart).Seconds(), "cpu-s/venue-s")
}
