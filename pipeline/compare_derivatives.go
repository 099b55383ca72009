package pipeline

import (
	"context"
	"time"

	"tickproc/feeds/sim"
	"tickproc/tick"
	"tickproc/writer/questdb"
)

// Reference prices, funding and open interest are states, told over several
// streams and by snapshots that repeat them: a row is what was known at its
// time. Their messages have no ids, so that one that a fault took leaves no
// trace; the simulator's list of faults tells what was taken.

// funding compares the rows of a derivative. Each number is one that the venue
// had told when the row's last one came, and each mark price that it told is in
// the row in force at its time. Not by the row's own time: the numbers are of
// several streams, and a message held back on one comes after newer ones of another.
func (c *comparison) funding(ctx context.Context, t *sim.Truth, gaps missing, n *tally) error {
	r, err := c.query(ctx, t, "ts::long, mark, index_price, rate, next_funding_ts::long, recv_ts::long", "funding", "")
	if err != nil {
		return err
	}
	n.funding = len(r.Rows)
	// An index is of several instruments, and each simulated one has its own: a
	// venue tells that of one of them.
	var indexes []sim.Reference
	for i := range c.truth {
		if c.truth[i].Venue == t.Venue {
			indexes = append(append(indexes, c.truth[i].FirstReference), c.truth[i].References...)
		}
	}
	references := append([]sim.Reference{t.FirstReference}, t.References...)
	told := func(all []sim.Reference, by int64, cell any, value func(*sim.Reference) (int64, uint8)) bool {
		for i := range all {
			if v, digits := value(&all[i]); all[i].TimeNanos <= by && same64(cell, v, digits) {
				return true
			}
		}
		return cell == nil
	}
	mark := func(x *sim.Reference) (int64, uint8) { return x.Mark, x.PriceDigits }
	index := func(x *sim.Reference) (int64, uint8) { return x.Index, x.PriceDigits }
	rate := func(x *sim.Reference) (int64, uint8) { return x.FundingRate, x.RateDigits }
	for i, row := range r.Rows {
		ts := r.Int(i, 0)
		by := max(ts, r.Int(i, 5))
		next := row[4] == nil
		for _, x := range references {
			next = next || x.NextFundingNanos/int64(time.Second) == r.Int(i, 4)/int64(time.Second)
		}
		if !told(references, by, row[1], mark) || !told(indexes, by, row[2], index) || !told(references, by, row[3], rate) || !next {
			c.differ(t, "funding", "at %d: stored %v: not all of it was told", ts, row)
		}
	}
	tells := false // some venues have the mark in no stream
	for _, row := range r.Rows {
		tells = tells || row[1] != nil
	}
	for i := range t.References {
		x := &t.References[i]
		if !tells || c.missed(t, gaps, tick.ChannelFunding, x.TimeNanos) || c.struck(t, tick.ChannelFunding, x.TimeNanos, unsubscribed...) {
			continue
		}
		k := inForce(r, x.TimeNanos)
		if k < 0 || !same64(r.Rows[k][1], x.Mark, x.PriceDigits) {
			c.differ(t, "funding", "the mark price %s at %d is not stored", tick.FormatScaled(x.Mark, x.PriceDigits), x.TimeNanos)
		}
	}
	return nil
}

// inForce returns the last row whose time, in the first column, is not after
// at; -1 for none.
func inForce(r *questdb.Result, at int64) int {
	k := -1
	for i := range r.Rows {
		if r.Int(i, 0) <= at {
			k = i
		}
	}
	return k
}

