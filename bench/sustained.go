package bench

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"time"

	"tickproc/internal/clock"
	"tickproc/ringbuf"
	"tickproc/tick"
)

const (
	// sliceEvery is how long one sample of throughput is.
	sliceEvery = 10 * time.Millisecond
	// chunkBytes are written at once by the sender.
	chunkBytes = 128 << 10
)

// sustainedLines are as many frames over a socket as one reading core takes:
// bare bytes, a websocket whose reader discards everything, and ours, which has
// each frame's packets in a ring. A time is the processor time of reading, so
// that the sender and who empties the ring do not count, on however few cores.
func sustainedLines() (all []Measurement) {
	for _, secure := range []bool{false, true} {
		for _, channel := range []tick.Channels{tick.ChannelTrades, tick.ChannelDepth} {
			over, name := "", channel.String()
			if secure {
				over, name = " over TLS", "tls/"+channel.String()
			}
			if !secure {
				all = append(all, Measurement{Name: "floor/tcp/" + name, What: "reading the bytes of frames, as many as come; processor time of reading", Unit: "frame", Cores: 2,
					Run: func(r *Run, s *Sample) error { return sustained(r, s, channel, false, readBytes) }})
			}
			floor := "discard/" + name
			all = append(all,
				Measurement{Name: floor, What: "reading a websocket's frames" + over + " and discarding them", Unit: "frame", Cores: 2,
					Run: func(r *Run, s *Sample) error { return sustained(r, s, channel, secure, readAndDiscard) }},
				Measurement{Name: "sustained/" + name, What: "websocket" + over + " → read, stamped, decoded, in the ring", Unit: "frame", Floor: floor, Cores: 2,
					Aim: Aim{Text: "≥ 70 % of floor's rate", Met: func(line *Result, _ func(string) *Result) bool { return line.Ratio > 0 && line.Ratio*0.7 <= 1 }},
					Run: func(r *Run, s *Sample) error { return sustained(r, s, channel, secure, readIntoRing) }})
		}
	}
	return all
}

// reading is a reader that runs.
type reading struct {
	frames    func() uint64 // that it has read
	elsewhere func() int64  // processor time that is not of reading, ns
	stop      func()
}

// threadClock is the processor time of a locked thread, as it last said.
type threadClock struct{ atomic.Int64 }

func (c *threadClock) tell() {
	if t, ok := threadTime(); ok {
		c.Store(int64(t))
	}
}

func sustained(r *Run, s *Sample, channel tick.Channels, secure bool, open func(*frameServer, *Frames) (*reading, error)) error {
	if _, ok := threadTime(); !ok {
		return errors.New("the processor time of a thread is not known here")
	}
	f, err := r.Frames(spot, channel)
	if err != nil {
		return err
	}
	chunks := chunksOf(f)
	var sender threadClock
	server, err := serveFrames(secure, true, func(c net.Conn) {
		// The thread ends with the goroutine: it is locked for ever.
		runtime.LockOSThread()
		sender.tell() // a thread may have worked for others before
		for i := 0; ; i = (i + 1) % len(chunks) {
			if _, err := c.Write(chunks[i]); err != nil {
				return
			}
			sender.tell()
		}
	})
	if err != nil {
		return err
	}
	defer server.close()
	reader, err := open(server, f)
	if err != nil {
		return err
	}
	defer reader.stop()

	look := func() (frames uint64, cpu, at int64) {
		// The threads' clocks stand a little behind: over a slice that evens out.
		return reader.frames(), int64(cpuTime()) - sender.Load() - reader.elsewhere(), clock.Nanos()
	}
	for from := clock.Nanos(); reader.frames() == 0; time.Sleep(time.Millisecond) {
		if clock.Nanos()-from > arriveWithin {
			return errLost
		}
	}
	r.until(r.Time/5, func() { time.Sleep(sliceEvery) })
	frames, cpu, at := look()
	allocated := mallocs()
	firstFrames, firstAt, firstCPU, slices := frames, at, cpu, 0
	r.until(r.Time, func() {
		time.Sleep(sliceEvery)
		nowFrames, nowCPU, now := look()
		if nowFrames == frames {
			return
		}
		s.Add(nowCPU-cpu, int(nowFrames-frames))
		frames, cpu, at = nowFrames, nowCPU, now
		slices++
	})
	if slices == 0 {
		return errLost
	}
	total := frames - firstFrames
	s.Batch = int(total) / slices
	s.mallocs += mallocs() - allocated
	s.ops += total
	s.Note = fmt.Sprintf("in the last round %.0f frames/s by the wall clock, reading used %.2f cores", float64(total)/float64(at-firstAt)*1e9, float64(cpu-firstCPU)/float64(at-firstAt))
	return nil
}

// chunksOf are the frames of a websocket, many at a time.
func chunksOf(f *Frames) (chunks [][]byte) {
	var chunk []byte
	for i := range f.Records {
		if chunk = appendFrame(chunk, f.Records[i].Payload); len(chunk) >= chunkBytes {
			chunks, chunk = append(chunks, chunk), nil
		}
	}
	if len(chunks) == 0 {
		chunks = append(chunks, chunk)
	}
	return chunks
}

func nothingElse() int64 { return 0 }

// readBytes counts frames by their mean size.
func readBytes(server *frameServer, f *Frames) (*reading, error) {
	c, err := server.dial()
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key: x\r\n\r\n"); err != nil {
		return nil, err
	}
	size := uint64(f.Bytes/len(f.Records)) + 4 // the header of a frame of 126 to 65,535 bytes
	var bytes atomic.Uint64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := make([]byte, 64<<10); ; {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			bytes.Add(uint64(n))
		}
	}()
	return &reading{func() uint64 { return bytes.Load() / size }, nothingElse, func() { c.Close(); <-done }}, nil
}

func readAndDiscard(server *frameServer, _ *Frames) (*reading, error) {
	var frames atomic.Uint64
	done := make(chan struct{})
	go func() {
		defer close(done)
		discard(server, &frames)
	}()
	return &reading{frames.Load, nothingElse, func() { server.close(); <-done }}, nil
}

// readIntoRing is our connection; another thread empties the ring.
func readIntoRing(server *frameServer, f *Frames) (*reading, error) {
	x, err := newClient(server, f, ringbuf.Park)
	if err != nil {
		return nil, err
	}
	var emptier threadClock
	begun, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		emptier.tell()
		close(begun)
		receive(x.ring, x.waker, func([]tick.Unit) { emptier.tell() })
	}()
	<-begun
	return &reading{x.numbers.Frames.Load, emptier.Load, func() {
		server.close()
		x.stop() // closes the ring, which ends who empties it
		<-done
	}}, nil
}
