package feeds

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tickproc/tick"
)

// A feed that is held tells what it no longer sees, and lets the venue alone,
// however long that takes. Released, it goes on by itself, and asks for what
// was wanted meanwhile.
func TestHeldFeedLetsTheVenueAlone(t *testing.T) {
	var asked askedAt
	s := &server{socket: quiet, rest: func(_ int, w http.ResponseWriter, r *http.Request) {
		asked.note(r)
		fmt.Fprint(w, "book 100")
	}}
	sockets := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.sockets
	}
	withClock(t, quick(&toy{inURL: true}, "A"), s, func(r *rig) {
		r.after(time.Second)
		r.feed.Hold(tick.ReasonLog)
		r.feed.Hold(tick.ReasonOverload) // the first reason stays
		r.after(0)
		same(t, r.seen[len(r.seen)-3:], "10.0 down 0 trades log", "10.0 down 0 quotes log", "10.0 down 0 depth log")
		r.feed.Resync(0, 7, 0)
		r.after(time.Hour)
		if sockets() != 1 || asked.count() != 0 {
			t.Errorf("%d sockets, %d requests", sockets(), asked.count())
		}
		if state, why := r.feed.Stats()[0].State(); state != LineDown || why != tick.ReasonLog {
			t.Errorf("line is %v (%v)", state, why)
		}
		r.feed.Release()
		r.feed.Release()
		r.after(time.Second)
		if sockets() != 2 || asked.count() != 1 || r.count("10.0 up 0 depth") != 2 || r.count("11.1 snapshot 0 100 epoch 7") != 1 {
			t.Errorf("%d sockets, %d requests, seen %q", sockets(), asked.count(), r.seen)
		}
		if state, _ := r.feed.Stats()[0].State(); state != LineUp || r.feed.Stats()[0].Lost.Load() != 0 {
			t.Errorf("line is %v, lost %d times", state, r.feed.Stats()[0].Lost.Load())
		}
	})
}

// The bridge stands in for nobody while the feed is held.
func TestHeldBridge(t *testing.T) {
	s := &server{socket: func(n int, ws *websocket.Conn) {
		if n == 0 {
			go func() {
				time.Sleep(time.Second) // by synctest's clock
				say(ws, "leave")
			}()
		}
		listen(ws, "")
	}}
	withClock(t, ranged("A"), s, func(r *rig) {
		r.after(time.Second + time.Second/2)
		r.feed.Hold(tick.ReasonLog)
		r.after(time.Minute)
		if up, down := r.count("12.0 up 0 depth"), r.count("12.0 down 0 depth log"); up != 1 || down != 1 {
			t.Errorf("the bridge was up %d times, held %d times: %q", up, down, r.seen)
		}
		for _, line := range r.feed.Stats() {
			if state, _ := line.State(); state == LineUp && line.Name != restLineName {
				t.Errorf("%s is up", line.Name)
			}
		}
		r.feed.Release()
		r.after(time.Minute)
		if state, _ := r.feed.Stats()[0].State(); state != LineUp {
			t.Errorf("the connection is %v", state)
		}
	})
}

// What is polled has no socket that could say that it ended: the line that asks
// says it, when the answers that were on their way are there, and once a hold.
func TestHeldPolls(t *testing.T) {
	o := quick(&toy{inURL: true, polled: tick.ChannelOpenInterest}, "A")
	o.Subscriptions[0].Channels |= tick.ChannelOpenInterest
	var slow atomic.Bool
	s := &server{socket: quiet, rest: func(_ int, w http.ResponseWriter, _ *http.Request) {
		if slow.Load() {
			time.Sleep(5 * time.Second) // by synctest's clock
		}
		fmt.Fprint(w, "interest 100")
	}}
	const down = "11.0 down 0 open_interest log"
	withClock(t, o, s, func(r *rig) {
		r.after(10 * time.Second)
		slow.Store(true)
		r.after(2 * time.Second) // one has been asked
		r.feed.Hold(tick.ReasonLog)
		r.after(time.Second)
		if r.count(down) != 0 {
			t.Errorf("told with an answer on its way: %q", r.seen)
		}
		r.after(time.Hour)
		same(t, r.seen[len(r.seen)-1:], down)
		answers := r.count("11.") - 1
		if r.count(down) != 1 {
			t.Errorf("told %d times", r.count(down))
		}
		slow.Store(false)
		r.feed.Release()
		r.after(10 * time.Second)
		if more := r.count("11.") - 1 - answers; more < 5 {
			t.Errorf("%d answers after the hold", more)
		}
		r.feed.Hold(tick.ReasonLog)
		r.after(time.Minute)
		if r.count(down) != 2 {
			t.Errorf("told %d times after two holds", r.count(down))
		}
	})
}
