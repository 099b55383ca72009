package engine

import (
	"time"

	"tickproc/tick"
)

// takeOrdinary takes a trade of which nothing follows but its row, and that the
// sums that are held back grow: the next id, from the only line, within the room
// of all bars and windows. Nearly every trade is one. It reports whether it was;
// of any other it has changed nothing that onTrade would not change likewise, and
// onTrade takes it as it would take this one, with the same outcome.
//
// What else could act on an ordinary trade cannot: nothing is owed to the feed
// (idle), the group of a consolidated quote hears of no trades, and the deadlines
// move only with the estimate of the venue's clock.
//
// hot: per trade, 0 allocs.
func (in *instrument) takeOrdinary(t *tick.Trade) bool {
	const special = tick.FlagBackfill | tick.FlagNotMarket | tick.FlagFetched
	s, c, ids := in.shard, &in.channels[tradesIndex], &in.ids
	if t.Flags&special != 0 || !in.firsts[tradesIndex].alone(t.Line) || c.gap.open {
		return false
	}
	window := int64(s.options.ClockWindow)
	if uint64(t.ExchangeNanos-t.ReceiveNanos+window) > uint64(2*window) || t.ExchangeNanos == 0 {
		return false
	}
	ts := in.cut(t.ExchangeNanos)
	if !in.gathered.Has(ts) {
		return false
	}
	earlier := in.offset.raise(t.ExchangeNanos, t.ReceiveNanos)
	if in.venueNow()-ts > int64(s.options.Lateness) {
		return false
	}
	order := t.ID
	switch {
	case !ids.contiguous:
		if !ids.recent.add(t.ID) {
			return false
		}
		if in.def.TradeIDs == tick.TradeIDUUID {
			order = tick.ID{Lo: in.counts.Trades + 1}
		}
	case !ids.any || t.ID.Lo != ids.highest+1:
		return false
	default:
		ids.highest++
	}
	c.lastTs = max(c.lastTs, ts)
	in.counts.Trades++
	s.rows = append(s.rows, tick.Unit{})
	r := s.rows[len(s.rows)-1].TradeRow()
	r.RowHeader = tick.RowHeader{Kind: tick.RowTrade, Flags: tradeFlags(t.Flags), PriceDigits: in.priceDigits, SizeDigits: in.sizeDigits,
		Instrument: t.Instrument, Source: tick.TimeExchange, TsNanos: ts, ReceiveNanos: t.ReceiveNanos}
	r.ID, r.Price, r.Size = t.ID, t.Price, t.Size
	in.gathered.Take(ts, order, t.Price, t.Size, t.Flags&tick.FlagSell != 0)
	if earlier {
		s.hasten(in)
	}
	return true
}

// tradesIndex is the place of the trades' channel.
const tradesIndex = 0

var _ = [1]struct{}{}[tick.ChannelTrades^1<<tradesIndex]

// tradeFlags are those of the row of a trade that is in time. Which side it was
// nobody can guess, so that a branch would cost more than the rest of the row.
func tradeFlags(f tick.Flags) tick.RowFlags { return tick.RowFlags(f & tick.FlagSell) }

// Both are the same bit.
var _ = [1]struct{}{}[tick.RowSell^tick.RowFlags(tick.FlagSell)]

// cut cuts a venue's time to the resolution of its trades.
func (in *instrument) cut(ts int64) int64 {
	switch in.def.TradeResolution {
	case 0, time.Nanosecond:
		return ts
	case time.Millisecond: // by a constant, which the compiler makes a multiplication
		return ts - ts%int64(time.Millisecond)
	}
	return ts - ts%int64(in.def.TradeResolution)
}
