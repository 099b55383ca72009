package feeds

import (
	"time"

	"tickproc/internal/clock"
	"tickproc/internal/stat"
)

// StampStats say what became of the kernel's receive stamps of a line, a frame
// each.
type StampStats struct {
	Kernel  stat.Counter // the frame bears it
	Late    stat.Counter // it is too old to be the frame's: the reader was held up
	Strange stat.Counter // it is of the future, goes back or is of long ago
	None    stat.Counter // the kernel gave none
}

const (
	// stampLate is the age up to which a stamp becomes the frame's receive time.
	// Shards wait 10 ms for packets that were stamped before a timer is due; one
	// that comes with an older time is applied all the same, but a replay of the
	// capture, which goes by the stamps, would apply it elsewhere.
	stampLate = int64(5 * time.Millisecond)
	// stampLost is the age beyond which a stamp is no measurement any more.
	stampLost = int64(10 * time.Second)
	// steppedEvery is how often it is looked whether the wall clock was stepped.
	steppedEvery = int64(time.Second)
)

// stamper makes receive times of the kernel's stamps.
// owner: the line's goroutine.
type stamper struct {
	stats   *StampStats
	latency *stat.Latency // kernel → frame; nil = not measured

	socket    func() int64         // the newest stamp, by the wall clock
	stepped   func() time.Duration // the wall clock minus ours
	step      int64                // as it was at steppedAt
	steppedAt int64
	newest    int64 // stamp, on our clock
	used      int64 // the last receive time
}

func newStamper(stats *StampStats, latency *stat.Latency) *stamper {
	return &stamper{stats: stats, latency: latency, stepped: clock.Stepped}
}

// opened begins with another socket; what it brings is not of before now. A nil
// stamp is of one that tells none.
func (s *stamper) opened(stamp func() int64, now int64) {
	s.socket, s.used = stamp, max(s.used, now)
}

// receive returns the receive time of a frame that was complete now: the
// kernel's stamp if it can be that. Receive times never go back.
//
// hot: per frame, 0 allocs.
func (s *stamper) receive(now int64) (receive int64, kernel bool) {
	if now-s.steppedAt >= steppedEvery {
		s.step, s.steppedAt = int64(s.stepped()), now
	}
	at := int64(0)
	if s.socket != nil {
		at = s.socket()
	}
	if at == 0 {
		s.stats.None.AddAlone(1)
		s.used = max(s.used, now)
		return s.used, false
	}
	at -= s.step
	if at > now || at < s.newest || now-at > stampLost {
		s.stats.Strange.AddAlone(1)
		s.used = max(s.used, now)
		return s.used, false
	}
	s.newest = at
	if s.latency != nil {
		s.latency.ObserveAlone(now-at, 1)
	}
	if now-at > stampLate || at < s.used {
		s.stats.Late.AddAlone(1)
		s.used = max(s.used, now)
		return s.used, false
	}
	s.stats.Kernel.AddAlone(1)
	s.used = at
	return at, true
}
