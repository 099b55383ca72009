package pipeline

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"tickproc/tick"
	"tickproc/writer"
)

// ledger is a sink that keeps what the tables would hold at the end: the last
// row of each key.
type ledger struct {
	mu          sync.Mutex
	instruments map[uint32]tick.Instrument
	rows        map[string]*entry
	order       []*entry // by first writing
}

// entry is one row, apart from the scale that it was written at.
type entry struct {
	table, venue, symbol string
	key                  string // table, instrument and identity
	value                string // all other columns but the receive time and rev
	units                []tick.Unit
	catalog              tick.Instrument
}

var _ writer.Sink = (*ledger)(nil)

func newLedger() *ledger {
	return &ledger{instruments: map[uint32]tick.Instrument{}, rows: map[string]*entry{}}
}

func (l *ledger) Idle(int64) {}

func (l *ledger) Close(context.Context) error { return nil }

func (l *ledger) Write(rows []tick.Unit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(rows) > 0 {
		n := tick.PacketUnits(&rows[0])
		l.write(rows[:n])
		rows = rows[n:]
	}
}

func (l *ledger) write(row []tick.Unit) {
	switch kind := row[0].KindOf(); kind {
	case tick.KindCatalog:
		in := row[0].Catalog().Definition()
		l.instruments[in.ID] = in
		return
	case tick.RowHealth, tick.RowPosition:
		return // of the process, not of the market
	case tick.RowStatus:
		if row[0].StatusRow().Before == tick.StateUnknown {
			return // told when a run begins, which is no event of the market
		}
	}
	in, known := l.instruments[row[0].RowHeader().Instrument]
	if !known {
		panic("row ahead of its instrument's definition")
	}
	e := &entry{venue: in.Venue, symbol: in.Symbol, units: slices.Clone(row), catalog: in}
	identity := ""
	if row[0].KindOf() == tick.RowNbbo {
		// It is of a group: which instrument lends its id is by order of appearance.
		e.table, e.venue, e.symbol = "nbbo", "all", in.Base+"-"+in.Quote+" "+in.Type.String()
		identity, e.value = l.nbboText(row[0].NbboRow())
	} else {
		e.table, identity, e.value = rowText(row)
	}
	e.key = strings.Join([]string{e.table, e.venue, e.symbol, identity}, " ")
	if old := l.rows[e.key]; old != nil {
		*old = *e
		return
	}
	l.rows[e.key] = e
	l.order = append(l.order, e)
}

// nbboText is rowText with names for ids.
func (l *ledger) nbboText(r *tick.NbboRow) (identity, value string) {
	side := func(price int64, priceDigits uint8, size int64, sizeDigits uint8, of uint32) string {
		if size == 0 {
			return "none "
		}
		in := l.instruments[of]
		return fmt.Sprint(exact(price, priceDigits), " × ", exact(size, sizeDigits), " of ", in.Venue, " ", in.Symbol, " ")
	}
	return fmt.Sprint(r.TsNanos, r.Ord), fmt.Sprint(side(r.Bid, r.BidDigits, r.BidSize, r.BidSizeDigits, r.BidInstrument),
		side(r.Ask, r.AskDigits, r.AskSize, r.AskSizeDigits, r.AskInstrument), r.Venues, " ", r.Flags)
}

