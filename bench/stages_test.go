package bench

import (
	"slices"
	"testing"

	"tickproc/book"
	"tickproc/engine"
	"tickproc/indicators"
	"tickproc/ringbuf"
	"tickproc/tick"
)

// The stages of a replay, each on the packets of whole sessions, so that
// neither caches nor branches can learn one of them.

// BenchmarkShard is a shard with everything on: synchronisation, book, check
// against the venue's quotes, samples, bars, windows, rows.
func BenchmarkShard(b *testing.B) {
	eachSession(b, func(b *testing.B, s *Session) {
		batches := s.packets()
		var shard *engine.Shard
		m := startMeter(b, sizeOf(batches))
		for b.Loop() {
			shard = engine.NewShard(shardOptions())
			for _, packets := range batches {
				shard.Apply(packets)
				shard.TakeRows()
				shard.TakeCommands()
			}
		}
		m.stop(s.Frames, "frame")
		mustStand(b, shard)
	})
}

func sizeOf(batches [][]tick.Unit) (bytes int64) {
	for _, packets := range batches {
		bytes += int64(len(packets)) * tick.UnitSize
	}
	return bytes
}

// BenchmarkHandOff carries a session's packets from one goroutine to another,
// which reads a word of each. Beside the ring stands a channel of slices: of
// copies, because a decoder's memory is used again, and, as the least that a
// channel can cost, of the very packets.
func BenchmarkHandOff(b *testing.B) {
	b.Run("ring", func(b *testing.B) {
		handOff(b, func(s *Session, batches [][]tick.Unit, sum *uint64) {
			ring, waker := ringbuf.New(ringUnits), ringbuf.NewWaker(ringbuf.Auto)
			ring.SetWaker(waker)
			go func() {
				for i, packets := range batches {
					send(ring, packets)
					if i%publishEvery == 0 {
						ring.Publish()
					}
				}
				ring.Close()
			}()
			receive(ring, waker, func(batch []tick.Unit) { read(batch, sum) })
		})
	})
	channel := func(prepare func([]tick.Unit) []tick.Unit) func(*Session, [][]tick.Unit, *uint64) {
		return func(_ *Session, batches [][]tick.Unit, sum *uint64) {
			c := make(chan []tick.Unit, 4096)
			go func() {
				for _, packets := range batches {
					c <- prepare(packets)
				}
				close(c)
			}()
			for packets := range c {
				read(packets, sum)
			}
		}
	}
	b.Run("channel of copies", func(b *testing.B) { handOff(b, channel(slices.Clone[[]tick.Unit])) })
	b.Run("channel, no copy", func(b *testing.B) {
		handOff(b, channel(func(packets []tick.Unit) []tick.Unit { return packets }))
	})
}

func handOff(b *testing.B, carry func(s *Session, batches [][]tick.Unit, sum *uint64)) {
	eachSession(b, func(b *testing.B, s *Session) {
		batches := s.packets()
		laps, sum, once := 0, uint64(0), uint64(0)
		for _, packets := range batches {
			read(packets, &once)
		}
		m := startMeter(b, sizeOf(batches))
		for b.Loop() {
			carry(s, batches, &sum)
			laps++
		}
		m.stop(s.Frames, "frame")
		if sum != uint64(laps)*once {
			b.Error("packets were lost")
		}
	})
}

func read(packets []tick.Unit, sum *uint64) {
	for ; len(packets) > 0; packets = packets[tick.PacketUnits(&packets[0]):] {
		*sum += packets[0].Header().Ordinal
	}
}

