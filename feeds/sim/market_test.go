package sim_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	. "tickproc/feeds/sim"
	"tickproc/tick"
)

// tapped runs an exchange in steps and returns what a tap of all streams of
// the venue's default symbols got.
func tapped(t testing.TB, o Options, venue string, run time.Duration) (*Exchange, []string) {
	t.Helper()
	e, err := newExchange(o)
	if err != nil {
		t.Fatal(err)
	}
	var frames []string
	var streams []string
	for _, s := range DefaultSymbols(venue) {
		streams = append(streams, streamsOf(venue, s.Name)...)
	}
	if err := e.Tap(venue, streams, func(frame []byte) { frames = append(frames, string(frame)) }); err != nil {
		t.Fatal(err)
	}
	for at := time.Duration(0); at <= run; at += 7 * time.Millisecond {
		e.Step(labStart.Add(at))
	}
	return e, frames
}

// A slow book, rebuilt from nothing but the opening snapshot and the depth
// frames, is the true book after every frame; quotes with the id of a depth
// message show its top; trades come in order; nothing ever crosses.
func TestMarketMatchesSlowModel(t *testing.T) {
	t.Parallel()
	for _, venue := range VenueNames() {
		t.Run(venue, func(t *testing.T) {
			t.Parallel()
			const seed = 3
			e, frames := tapped(t, Options{Seed: seed, Rate: 200, Levels: 100}, venue, 5*time.Second)
			opening, err := newExchange(Options{Seed: seed, Rate: 200, Levels: 100})
			if err != nil {
				t.Fatal(err)
			}
			books := map[string]*model{}
			truths := map[string]Truth{}
			for _, tr := range e.Truth() {
				if tr.Venue != venue {
					continue
				}
				truths[tr.Symbol] = tr
				answer := httptest.NewRecorder()
				opening.Handler(venue).ServeHTTP(answer, httptest.NewRequest("GET", depthPath(venue, tr.Symbol, 1000), nil))
				books[tr.Symbol] = &model{}
				books[tr.Symbol].snapshot(t, answer.Body.String())
			}
			trades := map[string]int{}
			var depths, agreed int
			for _, f := range frames {
				_, m := parse(t, f)
				tr, book := truths[m.Symbol], books[m.Symbol]
				switch m.Event {
				case "trade":
					want := tr.Trades[trades[m.Symbol]]
					trades[m.Symbol]++
					got := Trade{ID: m.ID, TimeNanos: m.Time * 1e6, Sell: m.Sell, Delivered: 1}
					got.Price, _ = tick.ParseScaled([]byte(m.Price), tr.PriceDigits)
					got.Size, _ = tick.ParseScaled([]byte(m.Size), tr.SizeDigits)
					if got != want {
						t.Fatalf("trade %+v, truth %+v", got, want)
					}
					if n := trades[m.Symbol]; n > 1 && (tr.Trades[n-2].ID+1 != got.ID || tr.Trades[n-2].TimeNanos > got.TimeNanos) {
						t.Fatalf("trades %+v, %+v out of order", tr.Trades[n-2], got)
					}
				case "bookTicker":
					q, ok := tr.QuoteAt(m.Last)
					quote := &model{}
					quote.apply(t, m.B, m.A)
					bids, asks := quote.top(t, 1, tr.PriceDigits, tr.SizeDigits)
					if !ok || bids[0] != q.Bid || asks[0] != q.Ask || q.Bid.Price >= q.Ask.Price {
						t.Fatalf("quote %s, truth %+v %v", f, q, ok)
					}
				case "depthUpdate":
					depths++
					if venue == BinanceSpot && m.U != book.last+1 || venue != BinanceSpot && (m.Prev != book.last || m.U <= m.Prev) || m.Last < m.U {
						t.Fatalf("depth %d..%d after %d, pu %d", m.U, m.Last, book.last, m.Prev)
					}
					book.apply(t, m.B, m.A)
					book.last = m.Last
					bids, asks := book.top(t, TruthDepth, tr.PriceDigits, tr.SizeDigits)
					wantBids, wantAsks, ok := tr.BookAt(m.Last)
					if !ok || !slices.Equal(bids, wantBids) || !slices.Equal(asks, wantAsks) {
						t.Fatalf("book at %d: %v %v, truth %v %v %v", m.Last, bids, asks, wantBids, wantAsks, ok)
					}
					if bids[0].Price >= asks[0].Price {
						t.Fatalf("crossed at %d", m.Last)
					}
					if q, ok := tr.QuoteAt(m.Last); ok {
						agreed++
						if q.Bid != bids[0] || q.Ask != asks[0] {
							t.Fatalf("quote %+v at %d, book %v %v", q, m.Last, bids[0], asks[0])
						}
					}
				}
			}
			total := 0
			for symbol, n := range trades {
				total += n
				if n != len(truths[symbol].Trades) {
					t.Fatalf("%s: %d of %d trades seen", symbol, n, len(truths[symbol].Trades))
				}
			}
			if depths < 100 || total < 100 || agreed < 10 {
				t.Fatalf("thin market: %d depth messages, %d trades, %d quotes at depth ids", depths, total, agreed)
			}
		})
	}
}

