package sim_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	. "tickproc/feeds/sim"
	"tickproc/tick"
)

// Two clients of a stream, the second of which comes in the middle of things,
// show the true book after every message, get the same ids, and each its own
// numbers without a hole: windows of both styles, whole books, ids of the
// market's and of the dialect's own.
func TestStreamsGiveTheTrueBook(t *testing.T) {
	t.Parallel()
	f := func(stream string, depth int, deletes, ownIDs bool) {
		t.Helper()
		l := newLab(t, Options{Rate: 300, Levels: 30, Venues: []Venue{plainVenue(Profile{OwnIDs: ownIDs}, deletes)}})
		l.run(250 * time.Millisecond)
		first := l.plain()
		first.say("sub "+stream, "sub")
		l.run(1330 * time.Millisecond)
		second := l.plain()
		second.say("sub "+stream, "sub")
		l.run(time.Second)
		l.finish()
		truth := l.truth("plain", "AAA")
		var ids [2][]uint64
		for i, c := range []*conn{first, second} {
			book, last, n := plainBook{}, uint64(0), 2 // hello and the answer came before
			for _, m := range c.rest() {
				if m.N != n {
					t.Fatalf("%s: frame %d is numbered %d", stream, n, m.N)
				}
				n++
				if m.Kind == "delta" && m.Prev != last && depth+btoi(ownIDs) > 0 {
					t.Fatalf("%s: %d follows %d, not %d", stream, m.ID, m.Prev, last)
				}
				last = m.ID
				book.apply(&m)
				truncate := depth
				if deletes {
					truncate = 0
				}
				top := book.top(truncate)
				if depth > 0 && (len(book.sides[0]) > depth || len(book.sides[1]) > depth) {
					t.Fatalf("%s: %d bids, %d asks", stream, len(book.sides[0]), len(book.sides[1]))
				}
				// By the id, and by the time alone.
				for _, found := range [][]Book{truth.Books(m.ID, m.At), truth.Books(0, m.At)} {
					if !slices.ContainsFunc(found, func(b Book) bool { return slices.Equal(b.Bids, top[0]) && slices.Equal(b.Asks, top[1]) }) {
						t.Fatalf("%s at %d: book %v, truth %+v", stream, m.ID, top, found)
					}
				}
				if m.Kind == "delta" {
					ids[i] = append(ids[i], m.ID)
				}
			}
		}
		if n := len(ids[1]); n < 5 || len(ids[0]) <= n || !slices.Equal(ids[0][len(ids[0])-n:], ids[1]) {
			t.Fatalf("%s: ids %v and %v", stream, ids[0], ids[1])
		}
	}
	f("book:AAA:10", 10, true, false)
	f("book:AAA:10", 10, false, false)
	f("book:AAA:10", 10, true, true)
	f("book:AAA:0", 0, false, false)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// The number is given before a fault drops, duplicates or reorders the frame.
func TestNumbersShowFaults(t *testing.T) {
	t.Parallel()
	f := func(fault Fault, missing, twice, late int) {
		t.Helper()
		l := newLab(t, Options{Venues: []Venue{plainVenue(Profile{}, true)}})
		c := l.plain()
		c.say("sub book:AAA:10", "sub")
		c.say("sub trades:AAA", "sub")
		l.run(time.Second)
		fault.Venue = "plain"
		l.inject(fault)
		l.run(2 * time.Second)
		l.finish()
		var numbers []int64
		for _, m := range c.rest() {
			numbers = append(numbers, int64(m.N))
		}
		if m, tw, la := gaps(numbers); m != missing || tw != twice || la != late {
			t.Fatalf("%s: %d missing, %d twice, %d late", fault.Kind, m, tw, la)
		}
	}
	f(Fault{Kind: FaultDrop, Channel: tick.ChannelDepth, Count: 2}, 2, 0, 0)
	f(Fault{Kind: FaultDropFrame, Count: 3}, 3, 0, 0)
	f(Fault{Kind: FaultDuplicate, Channel: tick.ChannelTrades}, 0, 1, 0)
	l := newLab(t, Options{Venues: []Venue{plainVenue(Profile{}, true)}})
	l.plain()
	if err := l.Inject(Fault{Kind: FaultDropFrame, Venue: "plain", Symbol: "BBB"}); err == nil {
		t.Fatal("dropped on a connection that does not carry the symbol")
	}
}

// Heartbeats come by the venue's time, idle ones only without other frames;
// a quiet stream says so.
func TestBeatsAndKeepAlives(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{Venues: []Venue{plainVenue(Profile{}, true)}})
	steady, idle := l.plain(), l.plain()
	steady.say("beat always", "ok")
	steady.say("sub book:AAA:10", "sub")
	idle.say("beat idle", "ok")
	idle.say("sub book:AAA:10", "sub")
	l.run(5 * time.Second)
	l.inject(Fault{Kind: FaultQuiet, Venue: "plain", Symbol: "AAA", For: 10 * time.Second})
	l.run(10 * time.Second)
	l.finish()
	all, rare := steady.rest(), idle.rest()
	if n := len(only(all, "beat")); n != 15 && n != 14 {
		t.Fatalf("%d beats in 15 s", n)
	}
	if n := len(only(rare, "beat")); n < 6 || n > 10 {
		t.Fatalf("%d beats in 10 idle seconds", n)
	}
	if n := len(only(rare, "quiet")); n != 3 {
		t.Fatalf("%d keep-alives in 10 quiet seconds, want 3", n)
	}
}

