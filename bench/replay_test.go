package bench

import (
	"context"
	"log/slog"
	"testing"

	"tickproc/engine"
	"tickproc/pipeline"
	"tickproc/ringbuf"
	"tickproc/tick"
)

// BenchmarkReplay is the whole path of a session, from frames in memory to
// rows, which are discarded: on one goroutine, on two with a ring between, and
// on two as one would write it in plain Go; then what the product's replay
// does with the compressed file. Each lap begins with nothing, so that the
// growth of books and buffers is counted.
func BenchmarkReplay(b *testing.B) {
	b.Run("direct", func(b *testing.B) {
		eachSession(b, func(b *testing.B, s *Session) { benchmarkReplay(b, s, replayDirect) })
	})
	b.Run("ring", func(b *testing.B) {
		eachSession(b, func(b *testing.B, s *Session) { benchmarkReplay(b, s, replayRing) })
	})
	b.Run("plain", func(b *testing.B) {
		eachSession(b, func(b *testing.B, s *Session) {
			m := startMeter(b, s.Bytes)
			for b.Loop() {
				replayPlain(s)
			}
			m.stop(s.Frames, "frame")
		})
	})
	b.Run("file", func(b *testing.B) {
		eachSession(b, func(b *testing.B, s *Session) {
			if s.path == "" {
				b.Skip("a generated session has no file")
			}
			options := pipeline.ReplayOptions{Files: []string{s.path}, Config: pipeline.DefaultConfig(), Logger: slog.New(slog.DiscardHandler)}
			m := startMeter(b, s.Bytes)
			for b.Loop() {
				report, err := pipeline.Replay(context.Background(), options)
				if err != nil || report.Frames != uint64(s.Frames) || !report.Instruments[0].Valid {
					b.Fatalf("%v: %+v", err, report)
				}
			}
			m.stop(s.Frames, "frame")
		})
	})
}

func benchmarkReplay(b *testing.B, s *Session, replay func(*Session) *engine.Shard) {
	var shard *engine.Shard
	m := startMeter(b, s.Bytes)
	for b.Loop() {
		shard = replay(s)
	}
	m.stop(s.Frames, "frame")
	mustStand(b, shard)
}

func replayDirect(s *Session) *engine.Shard {
	shard := engine.NewShard(shardOptions())
	l, opening := s.Open()
	shard.Apply(opening)
	for i := range s.Records {
		shard.Apply(l.Decode(&s.Records[i]))
		shard.TakeRows()
		shard.TakeCommands()
	}
	return shard
}

func replayRing(s *Session) *engine.Shard {
	ring, waker := ringbuf.New(ringUnits), ringbuf.NewWaker(ringbuf.Auto)
	ring.SetWaker(waker)
	go func() {
		l, opening := s.Open()
		send(ring, opening)
		for i := range s.Records {
			send(ring, l.Decode(&s.Records[i]))
			if i%publishEvery == 0 {
				ring.Publish()
			}
		}
		ring.Close()
	}()
	shard := engine.NewShard(shardOptions())
	receive(ring, waker, func(batch []tick.Unit) {
		shard.Apply(batch)
		shard.TakeRows()
		shard.TakeCommands()
	})
	return shard
}

// mustStand fails unless every book is the venue's, and nothing was lost: the
// figures of a replay that drops its input are worth nothing.
func mustStand(t testing.TB, shard *engine.Shard) {
	t.Helper()
	for _, r := range shard.Reports(1) {
		if !r.Valid || r.Depth.Gaps > 0 || r.TopDiffers > 0 || r.Depth.Applied == 0 || r.Counts.Trades == 0 || r.TopAgrees == 0 {
			t.Errorf("%s: valid %v (%v), %d trades, %d top agrees, %d differs, %+v",
				r.Instrument.Symbol, r.Valid, r.Reason, r.Counts.Trades, r.TopAgrees, r.TopDiffers, r.Depth)
		}
	}
}

// Every path through a session leads to the same books, and a ring between
// changes nothing at all.
func TestPathsAgree(t *testing.T) {
	t.Parallel()
	eachSession(t, func(t *testing.T, s *Session) {
		direct, ring, plain := replayDirect(s), replayRing(s), replayPlain(s)
		mustStand(t, direct)
		if direct.StateHash() != ring.StateHash() {
			t.Error("the ring changed the state")
		}
		reports := direct.Reports(1)
		if len(reports) != len(plain.books) {
			t.Fatalf("%d instruments, in the plain stack %d", len(reports), len(plain.books))
		}
		for _, r := range reports {
			x := plain.books[r.Instrument.Symbol]
			if x.applied != r.Depth.Applied || x.trades != r.Counts.Trades || len(x.bids) != r.BidLevels || len(x.asks) != r.AskLevels {
				t.Errorf("%s: plain: %d applied, %d trades, %d bids, %d asks; shard: %+v", r.Instrument.Symbol, x.applied, x.trades, len(x.bids), len(x.asks), r)
			}
			bid := tick.Number{Mantissa: r.Bids[0].Price, Digits: r.PriceDigits}.Decimal()
			if !x.bids[0][0].Equal(bid) {
				t.Errorf("%s: plain: best bid %v, shard %v", r.Instrument.Symbol, x.bids[0][0], bid)
			}
		}
	})
}
