package questdb

import (
	"bytes"
	"fmt"
	"time"

	"tickproc/indicators"
	"tickproc/internal/digits"
	"tickproc/tick"
)

// instrument is a definition as it came in the row stream.
type instrument struct {
	tick.Instrument
	known    bool
	unfit    error  // why its names cannot be written; nil = they can
	unstated bool   // its definition had no time yet to be a row of its own
	pair     string // base-quote
	tags     string // its venue and symbol as a line has them; "" = not encoded yet
}

// source is the row that is being written, as the columns see it.
type source struct {
	row         []tick.Unit
	in          *instrument
	all         []instrument // by id
	channelText string       // of a gap in a table that is no channel of the venue

	windows   []windowName
	intervals []intervalName
	scratch   []byte
}

type windowName struct {
	span, step int64
	name       string
}

type intervalName struct {
	nanos int64
	name  string
}

func (x *source) head() *tick.RowHeader           { return x.row[0].RowHeader() }
func (x *source) has(f tick.RowFlags) bool        { return x.head().Flags&f != 0 }
func (x *source) trade() *tick.TradeRow           { return x.row[0].TradeRow() }
func (x *source) quote() *tick.QuoteRow           { return x.row[0].QuoteRow() }
func (x *source) book() *tick.BookRow             { return x.row[0].BookRow() }
func (x *source) bar() *tick.BarRow               { return x.row[0].BarRow() }
func (x *source) window() *tick.WindowRow         { return x.row[0].WindowRow() }
func (x *source) gap() *tick.GapRow               { return x.row[0].GapRow() }
func (x *source) health() *tick.HealthRow         { return x.row[0].HealthRow() }
func (x *source) funding() *tick.FundingRow       { return x.row[0].FundingRow() }
func (x *source) interest() *tick.OpenInterestRow { return x.row[0].OpenInterestRow() }
func (x *source) status() *tick.StatusRow         { return x.row[0].StatusRow() }
func (x *source) nbbo() *tick.NbboRow             { return x.row[0].NbboRow() }
func (x *source) price(v int64) number            { return scaled(v, x.head().PriceDigits) }
func (x *source) size(v int64) number             { return scaled(v, x.head().SizeDigits) }
func (x *source) volume(v tick.Int128) number {
	return number{value: v, digits: int(x.head().SizeDigits)}
}
func (x *source) bids() []tick.Level { return tick.RowLevels(x.row)[:x.book().Bids] }
func (x *source) asks() []tick.Level { return tick.RowLevels(x.row)[x.book().Bids:] }

func (x *source) notional(v tick.Int128) number {
	return number{value: v, digits: int(x.head().PriceDigits) + int(x.head().SizeDigits)}
}

// An empty side has no price, rather than the price 0.
func (x *source) quotePrice(price, size int64) number {
	if size == 0 {
		return null
	}
	return x.price(price)
}

func (x *source) quoteSize(size int64) number {
	if size == 0 {
		return null
	}
	return x.size(size)
}

func (x *source) levelPrice(side []tick.Level, i int) number {
	if i >= len(side) {
		return null
	}
	return x.price(side[i].Price)
}

func (x *source) levelSize(side []tick.Level, i int) number {
	if i >= len(side) {
		return null
	}
	return x.size(side[i].Size)
}

func (x *source) vwap(notional, volume tick.Int128) number {
	if volume.IsZero() {
		return null
	}
	n := x.notional(notional)
	n.ratio, n.over, n.overDigits = true, volume, int(x.head().SizeDigits)
	return n
}

// contract is what one unit of the venue's quantity stands for; null numbers
// follow where it is unknown.
func (x *source) contract() (tick.Number, bool) {
	if x.in.ContractSize.Mantissa != 0 {
		return x.in.ContractSize, true
	}
	return tick.Number{Mantissa: 1}, x.in.Type == tick.TypeSpot
}

// baseVolume is what changed hands in the base asset. An inverse contract is
// worth its size in the quote asset, so its base follows from each price.
func (x *source) baseVolume(*column) number {
	size, ok := x.contract()
	switch {
	case !ok:
		return null
	case x.in.Inverse:
		return number{value: x.bar().InverseBase, digits: tick.InverseDigits}
	}
	return x.volume(x.bar().Volume).times(size)
}

func (x *source) quoteVolume(*column) number {
	size, ok := x.contract()
	switch {
	case !ok:
		return null
	case x.in.Inverse:
		return x.volume(x.bar().Volume).times(size)
	}
	return x.notional(x.bar().Notional).times(size)
}

func known(n tick.Number) number {
	if n.Mantissa == 0 {
		return null
	}
	return plain(n)
}

// told is a number that the venue may not have told yet.
func told(v int64, digits uint8) number {
	if v == tick.Absent {
		return null
	}
	return scaled(v, digits)
}

// offered is a number of a side that is empty where its size is 0.
func offered(v int64, digits uint8, size int64) number {
	if size == 0 {
		return null
	}
	return scaled(v, digits)
}

// nobody offers on an empty side.
var nobody instrument

// offerer is the instrument whose offer is the best.
func (x *source) offerer(id uint32, size int64) *instrument {
	if size == 0 {
		return &nobody
	}
	if int(id) >= len(x.all) || !x.all[id].known {
		panic(fmt.Sprintf("BUG: best offer of instrument %d, which was never introduced", id))
	}
	return &x.all[id]
}

func (x *source) pair() string { return x.in.pair }

func (x *source) side() string {
	if x.has(tick.RowSell) {
		return "sell"
	}
	return "buy"
}

// tradeID writes the id as the venue does.
func (x *source) tradeID() string {
	id := x.trade().ID
	if x.in.TradeIDs != tick.TradeIDUUID {
		x.scratch = digits.AppendUint(x.scratch[:0], id.Lo)
		return view(x.scratch)
	}
	const hex = "0123456789abcdef"
	x.scratch = x.scratch[:0]
	for i := range 32 {
		if i == 8 || i == 12 || i == 16 || i == 20 {
			x.scratch = append(x.scratch, '-')
		}
		word := id.Hi
		if i >= 16 {
			word = id.Lo
		}
		x.scratch = append(x.scratch, hex[word>>(60-4*(i%16))&15])
	}
	return view(x.scratch)
}

func (x *source) gapChannel() string {
	if x.channelText != "" {
		return x.channelText
	}
	return x.gap().Channel.String()
}

// windowName remembers the few names there are, so that rows allocate none.
func (x *source) windowName() string {
	r := x.window()
	for _, known := range x.windows {
		if known.span == r.SpanNanos && known.step == r.StepNanos {
			return known.name
		}
	}
	name := indicators.WindowName(indicators.WindowSpec{Span: time.Duration(r.SpanNanos), Step: time.Duration(r.StepNanos)})
	x.windows = append(x.windows, windowName{span: r.SpanNanos, step: r.StepNanos, name: name})
	return name
}

// intervalName remembers the few names there are, so that rows allocate none.
func (x *source) intervalName(nanos int64) string {
	for _, known := range x.intervals {
		if known.nanos == nanos {
			return known.name
		}
	}
	name := indicators.IntervalName(time.Duration(nanos))
	x.intervals = append(x.intervals, intervalName{nanos, name})
	return name
}

// fieldText is the text of a fixed field, filled up with zeros.
func fieldText(field []byte) string {
	if end := bytes.IndexByte(field, 0); end >= 0 {
		field = field[:end]
	}
	return view(field)
}
