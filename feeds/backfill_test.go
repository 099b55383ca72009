package feeds

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tickproc/tick"
)

// past is a toy venue's REST: the trades 1 to last, five in an answer, and
// books. fail may answer in its place.
type past struct {
	askedAt
	last int
	keys []string
	fail func(n int, w http.ResponseWriter, r *http.Request) bool
}

func (p *past) server() *server {
	return &server{socket: quiet, rest: func(n int, w http.ResponseWriter, r *http.Request) {
		p.note(r)
		p.mu.Lock()
		p.what[len(p.what)-1] = strings.TrimPrefix(r.URL.Path, "/") + " " + r.URL.Query().Get("symbol") + " " + r.URL.Query().Get("from")
		p.keys = append(p.keys, r.Header.Get("X-Key"))
		p.mu.Unlock()
		if p.fail != nil && p.fail(n, w, r) {
			return
		}
		if strings.HasSuffix(r.URL.Path, "/depth") {
			fmt.Fprint(w, "book 1")
			return
		}
		from, _ := strconv.Atoi(r.URL.Query().Get("from"))
		fmt.Fprint(w, "trades")
		for id := from; id < from+5 && id <= p.last; id++ {
			fmt.Fprint(w, " ", id)
		}
	}}
}

// missed is a command about the ids from..to of a gap that ended just now.
func missed(instrument uint32, epoch, from, to uint64) *tick.BackfillCommand {
	c := &tick.BackfillCommand{Epoch: epoch, FromID: from, ToID: to, EndNanos: time.Now().UnixNano()}
	c.Instrument, c.TsNanos = instrument, c.EndNanos-int64(time.Minute)
	return c
}

// ids are the trades that were fetched, in order.
func (r *rig) ids() (all []string) {
	for _, s := range r.seen {
		if f := strings.Fields(s); f[1] == "fetched" {
			all = append(all, f[3])
		}
	}
	return all
}

func (r *rig) ends() (all []string) {
	for _, s := range r.seen {
		if f := strings.Fields(s); f[1] == "end" {
			all = append(all, strings.Join(f[2:], " "))
		}
	}
	return all
}

// All pages come, in order, and then the end, which is also in the capture.
func TestBackfillComesByThePage(t *testing.T) {
	t.Parallel()
	p := &past{last: 100}
	o := quick(&toy{inURL: true, past: true, profile: Profile{KeyHeader: "X-Key"}}, "A", "B")
	o.Backfill.Key = "k"
	dir := t.TempDir()
	o.Recorder = NewRecorder(RecorderOptions{Dir: dir, Venue: "toy"})
	p.server().start(t, &o)
	r := newRig(t, o)
	r.feed.Backfill(missed(1, 7, 11, 23))
	r.until("11.3 end 1 whole 11 23 epoch 7")
	if want := "11 12 13 14 15 16 17 18 19 20 21 22 23 24 25"; strings.Join(r.ids(), " ") != want {
		t.Errorf("fetched %q", r.ids())
	}
	r.feed.Resync(0, 1, 0)
	r.until("11.4 snapshot 0 1 epoch 1")
	stats := r.feed.Stats()[1]
	if stats.Backfills.Load() != 1 || stats.BackfillsWhole.Load() != 1 || len(r.ends()) != 1 {
		t.Errorf("%d backfills, %d whole, ends %q", stats.Backfills.Load(), stats.BackfillsWhole.Load(), r.ends())
	}
	if !slices.Equal(p.keys, []string{"k", "k", "k", ""}) {
		t.Errorf("keys %q", p.keys)
	}
	r.stop()
	all := recorded(t, dir, "rest")
	if len(all) < 4 || !strings.Contains(all[3], "backfill #0 0 |B whole ids 11 23 0") {
		t.Errorf("the capture has %q", all)
	}
}

// What is not to be fetched, or cannot be, is said at once.
func TestBackfillThatIsNotTried(t *testing.T) {
	f := func(name, want string, adapter *toy, options BackfillOptions, edit func(*tick.BackfillCommand)) {
		t.Run(name, func(t *testing.T) {
			p := &past{last: 100}
			o := quick(adapter, "A")
			o.Backfill = options
			withClock(t, o, p.server(), func(r *rig) {
				c := missed(0, 3, 11, 23)
				edit(c)
				r.feed.Backfill(c)
				r.after(time.Minute)
				if len(r.ends()) != 1 || !strings.HasPrefix(r.ends()[0], want) || len(p.what) != 0 {
					t.Errorf("ended %q after %q", r.ends(), p.what)
				}
			})
		})
	}
	able := &toy{inURL: true, past: true}
	f("off", "0 11 23", able, BackfillOptions{Off: true}, func(*tick.BackfillCommand) {})
	f("not offered", "0 not_offered", &toy{inURL: true}, BackfillOptions{}, func(*tick.BackfillCommand) {})
	f("too old", "0 given_up", able, BackfillOptions{}, func(c *tick.BackfillCommand) { c.TsNanos -= int64(25 * time.Hour) })
	f("too many", "0 given_up", able, BackfillOptions{MaxTrades: 12}, func(*tick.BackfillCommand) {})
}

