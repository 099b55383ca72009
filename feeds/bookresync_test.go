package feeds

import (
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

func (k *talk) wish(instruments ...uint32) {
	for _, i := range instruments {
		k.d.wish(i, k.now)
	}
}

func (k *talk) book(instrument uint32) {
	k.d.notice(Notice{Kind: noticeSnapshot, Instrument: instrument}, k.now)
}

// settled is a dialogue whose subscriptions are acknowledged.
func settled(t *testing.T, p Profile, symbols int) *talk {
	k := newTalk(t, p, symbols)
	for i := range symbols {
		k.expect("send sub " + string(rune('0'+i)))
		k.notice(NoticeAck, i)
	}
	return k
}

// A book that broke is unsubscribed and subscribed again; those that break
// together are asked for together; one that is asked for is not asked twice.
func TestBooksAreHadAnew(t *testing.T) {
	k := settled(t, Profile{}, 2)
	k.wish(0, 1, 0)
	k.expect("wait 20ms")
	k.expect("send unsub 0")
	k.expect("send unsub 1")
	k.expect("send sub 0")
	k.expect("send sub 1")
	k.wish(0)
	for i := 2; i < 6; i++ {
		k.notice(NoticeAck, i)
	}
	k.expect("wait 15s") // for the books, and no second request in the meantime
	k.now -= 15 * second
	k.book(0)
	k.book(1)
	k.expect("wait for an event")
}

// A book that breaks again and again is had anew later and later; after a
// good while it starts over.
func TestBooksThatBreakAgainAreNoStorm(t *testing.T) {
	k := settled(t, Profile{}, 1)
	request := 1
	anew := func(wait string) {
		t.Helper()
		k.wish(0)
		k.expect("wait " + wait)
		k.expect("send unsub 0")
		k.expect("send sub 0")
		k.notice(NoticeAck, request)
		k.notice(NoticeAck, request+1)
		request += 2
		k.book(0)
	}
	for _, wait := range []string{"20ms", "1s", "2s", "4s", "8s", "16s", "32s", "1m0s", "1m0s"} {
		anew(wait)
	}
	k.now += int64(resyncPauseMax) + second
	k.heard, k.data = k.now, k.now
	anew("20ms")
}

// Where no book comes, a new socket brings it.
func TestBookThatNeverComesEndsTheSocket(t *testing.T) {
	k := settled(t, Profile{}, 1)
	k.wish(0)
	k.expect("wait 20ms")
	for i := range 3 {
		k.expect("send unsub 0")
		k.expect("send sub 0")
		k.notice(NoticeAck, 1+2*i)
		k.notice(NoticeAck, 2+2*i)
		k.expect("wait 15s")
	}
	k.expect("close reconnect")
}

// So does it where the venue's requests of an hour are used up.
func TestRequestsOfAnHourAreNotExceeded(t *testing.T) {
	k := settled(t, Profile{RequestsPerHour: 4}, 1)
	k.wish(0)
	k.expect("wait 20ms")
	k.expect("send unsub 0")
	k.expect("send sub 0")
	k.notice(NoticeAck, 1)
	k.notice(NoticeAck, 2)
	k.book(0)
	k.wish(0)
	k.expect("close reconnect")
}

// Over a socket: the shard wishes, the venue is asked, the book goes through.
func TestResyncInBand(t *testing.T) {
	t.Parallel()
	o := quick(&toy{inBand: true}, "A")
	s := &server{socket: func(_ int, ws *websocket.Conn) {
		listen(ws, `{"sub":"A"}`)
		say(ws, "ack 0", "book A 5", "depth A 6 6", "jump 3", "depth A 9 9")
		listen(ws, `{"unsub":"A"}`)
		say(ws, "ack 1")
		listen(ws, `{"sub":"A"}`)
		say(ws, "ack 2", "book A 12")
		listen(ws, "")
	}}
	s.start(t, &o)
	r := newRig(t, o)
	// A jump in the venue's count of frames is a gap of every stream, ahead of what follows.
	r.until("10.3 depth 0 6 6", "10.4 gap 0 trades sequence 0", "10.4 gap 0 quotes sequence 0", "10.4 gap 0 depth sequence 0", "10.5 depth 0 9 9")
	r.feed.Resync(0, 1, 10)
	r.until("10.8 book 0 12")
	r.stop()
	if n := r.feed.Stats()[0].FrameGaps.Load(); n != 1 {
		t.Errorf("%d gaps counted", n)
	}
}

// What is refused as a whole is asked for by halves: one bad symbol does not
// keep the others out.
func TestRefusedSetIsHalved(t *testing.T) {
	a := &batching{}
	subs := subscriptions("0", "1", "2", "3")
	const start = 1000 * second
	d := newDialogue(a, &Connection{Subscriptions: subs}, &Profile{}, &requestLog{}, 10*time.Second, nil, start)
	k := &talk{t, d, start, start, start}
	bad := "2"
	for n, want := range []string{"send 0123", "send 01", "send 23", "send 2", "send 3"} {
		for {
			s := k.d.step(k.now, k.heard, k.data)
			if s.do == doSend {
				if got := "send " + string(s.text); got != want {
					t.Fatalf("%s, want %s", got, want)
				}
				break
			}
			if s.do != doWait || s.wait == 0 {
				t.Fatalf("step %+v before %s", s, want)
			}
			k.now += int64(s.wait)
			k.heard, k.data = k.now, k.now
		}
		kind := NoticeAck
		for _, c := range want[len("send "):] {
			if string(c) == bad {
				kind = NoticeRefused
			}
		}
		k.notice(kind, n)
	}
	k.expect("wait 30s") // the bad one alone, again and again
}

// batching asks for everything in one request.
type batching struct{ toy }

func (a *batching) Subscribe(_ *Connection, streams []Subscription, _ int) []SubscribeRequest {
	text := ""
	for _, s := range streams {
		text += s.Instrument.Symbol
	}
	return []SubscribeRequest{{Text: []byte(text), Streams: streams}}
}
