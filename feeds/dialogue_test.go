package feeds

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const second = int64(time.Second)

// talk is a dialogue with a clock that the test moves.
type talk struct {
	t           *testing.T
	d           *dialogue
	now         int64
	heard, data int64
}

func newTalk(t *testing.T, p Profile, requests int) *talk {
	var names []string
	for i := range requests {
		names = append(names, fmt.Sprint(i))
	}
	const start = 1000 * second
	plan := &Connection{Subscriptions: subscriptions(names...)}
	return &talk{t, newDialogue(&toy{}, plan, &p, &requestLog{}, 10*time.Second, nil, start), start, start, start}
}

// expect asks for the next step; a wait moves the clock to its end.
func (k *talk) expect(want string) {
	k.t.Helper()
	s := k.d.step(k.now, k.heard, k.data)
	got := [...]string{"wait", "send", "ping", "close", "hang up", "cover"}[s.do]
	switch {
	case s.do == doSend:
		got += " " + strings.NewReplacer(`{"`, "", `":"`, " ", `"}`, "").Replace(string(s.text))
	case s.do == doClose || s.do == doHangUp:
		got += " " + s.reason.String()
	case s.do == doWait && s.wait == 0:
		got += " for an event"
	case s.do == doWait:
		got += " " + s.wait.String()
		k.now += int64(s.wait)
	}
	if got != want {
		k.t.Fatalf("at %v: %s, want %s", time.Duration(k.now), got, want)
	}
}

func (k *talk) notice(kind NoticeKind, request int) {
	k.heard = k.now
	k.d.notice(Notice{Kind: kind, Request: request}, k.now)
}

func TestRequestsArePaced(t *testing.T) {
	k := newTalk(t, Profile{MessageInterval: 200 * time.Millisecond}, 3)
	k.expect("send sub 0")
	k.expect("wait 200ms")
	k.expect("send sub 1")
	k.notice(NoticeAck, 0)
	k.notice(NoticeAck, 0) // twice is once
	k.expect("wait 200ms")
	k.expect("send sub 2")
	k.notice(NoticeAck, 1)
	k.notice(NoticeAck, 2)
	k.notice(NoticeAck, 17)
	k.expect("wait for an event")
}

// What is refused now may be accepted later.
func TestRefusedRequestIsSentAgain(t *testing.T) {
	k := newTalk(t, Profile{MessageInterval: 200 * time.Millisecond}, 2)
	k.expect("send sub 0")
	k.notice(NoticeRefused, 0)
	k.expect("wait 200ms")
	k.expect("send sub 1")
	k.notice(NoticeAck, 1)
	k.expect("wait 29.8s")
	k.expect("send sub 0") // under the next number
	k.notice(NoticeRefused, 2)
	k.notice(NoticeRefused, 2) // twice is once
	k.notice(NoticeRefused, 0) // and is answered already
	k.expect("wait 1m0s")
	k.expect("send sub 0")
	k.expect("wait 10s") // for the answer
	k.expect("hang up silence")

	k = newTalk(t, Profile{}, 1)
	k.expect("send sub 0")
	k.notice(NoticeRefused, 0)
	for i, wait := range []string{"30s", "1m0s", "2m0s", "4m0s", "8m0s", "10m0s", "10m0s"} {
		k.expect("wait " + wait)
		k.expect("send sub 0")
		k.notice(NoticeRefused, i+1)
	}
	k.expect("wait 10m0s")
	k.expect("send sub 0")
	k.notice(NoticeAck, 8)
	k.expect("wait for an event")
}

func TestSilenceIsPingedThenGivenUp(t *testing.T) {
	k := newTalk(t, Profile{PingEvery: 20 * time.Second}, 0)
	k.expect("wait 20s")
	k.expect("ping")
	k.expect("wait 20s")
	k.expect("hang up silence")

	// Anything that comes starts over.
	k = newTalk(t, Profile{PingEvery: 20 * time.Second}, 0)
	k.expect("wait 20s")
	k.expect("ping")
	k.heard = k.now + second
	k.now += 2 * second
	k.expect("wait 19s")
	k.expect("ping")
	k.expect("wait 20s")
	k.expect("hang up silence")
}

func TestPingTextKeepsThePace(t *testing.T) {
	k := newTalk(t, Profile{PingEvery: time.Second, PingText: []byte("ping"), MessageInterval: 3 * time.Second / 2}, 1)
	k.expect("send sub 0")
	k.notice(NoticeAck, 0)
	k.expect("wait 1s")
	k.expect("wait 500ms")
	k.expect("send ping")
	k.expect("wait 500ms")
	k.expect("hang up silence")
}

func TestMissingAck(t *testing.T) {
	k := newTalk(t, Profile{}, 1)
	k.expect("send sub 0")
	k.expect("wait 10s")
	k.expect("hang up silence")

	// Data are as good as an ack.
	k = newTalk(t, Profile{}, 1)
	k.expect("send sub 0")
	k.data = k.now + 4*second
	k.now += 5 * second
	k.expect("wait 9s")
	k.expect("hang up silence")

	// The other request's ack shows that the venue is alive, but not for ever.
	k = newTalk(t, Profile{}, 2)
	k.expect("send sub 0")
	k.expect("send sub 1")
	k.now += 5 * second
	k.notice(NoticeAck, 1)
	k.expect("wait 10s")
	k.expect("hang up silence")
}

func TestEndOfLifeAndNoticeEndAsPlanned(t *testing.T) {
	for range 100 {
		k := newTalk(t, Profile{Life: 24 * time.Hour}, 0)
		s := k.d.step(k.now, k.heard, k.data)
		if s.wait < 24*time.Hour*94/100 || s.wait > 24*time.Hour*98/100 {
			t.Fatalf("ends after %v", s.wait)
		}
		k.now += int64(s.wait)
		k.expect("close reconnect")
	}
	k := newTalk(t, Profile{}, 1)
	k.notice(NoticeReconnect, 0)
	k.expect("close reconnect")
}
