package engine

import (
	"slices"
	"time"

	"tickproc/internal/state"
	"tickproc/tick"
)

// Trades that were missed are fetched afterwards, where the venue has them:
//
//	gap closed, ids or times missing ─► case ─(a moment later)─► CmdBackfill ─► feed
//	trades with FlagFetched ─► as any trade, but late only beyond the reach
//	BackfillEnd ─► case closed, or asked again ─► row of the gap, bars revised
//
// A case is known by its gap, so that a replay, which asks nobody, closes it by
// the recorded end. One command of an instrument is out at a time.
type backfills struct {
	cases  []backfillCase // in the order in which their gaps were closed
	epochs uint64         // of the last command
	nextAt int64          // receive time before which no command is sent
	due    int64          // receive time at which fireBackfill is due
}

// backfillCase is a gap whose trades are to be fetched.
type backfillCase struct {
	gap openGap
	end int64 // exchange time
	// fromID to toID were missing; both 0 where ids do not count up.
	fromID, toID uint64
	left         uint64 // how many of them still are
	epoch        uint64 // of the command that is out; 0 = none is
	asked        bool
	late         bool  // a fetched trade came too late for the bars
	actAt        int64 // receive time of the next command; while one is out, when it counts as lost
	until        int64 // receive time at which the case is given up
	failures     uint8
}

const (
	// backfillCasesMax bounds the cases of an instrument. The rows of further gaps
	// say given_up.
	backfillCasesMax = 16
	// backfillDelay lets what was only reordered come by itself, and the venue's
	// database come as far as its stream.
	backfillDelay = int64(time.Second)
	// backfillEvery is the least time between two commands of an instrument.
	backfillEvery = int64(time.Second)
	// backfillRetry is the wait after a failure, times the number of failures.
	backfillRetry = int64(15 * time.Second)
	// backfillFailuresMax end a case.
	backfillFailuresMax = 3
	// backfillLost is when a command without an end is sent again: the feed that
	// had it is gone.
	backfillLost = int64(10 * time.Minute)
)

// wantBackfill opens a case for a gap that was just closed, and says what the
// gap's row must.
func (in *instrument) wantBackfill(gap openGap, end int64, fromID, toID uint64) tick.Backfill {
	b, o := &in.backfill, &in.shard.options
	switch {
	case !o.Backfill:
		return tick.BackfillNone
	case len(b.cases) == backfillCasesMax:
		return tick.BackfillGivenUp
	}
	c := backfillCase{gap: gap, end: end, fromID: fromID, toID: toID, actAt: in.shard.now + backfillDelay, until: in.shard.now + int64(o.BackfillWithin)}
	if toID != 0 {
		c.left = toID - fromID + 1
	}
	b.cases = append(b.cases, c)
	in.scheduleBackfill()
	return tick.BackfillPending
}

// caseOf returns the case of a gap, nil if there is none.
func (b *backfills) caseOf(gap openGap) *backfillCase {
	for i := range b.cases {
		if b.cases[i].gap == gap {
			return &b.cases[i]
		}
	}
	return nil
}

// fetchedFor returns the case that a fetched trade is of, nil if nobody asked
// for it. The trade's time must be about the gap's: what is outside the clock
// window of now is no nonsense here.
func (in *instrument) fetchedFor(t *tick.Trade) *backfillCase {
	window := int64(in.shard.options.ClockWindow)
	for i := range in.backfill.cases {
		c := &in.backfill.cases[i]
		ts := in.cut(t.ExchangeNanos)
		if in.ids.contiguous {
			if t.ID.Lo < c.fromID || t.ID.Lo > c.toID {
				continue
			}
			if ts < c.gap.ts-window || ts > c.end+window {
				in.counts.TimesOutside++
				return nil
			}
			return c
		}
		if ts >= c.gap.ts && ts <= c.end {
			return c
		}
	}
	return nil
}

