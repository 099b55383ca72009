package feeds

import (
	"testing"
	"time"
)

func TestPulseLearnsHowLongDataMayPause(t *testing.T) {
	var p pulse
	f := func(want time.Duration) {
		t.Helper()
		if got := time.Duration(p.limit()); got != want {
			t.Fatalf("limit %v, want %v", got, want)
		}
	}
	f(0) // nothing ever came: a market may be closed
	for range pulseFrames {
		f(0)
		p.beat(int64(100 * time.Millisecond))
	}
	f(10 * time.Second)
	p.beat(int64(8 * time.Second)) // a quiet market
	f(24 * time.Second)
	p.beat(int64(time.Hour))
	f(10 * time.Minute)

	// Of one that is quieter than ever seen before every alarm teaches.
	p = pulse{frames: pulseFrames}
	p.beat(int64(time.Second))
	p.ended(true)
	f(20 * time.Second)
	p.ended(true)
	f(40 * time.Second)
	p.ended(false)
	f(20 * time.Second)
	p.ended(false)
	p.ended(false)
	f(10 * time.Second)
	for range 20 {
		p.ended(true)
	}
	f(10 * time.Minute)
}

// The venue answers pings, but no market data come any more.
func TestDataThatCeasesEndsASocketThatStillAnswers(t *testing.T) {
	k := newTalk(t, Profile{PingEvery: 4 * time.Second}, 0)
	k.expect("wait 4s")
	k.expect("ping")
	k.heard = k.now
	k.d.dataPause = 10 * second // as of the first data, which came at the start
	k.expect("wait 4s")
	k.expect("ping")
	k.heard = k.now
	k.expect("wait 2s")
	k.expect("hang up silence")
}
