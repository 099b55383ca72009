package pipeline

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"tickproc/engine"
	"tickproc/tick"
)

// The consolidated best bid and offer is compared with the stored quotes of
// its group, for the exchanges do not know it. All times are receive times: the
// engine's own. What is proven of each row, and again of the moment before the
// next one:
//
//   - what it calls the best of a side was the stored quote of that instrument,
//     price and size in the base asset, at a moment in the reach before;
//   - no other instrument of the group, of those that certainly counted, had a
//     better one throughout the reach: so no change went unwritten for long;
//   - the instrument traded, as far as status says;
//   - crossed, valid and venues are what the other columns make them.
//
// Not proven: offers of an instrument whose quotes lie in a gap, which are the
// top of its book, are counted as such and only weighed against the others (the
// book is stored once a second); ties; that a venue which fell silent stopped to
// count to the moment; the order of changes within the reach, in which packets
// may wait between two cores.

// nbboReach is how long a quote is at least allowed to be on its way from its
// receive time to its shard. A machine that others use too may stop a goroutine
// for longer: comparison.wait is what the run measured.
const nbboReach = int64(250 * time.Millisecond)

// member is an instrument of a group, with what is stored of it.
type member struct {
	venue, symbol string
	inverse       bool
	contract      float64
	quotes        []offered
	states        []stateSince
}

// offered is an instrument's best bid and offer from a receive time on; sizes
// in the base asset, 0 for none.
type offered struct {
	from  int64
	valid bool
	side  [2]level
}

type level struct{ price, size float64 }

type stateSince struct {
	from  int64
	state string
}

// claim is one nbbo row.
type claim struct {
	ts            int64
	side          [2]level
	venue, symbol [2]string
	venues        int64
	crossed       bool
	valid         bool
}

// consolidated compares all groups.
func (c *comparison) consolidated(ctx context.Context, options engine.Options) error {
	if !options.Nbbo {
		return nil
	}
	options.EnsureDefaults()
	groups, err := c.members(ctx)
	if err != nil {
		return err
	}
	claims, err := c.claims(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "\n%-20s %6s %6s %7s %8s %6s\n", "NBBO", "VENUES", "ROWS", "CLAIMS", "BY BOOK", "DIFFER")
	var names []string
	for name := range groups {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		members, rows, before := groups[name], claims[name], c.differences
		if len(members) < 2 {
			if len(rows) > 0 {
				c.differs(name, "nbbo", "%d rows of a group of one", len(rows))
				c.tell()
			}
			continue
		}
		g := &weighed{comparison: c, name: name, members: members, stale: int64(options.NbboStale), reach: nbboReach + c.wait}
		end := int64(0)
		for _, m := range members {
			if n := len(m.quotes); n > 0 {
				end = max(end, m.quotes[n-1].from)
			}
		}
		for i := range rows {
			g.row(&rows[i], rows[i].ts)
			until := end
			if i+1 < len(rows) {
				until = rows[i+1].ts
			}
			// A change may wait for its row as long as NbboEvery.
			if last := until - int64(options.NbboEvery) - g.reach; last > rows[i].ts {
				g.row(&rows[i], last)
			}
		}
		fmt.Fprintf(c.out, "%-20s %6d %6d %7d %8d %6d\n", name, len(members), len(rows), g.claims, g.byBook, c.differences-before)
		c.tell()
	}
	return nil
}

// members reads the groups: what trades the same base and quote asset in the
// same way.
func (c *comparison) members(ctx context.Context) (map[string][]*member, error) {
	r, err := c.client.Query(ctx, "SELECT venue, symbol, base, quote, type, inverse, contract_size FROM instruments LATEST ON ts PARTITION BY venue, symbol")
	if err != nil {
		return nil, err
	}
	groups, bySymbol := map[string][]*member{}, map[string]*member{}
	for i, row := range r.Rows {
		m := &member{venue: r.Text(i, 0), symbol: r.Text(i, 1), inverse: r.True(i, 5)}
		m.contract, _ = float(row[6])
		kind := r.Text(i, 4)
		if kind == tick.TypeSpot.String() && m.contract == 0 {
			m.contract = 1
		}
		bySymbol[m.venue+" "+m.symbol] = m
		if kind == tick.TypeSpot.String() || kind == tick.TypePerpetual.String() {
			name := r.Text(i, 2) + "-" + r.Text(i, 3) + " " + kind
			groups[name] = append(groups[name], m)
		}
	}
	r, err = c.client.Query(ctx, fmt.Sprintf("SELECT venue, symbol, recv_ts::long, valid, bid, bid_size, ask, ask_size FROM quotes WHERE ts >= %d::timestamp_ns", c.from))
	if err != nil {
		return nil, err
	}
	for i, row := range r.Rows {
		m := bySymbol[r.Text(i, 0)+" "+r.Text(i, 1)]
		if m == nil {
			c.differs(r.Text(i, 0)+" "+r.Text(i, 1), "instrument", "has quotes and is not in instruments")
			continue
		}
		m.quotes = append(m.quotes, offered{r.Int(i, 2), r.True(i, 3), [2]level{m.level(row[4], row[5]), m.level(row[6], row[7])}})
	}
	r, err = c.client.Query(ctx, fmt.Sprintf("SELECT venue, symbol, recv_ts::long, state FROM status WHERE ts >= %d::timestamp_ns", c.from))
	if err != nil {
		return nil, err
	}
	for i := range r.Rows {
		if m := bySymbol[r.Text(i, 0)+" "+r.Text(i, 1)]; m != nil {
			m.states = append(m.states, stateSince{r.Int(i, 2), r.Text(i, 3)})
		}
	}
	for _, m := range bySymbol {
		slices.SortStableFunc(m.quotes, func(a, b offered) int { return int(a.from - b.from) })
		slices.SortStableFunc(m.states, func(a, b stateSince) int { return int(a.from - b.from) })
	}
	return groups, nil
}

