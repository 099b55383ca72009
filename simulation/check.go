package simulation

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"tickproc/feeds/sim"
	"tickproc/feeds/venues"
	"tickproc/tick"
)

func (w *world) pendingBackfills() (n int) {
	for i := range w.process.b.Shards() {
		n += w.process.b.Shard(i).Backfilling()
	}
	return n
}

// check compares what the database has with what happened.
func (w *world) check() {
	faults := w.exchange.FaultLog()
	for _, t := range w.exchange.Truth() {
		c := &comparison{w: w, t: &t, faults: faults}
		c.all()
	}
}

// comparison is of one instrument.
type comparison struct {
	w       *world
	t       *sim.Truth
	faults  []sim.FaultRecord
	gaps    map[string][]gap // by channel
	random  bool             // the ids of trades
	last    int64            // time of the last trade that is stored
	unsure  map[int64]bool   // trades that a bar may have and the database not, or the other way round
	unheard map[int64]bool   // trades that a fault took, and of which nothing tells
}

// gap is an interval in which a channel was not seen, in the venue's clock.
type gap struct {
	from, to int64
	backfill string
	reason   string
}

func (c *comparison) all() {
	c.readGaps()
	c.trades()
	c.bars()
	c.books()
	c.quotes()
	c.downs()
}

func (c *comparison) differ(kind, format string, args ...any) {
	c.w.violate(kind, c.t.Venue+" "+c.t.Symbol+": "+format, args...)
}

// rows are those of a table about the instrument.
func (c *comparison) rows(name string) (out []*row) {
	for _, r := range c.w.database.all(name) {
		if r.text("venue") == c.t.Venue && r.text("symbol") == c.t.Symbol {
			out = append(out, r)
		}
	}
	return out
}

func (c *comparison) readGaps() {
	c.gaps = map[string][]gap{}
	for _, r := range c.rows("gaps") {
		g := gap{r.ts, math.MaxInt64, r.text("backfill"), r.text("reason")}
		if end := r.text("ts_end"); end != "" {
			g.to = r.integer("ts_end")
			if g.to < g.from {
				c.differ("gap", "ends before it begins: %s", r.line)
			}
		}
		channel := r.text("channel")
		c.gaps[channel] = append(c.gaps[channel], g)
		c.w.tally.Gaps++
	}
}

func within(gaps []gap, at int64) *gap {
	for i := range gaps {
		if g := &gaps[i]; at >= g.from && at <= g.to {
			return g
		}
	}
	return nil
}

// faultReach is how far from a message the fault may be noted that took it.
const faultReach = 2 * time.Second

// struck reports whether a fault of the venue took a message of a channel near
// a time, without a trace where messages have no ids.
func (c *comparison) struck(channel tick.Channels, at int64) bool {
	for _, f := range c.faults {
		if f.Venue != c.t.Venue || f.Symbol != "" && f.Symbol != c.t.Symbol || f.Channel != 0 && !f.Channel.Has(channel) {
			continue
		}
		switch f.Kind {
		case sim.FaultDrop, sim.FaultTruncate, sim.FaultDropFrame, sim.FaultGarbage,
			sim.FaultLateTrade, sim.FaultReorder: // held back, and lost with the socket
			if time.Duration(f.TimeNanos-at).Abs() <= faultReach {
				return true
			}
		}
	}
	return false
}

// liedTo reports that the venue's past trades were once incomplete.
func (c *comparison) liedTo() bool {
	for _, f := range c.faults {
		if f.Venue == c.t.Venue && (f.Kind == sim.FaultPastEmpty || f.Kind == sim.FaultPastMissing) {
			return true
		}
	}
	return false
}

