package pipeline

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"time"

	"tickproc/feeds"
	"tickproc/internal/clock"
	"tickproc/internal/hardware"
	"tickproc/internal/rawsocket"
	"tickproc/internal/stat"
	"tickproc/ringbuf"
	"tickproc/tick"
)

// SocketPath is how long what was sent over loopback took from the kernel's
// receive stamp on, in ns: until a read returned it, and until a frame was a
// packet that its shard sees. The second minus the first is ours.
type SocketPath struct {
	Bare, Packet stat.Buckets
	// Unstamped are frames that the kernel did not stamp in time; they are in
	// neither.
	Unstamped uint64
}

// SocketPathOptions say what is measured.
type SocketPathOptions struct {
	// Frame is sent again and again as a text message of a stream of binance-spot;
	// nil = a trade of 200 bytes.
	Frame []byte
	// Rounds of so many Frames each, of the bare read and of the path in turns, so
	// that both meet the same machine.
	Rounds, Frames int
	// Busy reads without waiting, on a thread that is pinned to Core.
	Busy bool
	Core int
}

// pathSpin is longer than any pause between two frames, and over before the
// other reader begins.
const pathSpin = 10 * time.Millisecond

const pathFrame = `{"stream":"btcusdt@trade","data":{"e":"trade","E":1723075200123,"s":"BTCUSDT","t":3723075201,"p":"60123.45000000","q":"0.01234000","b":88724100123,"a":88724100124,"T":1723075200122,"m":true,"M":true}}`

// MeasureSocketPath measures one frame at a time, as on a quiet market: each is
// sent when the one before has arrived. It needs the kernel's receive stamps.
func MeasureSocketPath(ctx context.Context, o SocketPathOptions) (SocketPath, error) {
	if o.Frame == nil {
		o.Frame = []byte(pathFrame)
	}
	var result SocketPath
	bare, err := newBarePath(&o)
	if err != nil {
		return result, err
	}
	defer bare.close()
	path, err := newPacketPath(ctx, &o)
	if err != nil {
		return result, err
	}
	defer path.close()
	for range max(1, o.Rounds) {
		time.Sleep(2 * pathSpin)
		if err := bare.round(o.Frames); err != nil {
			return result, err
		}
		time.Sleep(2 * pathSpin)
		if err := path.round(o.Frames); err != nil {
			return result, err
		}
	}
	bare.took.AddTo(&result.Bare)
	// A frame whose stamp was used bears it, so that this begins where Bare does.
	for c := range path.latency.Decode {
		path.latency.Decode[c].AddTo(&result.Packet)
	}
	stats := path.feed.Stats()[0]
	result.Unstamped = stats.Frames.Load() - stats.Stamps.Kernel.Load()
	return result, nil
}

// barePath is a read of bytes, and nothing else.
type barePath struct {
	frame    []byte
	from, to net.Conn
	took     stat.Latency
	arrived  chan error
}

func newBarePath(o *SocketPathOptions) (*barePath, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	dialled, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return nil, err
	}
	b := &barePath{frame: textMessage(o.Frame), arrived: make(chan error, 1)}
	if b.from, err = listener.Accept(); err != nil {
		dialled.Close()
		return nil, err
	}
	read := rawsocket.Options{Stamps: true}
	if o.Busy {
		read.Spin = pathSpin
	}
	to, err := rawsocket.New(dialled, read)
	if err != nil {
		dialled.Close()
		b.from.Close()
		return nil, err
	}
	b.to = to
	go func() {
		if o.Busy {
			runtime.LockOSThread()
			_ = hardware.Pin(o.Core) // a figure that is not as good as it could be
		}
		buf, left, step := make([]byte, 64<<10), len(b.frame), int64(clock.Stepped())
		for {
			n, err := to.Read(buf)
			now := clock.Nanos()
			if err != nil {
				b.arrived <- err
				return
			}
			if left -= n; left <= 0 {
				left += len(b.frame)
				if at := to.Stamp(); at != 0 {
					b.took.Observe(now-(at-step), 1)
				}
				b.arrived <- nil
			}
		}
	}()
	return b, nil
}