// filled notes that an id of a gap came, whoever brought it, and returns what
// the gap's row must say. left is how many are still missing.
func (in *instrument) filled(was *idHole, left uint64) tick.Backfill {
	c := in.backfill.caseOf(was.gap)
	if c == nil {
		return was.backfill
	}
	if c.left = left; left > 0 {
		return tick.BackfillPending
	}
	state := tick.BackfillNone // it came by itself
	if c.asked {
		state = tick.BackfillWhole
	}
	in.dropBackfill(c)
	return state
}

// dropBackfill forgets a case.
func (in *instrument) dropBackfill(c *backfillCase) {
	b := &in.backfill
	i := slices.IndexFunc(b.cases, func(x backfillCase) bool { return x.gap == c.gap })
	b.cases = slices.Delete(b.cases, i, i+1)
	in.scheduleBackfill()
}

// closeBackfill ends a case whose trades did not all come, and says so.
func (in *instrument) closeBackfill(c *backfillCase, state tick.Backfill) {
	lost := int64(lostUnknown)
	if in.ids.contiguous {
		lost = int64(c.left)
		in.ids.mark(c.gap, state)
	}
	gap, end := c.gap, c.end
	in.dropBackfill(c)
	in.writeGapRow(tick.ChannelTrades, gap, end, lost, false, state)
}

// onBackfillEnd takes what came of a command.
func (in *instrument) onBackfillEnd(e *tick.BackfillEnd) {
	c := in.backfill.caseFor(e)
	if c == nil {
		return // it was given up, or all has come since
	}
	c.epoch = 0
	defer in.scheduleIndicators() // what fetched trades changed has waited
	switch {
	case e.Outcome == tick.BackfillWhole && !in.ids.contiguous:
		gap, end, late := c.gap, c.end, c.late
		in.dropBackfill(c)
		in.writeGapRow(tick.ChannelTrades, gap, end, 0, true, tick.BackfillWhole)
		if !late {
			in.coverage.Restore(gap.ts, end)
			in.reviseIndicators(gap.ts, end)
		}
	case e.Outcome == tick.BackfillWhole || e.Outcome == tick.BackfillFailed:
		// An answer with holes may be one of a database that is behind.
		if c.failures++; c.failures < backfillFailuresMax {
			c.actAt = in.shard.now + int64(c.failures)*backfillRetry
			in.scheduleBackfill()
			return
		}
		state := tick.BackfillGivenUp
		if e.Outcome == tick.BackfillWhole {
			state = tick.BackfillPartly
		}
		in.closeBackfill(c, state)
	default:
		in.closeBackfill(c, e.Outcome)
	}
}

// caseFor returns the case that an end is of: by the epoch, or by what was
// asked for, which is the same in every run over the same messages.
func (b *backfills) caseFor(e *tick.BackfillEnd) *backfillCase {
	for i := range b.cases {
		c := &b.cases[i]
		switch {
		case e.Epoch != 0:
			if e.Epoch == c.epoch {
				return c
			}
		case e.ByTime:
			if int64(e.From) == c.gap.ts && int64(e.To) == c.end {
				return c
			}
		case e.From >= c.fromID && e.To <= c.toID:
			return c
		}
	}
	return nil
}

// scheduleBackfill notes when cases next want to act.
func (in *instrument) scheduleBackfill() {
	b := &in.backfill
	b.due = never
	out := slices.ContainsFunc(b.cases, func(c backfillCase) bool { return c.epoch != 0 })
	for i := range b.cases {
		c := &b.cases[i]
		b.due = min(b.due, c.until)
		switch {
		case c.epoch != 0:
			b.due = min(b.due, c.actAt)
		case !out:
			b.due = min(b.due, max(c.actAt, b.nextAt))
		}
	}
}

