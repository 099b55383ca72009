package engine

import (
	"testing"

	"tickproc/tick"
)

// Line 1 leads by 3 ms, misses every tenth trade, and is alone before and
// after: only while there are two is anything compared.
func TestLineStats(t *testing.T) {
	t.Parallel()
	s := newStory(t, Options{}, "none")
	lines := s.shard.CountLines(3)
	s.tell("9.0 catalog BTC channels=trades+quotes+depth rule=streamed")
	at := midnight + 10e9
	trade := func(line uint16, id uint64, after int64) {
		h := tick.Header{Line: line, ReceiveNanos: at + after, ExchangeNanos: at}
		s.shard.Apply(tradePacket(h, id, tick.Level{Price: 100, Size: 1}))
		h.Kind = tick.KindQuote
		s.shard.Apply(depthPacket(h, tick.KindQuote, 0, 0, 0, []tick.Level{{Price: 99, Size: 1}}, []tick.Level{{Price: 101, Size: 1}}))
		s.shard.Apply(depthPacket(h, tick.KindDepth, 0, id, 0, nil, nil))
	}
	id := uint64(0)
	for range 10 {
		id++
		trade(1, id, 0)
		at += 1e9
	}
	s.tell("20.5 up BTC trades line=2\n20.5 up BTC quotes line=2\n20.5 up BTC depth line=2")
	at = midnight + 21e9
	for range 500 {
		id++
		if id%10 != 0 {
			trade(1, id, 0)
		}
		trade(2, id, 3e6)
		at += 1e9
	}
	if n := lines[1].First.Load(); n != 3*450 {
		t.Errorf("line 1 was first %d times", n)
	}
	if f, n := lines[2].First.Load(), lines[2].Second.Load(); f != 3*50 || n != 3*450 {
		t.Errorf("line 2 was first %d times, second %d times", f, n)
	}
	// What is still remembered may come yet.
	if n, want := lines[1].Missed.Load(), uint64(3*(50-leadMemory/10)); n < want-3 || n > want || lines[2].Missed.Load() != 0 {
		t.Errorf("line 1 missed %d, want about %d; line 2 missed %d", n, want, lines[2].Missed.Load())
	}
	if _, sum := lines[1].Lead.Snapshot(); sum != 3*450*3e6 {
		t.Errorf("line 1 leads by %d in all", sum)
	}
	if _, sum := lines[2].Lead.Snapshot(); sum != 0 {
		t.Errorf("line 2 leads by %d", sum)
	}
	s.tell("1000.0 down BTC trades disconnect line=2\n1000.0 down BTC quotes disconnect line=2\n1000.0 down BTC depth disconnect line=2")
	before := lines[1].First.Load()
	at += 1000e9
	trade(1, id+1, 0)
	if lines[1].First.Load() != before {
		t.Error("a line alone is compared")
	}
}

// hot: two lines that carry the same, books by id and books of their own.
func TestTwoLinesZeroAllocs(t *testing.T) {
	skipUnderRace(t)
	for _, rule := range []string{"spot", "streamed", "linked", "plain", "images"} {
		shard := NewShard(full)
		shard.CountLines(3)
		def := define(0, "BTC")
		def.Sync = rules[rule]
		now := midnight
		p, _ := tick.AppendCatalog(nil, tick.Header{Line: 1, ReceiveNanos: now}, def)
		shard.Apply(p)
		bids, asks := []tick.Level{{Price: 99, Size: 1}}, []tick.Level{{Price: 101, Size: 1}}
		var trade, quote, depth [3][]tick.Unit
		for line := uint16(1); line <= 2; line++ {
			h := tick.Header{Line: line, ReceiveNanos: now, ExchangeNanos: now}
			trade[line] = tradePacket(h, 0, bids[0])
			quote[line] = depthPacket(h, tick.KindQuote, 0, 0, 0, bids, asks)
			depth[line] = depthPacket(h, tick.KindDepth, 0, 0, 0, bids, asks)
			h.Kind = tick.KindUp
			shard.Apply(tick.AppendEvent(nil, h, tick.ChannelDepth, 0))
			shard.Apply(depthPacket(h, tick.KindSnapshot, 0, 0, 0, bids, asks))
		}
		id := uint64(0)
		give := func(p []tick.Unit) {
			now += 1e5
			p[0].Header().ReceiveNanos = now
			shard.Apply(p)
			shard.TakeRows()
			shard.TakeCommands()
		}
		run := func() {
			id++
			for i := range uint16(2) {
				line := 1 + (i+uint16(id))%2
				trade[line][0].Trade().ID.Lo = id
				quote[line][0].Depth().LastID = id
				d := depth[line][0].Depth()
				d.FirstID, d.LastID, d.PrevID = id, id, id-1
				for _, p := range [][]tick.Unit{trade[line], quote[line], depth[line]} {
					p[0].Header().ExchangeNanos = midnight + int64(id)*6e5
					if id%5 == 0 && line == 1 && rule != "plain" {
						continue // lost
					}
					give(p)
				}
			}
		}
		for range 50_000 {
			run()
		}
		if n := testing.AllocsPerRun(5_000, run); n != 0 {
			t.Errorf("%s: %v allocations", rule, n)
		}
		if r := shard.Reports(0)[0]; !r.Valid || r.Depth.Gaps > 0 || r.Counts.Gaps != 3 || r.Counts.DuplicateTrades > 0 {
			t.Errorf("%s: not the stream it should be: %+v", rule, r)
		}
	}
}