// rowText writes a row's identity and its values as text.
func rowText(row []tick.Unit) (table, identity, value string) {
	h := row[0].RowHeader()
	price := func(v int64) string { return decimal.New(v, -int32(h.PriceDigits)).String() }
	size := func(v int64) string { return decimal.New(v, -int32(h.SizeDigits)).String() }
	volume := func(v tick.Int128) string { return v.Decimal(h.SizeDigits).String() }
	notional := func(v tick.Int128) string { return v.Decimal(h.PriceDigits + h.SizeDigits).String() }
	flags := fmt.Sprintf("flags=%b source=%s", h.Flags, h.Source)
	switch row[0].KindOf() {
	case tick.RowTrade:
		r := row[0].TradeRow()
		return "trades", fmt.Sprint(r.TsNanos, r.ID), fmt.Sprint(price(r.Price), " ", size(r.Size), " ", flags)
	case tick.RowQuote:
		r := row[0].QuoteRow()
		return "quotes", fmt.Sprint(r.TsNanos, r.Seq, r.Ord),
			fmt.Sprint(price(r.Bid), " ", size(r.BidSize), " ", price(r.Ask), " ", size(r.AskSize), " ", flags)
	case tick.RowBook:
		r := row[0].BookRow()
		levels := ""
		for _, x := range tick.RowLevels(row) {
			levels += price(x.Price) + "×" + size(x.Size) + " "
		}
		return "book", fmt.Sprint(r.TsNanos, r.Seq, r.Ord), fmt.Sprint(r.Bids, " bids: ", levels, flags)
	case tick.RowBar:
		r := row[0].BarRow()
		return "bars", fmt.Sprint(r.TsNanos, r.IntervalNanos), fmt.Sprint(price(r.Open), " ", price(r.High), " ", price(r.Low), " ", price(r.Close), " ",
			volume(r.Volume), " ", notional(r.Notional), " ", volume(r.BuyVolume), " ", volume(r.SellVolume), " ", r.InverseBase, " ", r.Trades, " ", flags)
	case tick.RowWindow:
		r := row[0].WindowRow()
		return "windows", fmt.Sprint(r.TsNanos, r.SpanNanos, r.StepNanos), fmt.Sprint(volume(r.Volume), " ", notional(r.Notional), " ", r.Trades, " ", flags)
	case tick.RowGap:
		r := row[0].GapRow()
		// Without its ordinal, which counts a gap at an estimated time as well, if that
		// happens to be the same.
		return "gaps", fmt.Sprint(r.TsNanos, r.Channel, r.Reason), fmt.Sprint("until ", r.EndNanos, " lost ", r.Lost, " ", flags, " ", r.Backfill)
	case tick.RowFunding:
		r := row[0].FundingRow()
		return "funding", fmt.Sprint(r.TsNanos, r.Ord),
			fmt.Sprint(r.Mark, "/", r.MarkDigits, " ", r.Index, "/", r.IndexDigits, " ", r.Rate, "/", r.RateDigits, " ", r.NextFundingNanos, " ", flags)
	case tick.RowOpenInterest:
		r := row[0].OpenInterestRow()
		return "open_interest", fmt.Sprint(r.TsNanos, r.Ord), fmt.Sprint(size(r.Size), " ", flags)
	case tick.RowLiquidation:
		r := row[0].TradeRow()
		return "liquidations", fmt.Sprint(r.TsNanos, r.Ord), fmt.Sprint(price(r.Price), " ", size(r.Size), " ", flags)
	case tick.RowStatus:
		r := row[0].StatusRow()
		return "status", fmt.Sprint(r.TsNanos, r.Ord), fmt.Sprint(r.Before, " ", r.State, " ", flags)
	}
	panic(fmt.Sprintf("row of unknown kind %d", row[0].KindOf()))
}

// of returns an instrument's rows of a kind, in the order of their first writing.
func (l *ledger) of(venue, symbol string, kind tick.Kind) (rows []*entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.order {
		if e.venue == venue && e.symbol == symbol && e.units[0].KindOf() == kind {
			rows = append(rows, e)
		}
	}
	return rows
}

// source says whose clock the row's ts is of.
func (e *entry) source() tick.TimeSource { return e.units[0].RowHeader().Source }

func (e *entry) has(f tick.RowFlags) bool { return e.units[0].RowHeader().Flags&f != 0 }

// withoutOrdinal is the key but for its last part.
func (e *entry) withoutOrdinal() string { return e.key[:strings.LastIndexByte(e.key, ' ')] }

// open says that the row is of an interval that was not over.
func (e *entry) open() bool {
	kind := e.units[0].KindOf()
	return (kind == tick.RowBar || kind == tick.RowWindow) && !e.has(tick.RowFinal)
}

// estimated says that the row's ts is of no message.
func (e *entry) estimated() bool {
	return e.source() == tick.TimeEstimate || e.units[0].KindOf() == tick.RowGap && e.units[0].GapRow().Reason == tick.ReasonStart
}

// started gives, by instrument, until when nothing was seen of its trades at first.
func (l *ledger) started() map[string]int64 {
	ends := map[string]int64{}
	for _, e := range l.order {
		name := e.venue + " " + e.symbol
		if e.units[0].KindOf() != tick.RowGap {
			continue
		}
		if g := e.units[0].GapRow(); g.Channel == tick.ChannelTrades && g.Reason == tick.ReasonStart && ends[name] == 0 {
			ends[name] = g.EndNanos
		}
	}
	return ends
}

