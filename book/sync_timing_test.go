package book

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"tickproc/tick"
)

// binanceDepth is a recorded session's snapshot and depth messages, as packets.
type binanceDepth struct {
	snapshot []tick.Unit
	messages [][]tick.Unit
	levels   int
}

func recordedDepth(t testing.TB) (out binanceDepth) {
	t.Helper()
	type rows [][2]string
	list := func(in rows) (out []wireLevel) {
		for _, r := range in {
			out = append(out, wireLevel{r[0], r[1]})
		}
		return out
	}
	for _, frame := range frames(t, "binance-spot-btcusdt-20240808.gz", "/depth?") {
		if !strings.Contains(frame, `"depthUpdate"`) && !strings.HasPrefix(frame, `{"lastUpdateId"`) {
			continue
		}
		var body struct {
			LastUpdateID uint64
			Bids, Asks   rows
			Data         struct {
				First uint64 `json:"U"`
				Last  uint64 `json:"u"`
				Bids  rows   `json:"b"`
				Asks  rows   `json:"a"`
			}
		}
		// The standard decoder takes U and u for the same key unless both are named.
		if err := json.Unmarshal([]byte(frame), &body); err != nil {
			t.Fatal(err)
		}
		if body.LastUpdateID > 0 {
			m := wireBook{snapshot: true, bids: list(body.Bids), asks: list(body.Asks), last: body.LastUpdateID}
			out.snapshot = m.packet(t, scale{2, 8})
			continue
		}
		m := wireBook{bids: list(body.Data.Bids), asks: list(body.Data.Asks), last: body.Data.Last}
		p := m.packet(t, scale{2, 8})
		p[0].Depth().FirstID = body.Data.First
		out.messages, out.levels = append(out.messages, p), out.levels+int(p[0].Depth().LevelCount)
	}
	return out
}

// The recorded session joins without a loss: 2 messages are older than the
// snapshot, the rest follow.
func TestRecordedDepth(t *testing.T) {
	t.Parallel()
	depth := recordedDepth(t)
	s := NewSync(spotRule, 2, 8)
	s.Up()
	for _, p := range depth.messages[:4] {
		s.Delta(p, ignore{})
	}
	s.Snapshot(depth.snapshot, ignore{})
	for _, p := range depth.messages[4:] {
		s.Delta(p, ignore{})
		must(t, s, Valid, tick.ReasonNone, p[0].Depth().LastID)
	}
	if c := s.Counts; c.Applied != 3449 || c.Levels != 124073 || c.Dropped != 2 || c.Gaps != 0 || s.Unsynced() != 0 {
		t.Errorf("%+v", c)
	}
}

