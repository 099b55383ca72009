package shm

import (
	"reflect"
	"testing"

	"tickproc/tick"
	"tickproc/writer/shm/layout"
	"tickproc/writer/shm/reader"
)

// Every row that a shard says comes out as it went in.
func TestMessages(t *testing.T) {
	t.Parallel()
	w := small(t, Options{})
	from := open(t, w.Dir()).Ring(0)
	m := &reader.Message{}
	publish := func(rows []tick.Unit) *reader.Message {
		t.Helper()
		if from.Next(m) {
			t.Fatalf("a %v that nobody asked for", m.Kind())
		}
		if w.Ring(0).Rows(rows); !from.Next(m) {
			t.Fatal("nothing came")
		}
		h := rows[0].RowHeader()
		if m.Instrument() != h.Instrument || m.Nanos() != h.TsNanos || m.ReceiveNanos() != h.ReceiveNanos || m.PriceDigits() != h.PriceDigits ||
			m.SizeDigits() != h.SizeDigits || m.Source() != uint8(h.Source) || m.Lost != 0 {
			t.Errorf("%v: header %x of %+v", m.Kind(), m.Words()[:3], *h)
		}
		return m
	}
	row := func(kind tick.Kind, flags tick.RowFlags) ([]tick.Unit, *tick.Unit) {
		rows, u := tick.NewRow(nil, kind)
		*u.RowHeader() = tick.RowHeader{Kind: kind, Flags: flags, PriceDigits: 3, SizeDigits: 7, Instrument: 1 << 31, Ord: 9, Source: tick.TimeEstimate, TsNanos: -5, ReceiveNanos: 1 << 62}
		return rows, u
	}
	f := func(what string, have, want any) {
		t.Helper()
		if !reflect.DeepEqual(have, want) {
			t.Errorf("%s: %+v, want %+v", what, have, want)
		}
	}
	wide := func(n int64) tick.Int128 { return tick.Mul64(n, 1<<62) }
	same := func(x tick.Int128) reader.Int128 { return reader.Int128{Lo: x.Lo, Hi: x.Hi} }

	rows, u := row(tick.RowTrade, tick.RowSell)
	u.TradeRow().ID, u.TradeRow().Price, u.TradeRow().Size = tick.ID{Hi: 1 << 63, Lo: 2}, 3, 4
	f("trade", publish(rows).Trade(), reader.Trade{Price: 3, Size: 4, ID: reader.Int128{Lo: 2, Hi: -1 << 63}, Sell: true})
	rows, u = row(tick.RowTrade, tick.RowLate)
	u.TradeRow().ID, u.TradeRow().Price, u.TradeRow().Size = tick.ID{Lo: 7}, 3, 4
	f("late trade", publish(rows).Trade(), reader.Trade{Price: 3, Size: 4, ID: reader.Int128{Lo: 7}, Late: true})

	rows, u = row(tick.RowQuote, tick.RowValid)
	q := u.QuoteRow()
	q.Bid, q.BidSize, q.Ask, q.AskSize = 1, 2, 3, 4
	f("quote", publish(rows).Quote(), reader.Quote{Bid: reader.Level{Price: 1, Size: 2}, Ask: reader.Level{Price: 3, Size: 4}, Valid: true})
	q.Flags = tick.RowFromBook
	f("quote of our book", publish(rows).Quote(), reader.Quote{Bid: reader.Level{Price: 1, Size: 2}, Ask: reader.Level{Price: 3, Size: 4}, FromBook: true})

	rows, u = row(tick.RowValidity, 0)
	u.ValidityRow().Reason = tick.ReasonChecksum
	valid, reason := publish(rows).Validity()
	f("validity", [2]any{valid, reason.String()}, [2]any{false, "checksum"})

	rows, u = row(tick.RowBar, tick.RowFinal|tick.RowComplete)
	b := u.BarRow()
	b.IntervalNanos, b.Open, b.High, b.Low, b.Close, b.Trades, b.Rev = 1e9, 2, 3, 4, 5, 6, 7
	b.Volume, b.Notional, b.BuyVolume, b.SellVolume, b.InverseBase = wide(1), wide(-2), wide(3), wide(4), wide(5)
	f("bar", publish(rows).Bar(), reader.Bar{IntervalNanos: 1e9, Open: 2, High: 3, Low: 4, Close: 5, Trades: 6, Rev: 7, Final: true, Complete: true,
		Volume: same(wide(1)), Notional: same(wide(-2)), BuyVolume: same(wide(3)), SellVolume: same(wide(4)), InverseBase: same(wide(5))})

	rows, u = row(tick.RowWindow, tick.RowFinal)
	x := u.WindowRow()
	x.SpanNanos, x.StepNanos, x.Volume, x.Notional, x.Trades, x.Rev = 1, 2, wide(3), wide(4), 5, 6
	f("window", publish(rows).Window(), reader.Window{SpanNanos: 1, StepNanos: 2, Volume: same(wide(3)), Notional: same(wide(4)), Trades: 5, Rev: 6, Final: true})

	rows, u = row(tick.RowGap, tick.RowRepaired)
	g := u.GapRow()
	g.EndNanos, g.Lost, g.Channel, g.Reason, g.Backfill = 8, -1, tick.ChannelDepth, tick.ReasonStale, tick.BackfillPartly
	f("gap", publish(rows).Gap(), reader.Gap{EndNanos: 8, Lost: -1, Channel: uint8(tick.ChannelDepth), Reason: reader.Reason(tick.ReasonStale), Backfill: uint8(tick.BackfillPartly), Ord: 9, Repaired: true})

	rows, u = row(tick.RowNbbo, tick.RowValid|tick.RowCrossed)
	n := u.NbboRow()
	n.Bid, n.BidSize, n.Ask, n.AskSize, n.BidInstrument, n.AskInstrument, n.Venues = 1, 2, 3, 4, 5, 6, 7
	n.BidDigits, n.BidSizeDigits, n.AskDigits, n.AskSizeDigits = 8, 9, 10, 11
	f("nbbo", publish(rows).Nbbo(), reader.Nbbo{Bid: reader.Level{Price: 1, Size: 2}, Ask: reader.Level{Price: 3, Size: 4}, BidInstrument: 5, AskInstrument: 6, Venues: 7,
		BidDigits: 8, BidSizeDigits: 9, AskDigits: 10, AskSizeDigits: 11, Valid: true, Crossed: true})

	rows, u = row(tick.RowFunding, 0)
	p := u.FundingRow()
	p.Mark, p.Index, p.Rate, p.NextFundingNanos, p.MarkDigits, p.IndexDigits, p.RateDigits = 1, tick.Absent, -3, 4, 5, 6, 7
	f("funding", publish(rows).Funding(), reader.Funding{Mark: 1, Index: reader.Absent, Rate: -3, NextNanos: 4, MarkDigits: 5, IndexDigits: 6, RateDigits: 7})

	rows, u = row(tick.RowOpenInterest, 0)
	u.OpenInterestRow().Size = 12
	f("open interest", publish(rows).OpenInterest(), int64(12))

	rows, u = row(tick.RowLiquidation, tick.RowSell)
	u.TradeRow().Price, u.TradeRow().Size = 3, 4
	f("liquidation", publish(rows).Trade(), reader.Trade{Price: 3, Size: 4, Sell: true})

	rows, u = row(tick.RowStatus, 0)
	u.StatusRow().State, u.StatusRow().Before = tick.StateHalted, tick.StateTrading
	state, before := publish(rows).Status()
	f("status", [2]string{state.String(), before.String()}, [2]string{"halted", "trading"})

	bids, asks := []tick.Level{{Price: 1, Size: 2}, {Price: 3, Size: 0}}, []tick.Level{{Price: 5, Size: 6}}
	rows = depth(1, 77, bids, asks)
	rows[0].BookRow().Flags = tick.RowWhole
	d := publish(rows).Depth()
	f("depth", d, reader.Depth{LastID: 77, Bids: 2, Levels: 3, Whole: true})
	f("level", m.Level(2), reader.Level{Price: 5, Size: 6})

	// Samples of a book, and where rows come from, are nobody's message.
	rows, _ = row(tick.RowBook, 0)
	w.Ring(0).Rows(rows)
	rows, _ = row(tick.RowPosition, 0)
	w.Ring(0).Rows(rows)
	if from.Next(m) {
		t.Errorf("a %v of a sample", m.Kind())
	}
}

