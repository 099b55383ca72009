package engine

import (
	"testing"
	"time"

	"tickproc/indicators"
	"tickproc/tick"
)

// Whatever well-formed packets come, in whatever order: nothing breaks, rows
// are of known kinds and have a time, and the state can be told. A shard that
// takes nothing as ordinary says the same.
func FuzzShard(f *testing.F) {
	f.Add([]byte{})
	// A book that begins, breaks and begins again; trades that jump; a rescale.
	f.Add([]byte{
		5, 4, 0, 0, 3, 0, 1, 9, 2, 0, 0, 9, 3, 0, 1, 9, 3, 0, 5, 9, 1, 0, 3, 1, 1, 0, 9, 1, 0, 0, 7, 200, 7, 1, 2, 1,
		1, 0, 5, 1, 6, 2, 0, 5, 5, 2, 9, 0, 2, 0, 2, 9, 9, 0, 9, 9, 8, 0, 0, 200, 4, 0, 77, 3, 4, 1, 78, 3, 0, 0, 9, 255})
	f.Fuzz(fuzzShard)
}

func fuzzShard(t *testing.T, story []byte) {
	if len(story) > 4*500 {
		t.Skip("long")
	}
	options := Options{Intervals: full.Intervals[:2], Windows: []indicators.WindowSpec{{Span: 3 * time.Second}, {}}, Lateness: 3 * time.Second, Silence: 5 * time.Second,
		Nbbo: true, NbboStale: 2 * time.Second}
	s, long := NewShard(options), NewShard(options)
	now := midnight
	s.Apply(fuzzCatalog(now))
	long.Apply(fuzzCatalog(now))
	for ; len(story) >= 4; story = story[4:] {
		p := anyPacket(story, &now, len(fuzzRules))
		s.Apply(p)
		long.theLongWay(p)
		rows, commands := len(s.rows), len(s.commands)
		s.mustBeLike(t, long, p)
		s.rows, s.commands = s.rows[:rows], s.commands[:commands] // taken once more below
		for _, units := range [][]tick.Unit{s.TakeRows(), s.TakeCommands()} {
			eachRow(units, func(row []tick.Unit) { checkRow(t, row) })
		}
	}
	if s.StateHash() != long.StateHash() {
		t.Error("the long way leads to another state")
	}
	s.Finish()
	s.StateHash()
	if due := s.NextDeadline(); due < s.Now() {
		t.Errorf("a deadline at %d is over at %d", due, s.Now())
	}
}

var fuzzRules = []string{"spot", "futures", "streamed", "images", "linked", "plain"}

// fuzzCatalog is an instrument of every rule, in two groups.
func fuzzCatalog(now int64) (tape []tick.Unit) {
	for id, name := range fuzzRules {
		def := define(uint32(id), name)
		def.Sync = rules[name]
		def.TradeIDs = tick.TradeIDKind(id % 3)
		def.Inverse = id == 1
		def.Base = fuzzRules[id%2]
		if id > 1 {
			def.Channels |= tick.ChannelFunding | tick.ChannelOpenInterest | tick.ChannelLiquidations
		}
		tape, _ = tick.AppendCatalog(tape, tick.Header{ReceiveNanos: now}, def)
	}
	return tape
}

func checkRow(t *testing.T, row []tick.Unit) {
	k := row[0].KindOf()
	switch {
	case k == tick.KindCatalog:
		return
	case k < tick.RowTrade || k > tick.RowNbbo || k == tick.RowHealth:
		t.Fatalf("a row of kind %d", k)
	case row[0].RowHeader().TsNanos == 0 || k != tick.CmdResync && row[0].RowHeader().ReceiveNanos == 0:
		t.Fatalf("a row without a time: %s", rowText(row, ""))
	}
	if k == tick.RowBook && row[0].RowHeader().Flags&tick.RowValid != 0 {
		b, levels := row[0].BookRow(), tick.RowLevels(row)
		if b.Bids > 0 && int(b.Bids) < len(levels) && levels[0].Price >= levels[b.Bids].Price {
			t.Fatalf("a crossed book is shown: %s", rowText(row, ""))
		}
	}
}

