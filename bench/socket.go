package bench

import (
	"errors"
	"net"
	"sync/atomic"
	"time"

	"tickproc/internal/clock"
	"tickproc/ringbuf"
	"tickproc/tick"
)

const (
	// sendEvery is the distance of paced frames: long enough for a reader that
	// sleeps to be asleep again.
	sendEvery = int64(200 * time.Microsecond)
	// arriveWithin bounds the wait for one frame.
	arriveWithin = int64(time.Minute)
)

var errLost = errors.New("a frame did not arrive within a minute")

// socketLines are the way of a frame from another socket's end, sent at times
// that are set beforehand, to who waits for it: what a stall costs all that was
// meant to come in it. The sender's part is in it; what is ours, readable/* tell.
func socketLines() []Measurement {
	return []Measurement{
		{Name: "floor/loopback", What: "200 bytes over loopback to a goroutine that waits in Read, from the intended sending on", Unit: "frame", Cores: 2,
			Run: func(r *Run, s *Sample) error {
				return overSocket(r, s, false, func(server *frameServer) (arrived func() bool, stop func(), err error) {
					c, err := server.dial()
					if err != nil {
						return nil, nil, err
					}
					var n atomic.Uint64
					done := make(chan struct{})
					go func() {
						defer close(done)
						for b := make([]byte, 64<<10); ; {
							if _, err := c.Read(b); err != nil {
								return
							}
							n.Add(1)
						}
					}()
					seen := uint64(0)
					return func() bool {
						now := n.Load()
						came := now != seen
						seen = now
						return came
					}, func() { c.Close(); <-done }, nil
				})
			}},
		{Name: "socket/ring", What: "the same through a websocket and our connection: read, stamped, decoded, in the ring", Unit: "frame", Floor: "floor/loopback", Cores: 2,
			Run: func(r *Run, s *Sample) error {
				f, err := r.Frames(spot, tick.ChannelTrades)
				if err != nil {
					return err
				}
				return overSocket(r, s, true, func(server *frameServer) (func() bool, func(), error) {
					x, err := newClient(server, f, ringbuf.Spin)
					if err != nil {
						return nil, nil, err
					}
					return func() (came bool) {
						for got := x.ring.Poll(); len(got) > 0; got = x.ring.Poll() {
							for p := got; len(p) > 0; p = p[tick.PacketUnits(&p[0]):] {
								came = came || p[0].KindOf() == tick.KindTrade
							}
							x.ring.Release(len(got))
						}
						return came
					}, x.stop, nil
				})
			}},
	}
}

// overSocket sends frames of trades, each at its time, and looks for each until
// it has arrived.
func overSocket(r *Run, s *Sample, websocket bool, open func(*frameServer) (arrived func() bool, stop func(), err error)) error {
	f, err := r.Frames(spot, tick.ChannelTrades)
	if err != nil {
		return err
	}
	accepted, release := make(chan net.Conn, 1), make(chan struct{})
	server, err := serveFrames(false, websocket, func(c net.Conn) {
		select {
		case accepted <- c:
			<-release
		default: // a connection that nobody asked for
		}
	})
	if err != nil {
		return err
	}
	defer server.close()
	defer close(release)
	arrived, stop, err := open(server)
	if err != nil {
		return err
	}
	defer stop()
	var c net.Conn
	select {
	case c = <-accepted:
	case <-time.After(time.Duration(arriveWithin)):
		return errors.New("nobody connected within a minute")
	}
	var frame []byte
	var failed error
	one := func(i int) (int64, bool) {
		text := f.Records[i%len(f.Records)].Payload
		if frame = append(frame[:0], text...); websocket {
			frame = appendFrame(frame[:0], text)
		}
		if _, failed = c.Write(frame); failed != nil {
			return 0, false
		}
		for from := clock.Nanos(); ; {
			came := arrived()
			now := clock.Nanos()
			if came {
				return now, !r.Stopped()
			}
			if now-from > arriveWithin {
				failed = errLost
				return 0, false
			}
		}
	}
	wait := func(until int64) {
		if ahead := until - clock.Nanos() - int64(100*time.Microsecond); ahead > 0 {
			time.Sleep(time.Duration(ahead))
		}
		for clock.Nanos() < until {
		}
	}
	s.Batch = 1
	n := int(int64(r.Time)/sendEvery) + 1
	paced(clock.Nanos()+sendEvery, sendEvery, n/5+10, wait, one, func(int64) {})
	if failed == nil && !r.Stopped() {
		paced(clock.Nanos()+sendEvery, sendEvery, n, wait, one, func(ns int64) { s.Add(ns, 1) })
	}
	return failed
}