// Whatever a venue does in place of an answer, the shard hears of it in the
// end, and what can be had is had.
func TestBackfillOfAVenueThatFails(t *testing.T) {
	f := func(name, want, ids string, fail func(n int, w http.ResponseWriter, r *http.Request) bool) {
		t.Run(name, func(t *testing.T) {
			p := &past{last: 100, fail: fail}
			withClock(t, quick(&toy{inURL: true, past: true}, "A"), p.server(), func(r *rig) {
				r.feed.Backfill(missed(0, 3, 11, 18))
				r.after(10 * time.Minute)
				if !slices.Equal(r.ends(), []string{"0 " + want + " 11 18 epoch 3"}) || strings.Join(r.ids(), " ") != ids {
					t.Errorf("ended %q with %q after %q", r.ends(), r.ids(), p.what)
				}
			})
		})
	}
	const all = "11 12 13 14 15 16 17 18 19 20"
	status := func(code int, which func(n int) bool) func(int, http.ResponseWriter, *http.Request) bool {
		return func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if which(n) {
				w.WriteHeader(code)
			}
			return which(n)
		}
	}
	second := func(n int) bool { return n == 1 }
	always := func(int) bool { return true }
	f("500 once", "whole", all, status(500, second))
	f("500", "failed", "", status(500, always))
	f("throttled", "whole", all, status(429, func(n int) bool { return n < 3 }))
	f("refused", "not_offered", "", status(403, always))
	f("garbage", "failed", "11 12 13 14 15", func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n > 0 {
			fmt.Fprint(w, "<html>")
		}
		return n > 0
	})
	f("empty", "failed", "11 12 13 14 15", func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n > 0 {
			fmt.Fprint(w, "trades")
		}
		return n > 0
	})
	f("again the same", "failed", "11 12 13 11 12 13", func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		fmt.Fprint(w, "trades 11 12 13")
		return true
	})
	f("never", "failed", "", func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done()
		return true
	})
}

// A newer command of an instrument takes the place of an older one, whose end
// nobody waits for.
func TestBackfillIsReplaced(t *testing.T) {
	p := &past{last: 100, fail: func(n int, _ http.ResponseWriter, r *http.Request) bool {
		if n == 0 {
			time.Sleep(5 * time.Second)
		}
		return false
	}}
	withClock(t, quick(&toy{inURL: true, past: true}, "A"), p.server(), func(r *rig) {
		r.feed.Backfill(missed(0, 1, 11, 11))
		r.after(time.Second)
		r.feed.Backfill(missed(0, 2, 11, 12))
		r.after(time.Millisecond)
		r.feed.Backfill(missed(0, 3, 11, 13))
		r.after(time.Minute)
		if !slices.Equal(r.ends(), []string{"0 whole 11 13 epoch 3"}) {
			t.Errorf("ended %q", r.ends())
		}
	})
}

// Books come first, whatever else waits, and find half of what may go at once.
func TestBackfillLeavesRoomForBooks(t *testing.T) {
	p := &past{last: 1_000_000}
	// 1,200 a minute: 360 at once, 12 a second.
	a := &toy{inURL: true, past: true, weight: 60, profile: Profile{WeightPerMinute: 1200}}
	withClock(t, quick(a, "A", "B", "C", "D"), p.server(), func(r *rig) {
		r.feed.Backfill(missed(0, 1, 1, 100_000))
		r.after(5 * time.Minute)
		before := p.count()
		for id := range uint32(3) {
			r.feed.Resync(id+1, 1, 0)
		}
		r.after(2 * time.Second)
		books := 0
		for _, what := range p.what[before:] {
			if strings.HasPrefix(what, "depth") {
				books++
			}
		}
		if books != 3 || before < 20 {
			t.Errorf("%d books within two seconds, after %d pages: %q", books, before, p.what[before:])
		}
	})
}

// Polls and backfills take turns.
func TestBackfillAndPollsTakeTurns(t *testing.T) {
	p := &past{last: 1_000_000}
	p.fail = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/poll") {
			fmt.Fprint(w, "interest 5")
			return true
		}
		return false
	}
	var symbols []string
	for i := range 40 { // more polls than requests can be made
		symbols = append(symbols, "S"+strconv.Itoa(i))
	}
	o := quick(&toy{inURL: true, past: true, polled: tick.ChannelDepth}, symbols...)
	withClock(t, o, p.server(), func(r *rig) {
		r.feed.Backfill(missed(0, 1, 1, 100_000))
		r.after(time.Minute)
		pages := 0
		for _, what := range p.what {
			if strings.HasPrefix(what, "trades") {
				pages++
			}
		}
		if n := len(p.what); pages < n/3 || pages > 2*n/3 {
			t.Errorf("%d pages of %d requests", pages, n)
		}
	})
}

