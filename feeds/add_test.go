package feeds

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"tickproc/tick"
)

// An instrument that is added to a running feed gets a socket of its own; the
// others' is not touched. Catalog and status packets come by the REST line.
func TestAddAndAnnounce(t *testing.T) {
	t.Parallel()
	o := quick(&toy{inURL: true}, "A")
	s := &server{socket: func(n int, ws *websocket.Conn) {
		say(ws, fmt.Sprintf("trade %c %d", 'A'+n, n+1))
		listen(ws, "")
	}}
	s.start(t, &o)
	r := newRig(t, o)
	r.until("10.1 trade 0 1")
	more := subscriptions("A", "B")[1:]
	if err := r.feed.Add(more); err != nil {
		t.Fatal(err)
	}
	r.until("13.0 catalog 1 trades+quotes+depth", "13.1 trade 1 2")
	definition := *more[0].Instrument
	definition.State = tick.StateHalted
	packets, err := tick.AppendCatalog(nil, tick.Header{}, definition)
	if err != nil {
		t.Fatal(err)
	}
	packets, p := tick.AppendUnits(packets, 1)
	p[0].Status().Header = tick.Header{Kind: tick.KindStatus, Instrument: 1}
	p[0].Status().State = tick.StateDelisted
	r.feed.Announce(packets)
	r.until("11.0 catalog 1", "11.0 status 1 delisted")
	r.stop()
	if n := r.count("10.1 down"); n != 3 {
		t.Errorf("the first socket ended %d streams", n)
	}
	names := ""
	for _, line := range r.feed.Stats() {
		names += line.Name + " "
	}
	if names != "public-0 rest bridge public-0+1 " {
		t.Errorf("lines %s", names)
	}
	if err := r.feed.Add(more); !errors.Is(err, ErrStopped) {
		t.Errorf("added to a feed that has ended: %v", err)
	}
}

// What is no stream is asked for again and again, in turn.
func TestPolls(t *testing.T) {
	t.Parallel()
	o := quick(&toy{inURL: true, polled: tick.ChannelOpenInterest}, "A", "B")
	for i := range o.Subscriptions {
		o.Subscriptions[i].Channels |= tick.ChannelOpenInterest
	}
	s := &server{socket: func(_ int, ws *websocket.Conn) { listen(ws, "") }, rest: func(n int, w http.ResponseWriter, q *http.Request) {
		if !strings.HasPrefix(q.URL.Path, "/poll") {
			http.Error(w, "not here", http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, "interest %d", 100+n)
	}}
	s.start(t, &o)
	r := newRig(t, o)
	r.until("11.1 interest 0 100", "11.2 interest 1 101", "11.3 interest 0 102", "11.4 interest 1 103")
}

// Redundant lines open every socket twice, at their own addresses.
func TestRedundantLines(t *testing.T) {
	t.Parallel()
	o := quick(&toy{inURL: true}, "A")
	s := &server{socket: func(_ int, ws *websocket.Conn) {
		say(ws, "trade A 1")
		listen(ws, "")
	}}
	s.start(t, &o)
	o.Lines = []string{"", strings.Replace(o.WSURL, "/prefix", "/second", 1)}
	r := newRig(t, o)
	r.until("10.0 catalog 0 trades+quotes+depth")
	for r.count("10.1 trade 0 1") == 0 || r.count("11.1 trade 0 1") == 0 {
		r.waker.Wait(func() bool {
			before := len(r.seen)
			r.poll()
			return len(r.seen) > before
		}, 0)
	}
	r.stop()
	if n := r.count("10.0 catalog") + r.count("11.0 catalog"); n != 1 {
		t.Errorf("introduced %d times", n)
	}
	paths := strings.Join(s.paths, " ")
	if !strings.Contains(paths, "/prefix/stream") || !strings.Contains(paths, "/second/stream") {
		t.Errorf("asked for %s", paths)
	}
}

// Signs of a changing protocol are told once each.
func TestCanaryTellsOnce(t *testing.T) {
	t.Parallel()
	var out logs
	c := NewCanary(newTextLogger(&out))
	for range 3 {
		c.Report(CanaryField, "trade.x")
		c.Report(CanaryField, "trade.y")
		c.Report(CanaryAddress, "wss://toy.example: Gone")
	}
	for i := range 2 * canaryMax {
		c.Report(CanaryMessage, fmt.Sprint("kind ", i))
	}
	if c.Signs[CanaryField].Load() != 2 || c.Signs[CanaryAddress].Load() != 1 || c.Signs[CanaryMessage].Load() != canaryMax {
		t.Errorf("counted %d %d %d", c.Signs[CanaryField].Load(), c.Signs[CanaryAddress].Load(), c.Signs[CanaryMessage].Load())
	}
	if n := strings.Count(out.String(), "trade.x"); n != 1 {
		t.Errorf("told %d times", n)
	}
	(*Canary)(nil).Report(CanaryField, "x")

	// An address that is gone.
	o := quick(&toy{inURL: true}, "A")
	var told logs
	o.Canary = NewCanary(newTextLogger(&told))
	gone := make(chan struct{}, 100)
	s := &server{raw: func(_ int, w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "gone", http.StatusGone)
		select {
		case gone <- struct{}{}:
		default:
		}
	}}
	s.start(t, &o)
	r := newRig(t, o)
	for range 3 {
		<-gone
	}
	r.stop()
	if n := strings.Count(told.String(), "retired_address"); n != 1 {
		t.Errorf("told %d times:\n%s", n, told.String())
	}
	if strings.Contains(told.String(), "hush") {
		t.Error("a secret is in the log")
	}
}