// trades: each that happened is stored once, as it was, or lies inside a gap.
func (c *comparison) trades() {
	t := c.t
	stored := map[string]*row{}
	for _, r := range c.rows("trades") {
		id := r.text("id")
		if stored[id] != nil {
			c.differ("trade", "id %s is stored twice: %s and %s", id, stored[id].line, r.line)
		}
		stored[id] = r
		c.last = max(c.last, r.ts)
	}
	adapter, _ := venues.New(t.Venue)
	kind := adapter.Instrument(t.Symbol).TradeIDs
	counted := kind == tick.TradeIDContiguous
	c.random = kind == tick.TradeIDUUID
	since := t.SubscribedNanos[tick.ChannelTrades.Index()]
	c.unheard, c.unsure = map[int64]bool{}, map[int64]bool{}
	gaps := c.gaps[tick.ChannelTrades.String()]
	for i := range t.Trades {
		x := &t.Trades[i]
		id := t.TradeID(x)
		r := stored[id]
		delete(stored, id)
		if r != nil {
			c.w.tally.Trades++
			if c.w.o.Unbounded && c.w.now-r.integer("recv_ts") < int64(2*time.Second) {
				c.unsure[x.ID] = true // the correction of its bar may not be due yet, or be in a batch
			}
			if c.w.tally.PowerCuts > 0 && !counted && c.liedTo() {
				// Its log may have been lost, and the venue have left it out when it was asked again.
				c.unsure[x.ID] = true
			}
			if !is(r, "price", x.Price, t.PriceDigits) || !is(r, "size", x.Size, t.SizeDigits) || (r.text("side") == "sell") != x.Sell || r.ts != x.TimeNanos {
				c.differ("trade", "%s, truth %s %s sell %v %d", r.line, tick.FormatScaled(x.Price, t.PriceDigits), tick.FormatScaled(x.Size, t.SizeDigits), x.Sell, x.TimeNanos)
			}
			continue
		}
		if since == 0 || x.TimeNanos < max(since, c.w.since[symbolOf{t.Venue, t.Symbol}]) {
			continue
		}
		g := within(gaps, x.TimeNanos)
		if !counted && (c.liedTo() || c.struck(tick.ChannelTrades, x.TimeNanos)) {
			// A venue that leaves out trades is believed where ids do not count, also by bars.
			c.unheard[x.ID] = true
		}
		if c.w.o.Unbounded && x.TimeNanos >= c.last {
			c.unheard[x.ID] = true // nothing came any more that could have told
		}
		if c.w.isUnkept(x.TimeNanos) {
			c.unsure[x.ID] = true // the bars may have it
		}
		switch {
		case c.w.isUnkept(x.TimeNanos):
		case g != nil && g.backfill == tick.BackfillWhole.String() && counted && !c.otherGap(gaps, x.TimeNanos):
			c.differ("trade", "id %s at %d is missing in a gap that is called whole", id, x.TimeNanos)
		case g != nil && counted && c.w.fetchable(t.Venue) && !c.rejected(gaps, x.TimeNanos):
			c.differ("trade", "id %s at %s is missing, in %s, and the venue has it", id, c.w.when(x.TimeNanos), c.text([]gap{*g}))
		case g != nil:
			c.w.tally.InGaps++
		case c.w.o.Unbounded && c.w.nobodyListened(channelOf{t.Venue, t.Symbol, tick.ChannelTrades}, x.TimeNanos, x.TimeNanos):
			c.unheard[x.ID] = true // by a socket that is dead and still believed
		case c.unheard[x.ID]:
		default:
			c.differ("trade", "id %s at %s is neither stored nor inside a gap: %s", id, c.w.when(x.TimeNanos), c.text(gaps))
		}
	}
	for id, r := range stored {
		c.differ("trade", "id %s is stored and never happened: %s", id, r.line)
	}
}

// rejected reports a gap about a time that nobody fills: rows that the database
// refused or that the sink lost, and the time before the first trade of a run.
func (c *comparison) rejected(gaps []gap, at int64) bool {
	for _, g := range gaps {
		if at >= g.from && at <= g.to && (g.reason == tick.ReasonRejected.String() || g.reason == tick.ReasonSink.String() || g.reason == tick.ReasonStart.String()) {
			return true
		}
	}
	return false
}

// fetchable reports that a venue gave all trades that were missed, had it been
// asked long enough.
func (w *world) fetchable(venue string) bool {
	switch venue {
	case "binance-spot", "coinbase", "kraken", "okx":
	default:
		return false // the past does not go back far enough, or needs a key
	}
	for _, f := range w.faults {
		if f.kind == faultREST || f.kind == faultVenue && f.venue >= sim.FaultRESTLimit || f.venue == sim.FaultMaintenance {
			return false
		}
	}
	return !w.o.Unbounded
}

// when is a time of the venue's clock since the start.
func (w *world) when(at int64) string {
	return fmt.Sprintf("%d (%.6f)", at, float64(at-w.began-int64(w.offset))/1e9)
}

