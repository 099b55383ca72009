package bench

import (
	"testing"

	"tickproc/tick"
)

// BenchmarkDecode is of every venue with generated frames, by channel: a frame in
// memory → packets.
func BenchmarkDecode(b *testing.B) {
	for _, d := range decodedFrames {
		b.Run(d.channel.String()+"/"+d.venue, func(b *testing.B) {
			r := &Run{sessions: map[Recipe]*Session{}}
			f, err := r.Frames(d.venue, d.channel)
			if err != nil {
				b.Fatal(err)
			}
			l := f.Session.settled()
			m := startMeter(b, int64(f.Bytes))
			for b.Loop() {
				decoded(l, f.Records)
			}
			m.stop(len(f.Records), "frame")
			b.ReportMetric(float64(len(f.Records)), "frames")
			if d.channel == tick.ChannelDepth {
				b.ReportMetric(float64(f.Levels)/float64(len(f.Records)), "levels/frame")
			}
		})
	}
}

// decoded decodes frames. It has a name of its own so that instructions can be
// counted in it alone, as in current.
//
//go:noinline
func decoded(l *Line, frames []Record) {
	for i := range frames {
		kept += uint64(len(l.Decode(&frames[i])))
	}
}
