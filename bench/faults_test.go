package bench

import (
	"errors"
	"runtime"
	"slices"
	"testing"

	"tickproc/engine"
	"tickproc/internal/hardware"
	"tickproc/ringbuf"
	"tickproc/tick"
)

// The composed path maps no page once it has been through a session: what it
// writes to was touched at the start, or has grown to its size. Counted are the
// page faults of the thread that decodes, logs and applies; the few that are
// allowed are the kernel's own, which moves pages for reasons of its own.
func TestSteadyPathTouchesNoNewPage(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector maps memory of its own")
	}
	if _, _, err := hardware.Faults(); errors.Is(err, hardware.ErrUnsupported) {
		t.Skip(err)
	}
	eachSession(t, func(t *testing.T, s *Session) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		l, opening := s.Open()
		ring, rows := ringbuf.New(ringUnits), ringbuf.New(ringUnits)
		driver := &engine.Driver{Shard: engine.NewShard(shardOptions()), Waker: ringbuf.NewWaker(ringbuf.Park),
			Inputs: []*ringbuf.Ring{ring}, Rows: rows, Merge: true, Epoch: 1, Log: openLog(t, t.TempDir()).Append}
		driver.Begin()
		empty := func() {
			for some := rows.Poll(); len(some) > 0; some = rows.Poll() {
				rows.Release(len(some))
			}
		}
		give := func(packets []tick.Unit) {
			for len(packets) > 0 {
				n := tick.PacketUnits(&packets[0])
				for !ring.Write(packets[:n]) {
					driver.Step()
					empty()
				}
				packets = packets[n:]
			}
			ring.Publish()
			for ring.Len() > 0 {
				driver.Step()
				empty()
			}
		}
		give(opening)
		shift, answers, settled := s.shift(), map[int][]tick.Unit{}, s.settled()
		for i := range s.Records {
			if s.Records[i].URL != "" {
				answers[i] = slices.Clone(settled.Decode(&s.Records[i]))
			}
		}
		var copied []tick.Unit
		lap := 0
		run := func() {
			for i := range s.Records {
				var packets []tick.Unit
				if lap > 0 && s.Records[i].URL != "" {
					copied = append(copied[:0], answers[i]...)
					packets = copied
				} else {
					packets = l.Decode(&s.Records[i])
				}
				shift.apply(packets, lap)
				give(packets)
			}
			lap++
		}
		run()
		run()
		before, majorBefore, _ := hardware.Faults()
		run()
		after, majorAfter, _ := hardware.Faults()
		t.Logf("%d minor and %d major faults in %d records", after-before, majorAfter-majorBefore, len(s.Records))
		if allowed := max(8, int64(len(s.Records))/1000); after-before > allowed || majorAfter > majorBefore {
			t.Errorf("%d minor and %d major page faults, and %d are allowed", after-before, majorAfter-majorBefore, allowed)
		}
	})
}
