package venues_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"tickproc/feeds"
	"tickproc/feeds/sim"
	"tickproc/tick"
)

// What the simulated market did is what the decoder tells: every trade once,
// every best bid and offer, the book after every message, every reference
// price, open interest and forced order, to the last digit and nanosecond.
func TestDecodeIsTheInverseOfEncode(t *testing.T) {
	everyVenue(t, func(t *testing.T, m *market) {
		inBubble(t, func(t *testing.T) {
			c := newClient(t, m, clientOptions{symbols: 3, before: 1200 * time.Millisecond, Options: sim.Options{Rate: 80}})
			c.connect()
			sizes := []int64{3, 1, 12}
			for i := range 60 {
				c.run(100 * time.Millisecond)
				if i%10 == 0 {
					c.poll()
				}
				if i%10 == 5 && m.adapter.Channels().Has(tick.ChannelLiquidations) {
					for k, in := range c.instruments {
						if in.Type != tick.TypeSpot {
							if err := c.exchange.Liquidate(m.name, in.Symbol, sizes[k%3]*int64(i), i%20 == 5); err != nil {
								t.Fatal(err)
							}
						}
					}
				}
			}
			c.finish()
			for _, err := range c.errors {
				t.Error(err)
			}
			for _, s := range c.sockets {
				for i, a := range s.asked {
					if a.left != 0 || a.refused != 0 {
						t.Errorf("%s: request %d %s: %d answers missing, %d refusals", s.plan.Name, i, a.Text, a.left, a.refused)
					}
				}
			}
			if c.resyncs != 0 {
				t.Errorf("%d books were had anew, though nothing went wrong", c.resyncs)
			}
			if text := c.log.String(); text != "" {
				t.Errorf("the canary knows all that the venue sends, and says\n%s", text)
			}
			for id, truth := range c.truths() {
				c.checkTruth(id, truth)
			}
			if n := c.checkViews(); n < 40 {
				t.Errorf("only %d books were compared", n)
			}
		})
	})
}

// of returns the packets of an instrument and a kind.
func (c *client) of(id int, kind tick.Kind) (all []packet) {
	for _, p := range c.packets {
		if h := p.units[0].Header(); h.Instrument == uint32(id) && h.Kind == kind {
			all = append(all, p)
		}
	}
	return all
}

// has says whether the venue tells a channel of an instrument.
func (c *client) has(in *tick.Instrument, channel tick.Channels) bool {
	derived := tick.ChannelFunding | tick.ChannelOpenInterest | tick.ChannelLiquidations
	return c.wanted.Has(channel) && (derived&channel == 0 || in.Type != tick.TypeSpot)
}

// checkTruth holds what was decoded of an instrument to the truth.
func (c *client) checkTruth(id int, truth *sim.Truth) {
	c.t.Helper()
	in := c.instruments[id]
	wrong := func(format string, args ...any) {
		c.t.Helper()
		c.t.Errorf(in.Symbol+": "+format, args...)
	}
	c.checkCatalog(in, wrong)
	c.checkTrades(id, truth, wrong)
	c.checkQuotes(id, truth, wrong)
	if b := c.books[id]; c.has(in, tick.ChannelDepth) {
		if !b.sync.IsValid() || len(b.views) < 10 {
			state, reason := b.sync.State()
			wrong("book in state %d, %s, after %d views", state, reason, len(b.views))
		}
	}
	if c.has(in, tick.ChannelFunding) {
		c.checkReferences(id, truth, wrong)
	}
	if c.has(in, tick.ChannelOpenInterest) {
		all, compared := c.of(id, tick.KindOpenInterest), 0
		for _, p := range all {
			o := p.units[0].OpenInterest()
			if len(truth.OpenInterests) == 0 || o.ExchangeNanos < truth.OpenInterests[0].TimeNanos {
				continue // that of the beginning was never an event
			}
			compared++
			if !anyOf(truth.OpenInterests, func(w sim.OpenInterest) bool {
				return scaled{o.Size, o.SizeDigits}.is(scaled{w.Size, truth.SizeDigits}) && (o.ExchangeNanos == 0 || w.TimeNanos <= o.ExchangeNanos)
			}) {
				wrong("open interest %+v is not in %+v", o, truth.OpenInterests)
			}
		}
		polled := anyOf(c.adapter.Polls(in), func(p feeds.Poll) bool { return p.Channel == tick.ChannelOpenInterest })
		heard := anyOf(truth.OpenInterests, func(o sim.OpenInterest) bool { return o.TimeNanos >= c.since })
		if polled && len(all) < 5 || !polled && heard && compared < 1 {
			wrong("%d open interests, truth %+v", len(all), truth.OpenInterests)
		}
	}
	if c.has(in, tick.ChannelLiquidations) {
		all := c.of(id, tick.KindLiquidation)
		heard := slices.DeleteFunc(slices.Clone(truth.Liquidations), func(l sim.Liquidation) bool { return l.TimeNanos < c.since })
		if len(all) != len(heard) || len(all) < 3 {
			wrong("%d liquidations, truth %+v", len(all), heard)
			return
		}
		for i, p := range all {
			l, w := p.units[0].Trade(), heard[i]
			if !(scaled{l.Price, p.price}).is(scaled{w.Price, truth.PriceDigits}) || !(scaled{l.Size, p.size}).is(scaled{w.Size, truth.SizeDigits}) ||
				(l.Flags&tick.FlagSell != 0) != w.Sell || l.ExchangeNanos != w.TimeNanos {
				wrong("liquidation %+v, truth %+v", l, w)
			}
		}
	}
}