// A book of more levels than a message takes comes in several, of which the
// first says to forget what was, and all but the last that there is more.
func TestDepthInSeveralMessages(t *testing.T) {
	t.Parallel()
	w := small(t, Options{RingBytes: 1 << 20})
	from := open(t, w.Dir()).Ring(0)
	for _, count := range []int{0, 1, layout.DepthLevelsMax, layout.DepthLevelsMax + 1, 4096} {
		for _, bids := range []int{0, count / 3, count} {
			var levels []tick.Level
			for i := range count {
				levels = append(levels, tick.Level{Price: int64(i), Size: int64(-i)})
			}
			rows := depth(0, 1, levels[:bids], levels[bids:])
			rows[0].BookRow().Flags = tick.RowWhole
			w.Ring(0).Rows(rows)
			var have []reader.Level
			haveBids, first := 0, true
			var m reader.Message
			for more := true; more; first = false {
				if !from.Next(&m) {
					t.Fatalf("%d levels: the last message is missing", count)
				}
				d := m.Depth()
				if d.Whole != first {
					t.Fatalf("%d levels: whole=%v", count, d.Whole)
				}
				for i := range d.Levels {
					have = append(have, m.Level(i))
				}
				haveBids, more = haveBids+d.Bids, d.More
			}
			if haveBids != bids || len(have) != count {
				t.Fatalf("%d bids of %d levels, want %d of %d", haveBids, len(have), bids, count)
			}
			for i, l := range have {
				if l.Price != levels[i].Price || l.Size != levels[i].Size {
					t.Fatalf("level %d: %v", i, l)
				}
			}
		}
	}
	// A row that goes on in the next one.
	rows := depth(0, 1, make([]tick.Level, 3), nil)
	rows[0].BookRow().Flags = tick.RowMore
	w.Ring(0).Rows(rows)
	var m reader.Message
	if !from.Next(&m) || !m.Depth().More || m.Depth().Whole {
		t.Error("a row that goes on ended")
	}
}

// Names that the reader gives are those of package tick.
func TestNames(t *testing.T) {
	t.Parallel()
	for i := range 256 {
		for _, x := range [][2]string{{tick.Reason(i).String(), reader.Reason(i).String()}, {tick.State(i).String(), reader.State(i).String()},
			{tick.Backfill(i).String(), reader.BackfillName(uint8(i))}} {
			if x[0] != x[1] {
				t.Errorf("%d: %q in package tick, %q in the reader", i, x[0], x[1])
			}
		}
	}
	for _, c := range tick.AllChannels {
		if reader.ChannelName(uint8(c)) != c.String() {
			t.Errorf("channel %v is %s in the reader", c, reader.ChannelName(uint8(c)))
		}
	}
	for x := tick.TypeSpot; x <= tick.TypeOption; x++ {
		if reader.InstrumentType(x).String() != x.String() {
			t.Errorf("type %v is %v in the reader", x, reader.InstrumentType(x))
		}
	}
}
