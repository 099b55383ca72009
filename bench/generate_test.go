package bench

import (
	"bytes"
	"testing"

	"tickproc/engine"
	"tickproc/feeds/venues"
	"tickproc/tick"
)

// The same recipe gives the same bytes.
func TestGeneratedSessionsRepeat(t *testing.T) {
	t.Parallel()
	make := func() *Session {
		s, err := Generate(Recipe{Venue: "binance-spot", Frames: 2000})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a, b := make(), make()
	if len(a.Records) != len(b.Records) || a.Frames < 2000 {
		t.Fatalf("%d and %d records, %d frames", len(a.Records), len(b.Records), a.Frames)
	}
	for i := range a.Records {
		if a.Records[i].At != b.Records[i].At || a.Records[i].URL != b.Records[i].URL || !bytes.Equal(a.Records[i].Payload, b.Records[i].Payload) {
			t.Fatalf("record %d differs:\n%s\n%s", i, a.Records[i].Payload, b.Records[i].Payload)
		}
	}
}

// Every venue's session decodes, its books are the venue's, and its trades are
// counted: twice round.
func TestGeneratedSessionsStand(t *testing.T) {
	t.Parallel()
	for _, venue := range venues.Names() {
		t.Run(venue, func(t *testing.T) {
			t.Parallel()
			s, err := Generate(Recipe{Venue: venue, Frames: 3000, Symbols: 1})
			if err != nil {
				t.Fatal(err)
			}
			l, opening := s.Open()
			shard := engine.NewShard(shardOptions())
			shard.Apply(opening)
			for i := range s.Records {
				shard.Apply(l.Decode(&s.Records[i]))
				shard.TakeRows()
				shard.TakeCommands()
			}
			if err := stands(shard, tick.ChannelTrades|tick.ChannelDepth); err != nil {
				t.Error(err)
			}
			if r := shard.Reports(1)[0]; r.Depth.Gaps > 0 || r.BidLevels < 10 {
				t.Errorf("%d gaps, %d bids", r.Depth.Gaps, r.BidLevels)
			}
		})
	}
}

// Generated frames of depth have about the levels and bytes of recorded ones.
func TestGeneratedDepthIsLikeRecorded(t *testing.T) {
	t.Parallel()
	f := func(venue string, levelsMin, levelsMax, bytesMin, bytesMax int) {
		t.Helper()
		r := &Run{sessions: map[Recipe]*Session{}}
		frames, err := r.Frames(venue, tick.ChannelDepth)
		if err != nil {
			t.Fatal(err)
		}
		levels, bytes := frames.Levels/len(frames.Records), frames.Bytes/len(frames.Records)
		if levels < levelsMin || levels > levelsMax || bytes < bytesMin || bytes > bytesMax {
			t.Errorf("%s: %s", venue, frames)
		}
	}
	// Recorded means: 36 levels and 1,286 bytes, 68 and 1,598, 11 and 382.
	f("binance-spot", 30, 45, 1100, 1600)
	f("binance-usdm", 55, 80, 1300, 2000)
	f("binance-coinm", 9, 15, 320, 480)
}

// Books keep their length while they are changed, and most changes are near the
// best price.
func TestBookOps(t *testing.T) {
	t.Parallel()
	for _, levels := range []int{400, 5000} {
		begin, ops := BookOps(levels)
		book := map[BookOp]bool{} // Size 0: only side and price
		for _, op := range begin {
			book[BookOp{Price: op.Price, Bid: op.Bid}] = true
		}
		if len(book) != 2*levels {
			t.Fatalf("%d levels at the beginning, want %d", len(book), 2*levels)
		}
		near, removed := 0, 0
		for _, op := range ops {
			key := BookOp{Price: op.Price, Bid: op.Bid}
			if op.Size == 0 {
				removed++
				delete(book, key)
			} else {
				book[key] = true
			}
			if op.Bid == (op.Price >= bookMiddle) {
				t.Fatalf("%+v crosses the middle", op)
			}
			if d := op.Price - bookMiddle; d < 7 && d >= -7 {
				near++
			}
		}
		if n := len(book); n < levels*2*7/10 {
			t.Errorf("%d of %d levels are left", n, 2*levels)
		}
		if near < len(ops)*3/10 || removed < len(ops)/10 {
			t.Errorf("of %d changes %d were near the best price and %d removals", len(ops), near, removed)
		}
	}
}
