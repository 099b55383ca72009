package feeds

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

// askedAt notes when the venue was asked, and for what.
type askedAt struct {
	mu    sync.Mutex
	times []time.Time
	what  []string
}

func (a *askedAt) note(r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.times = append(a.times, time.Now())
	a.what = append(a.what, r.URL.Query().Get("symbol"))
}

// between returns the pause before request i.
func (a *askedAt) between(i int) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.times[i].Sub(a.times[i-1])
}

func (a *askedAt) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.times)
}

func quiet(_ int, ws *websocket.Conn) { listen(ws, "") }

func TestSnapshotsComeByALineOfTheirOwn(t *testing.T) {
	t.Parallel()
	o := quick(&toy{inURL: true, weight: 50, profile: Profile{WeightPerMinute: 6000}}, "A", "B")
	s := &server{socket: quiet, rest: func(n int, w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "book ", 100+n)
	}}
	s.start(t, &o)
	r := newRig(t, o)
	r.until("10.0 up 1 depth")
	r.feed.Resync(1, 5, 0)
	r.until("11.1 snapshot 1 100 epoch 5")
	r.feed.Resync(0, 9, 0)
	r.until("11.2 snapshot 0 101 epoch 9")
	stats := r.feed.Stats()[1]
	if stats.Name != "rest" || stats.Line != 11 || stats.Requests.Load() != 2 || stats.Retries.Load() != 0 || stats.Frames.Load() != 2 {
		t.Errorf("%+v", stats)
	}
	r.stop()
	r.feed.Resync(0, 10, 0) // a shard may still ask: nobody listens, nothing blocks
}

// A failing venue is asked again, later and later, and each failure is counted.
func TestFailedSnapshotsAreRetried(t *testing.T) {
	for name, fail := range map[string]func(w http.ResponseWriter, r *http.Request){
		"500":     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "oops", 500) },
		"404":     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "what", 404) },
		"garbage": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
		"empty":   func(w http.ResponseWriter, _ *http.Request) {},
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99")
			io.WriteString(w, "book 1")
		},
		"too large": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "book "+strings.Repeat("1", 2000)) },
		"never":     func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"never ending": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "book 1")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := quick(&toy{inURL: true, profile: Profile{BodyLimit: 1000}}, "A")
			o.BackoffMin, o.BackoffMax = time.Second, time.Minute
			var asked askedAt
			s := &server{socket: quiet, rest: func(n int, w http.ResponseWriter, r *http.Request) {
				asked.note(r)
				if n < 5 {
					fail(w, r)
					return
				}
				fmt.Fprint(w, "book 7")
			}}
			withClock(t, o, s, func(r *rig) {
				r.feed.Resync(0, 1, 0)
				r.after(10 * time.Minute)
				if r.count("11.") != 1 || !strings.HasSuffix(r.seen[len(r.seen)-1], "snapshot 0 7 epoch 1") {
					t.Fatalf("seen %q", r.seen)
				}
				stats := r.feed.Stats()[1]
				if stats.Failures.Load() != 5 || stats.Retries.Load() != 5 || stats.Requests.Load() != 6 {
					t.Errorf("%d failures, %d retries, %d requests", stats.Failures.Load(), stats.Retries.Load(), stats.Requests.Load())
				}
				span := time.Second
				for i := 1; i < asked.count(); i++ {
					if p := asked.between(i); p < span/2 || p > span+restTimeout {
						t.Errorf("pause %d: %v, want about %v", i, p, span)
					}
					span *= 2
				}
			})
		})
	}
}

func TestThrottlingPausesTheWholeVenue(t *testing.T) {
	f := func(name string, status int, header string, min, max time.Duration) {
		t.Run(name, func(t *testing.T) {
			var asked askedAt
			s := &server{socket: quiet, rest: func(n int, w http.ResponseWriter, r *http.Request) {
				asked.note(r)
				if n == 0 {
					if header == "date" {
						header = time.Now().Add(60 * time.Second).UTC().Format(http.TimeFormat)
					}
					if header != "" {
						w.Header().Set("Retry-After", header)
					}
					w.WriteHeader(status)
					return
				}
				fmt.Fprint(w, "book 1")
			}}
			withClock(t, quick(&toy{inURL: true}, "A", "B"), s, func(r *rig) {
				r.feed.Resync(0, 1, 0)
				r.after(20 * time.Millisecond)
				r.feed.Resync(1, 1, 0) // the other instrument must wait as well
				r.after(10 * time.Minute)
				if asked.count() != 3 || asked.between(1) < min || asked.between(1) > max {
					t.Fatalf("asked at %v", asked.times)
				}
				if got := r.feed.Stats()[1].Throttled.Load(); got != 1 {
					t.Errorf("%d throttled", got)
				}
				if r.count("11.") != 2 {
					t.Errorf("seen %q", r.seen)
				}
			})
		})
	}
	f("seconds", 429, "30", 30*time.Second, 31*time.Second)
	f("ban", 418, "120", 120*time.Second, 121*time.Second)
	f("date", 429, "date", 59*time.Second, 61*time.Second)
	f("unsaid", 429, "", 2500*time.Millisecond, 6*time.Second)
	f("nonsense", 429, "soon", 2500*time.Millisecond, 6*time.Second)
}