func (c *comparison) text(gaps []gap) string {
	var text strings.Builder
	for _, g := range gaps {
		end := "open"
		if g.to != math.MaxInt64 {
			end = c.w.when(g.to)
		}
		fmt.Fprintf(&text, "[%s, %s] %s %s; ", c.w.when(g.from), end, g.reason, g.backfill)
	}
	return text.String()
}

// isUnkept reports a time about which rows went to the database from memory,
// because the spool had no disk, or before which it kept none any more, for want
// of room or because it does not have the later ones, and the database lost rows:
// both at once is more than is promised.
func (w *world) isUnkept(at int64) bool {
	if w.dbLostAt != 0 && at < w.unkeptTill+int64(w.offset)+int64(3*time.Second) {
		return true
	}
	for _, x := range w.unkept {
		if time.Duration(x+int64(w.offset)-at).Abs() < 3*time.Second {
			return true
		}
	}
	return false
}

// otherGap reports a gap about a time that is not whole.
func (c *comparison) otherGap(gaps []gap, at int64) bool {
	for _, g := range gaps {
		if at >= g.from && at <= g.to && g.backfill != tick.BackfillWhole.String() {
			return true
		}
	}
	return false
}

// is compares a stored double with a scaled integer.
func is(r *row, name string, want int64, digits uint8) bool {
	have, ok := r.float(name)
	if !ok {
		return false
	}
	exact, err := strconv.ParseFloat(tick.FormatScaled(want, digits), 64)
	return err == nil && have == exact
}

// bars that are final and complete are those of the true trades, made slowly.
func (c *comparison) bars() {
	t := c.t
	for _, r := range c.rows("bars") {
		if !r.truth("final") || !r.truth("complete") || within(c.gaps["bars"], r.ts) != nil {
			continue // of the last, a correction may be among the rows that are said to be lost
		}
		interval, err := time.ParseDuration(r.text("interval"))
		if err != nil {
			c.differ("bar", "interval %q", r.text("interval"))
			continue
		}
		if (c.w.flipped || c.w.o.Unbounded) && c.w.nobodyListened(channelOf{t.Venue, t.Symbol, tick.ChannelTrades}, r.ts, r.ts+int64(interval)) {
			continue // see docs/decisions/simulation.md, "Found and open"
		}
		c.w.tally.Bars++
		var open, high, low, last, volume, n, buys int64
		var opens, closes []int64 // prices of the first and the last moment
		var first, end int64
		unheard, unsure := false, false
		for i := range t.Trades {
			x := &t.Trades[i]
			if x.TimeNanos < r.ts || x.TimeNanos >= r.ts+int64(interval) {
				continue
			}
			unsure = unsure || c.unsure[x.ID]
			if c.unheard[x.ID] {
				unheard = true
				continue
			}
			if n == 0 {
				open, high, low = x.Price, x.Price, x.Price
			}
			if c.random {
				if n == 0 || x.TimeNanos == first {
					opens, first = append(opens, x.Price), x.TimeNanos
				}
				if x.TimeNanos != end {
					closes, end = nil, x.TimeNanos
				}
				closes = append(closes, x.Price)
			}
			high, low, last = max(high, x.Price), min(low, x.Price), x.Price
			volume += x.Size
			if !x.Sell {
				buys += x.Size
			}
			n++
		}
		if unsure || unheard && c.w.o.Unbounded {
			continue
		}
		if n == 0 {
			if r.integer("trades") != 0 {
				c.differ("bar", "no trade happened in it: %s", r.line)
			}
			continue
		}
		if r.integer("trades") != n || !is(r, "high", high, t.PriceDigits) || !is(r, "low", low, t.PriceDigits) ||
			!is(r, "volume", volume, t.SizeDigits) || !is(r, "buy_volume", buys, t.SizeDigits) || !c.oneOf(r, "open", open, opens) || !c.oneOf(r, "close", last, closes) {
			c.differ("bar", "%s, truth: %d trades, open %s high %s low %s close %s volume %s", r.line, n, tick.FormatScaled(open, t.PriceDigits), tick.FormatScaled(high, t.PriceDigits),
				tick.FormatScaled(low, t.PriceDigits), tick.FormatScaled(last, t.PriceDigits), tick.FormatScaled(volume, t.SizeDigits))
		}
	}
}