// anyPacket makes a packet of four bytes: what, of whom, a number, and how much
// later; times now and then go back or mean nothing.
func anyPacket(code []byte, now *int64, instruments int) []tick.Unit {
	what, who, n, later := code[0], code[1], uint64(code[2]), int64(code[3])
	*now += later * later * 1e6
	h := tick.Header{Line: uint16(who >> 2 & 3), Instrument: uint32(int(who) % instruments), ReceiveNanos: *now, ExchangeNanos: *now - int64(what)*1e6}
	switch who >> 5 {
	case 1:
		h.ExchangeNanos = 0
	case 2:
		h.ExchangeNanos = int64(n) << 55
	case 3:
		h.ReceiveNanos -= int64(n) * 1e8
	case 4:
		h.Flags |= tick.FlagBackfill
	case 5:
		h.Flags |= tick.FlagNotMarket | tick.FlagSell
	}
	level := func(i uint64) tick.Level {
		return tick.Level{Price: 100 + int64(n+i)%13, Size: int64(n+3*i) % 5}
	}
	switch what % 16 {
	case 0:
		return tickPacket(*now)
	case 1:
		l := level(1)
		l.Size++
		return tradePacket(h, n, l)
	case 2:
		return depthPacket(h, tick.KindSnapshot, n, n, n%3, []tick.Level{{Price: 99, Size: 1}}, []tick.Level{{Price: 110, Size: 1}, level(2)})
	case 3:
		return depthPacket(h, tick.KindDepth, n, n+uint64(what>>6), n-1, []tick.Level{level(0), level(1)}, []tick.Level{{Price: 107 + int64(n%3), Size: 2}})
	case 4:
		return depthPacket(h, tick.KindQuote, n, n, 0, []tick.Level{level(0)}, []tick.Level{level(7)})
	case 5:
		h.Kind = tick.KindUp
		return tick.AppendEvent(nil, h, tick.AllChannels[n%uint64(tick.ChannelCount)], 0)
	case 6:
		h.Kind = tick.KindDown
		return tick.AppendEvent(nil, h, tick.AllChannels[n%uint64(tick.ChannelCount)], tick.ReasonDisconnect)
	case 7:
		h.Kind = tick.KindGap
		return tick.AppendEvent(nil, h, tick.AllChannels[n%uint64(tick.ChannelCount)], tick.ReasonOverload)
	case 8:
		return tick.AppendRescale(nil, h, uint8(n%(tick.MaxDigits+1)), uint8(n>>4%(tick.MaxDigits+1)))
	case 9: // in pieces, of which the last may never come
		p := depthPacket(h, tick.KindDepth, n, n, n-1, []tick.Level{level(0)}, nil)
		p[0].Header().Flags &^= [...]tick.Flags{tick.FlagLast, tick.FlagFirst, tick.FlagFirst | tick.FlagLast}[n%3]
		return p
	case 10:
		var u tick.Unit
		h.Kind, h.ReceiveNanos = tick.KindClockStep, *now-5e9
		u.ClockStep().Header, u.ClockStep().FromNanos = h, *now
		*now -= 5e9
		return []tick.Unit{u}
	case 11:
		var u tick.Unit
		h.Kind = tick.KindMark
		*u.Mark() = tick.Mark{Header: h, Mark: int64(n) << (what & 48), Index: tick.Absent, FundingRate: -int64(n), PriceDigits: what % (tick.MaxDigits + 1)}
		return []tick.Unit{u}
	case 12:
		var u tick.Unit
		h.Kind = tick.KindOpenInterest
		*u.OpenInterest() = tick.OpenInterest{Header: h, Size: int64(n), SizeDigits: what % (tick.MaxDigits + 1)}
		return []tick.Unit{u}
	case 13:
		p := tradePacket(h, 0, level(2))
		p[0].Header().Kind = tick.KindLiquidation
		return p
	case 14:
		var u tick.Unit
		h.Kind = tick.KindStatus
		*u.Status() = tick.Status{Header: h, State: tick.State(n % 7)}
		return []tick.Unit{u}
	default: // much at once
		l := tick.Level{Price: 100, Size: int64(n) << 54}
		return tradePacket(h, n<<33, l)
	}
}