// openInterest is funding for one number.
func (c *comparison) openInterest(ctx context.Context, t *sim.Truth, gaps missing, n *tally) error {
	r, err := c.query(ctx, t, "ts::long, size", "open_interest", "")
	if err != nil {
		return err
	}
	n.interest = len(r.Rows)
	for i, row := range r.Rows {
		told := false
		for _, x := range append([]sim.OpenInterest{t.FirstInterest}, t.OpenInterests...) {
			told = told || x.TimeNanos <= r.Int(i, 0) && same64(row[1], x.Size, t.SizeDigits)
		}
		if !told {
			c.differ(t, "open interest", "at %d: %v was never told", r.Int(i, 0), row[1])
		}
	}
	if polled(t, tick.ChannelOpenInterest) {
		return nil // what stood between two polls, nobody saw
	}
	for _, x := range t.OpenInterests {
		if c.missed(t, gaps, tick.ChannelOpenInterest, x.TimeNanos) {
			continue
		}
		if k := inForce(r, x.TimeNanos); k < 0 || !same64(r.Rows[k][1], x.Size, t.SizeDigits) {
			c.differ(t, "open interest", "%s at %d is not stored", tick.FormatScaled(x.Size, t.SizeDigits), x.TimeNanos)
		}
	}
	return nil
}

// polled reports whether a venue has a channel by request only.
func polled(t *sim.Truth, channel tick.Channels) bool {
	adapter, _ := adapterOf(t.Venue)
	in := adapter.Instrument(t.Symbol)
	for _, p := range adapter.Polls(&in) {
		if p.Channel == channel {
			return true
		}
	}
	return false
}

// liquidations compares each: they have no identity but what they say, so that
// one that a fault sent twice is stored twice.
func (c *comparison) liquidations(ctx context.Context, t *sim.Truth, gaps missing, n *tally) error {
	r, err := c.query(ctx, t, "ts::long, side, price, size", "liquidations", "")
	if err != nil {
		return err
	}
	n.liquidations = len(r.Rows)
	found := make([]int, len(t.Liquidations))
	for i, row := range r.Rows {
		of := -1
		for k, x := range t.Liquidations {
			if x.TimeNanos == r.Int(i, 0) && sideName(x.Sell) == r.Text(i, 1) && same64(row[2], x.Price, t.PriceDigits) && same64(row[3], x.Size, t.SizeDigits) &&
				(of < 0 || found[k] < found[of]) {
				of = k
			}
		}
		if of < 0 {
			c.differ(t, "liquidation", "stored %v never happened", row)
			continue
		}
		if found[of]++; found[of] > 1 && !c.struck(t, tick.ChannelLiquidations, r.Int(i, 0), sim.FaultDuplicate) {
			c.differ(t, "liquidation", "%v is stored twice", row)
		}
	}
	for k, x := range t.Liquidations {
		if found[k] == 0 && !c.missed(t, gaps, tick.ChannelLiquidations, x.TimeNanos) {
			c.differ(t, "liquidation", "%+v is neither stored nor inside a gap", x)
		}
	}
	return nil
}

// status compares the trading states: whether the instrument was open, by the
// rows, is in this order among what it was. Not all changes need be stored: a
// catalog that is asked for now and then shows what stands. Nor are the words
// the same: of what is halted one venue says that it settles, another leaves it
// out of its list.
func (c *comparison) status(ctx context.Context, t *sim.Truth, _ missing, n *tally) error {
	r, err := c.query(ctx, t, "ts::long, state", "status", "")
	if err != nil {
		return err
	}
	n.status = len(r.Rows)
	was := []bool{true}
	for _, x := range t.Changes {
		if is := isOpen(x.State.String()); is != was[len(was)-1] {
			was = append(was, is)
		}
	}
	k := 0
	for i := range r.Rows {
		is := isOpen(r.Text(i, 1))
		if k < len(was) && was[k] != is {
			k++
		}
		if k == len(was) {
			c.differ(t, "status", "at %d: %s is not what it became, of %v", r.Int(i, 0), r.Text(i, 1), t.Changes)
			return nil
		}
	}
	return nil
}

// isOpen reports whether an offer can be hit in a state, as the consolidated
// book sees it.
func isOpen(state string) bool {
	return state == tick.StateTrading.String() || state == tick.StateRestricted.String() || state == tick.StateUnknown.String()
}
