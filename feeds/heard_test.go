package feeds

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tickproc/tick"
)

// A down tells until when its socket is known to have brought what it carries.
func TestHeardUntil(t *testing.T) {
	t.Parallel()
	now := int64(time.Hour)
	c := &connection{options: &Options{Now: func() int64 { return now }}}
	f := func(what string, want time.Duration) {
		t.Helper()
		if have := c.heardUntil(now); have != int64(want) {
			t.Errorf("%s: %v, not %v", what, time.Duration(have), want)
		}
	}
	c.dataAt.Set(int64(10 * time.Minute))
	c.heard.Set(int64(59 * time.Minute))
	f("a pong came after the data", 59*time.Minute)

	for range pulseFrames {
		c.pulse.beat(int64(time.Second))
	}
	f("no data for longer than ever: pongs are no proof", 10*time.Minute)

	c.dataAt.Set(now - int64(5*time.Second))
	f("data paused for less than that", 59*time.Minute+55*time.Second)

	c.goodbye(&websocket.CloseError{Code: websocket.CloseAbnormalClosure, Text: io.ErrUnexpectedEOF.Error()})
	c.goodbye(errors.New("reset"))
	f("the socket broke", 59*time.Minute+55*time.Second)
	c.goodbye(&websocket.CloseError{Code: websocket.CloseNormalClosure})
	f("the venue said goodbye behind all that it sent", time.Hour)
}

// The ends and the gaps of a session tell it, its beginnings have nothing to tell.
func TestEndsTellUntilWhenTheSocketWasHeard(t *testing.T) {
	t.Parallel()
	s, _ := newSession(&Connection{Streams: subscriptions("A")})
	at := Stamp{ReceiveNanos: 100}
	all := s.opened(nil, at)
	all = s.gap(all, at, 60)
	all = s.ended(all, tick.ReasonSilence, at, 70)
	want := map[tick.Kind]int64{tick.KindUp: 0, tick.KindGap: 60, tick.KindDown: 70}
	for i := range all {
		if e := all[i].Event(); e.HeardNanos != want[e.Kind] {
			t.Errorf("kind %d tells %d", e.Kind, e.HeardNanos)
		}
	}
	if len(all) != 9 {
		t.Errorf("%d packets", len(all))
	}
}
