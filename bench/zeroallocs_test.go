package bench

import (
	"slices"
	"testing"
	"time"

	"tickproc/engine"
	"tickproc/ringbuf"
	"tickproc/tick"
)

// The composed path allocates nothing over a whole session once it has been
// through one: decoding, the ring, the shard with all its indicators, rows,
// and the loss and resynchronisation of books where one lap ends and the next
// begins.
func TestComposedPathZeroAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	eachSession(t, func(t *testing.T, s *session) {
		l, opening := s.open()
		ring, shard := ringbuf.New(ringUnits), engine.NewShard(shardOptions())
		shard.Apply(opening)
		shift := s.shift()
		// A REST answer is rare, and what it allocates does not matter: after the
		// first lap each is a copy, at the scale that the session ends with.
		answers, settled := map[int][]tick.Unit{}, s.settled()
		for i := range s.records {
			if s.records[i].url != "" {
				answers[i] = slices.Clone(settled.decode(&s.records[i]))
			}
		}
		var copied []tick.Unit
		lap := 0
		run := func() {
			for i := range s.records {
				var packets []tick.Unit
				if lap > 0 && s.records[i].url != "" {
					copied = append(copied[:0], answers[i]...)
					packets = copied
				} else {
					packets = l.decode(&s.records[i])
				}
				shift.apply(packets, lap)
				send(ring, packets)
				ring.Publish()
				batch := ring.Poll()
				shard.Apply(batch)
				shard.TakeRows()
				shard.TakeCommands()
				ring.Release(len(batch))
			}
			lap++
		}
		run() // with AllocsPerRun's own, two laps to grow in
		// One counted run, so that no allocation is lost in an average.
		if n := testing.AllocsPerRun(1, run); n != 0 {
			t.Errorf("%v allocations in %d records", n, len(s.records))
		}
		once := replayDirect(s).Reports(1)
		for i, r := range shard.Reports(1) {
			if !r.Valid || r.TopDiffers > 0 || r.Counts.Trades != 3*once[i].Counts.Trades || r.Depth.Applied != 3*once[i].Depth.Applied {
				t.Errorf("%s: three laps are not three times one: %+v", r.Instrument.Symbol, r)
			}
		}
	})
}

// lapShift makes packets of one lap those of a later one: the times go on, the
// trades' ids too, and those of books jump, as after an outage.
type lapShift struct {
	nanos  int64
	trades []uint64 // ids in a lap, by instrument
	books  uint64
}

func (s *session) shift() lapShift {
	shift := lapShift{nanos: s.records[len(s.records)-1].at.ReceiveNanos - s.records[0].at.ReceiveNanos + int64(time.Second)}
	var first []uint64
	for _, packets := range s.packets() {
		for ; len(packets) > 0; packets = packets[tick.PacketUnits(&packets[0]):] {
			if packets[0].KindOf() != tick.KindTrade {
				if packets[0].KindOf() == tick.KindDepth {
					shift.books = max(shift.books, packets[0].Depth().LastID)
				}
				continue
			}
			t := packets[0].Trade()
			for int(t.Instrument) >= len(first) {
				first, shift.trades = append(first, 0), append(shift.trades, 0)
			}
			if first[t.Instrument] == 0 {
				first[t.Instrument] = t.ID.Lo
			}
			shift.trades[t.Instrument] = t.ID.Lo - first[t.Instrument] + 1
		}
	}
	return shift
}

func (x *lapShift) apply(packets []tick.Unit, lap int) {
	for ; len(packets) > 0; packets = packets[tick.PacketUnits(&packets[0]):] {
		h := packets[0].Header()
		h.ReceiveNanos += int64(lap) * x.nanos
		if h.ExchangeNanos != 0 {
			h.ExchangeNanos += int64(lap) * x.nanos
		}
		switch h.Kind {
		case tick.KindTrade:
			packets[0].Trade().ID.Lo += uint64(lap) * x.trades[h.Instrument]
		case tick.KindDepth, tick.KindQuote, tick.KindSnapshot:
			d, by := packets[0].Depth(), uint64(lap)*x.books
			d.FirstID, d.LastID = d.FirstID+by, d.LastID+by
			if d.PrevID != 0 { // 0 is no id, and a snapshot's epoch
				d.PrevID += by
			}
		}
	}
}
