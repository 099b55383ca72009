package shm

import (
	"tickproc/tick"
	"tickproc/writer/shm/layout"
)

// Rows publishes what the shard said: rows of tables, catalog packets, and what
// only followers are told. The book's samples are left out: who follows has the
// book, who does not its image.
//
// hot: per batch, 0 allocs
func (r *Ring) Rows(rows []tick.Unit) {
	for len(rows) > 0 {
		n := tick.PacketUnits(&rows[0])
		r.row(rows[:n])
		rows = rows[n:]
	}
}

func (r *Ring) row(row []tick.Unit) {
	u := &row[0]
	m := &r.message
	switch u.KindOf() {
	case tick.RowTrade:
		x := u.TradeRow()
		flags := either(x.Flags, tick.RowSell, layout.FlagSell) | either(x.Flags, tick.RowLate, layout.FlagLate)
		r.head(layout.KindTrade, flags, &x.RowHeader)
		m[3], m[4], m[5], m[6] = uint64(x.Price), uint64(x.Size), x.ID.Lo, x.ID.Hi
		r.put(7)
		r.noteTrade(x.Instrument, x.TsNanos)
	case tick.RowQuote:
		x := u.QuoteRow()
		flags := either(x.Flags, tick.RowValid, layout.FlagValid) | either(x.Flags, tick.RowFromBook, layout.FlagBook)
		r.head(layout.KindQuote, flags, &x.RowHeader)
		m[3], m[4], m[5], m[6] = uint64(x.Bid), uint64(x.BidSize), uint64(x.Ask), uint64(x.AskSize)
		r.put(7)
		r.noteQuote(x.Instrument)
	case tick.RowDepth:
		r.depth(u.BookRow(), tick.RowLevels(row))
	case tick.RowValidity:
		x := u.ValidityRow()
		r.head(layout.KindValidity, either(x.Flags, tick.RowValid, layout.FlagValid), &x.RowHeader)
		m[3] = uint64(x.Reason)
		r.put(4)
	case tick.RowBar:
		x := u.BarRow()
		r.head(layout.KindBar, settled(x.Flags), &x.RowHeader)
		m[3] = uint64(x.IntervalNanos)
		m[4], m[5], m[6], m[7] = uint64(x.Open), uint64(x.High), uint64(x.Low), uint64(x.Close)
		wide(m[8:], x.Volume, x.Notional, x.BuyVolume, x.SellVolume, x.InverseBase)
		m[18], m[19] = x.Trades, uint64(x.Rev)
		r.put(20)
	case tick.RowWindow:
		x := u.WindowRow()
		r.head(layout.KindWindow, settled(x.Flags), &x.RowHeader)
		m[3], m[4] = uint64(x.SpanNanos), uint64(x.StepNanos)
		wide(m[5:], x.Volume, x.Notional)
		m[9], m[10] = x.Trades, uint64(x.Rev)
		r.put(11)
	case tick.RowGap:
		x := u.GapRow()
		r.head(layout.KindGap, either(x.Flags, tick.RowRepaired, layout.FlagRepair), &x.RowHeader)
		m[3], m[4] = uint64(x.EndNanos), uint64(x.Lost)
		m[5] = uint64(x.Channel) | uint64(x.Reason)<<8 | uint64(x.Backfill)<<16 | uint64(x.Ord)<<32
		r.put(6)
	case tick.RowNbbo:
		x := u.NbboRow()
		flags := either(x.Flags, tick.RowValid, layout.FlagValid) | either(x.Flags, tick.RowCrossed, layout.FlagCross)
		r.head(layout.KindNbbo, flags, &x.RowHeader)
		m[3], m[4], m[5], m[6] = uint64(x.Bid), uint64(x.BidSize), uint64(x.Ask), uint64(x.AskSize)
		m[7] = uint64(x.BidInstrument) | uint64(x.AskInstrument)<<32
		m[8] = uint64(x.Venues) | uint64(x.BidDigits)<<16 | uint64(x.BidSizeDigits)<<24 | uint64(x.AskDigits)<<32 | uint64(x.AskSizeDigits)<<40
		r.put(9)
	case tick.RowFunding:
		x := u.FundingRow()
		r.head(layout.KindFunding, 0, &x.RowHeader)
		m[3], m[4], m[5], m[6] = uint64(x.Mark), uint64(x.Index), uint64(x.Rate), uint64(x.NextFundingNanos)
		m[7] = uint64(x.MarkDigits) | uint64(x.IndexDigits)<<8 | uint64(x.RateDigits)<<16
		r.put(8)
	case tick.RowOpenInterest:
		x := u.OpenInterestRow()
		r.head(layout.KindOpenInterest, 0, &x.RowHeader)
		m[3] = uint64(x.Size)
		r.put(4)
	case tick.RowLiquidation:
		x := u.TradeRow()
		r.head(layout.KindLiquidation, either(x.Flags, tick.RowSell, layout.FlagSell), &x.RowHeader)
		m[3], m[4] = uint64(x.Price), uint64(x.Size)
		r.put(5)
	case tick.RowStatus:
		x := u.StatusRow()
		r.head(layout.KindStatus, 0, &x.RowHeader)
		m[3] = uint64(x.State) | uint64(x.Before)<<8
		r.put(4)
	case tick.KindCatalog:
		r.instrument(u.Catalog())
	}
}

// head makes the words that open every message.
func (r *Ring) head(k layout.Kind, flags uint8, h *tick.RowHeader) {
	m := &r.message
	m[0] = layout.Head(k, flags|uint8(h.Source), h.PriceDigits, h.SizeDigits, h.Instrument)
	m[1], m[2] = uint64(h.TsNanos), uint64(h.ReceiveNanos)
}

// depth publishes levels, in several messages where one does not take them.
func (r *Ring) depth(x *tick.BookRow, levels []tick.Level) {
	m := &r.message
	flags := either(x.Flags, tick.RowWhole, layout.FlagWhole)
	for bids, first := int(x.Bids), true; first || len(levels) > 0; first = false {
		n := min(len(levels), layout.DepthLevelsMax)
		more := either(x.Flags, tick.RowMore, layout.FlagMore)
		if n < len(levels) {
			more = layout.FlagMore
		}
		r.head(layout.KindDepth, flags|more, &x.RowHeader)
		m[3] = x.Seq
		m[4] = uint64(min(n, bids)) | uint64(n)<<16
		putLevels(m[layout.DepthHeadWords:], levels[:n])
		r.put(layout.DepthHeadWords + 2*n)
		levels, bids, flags = levels[n:], bids-min(n, bids), 0
	}
}

func (r *Ring) instrument(c *tick.Catalog) {
	in := c.Definition()
	r.define(&in)
	r.message[0] = layout.Head(layout.KindInstrument, uint8(tick.TimeReceive), in.PriceDigits, in.SizeDigits, in.ID)
	r.message[1], r.message[2] = uint64(c.ReceiveNanos), uint64(c.ReceiveNanos)
	r.message[3] = uint64(in.State) | uint64(in.Channels)<<8
	r.put(4)
}

// either is the flag of a message where the row has its own.
func either(flags, has tick.RowFlags, flag uint8) uint8 {
	if flags&has != 0 {
		return flag
	}
	return 0
}

func settled(flags tick.RowFlags) uint8 {
	return either(flags, tick.RowFinal, layout.FlagFinal) | either(flags, tick.RowComplete, layout.FlagComplete)
}

// wide writes 128-bit integers, the low half first.
func wide(to []uint64, all ...tick.Int128) {
	for i, x := range all {
		to[2*i], to[2*i+1] = x.Lo, uint64(x.Hi)
	}
}