// Rotates over a real session: the whole of Sync, then the levels alone in
// our side and in what one would write first.
func BenchmarkApply(b *testing.B) {
	depth := recordedDepth(b)
	perLevel := func(m cpuMeter, levels int) {
		m.b.ReportMetric(float64(m.b.Elapsed().Nanoseconds())/float64(levels), "ns/level")
		m.b.ReportMetric(float64(cpuNanos(m.b)-m.from)/float64(levels), "cpu-ns/level")
	}
	b.Run("Sync", func(b *testing.B) {
		s := NewSync(spotRule, 2, 8)
		s.Up()
		s.Snapshot(depth.snapshot, ignore{})
		i, levels := 2, 0
		m := startCPU(b)
		for b.Loop() {
			if i == len(depth.messages) { // around again: the ids start anew
				i = 2
				s.Invalidate(tick.ReasonReconnect)
				s.Snapshot(depth.snapshot, ignore{})
			}
			s.Delta(depth.messages[i], ignore{})
			levels += int(depth.messages[i][0].Depth().LevelCount)
			i++
		}
		if !s.IsValid() || s.Counts.Gaps > 0 {
			b.Fatal("the book was lost")
		}
		perLevel(m, levels)
	})
	sides := func(name string, set func(bid bool, price, size int64), empty func()) {
		b.Run("levels/"+name, func(b *testing.B) {
			apply := func(p []tick.Unit) int {
				list, bids := tick.Levels(p), int(p[0].Depth().Bids)
				for _, l := range list[:bids] {
					set(true, l.Price, l.Size)
				}
				for _, l := range list[bids:] {
					set(false, l.Price, l.Size)
				}
				return len(list)
			}
			i, levels := len(depth.messages), 0
			m := startCPU(b)
			for b.Loop() {
				if i == len(depth.messages) { // around again
					i = 2
					empty()
					apply(depth.snapshot)
				}
				levels += apply(depth.messages[i])
				i++
			}
			perLevel(m, levels)
		})
	}
	bids, asks := NewSide(true), NewSide(false)
	sides("Side", func(bid bool, price, size int64) {
		if bid {
			bids.Set(price, size)
		} else {
			asks.Set(price, size)
		}
	}, func() {
		bids.Clear()
		asks.Clear()
	})
	plainBids, plainAsks := plainSide{bids: true}, plainSide{}
	sides("best first, binary search", func(bid bool, price, size int64) {
		if bid {
			plainBids.set(price, size)
		} else {
			plainAsks.set(price, size)
		}
	}, func() {
		plainBids.levels, plainAsks.levels = plainBids.levels[:0], plainAsks.levels[:0]
	})
	linearBids, linearAsks := linearSide{bids: true}, linearSide{}
	sides("best first, linear search", func(bid bool, price, size int64) {
		if bid {
			linearBids.set(price, size)
		} else {
			linearAsks.set(price, size)
		}
	}, func() {
		linearBids.levels, linearAsks.levels = linearBids.levels[:0], linearAsks.levels[:0]
	})
	mapBids, mapAsks := slowSide{true, map[int64]int64{}}, slowSide{false, map[int64]int64{}}
	sides("map, not even sorted", func(bid bool, price, size int64) {
		if bid {
			mapBids.set(price, size)
		} else {
			mapAsks.set(price, size)
		}
	}, func() {
		clear(mapBids.sizes)
		clear(mapAsks.sizes)
	})
}

// plainSide keeps the best level first, so that changes near it move the rest.
type plainSide struct {
	bids   bool
	levels []tick.Level
}

func (s *plainSide) set(price, size int64) {
	i, found := slices.BinarySearchFunc(s.levels, price, func(l tick.Level, price int64) int {
		if s.bids {
			return int(price - l.Price)
		}
		return int(l.Price - price)
	})
	s.levels = put(s.levels, i, found, price, size)
}

// linearSide looks from the best level on.
type linearSide struct {
	bids   bool
	levels []tick.Level
}

func (s *linearSide) set(price, size int64) {
	i := 0
	for i < len(s.levels) && s.levels[i].Price != price && (s.levels[i].Price > price) == s.bids {
		i++
	}
	s.levels = put(s.levels, i, i < len(s.levels) && s.levels[i].Price == price, price, size)
}

func put(levels []tick.Level, i int, found bool, price, size int64) []tick.Level {
	switch {
	case found && size != 0:
		levels[i].Size = size
	case found:
		return slices.Delete(levels, i, i+1)
	case size != 0:
		return slices.Insert(levels, i, tick.Level{Price: price, Size: size})
	}
	return levels
}

func BenchmarkChecksum(b *testing.B) {
	book := New()
	depth := recordedDepth(b)
	book.Apply(tick.Levels(depth.snapshot), int(depth.snapshot[0].Depth().Bids))
	for _, rule := range []struct {
		name string
		tick.SyncRule
	}{
		{"Kraken top 10", krakenRule(0)(&wireBook{bids: []wireLevel{{"1.00000", "1.00000000"}}})},
		{"OKX top 25", okxRule(nil)},
	} {
		b.Run(rule.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Checksum(&book, rule.SyncRule, 2, 8)
			}
		})
	}
}