// The same seed gives the same bytes; another one, others. What clients do,
// and faults of delivery, change nothing in the market.
func TestMarketSameSeedSameBytes(t *testing.T) {
	t.Parallel()
	for _, venue := range VenueNames() {
		join := func(o Options) (*Exchange, []byte) {
			e, frames := tapped(t, o, venue, 3*time.Second)
			var b bytes.Buffer
			for _, f := range frames {
				fmt.Fprintln(&b, f)
			}
			return e, b.Bytes()
		}
		clean, a := join(Options{Seed: 1})
		_, b := join(Options{Seed: 1})
		_, c := join(Options{Seed: 2})
		if !bytes.Equal(a, b) || bytes.Equal(a, c) || len(a) < 10_000 {
			t.Fatalf("%s: %d bytes; equal seeds equal %v, other seeds equal %v", venue, len(a), bytes.Equal(a, b), bytes.Equal(a, c))
		}
		faults := Options{Seed: 1, Faults: Faults{FaultDrop: 0.1, FaultDuplicate: 0.1, FaultReorder: 0.1, FaultTruncate: 0.1, FaultLateTrade: 0.1}}
		broken, d := join(faults)
		_, again := join(faults)
		if bytes.Equal(a, d) || !bytes.Equal(d, again) {
			t.Fatalf("%s: faults are not a function of the seed", venue)
		}
		want, got := clean.Truth(), broken.Truth()
		for i := range want {
			for j := range want[i].Trades {
				w, g := want[i].Trades[j], got[i].Trades[j]
				w.Delivered, g.Delivered = 0, 0
				if w != g {
					t.Fatalf("%s: faults changed trade %+v to %+v", venue, w, g)
				}
			}
		}
	}
}

// One large step equals many small ones.
func TestMarketStepSizeDoesNotMatter(t *testing.T) {
	t.Parallel()
	run := func(step time.Duration) []Truth {
		e, err := newExchange(Options{Seed: 5, Rate: 20})
		if err != nil {
			t.Fatal(err)
		}
		for at := time.Duration(0); at <= 10*time.Second; at += step {
			e.Step(labStart.Add(at))
		}
		return e.Truth()
	}
	small, large := run(time.Millisecond), run(10*time.Second)
	for i := range small {
		if !slices.Equal(small[i].Trades, large[i].Trades) || !slices.Equal(small[i].Quotes, large[i].Quotes) || !SameImages(&small[i], &large[i]) {
			t.Fatalf("%s %s differs", small[i].Venue, small[i].Symbol)
		}
	}
}

// Half a million events: sides stay populated, around the asked size, and the
// price stays near where it began.
func TestMarketStaysHealthy(t *testing.T) {
	t.Parallel()
	e, err := newExchange(Options{Seed: 9, Rate: 2000, History: 10, Levels: 100})
	if err != nil {
		t.Fatal(err)
	}
	e.Step(labStart)
	for at := time.Second; at <= 20*time.Second; at += time.Second {
		e.Step(labStart.Add(at))
		e.EachBook(func(venue string, in *Instrument, bids, asks int, mid int64) {
			if bids < 20 || bids > 400 || asks < 20 || asks > 400 {
				t.Fatalf("%s %s: %d bids, %d asks at %v", venue, in.Name, bids, asks, at)
			}
			if mid /= in.Tick; mid < in.Start*9/10 || mid > in.Start*11/10 {
				t.Fatalf("%s %s: price walked from %d to %d", venue, in.Name, in.Start, mid)
			}
		})
	}
}

// BenchmarkStep makes frames of all three venues for a tap on every stream.
func BenchmarkStep(b *testing.B) {
	e, err := newExchange(Options{Seed: 1, Rate: 1000})
	if err != nil {
		b.Fatal(err)
	}
	frames, size := 0, 0
	for _, venue := range VenueNames() {
		for _, s := range DefaultSymbols(venue) {
			if err := e.Tap(venue, streamsOf(venue, s.Name), func(f []byte) { frames++; size += len(f) }); err != nil {
				b.Fatal(err)
			}
		}
	}
	now := labStart
	e.Step(now)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(5 * time.Millisecond)
		e.Step(now)
	}
	b.ReportMetric(float64(frames)/b.Elapsed().Seconds(), "frames/s")
	b.ReportMetric(float64(size)/float64(frames), "bytes/frame")
}

// BenchmarkSocket sends all streams of a busy market over one loopback socket
// to a reader in the same process, who only counts.
func BenchmarkSocket(b *testing.B) {
	e, err := newExchange(Options{Seed: 1, Rate: 5000, Venues: []Venue{{Name: BinanceSpot}}})
	if err != nil {
		b.Fatal(err)
	}
	if err := e.Listen(); err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	var streams []string
	for _, s := range DefaultSymbols(BinanceSpot) {
		streams = append(streams, streamsOf(BinanceSpot, s.Name)...)
	}
	ws, _, err := dialer.Dial(e.WSURL(BinanceSpot)+combinedPath(BinanceSpot, streams), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer ws.Close()
	var read atomic.Uint64
	go func() {
		for {
			_, r, err := ws.NextReader()
			if err != nil {
				return
			}
			io.Copy(io.Discard, r)
			read.Add(1)
		}
	}()
	for e.Stats()[0].Clients == 0 {
		runtime.Gosched()
	}
	now := labStart
	e.Step(now)
	for b.Loop() {
		now = now.Add(5 * time.Millisecond)
		e.Step(now)
		for made := e.Stats()[0].Events; read.Load()+4096 < made; {
			runtime.Gosched() // a burst of 4096 frames may be under way
		}
	}
	b.ReportMetric(float64(read.Load())/b.Elapsed().Seconds(), "frames/s")
}