// begins is the first moment that a bar or a window is of.
func (e *entry) begins() int64 {
	switch e.units[0].KindOf() {
	case tick.RowBar:
		return e.units[0].BarRow().TsNanos
	case tick.RowWindow:
		r := e.units[0].WindowRow()
		if r.SpanNanos == 0 {
			const day = int64(24 * time.Hour)
			return (r.TsNanos - 1) / day * day
		}
		return r.TsNanos - r.SpanNanos
	}
	return 0
}

// incomplete is the row's value without what says that it is complete.
func (e *entry) incomplete() string {
	row := slices.Clone(e.units)
	row[0].RowHeader().Flags &^= tick.RowComplete
	_, _, value := rowText(row)
	return value
}

// differences compares two ledgers by key, as two runs over the same input
// must agree: all but the time of rows that no message stamped, and bars and
// windows that were open at the end of either. Of the rows that no message
// stamped the sequence must agree; where one happens to have the time of a
// message's row, it decides that row's ordinal. And where an interval of a
// start ends in the one before a bar begins and in the other after that, the
// bar is complete in one only.
func differences(a, b *ledger) (found []string) {
	started, startedAgain := a.started(), b.started()
	between := func(e, o *entry) bool {
		x, y := started[e.venue+" "+e.symbol], startedAgain[e.venue+" "+e.symbol]
		begins := e.begins()
		return begins > min(x, y) && begins <= max(x, y) && e.incomplete() == o.incomplete()
	}
	beside := map[string]bool{} // keys without ordinal of rows that no message stamped
	for _, l := range []*ledger{a, b} {
		for _, e := range l.rows {
			if e.estimated() {
				beside[e.withoutOrdinal()] = true
			}
		}
	}
	other := func(l *ledger, e *entry) string {
		if o := l.rows[e.key]; o != nil {
			return o.value
		}
		return "no row"
	}
	for _, key := range slices.Sorted(maps.Keys(a.rows)) {
		e, o := a.rows[key], b.rows[key]
		if e.estimated() || e.open() || o != nil && o.open() || o != nil && o.value == e.value || beside[e.withoutOrdinal()] {
			continue
		}
		if o != nil && between(e, o) {
			continue
		}
		found = append(found, fmt.Sprintf("%s\n\t\t%s\n\t\t%s", key, e.value, other(b, e)))
	}
	for _, key := range slices.Sorted(maps.Keys(b.rows)) {
		if e := b.rows[key]; a.rows[key] == nil && !e.estimated() && !e.open() && !beside[e.withoutOrdinal()] {
			found = append(found, fmt.Sprintf("%s\n\t\tno row\n\t\t%s", key, e.value))
		}
	}
	x, y := a.announcements(), b.announcements()
	for _, name := range slices.Sorted(maps.Keys(x)) {
		if !slices.Equal(x[name], y[name]) {
			found = append(found, fmt.Sprintf("%s, rows that no message stamped\n\t\t%v\n\t\t%v", name, x[name], y[name]))
		}
	}
	return found
}

// announcements are the rows that no message stamped, by instrument and table.
func (l *ledger) announcements() map[string][]string {
	all := map[string][]string{}
	for _, e := range l.order {
		if !e.estimated() {
			continue
		}
		name := strings.Join([]string{e.table, e.venue, e.symbol}, " ")
		text := "invalid"
		if e.has(tick.RowValid) {
			text = "valid"
		}
		if e.units[0].KindOf() == tick.RowGap {
			r := e.units[0].GapRow()
			// Its end is no earlier than its beginning, which is as estimated.
			text = fmt.Sprint(r.Channel, " open=", r.EndNanos == 0, " lost=", r.Lost)
		}
		all[name] = append(all[name], text)
	}
	for name := range all {
		if strings.HasPrefix(name, "gaps ") {
			slices.Sort(all[name]) // channels begin in any order
		}
	}
	return all
}

// agree fails the test with the first differences.
func agree(t *testing.T, what string, a, b *ledger) {
	t.Helper()
	found := differences(a, b)
	if len(found) > 0 {
		t.Errorf("%s: %d differences of %d rows\n\t%s", what, len(found), len(a.rows), strings.Join(found[:min(8, len(found))], "\n\t"))
	}
}

// exact is a scaled integer as a number that knows no scale.
func exact(v int64, digits uint8) decimal.Decimal { return decimal.New(v, -int32(digits)) }
