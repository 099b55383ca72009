package feeds

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"tickproc/tick"
)

// ranged is a venue whose depth ids follow each other on every socket.
func ranged(symbols ...string) Options {
	o := quick(&toy{inURL: true}, symbols...)
	for i := range o.Subscriptions {
		o.Subscriptions[i].Instrument.Sync.Sequence = tick.SequenceRange
	}
	return o
}

// The venue announces its end. A second connection delivers the same streams
// before the first is closed, and the first, on its new socket, before the
// second is: at every moment some line delivers, and ids prove it.
func TestHandoverBreaksOnlyAfterItHasMade(t *testing.T) {
	t.Parallel()
	o := ranged("A")
	var out logs
	o.Logger = slog.New(slog.NewTextHandler(&out, nil))
	all := func(ws *websocket.Conn, id int) {
		say(ws, fmt.Sprintf("trade A %d", id), fmt.Sprintf("quote A %d", id), fmt.Sprintf("depth A %d %d", id, id))
	}
	bridged, renewed := make(chan *websocket.Conn, 1), make(chan *websocket.Conn, 1)
	s := &server{socket: func(n int, ws *websocket.Conn) {
		switch n {
		case 0:
			all(ws, 1)
			say(ws, "leave")
			b := <-bridged
			// What the second socket says first follows what the first has not said yet.
			all(b, 3)
			all(ws, 2)
		case 1:
			bridged <- ws
			r := <-renewed
			all(r, 5)
			all(ws, 4)
		default:
			renewed <- ws
		}
		listen(ws, "")
	}}
	s.start(t, &o)
	r := newRig(t, o)
	// Line 10 is the connection, 11 the REST worker, 12 the bridge.
	r.until("10.3 depth 0 1 1", "10.7 down 0 depth reconnect", "10.7 up 0 trades")
	r.until("12.6 down 0 depth reconnect")
	r.stop()
	// The bridge was up before the connection went down, and ended after it was up again.
	order := func(want ...string) {
		t.Helper()
		at := map[string]int{}
		for i, p := range r.seen {
			if _, seen := at[p]; !seen {
				at[p] = i
			}
		}
		for _, w := range want {
			if _, ok := at[w]; !ok {
				t.Errorf("%q never came:\n%s", w, strings.Join(r.seen, "\n"))
			}
		}
	}
	order("12.0 up 0 depth", "12.3 depth 0 3 3", "12.6 depth 0 4 4", "12.6 down 0 depth reconnect", "10.7 down 0 depth reconnect")
	stamp := func(packet string) int64 {
		for i, p := range r.seen {
			if p == packet {
				return r.stamps[i].ReceiveNanos
			}
		}
		return 0
	}
	if up, down := stamp("12.3 depth 0 3 3"), stamp("10.7 down 0 depth reconnect"); up == 0 || up >= down {
		t.Errorf("the connection went down at %d, the bridge delivered at %d", down, up)
	}
	if up, down := stamp("10.10 depth 0 5 5"), stamp("12.6 down 0 depth reconnect"); up == 0 || up >= down {
		t.Errorf("the bridge went down at %d, the connection delivered at %d", down, up)
	}
	if text := out.String(); !strings.Contains(text, "joined_by_id=2") {
		t.Errorf("ids prove nothing:\n%s", text)
	}
}

// Without a second connection the end comes all the same.
func TestPlannedEndWithoutBridge(t *testing.T) {
	k := newTalk(t, Profile{}, 1)
	k.d.coverWait = 30 * second
	k.notice(NoticeReconnect, 0)
	k.expect("cover")
	k.expect("send sub 0") // the dialogue goes on
	k.expect("wait 10s")
	k.expect("hang up silence")

	k = newTalk(t, Profile{}, 0)
	k.d.coverWait = 30 * second
	k.notice(NoticeReconnect, 0)
	k.expect("cover")
	k.expect("wait 30s")
	k.expect("close reconnect")

	k = newTalk(t, Profile{}, 0)
	k.d.coverWait = 30 * second
	k.notice(NoticeReconnect, 0)
	k.expect("cover")
	k.d.covered = true
	k.expect("close reconnect")

	k = newTalk(t, Profile{}, 0)
	k.d.coverWait = 30 * second
	k.notice(NoticeReconnect, 0)
	k.expect("cover")
	k.d.uncoverable()
	k.expect("close reconnect")
}

// covers is asked about each way in which one socket can lag behind another.
func TestCovers(t *testing.T) {
	subs := subscriptions("A")
	subs[0].Instrument.Sync.Sequence = tick.SequenceRange
	subs[0].Channels = tick.ChannelDepth | tick.ChannelQuotes
	plan := &Connection{Streams: subs}
	depth := func(first, last uint64) []tick.Unit {
		_, p := tick.AppendUnits(nil, 1)
		d := p[0].Depth()
		d.Kind, d.FirstID, d.LastID = tick.KindDepth, first, last
		return p
	}
	quote := packet(tick.KindQuote, 0, 1, 0)
	at := func(s int64) Stamp { return Stamp{ReceiveNanos: s * second} }
	newPair := func() (x, y *session) {
		x, _ = newSession(plan)
		y, _ = newSession(plan)
		y.opened(nil, at(1))
		y.seen(nil, depth(5, 5), at(2))
		y.seen(nil, quote, at(2))
		return x, y
	}
	expect := func(x, y *session, now int64, want bool, why string) {
		t.Helper()
		if _, _, ok := covers(x, y, now*second, second); ok != want {
			t.Errorf("%s: covers %v", why, ok)
		}
	}
	x, y := newPair()
	expect(x, y, 100, false, "not open yet")
	x.opened(nil, at(3))
	expect(x, y, 4, false, "up, and no data yet")
	expect(x, y, 6, true, "quiet on both for as long as it takes")
	y.seen(nil, depth(6, 6), at(7))
	expect(x, y, 20, false, "what y delivers does not come by x")
	x.seen(nil, depth(8, 9), at(8))
	x.seen(nil, quote, at(8))
	y.seen(nil, quote, at(8))
	expect(x, y, 20, false, "7 came by neither")
	y.seen(nil, depth(7, 7), at(9))
	expect(x, y, 20, true, "y reaches what x began with")
	x.ended(nil, tick.ReasonReconnect, at(20), 0)
	x.opened(nil, at(21))
	for _, both := range []*session{x, y} {
		both.seen(nil, depth(10, 10), at(21))
		both.seen(nil, quote, at(21))
	}
	expect(x, y, 21, false, "the overlap is too short")
	expect(x, y, 22, true, "it is long enough")
	x.ended(nil, tick.ReasonReconnect, at(30), 0)
	x.opened(nil, at(30))
	expect(x, y, 31, false, "a new socket starts over")
}