// level is one with its size in the base asset.
func (m *member) level(price, size any) (l level) {
	p, has := float(price)
	s, _ := float(size)
	if !has || s == 0 || m.contract == 0 {
		return l
	}
	if m.inverse {
		return level{p, s * m.contract / p}
	}
	return level{p, s * m.contract}
}

func (c *comparison) claims(ctx context.Context) (map[string][]claim, error) {
	r, err := c.client.Query(ctx, fmt.Sprintf(`SELECT symbol, type, ts::long, bid, bid_size, bid_venue, bid_symbol, ask, ask_size, ask_venue, ask_symbol,
		venues, crossed, valid FROM nbbo WHERE ts >= %d::timestamp_ns ORDER BY ts, ord`, c.from))
	if err != nil {
		return nil, err
	}
	all := map[string][]claim{}
	for i, row := range r.Rows {
		x := claim{ts: r.Int(i, 2), venues: r.Int(i, 11), crossed: r.True(i, 12), valid: r.True(i, 13)}
		for side := range x.side {
			x.side[side].price, _ = float(row[3+4*side])
			x.side[side].size, _ = float(row[4+4*side])
			x.venue[side], x.symbol[side] = r.Text(i, 5+4*side), r.Text(i, 6+4*side)
		}
		name := r.Text(i, 0) + " " + r.Text(i, 1)
		all[name] = append(all[name], x)
	}
	return all, nil
}

// weighed is a group whose rows are compared.
type weighed struct {
	*comparison
	name           string
	members        []*member
	stale, reach   int64
	claims, byBook int
}

// row weighs a claim against what stood at a time.
func (g *weighed) row(x *claim, at int64) {
	differ := func(format string, args ...any) {
		g.differs(g.name, "nbbo", "row of %d, at %d: %s", x.ts, at, fmt.Sprintf(format, args...))
	}
	bid, ask := x.side[0], x.side[1]
	if x.valid != (x.venues > 0) || x.crossed != (bid.size > 0 && ask.size > 0 && bid.price >= ask.price) || x.venues > int64(len(g.members)) {
		differ("valid=%t crossed=%t venues=%d contradict bid %v ask %v", x.valid, x.crossed, x.venues, bid, ask)
	}
	for side, sign := range [2]float64{1, -1} {
		best := x.side[side]
		g.claims++
		for _, m := range g.members {
			if m.venue == x.venue[side] && m.symbol == x.symbol[side] {
				switch has, book := m.had(side, best, at, g.reach); {
				case book:
					g.byBook++
				case !has:
					differ("%s %s at %s %s was not its quote: %v", []string{"bid", "ask"}[side], text(best), m.venue, m.symbol, m.during(at, g.reach))
				}
				if !m.traded(at, g.reach, false) {
					differ("%s %s counts and does not trade: %v", m.venue, m.symbol, m.states)
				}
			} else if m.beats(side, sign, best, at, g.reach, g.stale) {
				differ("%s %s, but %s %s is better: %v, %v", []string{"bid", "ask"}[side], text(best), m.venue, m.symbol, m.during(at, g.reach), m.states)
			}
		}
		known := slices.ContainsFunc(g.members, func(m *member) bool { return m.venue == x.venue[side] && m.symbol == x.symbol[side] })
		if best.size > 0 != known {
			differ("%s is of %q %q", text(best), x.venue[side], x.symbol[side])
		}
	}
}

func text(l level) string {
	return strings.TrimSpace(fmt.Sprintf("%v × %v", l.price, l.size))
}

// during returns what stood within reach before a time.
func (m *member) during(at, reach int64) []offered {
	to := sort.Search(len(m.quotes), func(i int) bool { return m.quotes[i].from > at })
	from := sort.Search(len(m.quotes), func(i int) bool { return m.quotes[i].from > at-reach })
	return m.quotes[max(0, from-1):to]
}

// had reports whether a level was the stored quote, and whether the quotes
// were not seen then, so that it is the book's.
func (m *member) had(side int, best level, at, reach int64) (has, book bool) {
	during := m.during(at, reach)
	book = len(during) == 0
	for _, o := range during {
		if o.valid && o.side[side].price == best.price && math.Abs(o.side[side].size-best.size) <= 1e-9*best.size+1e-12 {
			return true, false
		}
		book = book || !o.valid
	}
	return false, book
}

// beats reports whether the instrument certainly had a better offer throughout.
func (m *member) beats(side int, sign float64, best level, at, reach, stale int64) bool {
	during := m.during(at, reach)
	for _, o := range during {
		l := o.side[side]
		if !o.valid || l.size == 0 || o.from <= at-stale || best.size > 0 && sign*(l.price-best.price) <= 0 {
			return false
		}
	}
	return len(during) > 0 && during[0].from <= at-reach && m.traded(at, reach, true)
}

// traded reports whether an offer could be hit at a time, or within reach
// before; throughout, whether at every moment of it.
func (m *member) traded(at, reach int64, throughout bool) bool {
	open := true // until the first word
	for _, s := range m.states {
		if s.from > at {
			break
		}
		is := isOpen(s.state)
		switch {
		case s.from <= at-reach:
			open = is
		case throughout:
			open = open && is
		default:
			open = open || is
		}
	}
	return open
}