func (b *barePath) round(frames int) error {
	for range frames {
		if _, err := b.from.Write(b.frame); err != nil {
			return err
		}
		if err := <-b.arrived; err != nil {
			return err
		}
	}
	return nil
}

func (b *barePath) close() {
	b.to.Close()
	b.from.Close()
}

// packetPath is a feed whose venue says what it is told to.
type packetPath struct {
	frame   []byte
	venue   net.Conn
	feed    *feeds.Feed
	latency *feeds.LineLatency
	ring    *ringbuf.Ring
	waker   *ringbuf.Waker
	some    func() bool
	end     context.CancelFunc
	ended   chan struct{}
}

func newPacketPath(ctx context.Context, o *SocketPathOptions) (*packetPath, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	adapter, ok := adapterOf("binance-spot")
	if !ok {
		panic("BUG: there is no binance-spot")
	}
	in := adapter.Instrument("BTCUSDT")
	p := &packetPath{frame: textMessage(o.Frame), latency: feeds.NewLineLatency(), waker: ringbuf.NewWaker(ringbuf.Park), ended: make(chan struct{})}
	var routes feeds.Routes
	routes.Set(in.ID, 0)
	options := feeds.Options{Adapter: adapter, Subscriptions: []feeds.Subscription{{Instrument: &in, Channels: tick.ChannelTrades}},
		WSURL: "ws://" + listener.Addr().String(), Read: feeds.ReadOptions{KernelStamps: true, Spin: pathSpin},
		NewOutput: func(line feeds.LineInfo) *feeds.Output {
			ring, measured := ringbuf.New(1<<12), feeds.OutputOptions{}
			ring.SetWaker(p.waker)
			if p.ring == nil && !line.Any { // the socket's
				p.ring, measured.Latency = ring, p.latency
			}
			return feeds.NewOutput([]*ringbuf.Ring{ring}, &routes, measured)
		}}
	if o.Busy {
		options.Read.Cores = []int{o.Core}
	}
	if p.feed, err = feeds.New(options); err != nil {
		return nil, err
	}
	p.some = func() bool { return p.ring.Len() > 0 || p.ring.Done() }
	ctx, p.end = context.WithCancel(ctx)
	go func() { defer close(p.ended); p.feed.Run(ctx) }()
	if p.venue, err = listener.Accept(); err == nil {
		err = upgrade(p.venue)
	}
	if err != nil {
		p.end()
		<-p.ended
		return nil, err
	}
	go func() { _, _ = io.Copy(io.Discard, p.venue) }() // what the feed says
	return p, nil
}

func (p *packetPath) round(frames int) error {
	for range frames {
		if _, err := p.venue.Write(p.frame); err != nil {
			return err
		}
		for trade := false; !trade; {
			p.waker.Wait(p.some, time.Second)
			packets := p.ring.Poll()
			if len(packets) == 0 {
				return errors.New("a frame became no packet")
			}
			for rest := packets; len(rest) > 0; rest = rest[tick.PacketUnits(&rest[0]):] {
				trade = trade || rest[0].Header().Kind.Class() != tick.ClassNone
			}
			p.ring.Release(len(packets))
		}
	}
	return nil
}

func (p *packetPath) close() {
	p.venue.Close()
	p.end()
	<-p.ended
}

// upgrade answers a websocket's handshake (RFC 6455, 4.2.2).
func upgrade(c net.Conn) error {
	request, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return err
	}
	sum := sha1.Sum([]byte(request.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, err = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	return err
}

// textMessage is a payload as an unmasked, final text frame (RFC 6455, 5.2).
func textMessage(payload []byte) []byte {
	frame := []byte{0x81}
	switch n := len(payload); {
	case n < 126:
		frame = append(frame, byte(n))
	case n < 1<<16:
		frame = binary.BigEndian.AppendUint16(append(frame, 126), uint16(n))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, 127), uint64(n))
	}
	return append(frame, payload...)
}
