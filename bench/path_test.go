package bench

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"tickproc/engine"
	"tickproc/internal/clock"
	"tickproc/tick"
)

// BenchmarkPath is what stands between a frame in memory and a shard that is
// current, decoder and shard on one goroutine:
//
//	trade, quote, depth   the frames of that stream alone, without a log
//	*/shard               the same, decoded before: what the shard does for a packet
//	session               all frames of a session, the log before them
//	*/json                the same frames into fitting structs by encoding/json,
//	                      numbers left as text: a part of the work, the thing to beat
//
// A lap is a pass over a session's frames with a shard that begins empty. What
// must come first (definitions, the snapshot of a book) is not counted.
func BenchmarkPath(b *testing.B) {
	b.Run("trade", func(b *testing.B) {
		eachSession(b, func(b *testing.B, s *Session) {
			s.only("@trade").benchmark(b, tick.ChannelTrades)
		})
	})
	b.Run("quote", func(b *testing.B) {
		eachSession(b, func(b *testing.B, s *Session) {
			s.only("@bookTicker").benchmark(b, tick.ChannelQuotes)
		})
	})
	b.Run("depth", func(b *testing.B) {
		eachSession(b, func(b *testing.B, s *Session) {
			s.only("@depth").benchmark(b, tick.ChannelDepth)
		})
		b.Run("40levels", func(b *testing.B) {
			deepPath(b).benchmark(b, tick.ChannelDepth)
		})
	})
	b.Run("session", func(b *testing.B) {
		eachSession(b, func(b *testing.B, s *Session) {
			m := startMeter(b, s.Bytes)
			for b.Loop() {
				m.pause()
				l, opening := s.Open()
				shard, log := engine.NewShard(shardOptions()), openLog(b, b.TempDir())
				m.resume()
				pass(shard, log.Append, opening)
				for i := range s.Records {
					pass(shard, log.Append, l.Decode(&s.Records[i]))
				}
				m.pause()
				mustStand(b, shard)
				m.resume()
			}
			m.stop(s.Frames, "frame")
		})
	})
}

// pass gives a frame's packets to the log, then to the shard.
func pass(shard *engine.Shard, log func([]tick.Unit) uint64, packets []tick.Unit) {
	if len(packets) == 0 {
		return
	}
	if log(packets) == 0 {
		panic("BUG: the log takes nothing")
	}
	shard.Apply(packets)
	shard.TakeRows()
	shard.TakeCommands()
}

// path is one stream of a session.
type path struct {
	session *Session
	before  []*Record // not counted
	frames  []*Record
	bytes   int64
	levels  int // in the frames
}

// only are the frames of a stream. Those of depth up to the last snapshot come
// before: without one there is no book.
func (s *Session) only(stream string) *path {
	p := &path{session: s}
	last := 0
	for i := range s.Records {
		if s.Records[i].URL != "" {
			last = i
		}
	}
	l := s.settled()
	for i := range s.Records {
		r := &s.Records[i]
		switch {
		case r.URL == "" && !bytes.Contains(r.Payload[:min(64, len(r.Payload))], []byte(stream)), r.URL != "" && stream != "@depth":
		case i <= last && stream == "@depth":
			p.before = append(p.before, r)
		default:
			p.frames = append(p.frames, r)
			p.bytes += int64(len(r.Payload))
			if packets := l.Decode(r); len(packets) > 0 && packets[0].KindOf() == tick.KindDepth {
				p.levels += int(packets[0].Depth().LevelCount)
			}
		}
	}
	return p
}

// timedFrames is how many frames are timed at once: the clock costs as much as
// half a trade.
const timedFrames = 16