func TestWeightBudgetHolds(t *testing.T) {
	var symbols []string
	for i := range 40 {
		symbols = append(symbols, "S"+strconv.Itoa(i))
	}
	var asked askedAt
	s := &server{socket: quiet, rest: func(n int, w http.ResponseWriter, r *http.Request) {
		asked.note(r)
		fmt.Fprint(w, "book 1")
	}}
	// 250 of 2,400: nine a minute.
	withClock(t, quick(&toy{inURL: true, weight: 250, profile: Profile{WeightPerMinute: 2400}}, symbols...), s, func(r *rig) {
		for i := range symbols {
			r.feed.Resync(uint32(i), 1, 0)
		}
		r.after(20 * time.Minute)
		if r.count("11.") != len(symbols) {
			t.Fatalf("%d snapshots", r.count("11."))
		}
		for i := range asked.times {
			n := 0
			for _, x := range asked.times[i:] {
				if x.Sub(asked.times[i]) < time.Minute {
					n++
				}
			}
			if n*250 > 2400 {
				t.Errorf("%d requests in the minute after %v", n, asked.times[i])
			}
		}
		if took := asked.times[len(symbols)-1].Sub(asked.times[0]); took > 8*time.Minute {
			t.Errorf("took %v", took)
		}
	})
}

func TestOneSlowAnswerDoesNotHoldUpTheOthers(t *testing.T) {
	var asked askedAt
	s := &server{socket: quiet, rest: func(n int, w http.ResponseWriter, r *http.Request) {
		asked.note(r)
		if r.URL.Query().Get("symbol") == "A" {
			time.Sleep(9 * time.Second)
		}
		fmt.Fprint(w, "book 1")
	}}
	withClock(t, quick(&toy{inURL: true}, "A", "B", "C"), s, func(r *rig) {
		r.feed.Resync(0, 1, 0)
		r.feed.Resync(1, 1, 0)
		r.feed.Resync(2, 1, 0)
		r.feed.Resync(0, 1, 0) // in flight or waiting: not twice
		r.after(time.Second)
		if r.count("11.1 snapshot 1") != 1 || r.count("11.2 snapshot 2") != 1 {
			t.Errorf("seen %q", r.seen)
		}
		// A newer epoch waits for the answer to the older one, which is of no use any more.
		r.feed.Resync(0, 2, 0)
		r.feed.Resync(0, 3, 0)
		r.after(time.Minute)
		if r.count("11.3 snapshot 0 1 epoch 3") != 1 || r.count("11.") != 3 {
			t.Errorf("seen %q", r.seen)
		}
		if !slices.Equal(asked.what, []string{"A", "B", "C", "A"}) {
			t.Errorf("asked for %q", asked.what)
		}
	})
}

func TestStopEndsRequestsInFlight(t *testing.T) {
	t.Parallel()
	o := quick(&toy{inURL: true}, "A")
	asked := make(chan struct{})
	s := &server{socket: quiet, rest: func(n int, w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}}
	s.start(t, &o)
	r := newRig(t, o)
	r.feed.Resync(0, 1, 0)
	<-asked
	r.stop()
	if !r.rings[1].Done() {
		t.Error("the REST line's ring is open")
	}
}

func TestNewTellsAllFaultsOfTheAddresses(t *testing.T) {
	_, err := New(Options{Adapter: &toy{}, Subscriptions: subscriptions("A", strings.Repeat("x", 65)), WSURL: "http://x", RESTURL: "ws://x",
		NextLine: lineNumbers(0), NewOutput: func(LineInfo) *Output { return NewOutput(nil, nil, OutputOptions{}) }})
	for _, want := range []string{"ws_url", "rest_url", "longer than"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not tell of %s", err, want)
		}
	}
}

func TestCatalogIsFetchedWithRetries(t *testing.T) {
	f := func(name string, want []string, handler func(n int, w http.ResponseWriter, r *http.Request)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var o Options
				s := &server{rest: handler}
				s.startInMemory(t, &o)
				begin := time.Now()
				all, err := FetchCatalog(context.Background(), &toy{profile: Profile{BodyLimit: 100}}, o.RESTURL, CatalogOptions{Dial: o.Dial})
				var got []string
				for _, in := range all {
					got = append(got, in.Symbol)
				}
				if !slices.Equal(got, want) || (err == nil) != (want != nil) {
					t.Errorf("%q, %v; want %q", got, err, want)
				}
				if took := time.Since(begin); took > 20*time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
	good := func(w http.ResponseWriter) { io.WriteString(w, "A B") }
	f("at once", []string{"A", "B"}, func(_ int, w http.ResponseWriter, _ *http.Request) { good(w) })
	f("third time", []string{"A", "B"}, func(n int, w http.ResponseWriter, _ *http.Request) {
		switch n {
		case 0:
			http.Error(w, "down", 503)
		case 1:
			io.WriteString(w, "garbage")
		default:
			good(w)
		}
	})
	f("throttled a little", []string{"A", "B"}, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 0 {
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(429)
			return
		}
		good(w)
	})
	f("banned", nil, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(418)
	})
	f("down", nil, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	f("hanging", nil, func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	f("too large", nil, func(_ int, w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 101)) })
}