// BenchmarkBook sets the levels of a session's snapshot and deltas; beside our
// sides, slices that are sorted best first, and a map, which knows no order.
func BenchmarkBook(b *testing.B) {
	type levels interface {
		set(bid bool, price, size int64)
	}
	for _, kind := range []struct {
		name string
		make func() levels
	}{
		{"ours", func() levels { x := ourBook(book.New()); return &x }},
		{"sorted best first", func() levels { return new(sortedBook) }},
		{"map", func() levels { return &mapBook{map[int64]int64{}, map[int64]int64{}} }},
	} {
		b.Run(kind.name, func(b *testing.B) {
			eachSession(b, func(b *testing.B, s *Session) {
				depth, count := s.depth()
				if count == 0 {
					b.Fatal("no depth")
				}
				m := startMeter(b, int64(count)*16)
				for b.Loop() {
					books := map[uint32]levels{}
					for _, p := range depth {
						h := p[0].Depth()
						x := books[h.Instrument]
						if x == nil {
							x = kind.make()
							books[h.Instrument] = x
						}
						for i, l := range tick.Levels(p) {
							x.set(i < int(h.Bids), l.Price, l.Size)
						}
					}
				}
				m.stop(count, "level")
			})
		})
	}
}

// depth returns the snapshots, then the deltas, at their final scale, and how
// many levels are in them.
func (s *Session) depth() (packets [][]tick.Unit, levels int) {
	l := s.settled()
	var deltas [][]tick.Unit
	for i := range s.Records {
		for p := l.Decode(&s.Records[i]); len(p) > 0; p = p[tick.PacketUnits(&p[0]):] {
			one := slices.Clone(p[:tick.PacketUnits(&p[0])])
			switch p[0].KindOf() {
			case tick.KindSnapshot:
				packets = append(packets, one)
			case tick.KindDepth:
				deltas = append(deltas, one)
			default:
				continue
			}
			levels += int(one[0].Depth().LevelCount)
		}
	}
	return append(packets, deltas...), levels
}

type ourBook book.Book

func (x *ourBook) set(bid bool, price, size int64) {
	if bid {
		x.Bids.Set(price, size)
	} else {
		x.Asks.Set(price, size)
	}
}

type sortedBook struct{ bids, asks []tick.Level }

func (x *sortedBook) set(bid bool, price, size int64) {
	if bid {
		x.bids = setSorted(x.bids, -1, price, size)
	} else {
		x.asks = setSorted(x.asks, 1, price, size)
	}
}

func setSorted(side []tick.Level, sign, price, size int64) []tick.Level {
	i, found := slices.BinarySearchFunc(side, price*sign, func(l tick.Level, key int64) int { return int(l.Price*sign - key) })
	switch {
	case found && size == 0:
		return slices.Delete(side, i, i+1)
	case found:
		side[i].Size = size
	case size != 0:
		return slices.Insert(side, i, tick.Level{Price: price, Size: size})
	}
	return side
}

type mapBook struct{ bids, asks map[int64]int64 }

func (x *mapBook) set(bid bool, price, size int64) {
	side := x.asks
	if bid {
		side = x.bids
	}
	if size == 0 {
		delete(side, price)
	} else {
		side[price] = size
	}
}

// BenchmarkBars gives a session's trades to all that a shard computes of them
// by default: four bar intervals, the sliding VWAP and the session's.
func BenchmarkBars(b *testing.B) {
	eachSession(b, func(b *testing.B, s *Session) {
		trades, instruments := s.trades()
		options := shardOptions()
		out := indicators.Out{Rows: make([]tick.Unit, 0, 256)}
		m := startMeter(b, int64(len(trades))*tick.UnitSize)
		for b.Loop() {
			all := make([][]indicators.Indicator, instruments)
			for i := range all {
				all[i] = defaultIndicators(&options)
			}
			now := int64(0)
			var trade indicators.Trade
			for _, t := range trades {
				trade = t.Trade
				now = max(now, trade.TsNanos)
				for _, x := range all[t.instrument] {
					x.Trade(&trade)
					if x.Deadline() <= now {
						x.Advance(now, &out)
					}
				}
				out.Rows = out.Rows[:0]
			}
		}
		m.stop(len(trades), "trade")
	})
}