func (p *path) benchmark(b *testing.B, channel tick.Channels) {
	b.Run("ours", func(b *testing.B) {
		took := make([]int64, 0, len(p.frames)/timedFrames+1)
		var shard *engine.Shard
		m := startMeter(b, p.bytes)
		for b.Loop() {
			m.pause()
			l, opening := p.session.Open()
			shard = engine.NewShard(shardOptions())
			shard.Apply(opening)
			for _, r := range p.before {
				shard.Apply(l.Decode(r))
			}
			took = took[:0]
			m.resume()
			for frames := p.frames; len(frames) > 0; {
				n := min(timedFrames, len(frames))
				from := clock.Nanos()
				current(shard, l, frames[:n])
				took = append(took, (clock.Nanos()-from)/int64(n))
				frames = frames[n:]
			}
		}
		m.stop(len(p.frames), "frame")
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
		b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
		if p.levels > 0 {
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(p.levels), "ns/level")
		}
		for _, r := range shard.Reports(1) {
			if p.levels > 0 && (!r.Valid || r.Depth.Gaps > 0) || p.levels == 0 && r.Counts.Trades+r.Counts.Quotes == 0 {
				b.Errorf("%s: %+v", r.Instrument.Symbol, r)
			}
		}
	})
	b.Run("shard", func(b *testing.B) {
		m := startMeter(b, p.bytes)
		for b.Loop() {
			m.pause()
			l, opening := p.session.Open()
			shard := engine.NewShard(shardOptions())
			shard.Apply(opening)
			for _, r := range p.before {
				shard.Apply(l.Decode(r))
			}
			var packets [][]tick.Unit
			for _, r := range p.frames {
				packets = append(packets, slices.Clone(l.Decode(r)))
			}
			m.resume()
			applied(shard, packets)
		}
		m.stop(len(p.frames), "frame")
		if p.levels > 0 {
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(p.levels), "ns/level")
		}
	})
	b.Run("json", func(b *testing.B) {
		m := startMeter(b, p.bytes)
		for b.Loop() {
			for _, r := range p.frames {
				if err := json.Unmarshal(r.Payload, newJSON(channel)); err != nil {
					b.Fatal(err)
				}
			}
		}
		m.stop(len(p.frames), "frame")
	})
}

// current makes the shard current with frames. It has a name of its own so that
// instructions can be counted in it alone, with what callgrind tells of functions
// (bench/instructions.sh counts all stages, without):
//
//	go test -c -o bench.test ./bench && cd bench && GODEBUG=asyncpreemptoff=1 valgrind --tool=callgrind --toggle-collect=tickproc/bench.current \
//	  ../bench.test -test.run='^$' -test.bench='Path/trade/spot/ours' -test.benchtime=1x
//
//go:noinline
func current(shard *engine.Shard, l *Line, frames []*Record) {
	for _, r := range frames {
		shard.Apply(l.Decode(r))
		shard.TakeRows()
		shard.TakeCommands()
	}
}

// applied gives a shard the packets of frames. As with current, instructions
// are counted in it.
//
//go:noinline
func applied(shard *engine.Shard, frames [][]tick.Unit) {
	for _, packets := range frames {
		shard.Apply(packets)
		shard.TakeRows()
		shard.TakeCommands()
	}
}

// deepPath are frames with 40 levels each.
func deepPath(b *testing.B) *path {
	b.Helper()
	s, err := Deep(spot)
	if err != nil {
		b.Fatal(err)
	}
	p := &path{session: s, before: []*Record{&s.Records[0]}, levels: s.Frames * deepLevels}
	for i := range s.Records[1:] {
		p.frames = append(p.frames, &s.Records[1+i])
	}
	p.bytes = s.Bytes
	return p
}

// pause stops measuring, for what a lap needs and is not measured.
func (m *meter) pause() {
	m.b.StopTimer()
	m.mallocs, m.cpu = mallocs()-m.mallocs, cpuTime()-m.cpu
}

// resume goes on.
func (m *meter) resume() {
	m.mallocs, m.cpu = mallocs()-m.mallocs, cpuTime()-m.cpu
	m.b.StartTimer()
}