// fireBackfill acts on what is due.
func (in *instrument) fireBackfill(now int64) {
	b := &in.backfill
	for i := len(b.cases) - 1; i >= 0; i-- {
		if c := &b.cases[i]; now >= c.until {
			in.closeBackfill(c, tick.BackfillGivenUp)
		}
	}
	out := false
	for i := range b.cases {
		if c := &b.cases[i]; c.epoch != 0 && now >= c.actAt {
			c.epoch, c.actAt = 0, now
		} else if c.epoch != 0 {
			out = true
		}
	}
	for i := range b.cases {
		if c := &b.cases[i]; !out && c.actAt <= now && b.nextAt <= now {
			in.askBackfill(c)
			out = true
		}
	}
	in.scheduleBackfill()
}

// askBackfill appends the command.
func (in *instrument) askBackfill(c *backfillCase) {
	b, s := &in.backfill, in.shard
	b.epochs++
	b.nextAt = s.now + backfillEvery
	c.epoch, c.asked, c.actAt = b.epochs, true, s.now+backfillLost
	in.counts.Backfills++
	var u *tick.Unit
	s.commands, u = tick.NewRow(s.commands, tick.CmdBackfill)
	r := u.BackfillCommand()
	r.Instrument, r.TsNanos, r.Ord, r.ReceiveNanos = in.def.ID, c.gap.ts, c.gap.ord, s.now
	r.Epoch, r.EndNanos = c.epoch, c.end
	if in.ids.contiguous {
		var ok bool
		if r.FromID, r.ToID, ok = in.ids.missing(c.gap); !ok {
			r.FromID, r.ToID = c.fromID, c.toID
		}
	}
}

// holdIndicators keeps the bars and windows of gaps that may yet be made good,
// as far back as the reach: also while a gap lasts, because its first bar is
// over long before it ends. Those that a gap may yet be found in are kept too.
func (in *instrument) holdIndicators(venue int64) {
	doubt := max(in.doubtedFrom(), venue-doubtReach)
	hold := in.heldForBackfill(venue)
	for _, x := range in.settledIndicators() {
		x.Hold(min(hold, doubt))
	}
}

// heldForBackfill is the event time from which on a backfill may change bars.
func (in *instrument) heldForBackfill(venue int64) int64 {
	b, o := &in.backfill, &in.shard.options
	from := never
	if !o.Backfill {
		return from
	}
	for i := range b.cases {
		from = min(from, b.cases[i].gap.ts)
	}
	if c := &in.channels[tick.ChannelTrades.Index()]; c.gap.open && c.lastTs != 0 {
		from = min(from, c.gap.ts)
	}
	if from != never {
		from = max(from, venue-int64(o.BackfillReach))
	}
	return from
}

// stepClock moves the times with a step of the clock.
func (b *backfills) stepClock(by int64) {
	b.nextAt += by
	for i := range b.cases {
		c := &b.cases[i]
		c.actAt, c.until = c.actAt+by, c.until+by
	}
}

// restart says that whoever had the commands that are out is gone.
func (in *instrument) restartBackfills() {
	b := &in.backfill
	for i := range b.cases {
		if c := &b.cases[i]; c.epoch != 0 {
			c.epoch, c.actAt = 0, in.shard.now
		}
	}
	in.scheduleBackfill()
}

func (b *backfills) code(c *state.Coder) {
	n := c.Len(len(b.cases), 14+3+7*8, backfillCasesMax)
	if c.Loading() {
		b.cases = make([]backfillCase, n)
	}
	for i := range b.cases {
		x := &b.cases[i]
		x.gap.code(c)
		c.Bools(&x.asked, &x.late)
		state.Byte(c, &x.failures)
		c.Int64s(&x.end, &x.actAt, &x.until)
		c.Uint64s(&x.fromID, &x.toID, &x.left, &x.epoch)
		c.Require(x.fromID <= x.toID, "a backfill of ids that end before they begin")
	}
	c.Uint64(&b.epochs)
	c.Int64(&b.nextAt)
}

// Backfilling is how many gaps have trades that are still to be fetched.
func (s *Shard) Backfilling() (n int) {
	for _, in := range s.instruments {
		if in != nil {
			n += len(in.backfill.cases)
		}
	}
	return n
}