// A page by page walk over a venue's past, as adapters plan it.
func TestBackfillPlans(t *testing.T) {
	t.Parallel()
	page := func(first, last uint64, n int) Page {
		return Page{Trades: n, FirstID: first, LastID: last, FirstNanos: int64(first), LastNanos: int64(last)}
	}
	ask := func(id uint64) TradesRequest { return TradesRequest{Request: Request{URL: strconv.FormatUint(id, 10)}} }
	f := func(plan func(*Backfill) (TradesRequest, tick.Backfill), want string, pages ...Page) {
		t.Helper()
		b := &Backfill{FromID: 100, ToID: 200, FromNanos: 100, ToNanos: 200, Pages: pages}
		r, outcome := plan(b)
		if got := outcome.String() + " " + r.URL; got != want {
			t.Errorf("after %+v: %q, want %q", pages, got, want)
		}
	}
	forwards := func(b *Backfill) (TradesRequest, tick.Backfill) { return b.Forwards(ask) }
	f(forwards, "pending 100")
	f(forwards, "pending 151", page(100, 150, 51))
	f(forwards, "pending 151", page(90, 150, 61))
	f(forwards, "whole ", page(100, 150, 51), page(151, 250, 100))
	f(forwards, "failed ", page(0, 0, 0))
	f(forwards, "failed ", page(1, 50, 50))
	f(forwards, "failed ", page(100, 150, 51), page(100, 150, 51))
	f(forwards, "not_offered ", Page{Refused: true})
	backwards := func(b *Backfill) (TradesRequest, tick.Backfill) { return b.Backwards(ask) }
	f(backwards, "pending 201")
	f(backwards, "pending 151", page(151, 200, 50))
	f(backwards, "whole ", page(151, 200, 50), page(90, 150, 61))
	f(backwards, "failed ", page(0, 0, 0))
	f(backwards, "failed ", page(300, 350, 51))
	f(backwards, "failed ", page(151, 200, 50), page(151, 200, 50))
	f(backwards, "partly ", page(151, 200, 50), page(0, 0, 0))
	f(backwards, "not_offered ", Page{Refused: true})
	byTime := func(b *Backfill) (TradesRequest, tick.Backfill) { return b.ByTime(ask(1), 60) }
	f(byTime, "pending 1")
	f(byTime, "whole ", page(99, 300, 60))
	f(byTime, "partly ", page(100, 300, 60)) // of the same moment more may have been cut off
	f(byTime, "whole ", page(150, 300, 59))  // all that there ever was
	f(byTime, "failed ", page(90, 199, 60))
	f(byTime, "failed ", page(0, 0, 0))
	f(byTime, "not_offered ", Page{Refused: true})
}

func TestBackfillEndText(t *testing.T) {
	t.Parallel()
	for _, e := range []tick.BackfillEnd{
		{Outcome: tick.BackfillWhole, From: 7, To: 1 << 63},
		{Outcome: tick.BackfillNone, From: 1, To: 2, ByTime: true},
		{Outcome: tick.BackfillAggregates, From: 5, To: 9, Proven: 4},
	} {
		text := AppendBackfillEnd(nil, "BTC/USD", &e)
		symbol, got, ok := ParseBackfillEnd(text)
		if !ok || symbol != "BTC/USD" || got != e {
			t.Errorf("%q is read as %q %+v %v", text, symbol, got, ok)
		}
	}
	for _, text := range []string{"", "A", "A whole ids 1 2", "A whole ids 1 2 x", "A whole ids -1 2 3", "A strange ids 1 2 3", "A  ids 1 2 3", "A whole days 1 2 3", " whole ids 1 2 3", "A whole ids 1 2 4294967296"} {
		if _, _, ok := ParseBackfillEnd([]byte(text)); ok {
			t.Errorf("%q is none", text)
		}
	}
}

func FuzzBackfillEndText(f *testing.F) {
	f.Add([]byte("BTC/USD whole ids 7 9 0"))
	f.Fuzz(func(t *testing.T, text []byte) {
		symbol, e, ok := ParseBackfillEnd(text)
		if !ok {
			return
		}
		again, e2, ok := ParseBackfillEnd(AppendBackfillEnd(nil, symbol, &e))
		if !ok || again != symbol || e2 != e {
			t.Errorf("%q is read as %q %+v, which is written otherwise", text, symbol, e)
		}
	})
}