// What the venue answers to subscriptions that it does not serve.
func TestSubscriptionOutcomes(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{Venues: []Venue{plainVenue(Profile{StreamsMax: 3}, true)}})
	c := l.plain()
	f := func(name string, want Outcome) {
		t.Helper()
		if got, _ := c.say("sub "+name, "sub"); got.Outcome != want {
			t.Fatalf("%s: outcome %d, want %d", name, got.Outcome, want)
		}
	}
	f("book:AAA:10", Subscribed)
	f("book:AAA:10", Already)
	f("nonsense", UnknownStream)
	f("book:ZZZ:10", UnknownSymbol)
	for kind, want := range map[FaultKind]Outcome{FaultRefuse: Refused, FaultUnknown: UnknownSymbol, FaultRateLimit: RateLimited} {
		l.inject(Fault{Kind: kind, Venue: "plain", Symbol: "BBB"})
		f("trades:AAA", Subscribed)
		f("trades:BBB", want)
		c.say("unsub trades:AAA", "ok")
	}
	l.inject(Fault{Kind: FaultSilent, Venue: "plain", Symbol: "BBB"})
	f("trades:BBB", Subscribed)
	f("trades:AAA", Subscribed)
	f("marks:AAA", TooMany)
	l.run(3 * time.Second)
	l.finish()
	frames := c.rest()
	if slices.ContainsFunc(frames, func(m plainFrame) bool { return m.Stream == "trades:BBB" }) ||
		!slices.ContainsFunc(frames, func(m plainFrame) bool { return m.Stream == "trades:AAA" }) {
		t.Fatal("want nothing of the silent stream, and the other")
	}
	if last := l.truth("plain", "BBB").Trades; len(last) == 0 || last[len(last)-1].Delivered != 0 {
		t.Fatal("trades of a silent stream count as delivered")
	}
}

