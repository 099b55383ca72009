package bench

import (
	"testing"

	"tickproc/tick"
)

// BenchmarkEverything is what stands between a trade's packet and rows in their
// ring, with everything on, a packet at a time; decoding is not in it.
//
// Instructions are counted in the driver's step alone by
//
//	go test -c -o bench.test ./bench && cd bench && valgrind --tool=callgrind --toggle-collect=tickproc/bench.stepped \
//	  ../bench.test -test.run='^$' -test.bench='Everything/trades/spot' -test.benchtime=20000x
func BenchmarkEverything(b *testing.B) {
	for _, channel := range []tick.Channels{tick.ChannelTrades, tick.ChannelDepth} {
		b.Run(channel.String()+"/spot", func(b *testing.B) {
			session, err := Generate(Recipe{Venue: spot, Channels: channel, Frames: 4096, Symbols: 1})
			if err != nil {
				b.Fatal(err)
			}
			x, opening := newLaps(session)
			service, err := newService(opening)
			if err != nil {
				b.Fatal(err)
			}
			defer func() {
				if err := service.end(); err != nil {
					b.Error(err)
				}
			}()
			for range len(x.records) { // buffers grow in the first lap
				service.take(x.next())
				service.carry()
			}
			b.ResetTimer()
			for range b.N {
				stepped(service, x.next())
				service.carry()
			}
		})
	}
}

// stepped has a name of its own for the counting of instructions.
//
//go:noinline
func stepped(service *service, packets []tick.Unit) { service.take(packets) }
