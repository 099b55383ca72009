package sim

import (
	"time"

	"tickproc/tick"
)

const (
	referenceEvery = time.Second // mark and index prices
	interestEvery  = 5           // of these, one with a new open interest
	liquidations   = 12          // of these, one with a liquidation
	markDigits     = 2           // that reference prices have beyond PriceDigits
	rateDigits     = 8
)

// beginReference sets the first mark price, funding and open interest of a
// derivative.
func (in *Instrument) beginReference(now int64) {
	in.referenceNanos = never
	if in.Type == tick.TypeSpot || in.Type == tick.TypeOption {
		return
	}
	if in.FundingEvery == 0 {
		in.FundingEvery = 8 * time.Hour
	}
	in.openInterest = in.Lot * in.OrderLots * (10_000 + in.drift.Int64N(10_000))
	in.reference = Reference{PriceDigits: in.PriceDigits + markDigits, RateDigits: rateDigits, FundingRate: 10_000}
	in.price(now)
	in.truth.firstReference, in.truth.firstInterest = in.reference, OpenInterest{in.reference.TimeNanos, in.openInterest}
	in.referenceNanos = now + 1 + in.drift.Int64N(int64(referenceEvery))
}

// price sets mark and index near the book's middle, and the next funding.
func (in *Instrument) price(now int64) {
	r := &in.reference
	r.TimeNanos = in.market.cut(now)
	middle := in.mid() * tick.Pow10(markDigits)
	reach := in.Tick * tick.Pow10(markDigits)
	r.Index = middle + in.drift.Int64N(4*reach+1) - 2*reach
	r.Mark = middle + in.drift.Int64N(2*reach+1) - reach
	if in.Type != tick.TypePerpetual {
		r.FundingRate = 0
		return
	}
	every := int64(in.FundingEvery)
	r.NextFundingNanos = (r.TimeNanos/every + 1) * every
	r.FundingRate += in.drift.Int64N(201) - 100
}

// refer tells the reference prices, and at times open interest and a
// liquidation. They go on while the market is halted, as venues' do.
func (in *Instrument) refer(now int64) {
	in.referenceNanos += int64(referenceEvery)
	in.price(now)
	at := in.reference.TimeNanos
	tell := func(e Event) {
		e.Instrument, e.TimeNanos, e.SendNanos = in, at, at
		in.event = e
		in.market.deliver(&in.event)
	}
	tell(Event{Channel: tick.ChannelFunding, Reference: in.reference})
	if in.drift.IntN(interestEvery) == 0 {
		in.openInterest = max(in.Lot, in.openInterest+in.Lot*(in.drift.Int64N(2*in.OrderLots+1)-in.OrderLots))
		tell(Event{Channel: tick.ChannelOpenInterest, OpenInterest: in.openInterest})
	}
	if in.drift.IntN(liquidations) == 0 && in.State == tick.StateTrading && now >= in.quietUntil {
		in.liquidate(now, in.Lot*in.drift.quantity(in.OrderLots), in.drift.IntN(2) == 0)
	}
}

// liquidate tells a forced order; its trades, if any, are the market's.
func (in *Instrument) liquidate(now int64, size int64, sell bool) {
	l := Liquidation{TimeNanos: in.market.cut(now), Price: in.asks.best().Price, Size: size, Sell: sell}
	if sell {
		l.Price = in.bids.best().Price
	}
	in.event = Event{Instrument: in, Channel: tick.ChannelLiquidations, TimeNanos: l.TimeNanos, SendNanos: l.TimeNanos, Liquidation: l}
	in.market.deliver(&in.event)
}