// checkCatalog holds the catalog's definition to the simulated one.
func (c *client) checkCatalog(in *tick.Instrument, wrong func(string, ...any)) {
	c.t.Helper()
	spec, err := c.dialect.Spec(in.Symbol)
	if err != nil {
		c.t.Fatal(err)
	}
	number := func(n tick.Number) scaled { return scaled{n.Mantissa, n.Digits} }
	if !number(in.Tick).is(scaled{spec.Tick, spec.PriceDigits}) || !number(in.Lot).is(scaled{spec.Lot, spec.SizeDigits}) ||
		in.Type != spec.Type || in.Inverse != spec.Inverse || in.ExpiryNanos != spec.ExpiryNanos || in.State != tick.StateTrading {
		wrong("the catalog says tick %v, lot %v, %s, inverse %v, expiry %d, %s, truth %+v", in.Tick, in.Lot, in.Type, in.Inverse, in.ExpiryNanos, in.State, spec)
	}
	if in.Type != tick.TypeSpot && !number(in.ContractSize).is(number(spec.ContractSize)) {
		wrong("a contract is %v, truth %v", in.ContractSize, spec.ContractSize)
	}
	if in.Base == "" || in.Quote == "" || in.Underlying != in.Base || in.Venue != c.name {
		wrong("the catalog says %+v: want base, quote, venue, and the base as underlying", in)
	}
}

func (c *client) checkTrades(id int, truth *sim.Truth, wrong func(string, ...any)) {
	c.t.Helper()
	in := c.instruments[id]
	have := map[string]packet{}
	for _, p := range c.of(id, tick.KindTrade) {
		x := p.units[0].Trade()
		key := tradeIDText(in, x.ID)
		if before, twice := have[key]; twice && x.Flags&tick.FlagBackfill == 0 && before.units[0].Trade().Flags&tick.FlagBackfill == 0 {
			wrong("trade %s came twice", key)
		}
		have[key] = p
	}
	delivered := 0
	for i := range truth.Trades {
		w := &truth.Trades[i]
		key := truth.TradeID(w)
		p, found := have[key]
		delete(have, key)
		if found != (w.Delivered > 0) {
			wrong("trade %s: decoded %v, sent %d times", key, found, w.Delivered)
			continue
		}
		if !found {
			continue
		}
		delivered++
		x := p.units[0].Trade()
		if !(scaled{x.Price, p.price}).is(scaled{w.Price, truth.PriceDigits}) || !(scaled{x.Size, p.size}).is(scaled{w.Size, truth.SizeDigits}) ||
			(x.Flags&tick.FlagSell != 0) != w.Sell || x.ExchangeNanos != w.TimeNanos {
			wrong("trade %s is %+v with %d and %d digits, truth %+v, in %.300q", key, x, p.price, p.size, w, c.frames[p.frame].text)
			return
		}
	}
	for key := range have {
		wrong("trade %s never happened", key)
	}
	if delivered < 10 {
		wrong("only %d trades", delivered)
	}
}