// A snapshot again at any time; a restart of the service, after which counters
// begin anew; both leave the book true.
func TestResnapshotAndRestart(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{Venues: []Venue{plainVenue(Profile{OwnIDs: true, RestartKeeps: true}, true)}})
	c := l.plain()
	c.say("sub book:AAA:10", "sub")
	l.run(2 * time.Second)
	l.inject(Fault{Kind: FaultResnapshot, Venue: "plain", Channel: tick.ChannelDepth})
	l.run(2 * time.Second)
	l.inject(Fault{Kind: FaultRestart, Venue: "plain"})
	l.run(2 * time.Second)
	l.finish()
	truth := l.truth("plain", "AAA")
	book := plainBook{}
	var snapshots []uint64
	for _, m := range c.rest() {
		if book.apply(&m); m.Kind == "snapshot" {
			snapshots = append(snapshots, m.ID)
		}
		top := book.top(0)
		if found := truth.Books(m.ID, m.At); !slices.ContainsFunc(found, func(b Book) bool { return slices.Equal(b.Bids, top[0]) && slices.Equal(b.Asks, top[1]) }) {
			t.Fatalf("%s at %d: book %v, truth %+v", m.Kind, m.ID, top, found)
		}
	}
	if len(snapshots) != 3 || snapshots[0] != 0 || snapshots[1] < 5 || snapshots[2] != 1 {
		t.Fatalf("ids of the snapshots: %v", snapshots)
	}
}

// A restart where sockets die with the service, and maintenance: all are told
// and closed, and the next handshakes refused.
func TestRestartThatClosesAndMaintenance(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{Venues: []Venue{plainVenue(Profile{}, true)}})
	c := l.plain()
	l.inject(Fault{Kind: FaultRestart, Venue: "plain"})
	c.all()
	c = l.plain()
	l.inject(Fault{Kind: FaultMaintenance, Venue: "plain", For: 2 * time.Second})
	if frames := c.rest(); frames[len(frames)-1].Kind != "notice1" {
		t.Fatalf("last frame %+v", frames[len(frames)-1])
	}
	refused := func(status int) {
		t.Helper()
		ws, answer, err := dialer.Dial(l.WSURL("plain")+"/", nil)
		if err == nil {
			ws.Close()
		}
		if answer == nil || answer.StatusCode != status {
			t.Fatalf("%v, %v, want %d", answer, err, status)
		}
	}
	refused(503)
	if status, _, _ := l.get("plain", "/trades?symbol=AAA"); status != 503 {
		t.Fatalf("REST answers %d", status)
	}
	l.run(2 * time.Second)
	l.inject(Fault{Kind: FaultHandshakeLimit, Venue: "plain", Count: 2})
	refused(429)
	refused(429)
	l.plain()
}

// A venue takes so many handshakes, and ends connections that ask for nothing,
// stay idle, or are old: those with a notice.
func TestLimitsOfConnections(t *testing.T) {
	t.Parallel()
	f := func(p Profile, request string, run time.Duration, notice bool) {
		t.Helper()
		l := newLab(t, Options{Rate: 1, Venues: []Venue{plainVenue(p, true)}})
		c := l.plain()
		if request != "" {
			c.say(request, "sub")
		}
		l.run(run - 100*time.Millisecond)
		if l.Stats()[0].Clients != 1 {
			t.Fatalf("%+v: ended early", p)
		}
		l.run(200 * time.Millisecond)
		if frames := c.rest(); notice != (len(only(frames, "notice0")) == 1) {
			t.Fatalf("%+v: %+v", p, frames)
		}
	}
	f(Profile{FirstWithin: 5 * time.Second}, "", 5*time.Second, false)
	f(Profile{FirstWithin: 5 * time.Second, IdleMax: 20 * time.Second}, "sub status", 20*time.Second, false)
	f(Profile{AgeMax: 30 * time.Second, AgeNotice: 3 * time.Second}, "sub status", 30*time.Second, true)

	l := newLab(t, Options{Venues: []Venue{plainVenue(Profile{Connects: []Budget{{N: 2, Per: time.Hour}}}, true)}})
	l.plain()
	l.plain()
	if _, answer, err := dialer.Dial(l.WSURL("plain")+"/", nil); err == nil || answer == nil || answer.StatusCode != 429 {
		t.Fatalf("%v %v", answer, err)
	}
}