// oneOf compares a price: where ids are random, trades of one moment have no
// order, and any of them may be the first or last.
func (c *comparison) oneOf(r *row, name string, want int64, all []int64) bool {
	for _, x := range all {
		if is(r, name, x, c.t.PriceDigits) {
			return true
		}
	}
	return is(r, name, want, c.t.PriceDigits)
}

// told is the time by which the venue may know a row: none where its messages
// bear none.
func told(r *row) int64 {
	if r.text("ts_source") == "recv" {
		return 0
	}
	return r.ts
}

// books that were shown as valid are those that the venue told.
func (c *comparison) books() {
	for _, r := range c.rows("book") {
		if !r.truth("valid") || r.text("ts_source") == "est" {
			continue
		}
		id := uint64(r.integer("seq"))
		all := c.t.Books(id, told(r))
		right := false
		for i := range all {
			right = right || c.sameBook(r, &all[i])
		}
		c.w.tally.Books++
		switch {
		case len(all) == 0:
			c.differ("book", "id %d at %d is not one of the venue's", id, r.ts)
		case !right:
			c.differ("book", "id %d at %d is none of %d that the venue told: %s; %v %v", id, r.ts, len(all), r.line, all[0].Bids, all[0].Asks)
		}
	}
}

func (c *comparison) sameBook(r *row, b *sim.Book) bool {
	side := func(name string, levels []tick.Level) bool {
		for i := range sim.TruthDepth {
			n := strconv.Itoa(i)
			if i >= len(levels) {
				if r.text(name+n) != "" {
					return false
				}
				continue
			}
			if !is(r, name+n, levels[i].Price, c.t.PriceDigits) || !is(r, name+"_size"+n, levels[i].Size, c.t.SizeDigits) {
				return false
			}
		}
		return true
	}
	return side("bid", b.Bids) && side("ask", b.Asks)
}

// quotes are those that the venue told.
func (c *comparison) quotes() {
	for _, r := range c.rows("quotes") {
		if !r.truth("valid") || r.text("ts_source") == "est" || r.text("src") != "venue" {
			continue
		}
		id, when := uint64(r.integer("seq")), told(r)
		all := c.t.Quotes
		if id != 0 || when != 0 {
			all = c.t.QuotesAt(id, when)
		}
		c.w.tally.Quotes++
		right := false
		for i := range all {
			q := &all[i]
			right = right || is(r, "bid", q.Bid.Price, c.t.PriceDigits) && is(r, "bid_size", q.Bid.Size, c.t.SizeDigits) &&
				is(r, "ask", q.Ask.Price, c.t.PriceDigits) && is(r, "ask_size", q.Ask.Size, c.t.SizeDigits)
		}
		if !right {
			c.differ("quote", "%s is none of %d that the venue told", r.line, len(all))
		}
	}
}

// downs: a quote that changed while nobody listened is stored all the same, or
// lies inside a gap. Of trades that is checked one by one, of depth by what is
// shown as valid.
func (c *comparison) downs() {
	since := max(c.w.since[symbolOf{c.t.Venue, c.t.Symbol}], c.t.SubscribedNanos[tick.ChannelQuotes.Index()])
	stored := map[int64]bool{}
	for _, r := range c.rows("quotes") {
		if stored[r.ts] = true; told(r) == 0 {
			return // of quotes without a time nobody can say when they were
		}
	}
	for _, d := range c.w.downs {
		if s := d.stream; s.venue != c.t.Venue || s.symbol != c.t.Symbol || s.channel != tick.ChannelQuotes || d.from < since {
			continue
		}
		// The row of its gap was written when somebody listened again.
		if c.w.believes(d) || c.w.isUnkept(d.to) {
			continue
		}
		c.w.tally.Downs++
		for i := range c.t.Quotes {
			q := &c.t.Quotes[i]
			if i > 0 && q.Bid == c.t.Quotes[i-1].Bid && q.Ask == c.t.Quotes[i-1].Ask {
				continue // a venue repeats those of quiet symbols
			}
			if at := q.TimeNanos; at > d.from && at < d.to && !stored[at] && within(c.gaps[tick.ChannelQuotes.String()], at) == nil && !c.struck(tick.ChannelQuotes, at) {
				c.differ("down", "nobody listened from %s to %s, and the quote of %s is neither stored nor in a gap: %s", c.w.when(d.from), c.w.when(d.to), c.w.when(at), c.text(c.gaps[tick.ChannelQuotes.String()]))
			}
		}
	}
}