// tradeIDText is a trade's id as the venue writes it.
func tradeIDText(in *tick.Instrument, id tick.ID) string {
	if in.TradeIDs == tick.TradeIDUUID {
		x := fmt.Sprintf("%016x%016x", id.Hi, id.Lo)
		return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
	}
	return strconv.FormatUint(id.Lo, 10)
}

func (c *client) checkQuotes(id int, truth *sim.Truth, wrong func(string, ...any)) {
	c.t.Helper()
	told := map[sim.Quote]bool{}
	all := c.of(id, tick.KindQuote)
	for _, p := range all {
		d, levels := p.units[0].Depth(), tick.Levels(p.units)
		same := func(have, want tick.Level) bool {
			return scaled{have.Price, p.price}.is(scaled{want.Price, truth.PriceDigits}) && scaled{have.Size, p.size}.is(scaled{want.Size, truth.SizeDigits})
		}
		found := truth.QuotesAt(d.LastID, d.ExchangeNanos)
		if !anyOf(found, func(q sim.Quote) bool {
			ok := same(levels[0], q.Bid) && same(levels[1], q.Ask)
			if ok {
				told[q] = true
			}
			return ok
		}) {
			wrong("quote %d at %d is %v, truth %+v, in %.300q", d.LastID, d.ExchangeNanos, levels, found, c.frames[p.frame].text)
			return
		}
	}
	from := truth.SubscribedNanos[tick.ChannelQuotes.Index()]
	for _, q := range truth.Quotes {
		if q.TimeNanos >= from && q.TimeNanos != 0 && !told[q] {
			wrong("quote %+v was never decoded", q)
			return
		}
	}
	if len(all) < 10 {
		wrong("only %d quotes", len(all))
	}
}

// checkReferences: a message may tell all of a derivative's reference prices or
// one; each number was the venue's at the message's time, and all that the
// venue had are told.
func (c *client) checkReferences(id int, truth *sim.Truth, wrong func(string, ...any)) {
	c.t.Helper()
	var marks, indexes, rates, next int
	for _, p := range c.of(id, tick.KindMark) {
		m := p.units[0].Mark()
		is := func(w sim.Reference) bool {
			return (m.Mark == tick.Absent || scaled{m.Mark, m.PriceDigits}.is(scaled{w.Mark, w.PriceDigits})) &&
				(m.FundingRate == tick.Absent || scaled{m.FundingRate, m.RateDigits}.is(scaled{w.FundingRate, w.RateDigits})) &&
				(m.NextFundingSeconds == 0 || int64(m.NextFundingSeconds) == w.NextFundingNanos/1e9) && w.TimeNanos <= m.ExchangeNanos
		}
		index := func(w sim.Reference) bool {
			return m.Index == tick.Absent || scaled{m.Index, m.PriceDigits}.is(scaled{w.Index, w.PriceDigits})
		}
		// Instruments of one index have it in common.
		indexIs := anyOf(c.truths(), func(other *sim.Truth) bool { return anyOf(other.References, index) })
		if !anyOf(truth.References, is) || !indexIs {
			wrong("reference %+v is not in %+v", m, truth.References)
			return
		}
		count := func(n *int, told bool) {
			if told {
				*n++
			}
		}
		count(&marks, m.Mark != tick.Absent)
		count(&indexes, m.Index != tick.Absent)
		count(&rates, m.FundingRate != tick.Absent)
		count(&next, m.NextFundingSeconds != 0)
	}
	if marks < 3 || indexes < 3 || in(c, id).Type == tick.TypePerpetual && (rates < 1 || next < 1) {
		wrong("%d marks, %d indexes, %d rates, %d next fundings of %d", marks, indexes, rates, next, len(truth.References))
	}
}

func in(c *client, id int) *tick.Instrument { return c.instruments[id] }

func anyOf[T any](all []T, is func(T) bool) bool {
	for _, x := range all {
		if is(x) {
			return true
		}
	}
	return false
}