// An altered message differs from the book in one size, its checksum does not,
// and the next ones are as they were; an added field leaves the rest readable.
func TestAlteredFrames(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{Rate: 200, Venues: []Venue{plainVenue(Profile{}, true)}})
	c := l.plain()
	c.say("sub book:AAA:10", "sub")
	l.run(time.Second)
	l.inject(Fault{Kind: FaultAlter, Venue: "plain"})
	l.run(time.Second)
	l.inject(Fault{Kind: FaultExtraField, Venue: "plain", Count: 3})
	l.run(time.Second)
	l.finish()
	truth := l.truth("plain", "AAA")
	book, wrong, extra, last := plainBook{}, 0, 0, uint64(0)
	for _, text := range c.all() {
		if strings.Contains(text, "addedField") {
			extra++
		}
		m := readPlain(t, text)
		if last != 0 && m.Prev != last {
			t.Fatalf("%d follows %d", m.Prev, last)
		}
		last = m.ID
		book.apply(&m)
		top := book.top(0)
		found := truth.Books(m.ID, 0)
		if len(found) != 1 || found[0].Bids[0].Size != m.Best {
			t.Fatalf("at %d: best %d, truth %+v", m.ID, m.Best, found)
		}
		if !slices.Equal(found[0].Bids, top[0]) || !slices.Equal(found[0].Asks, top[1]) {
			wrong++
		}
	}
	if wrong == 0 || extra != 3 || !slices.Contains(l.kinds(), FaultAlter) {
		t.Fatalf("%d wrong books, %d frames with another field, struck %v", wrong, extra, l.kinds())
	}
}

// The trades of an order come together, up to the venue's limit; a snapshot of
// trades, and an answer of REST, count for the truth.
func TestTradesTogether(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{Rate: 200, Venues: []Venue{plainVenue(Profile{TradesTogether: 3}, true)}})
	l.run(time.Second)
	c := l.plain()
	c.say("sub trades:AAA", "sub")
	before := l.truth("plain", "AAA").Trades
	if status, _, _ := l.get("plain", "/trades?symbol=AAA"); status != 200 {
		t.Fatal(status)
	}
	l.run(2 * time.Second)
	l.finish()
	times, longest := map[int64]uint32{}, 0
	for i, m := range only(c.rest(), "trades") {
		if i > 0 {
			longest = max(longest, len(m.IDs))
		}
		for _, id := range m.IDs {
			times[id]++
		}
	}
	truth := l.truth("plain", "AAA")
	for i, tr := range truth.Trades {
		doubtful := uint32(btoi(i >= len(before)-3 && i < len(before)))
		if tr.Delivered != times[tr.ID] || tr.Doubtful != doubtful || btoi(tr.Delivered == 1) != btoi(i >= len(before)-5) {
			t.Fatalf("trade %d of %d before: %+v, read %d times", i, len(before), tr, times[tr.ID])
		}
	}
	if longest != 3 {
		t.Fatalf("at most %d trades in a message, want 3", longest)
	}
	id := truth.TradeID(&truth.Trades[0])
	if len(id) != 36 || id[14] != '4' || id == truth.TradeID(&truth.Trades[1]) || id != truth.TradeID(&truth.Trades[0]) {
		t.Fatalf("trade id %q", id)
	}
}

// A checksum that does not follow the book any more, for a time.
func TestConstantChecksum(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{Rate: 200, Venues: []Venue{plainVenue(Profile{}, true)}})
	c := l.plain()
	c.say("sub book:AAA:10", "sub")
	l.run(time.Second)
	l.inject(Fault{Kind: FaultConstantChecksum, Venue: "plain", For: time.Second})
	l.run(3 * time.Second)
	l.finish()
	constant := 0
	frames := only(c.rest(), "delta")
	for _, m := range frames {
		if m.Best == 0 {
			constant++
		}
	}
	if constant < 5 || constant > 11 || len(frames) < 30 || frames[0].Best == 0 || frames[len(frames)-1].Best == 0 {
		t.Fatalf("%d of %d checksums stood still", constant, len(frames))
	}
}
