package questdb

import (
	"fmt"
	"strings"

	"tickproc/tick"
)

// columnKind says how a column is declared and written.
type columnKind uint8

const (
	designated columnKind = iota // the row's time, TIMESTAMP_NS
	symbol
	varchar
	price // DOUBLE, or DECIMAL with every digit an instrument may have
	sum   // DOUBLE, or DECIMAL for products of two such numbers
	long
	boolean
	nanos // TIMESTAMP_NS; written as an integer, because the client's time columns are microseconds
)

// Places that the DECIMAL columns keep. A price or size has at most
// tick.MaxDigits, a product twice that.
const (
	priceScale = tick.MaxDigits
	sumScale   = 2 * tick.MaxDigits
)

// column is one column and where its value comes from.
type column struct {
	name     string
	kind     columnKind
	key      bool // part of the row's identity
	capacity int  // distinct values a symbol column is laid out for
	index    int  // level of a book column
	// ofInstrument: every row of an instrument has the same. plain: its text is of
	// letters, digits and signs that need no escape, whatever venues send.
	ofInstrument, plain bool
	label               string // what a line has before the value: ",name="

	// The one that belongs to the kind. Text "" and number null are SQL null.
	text    func(*source) string
	number  func(*source, *column) number
	integer func(*source) (v int64, ok bool)
	truth   func(*source) bool
}

// table is everything that is known of a table: from here come its DDL, its
// verification and its lines.
type table struct {
	name      string
	partition string // default; PARTITION BY
	columns   []column
	views     []tableView
	// channel names what is missing when rows of this table are lost; "" = such
	// a loss is only counted.
	channel string

	lines []*column // columns but the designated, symbols first as a line demands
}

type tableView struct{ name, query string }

// Places in Sink.lanes; the order of overflow is by priority in batches.go.
const (
	tableTrades = iota
	tableQuotes
	tableBook
	tableBars
	tableWindows
	tableGaps
	tableHealth
	tableInstruments
	tableFunding
	tableOpenInterest
	tableLiquidations
	tableStatus
	tableNbbo
	tableCount
)

// Capacities: what one deployment can be expected to see.
const (
	capacityVenues  = 256
	capacitySymbols = 8192
	capacityNames   = 256
)

var (
	columnTs     = column{name: "ts", kind: designated, key: true}
	columnVenue  = column{name: "venue", kind: symbol, key: true, ofInstrument: true, capacity: capacityVenues, text: func(x *source) string { return x.in.Venue }}
	columnSymbol = column{name: "symbol", kind: symbol, key: true, ofInstrument: true, capacity: capacitySymbols, text: func(x *source) string { return x.in.Symbol }}
	columnOrd    = column{name: "ord", kind: long, key: true, integer: func(x *source) (int64, bool) { return int64(x.head().Ord), true }}
	columnValid  = column{name: "valid", kind: boolean, truth: func(x *source) bool { return x.has(tick.RowValid) }}
	columnFinal  = column{name: "final", kind: boolean, truth: func(x *source) bool { return x.has(tick.RowFinal) }}
	columnWhole  = column{name: "complete", kind: boolean, truth: func(x *source) bool { return x.has(tick.RowComplete) }}
	columnSide   = column{name: "side", kind: symbol, plain: true, capacity: capacityNames, text: (*source).side}
	columnPrice  = column{name: "price", kind: price, number: func(x *source, _ *column) number { return x.price(x.trade().Price) }}
	columnSize   = column{name: "size", kind: price, number: func(x *source, _ *column) number { return x.size(x.trade().Size) }}
	columnSource = column{name: "ts_source", kind: symbol, plain: true, capacity: capacityNames, text: func(x *source) string { return x.head().Source.String() }}
	columnRecv   = column{name: "recv_ts", kind: nanos, integer: func(x *source) (int64, bool) { return x.head().ReceiveNanos, x.head().ReceiveNanos > 0 }}
)

// tablesOf declares the tables for books of the given depth.
func tablesOf(depth int) [tableCount]*table {
	tables := [tableCount]*table{
		tableTrades: {name: "trades", partition: "HOUR", channel: tick.ChannelTrades.String(), columns: []column{
			columnTs, columnVenue, columnSymbol,
			{name: "id", kind: varchar, key: true, plain: true, text: (*source).tradeID},
			columnSide, columnPrice, columnSize,
			{name: "late", kind: boolean, truth: func(x *source) bool { return x.has(tick.RowLate) }},
			columnRecv,
		}, views: []tableView{{"late_trades", "SELECT * FROM trades WHERE late"}}},

		tableQuotes: {name: "quotes", partition: "HOUR", channel: tick.ChannelQuotes.String(), columns: []column{
			columnTs, columnVenue, columnSymbol,
			{name: "seq", kind: long, key: true, integer: func(x *source) (int64, bool) { return int64(x.quote().Seq), true }},
			columnOrd,
			{name: "bid", kind: price, number: func(x *source, _ *column) number { return x.quotePrice(x.quote().Bid, x.quote().BidSize) }},
			{name: "bid_size", kind: price, number: func(x *source, _ *column) number { return x.quoteSize(x.quote().BidSize) }},
			{name: "ask", kind: price, number: func(x *source, _ *column) number { return x.quotePrice(x.quote().Ask, x.quote().AskSize) }},
			{name: "ask_size", kind: price, number: func(x *source, _ *column) number { return x.quoteSize(x.quote().AskSize) }},
			columnValid,
			{name: "src", kind: symbol, plain: true, capacity: capacityNames, text: func(x *source) string {
				if x.has(tick.RowFromBook) {
					return "book"
				}
				return "venue"
			}},
			columnSource, columnRecv,
		}},

		tableBook: {name: "book", partition: "HOUR", channel: tick.ChannelDepth.String(), columns: bookColumns(depth),
			views: []tableView{{"book_arrays", bookArrays(depth)}}},

		tableBars: {name: "bars", partition: "DAY", channel: "bars", columns: []column{
			columnTs, columnVenue, columnSymbol,
			{name: "interval", kind: symbol, key: true, plain: true, capacity: capacityNames, text: func(x *source) string { return x.intervalName(x.bar().IntervalNanos) }},
			{name: "open", kind: price, number: func(x *source, _ *column) number { return x.price(x.bar().Open) }},
			{name: "high", kind: price, number: func(x *source, _ *column) number { return x.price(x.bar().High) }},
			{name: "low", kind: price, number: func(x *source, _ *column) number { return x.price(x.bar().Low) }},
			{name: "close", kind: price, number: func(x *source, _ *column) number { return x.price(x.bar().Close) }},
			{name: "volume", kind: price, number: func(x *source, _ *column) number { return x.volume(x.bar().Volume) }},
			{name: "notional", kind: sum, number: func(x *source, _ *column) number { return x.notional(x.bar().Notional) }},
			{name: "base_volume", kind: sum, number: (*source).baseVolume},
			{name: "quote_volume", kind: sum, number: (*source).quoteVolume},
			{name: "vwap", kind: price, number: func(x *source, _ *column) number { return x.vwap(x.bar().Notional, x.bar().Volume) }},
			{name: "trades", kind: long, integer: func(x *source) (int64, bool) { return int64(x.bar().Trades), true }},
			{name: "buy_volume", kind: price, number: func(x *source, _ *column) number { return x.volume(x.bar().BuyVolume) }},
			{name: "sell_volume", kind: price, number: func(x *source, _ *column) number { return x.volume(x.bar().SellVolume) }},
			{name: "rev", kind: long, integer: func(x *source) (int64, bool) { return int64(x.bar().Rev), true }},
			columnFinal, columnWhole,
		}},

		tableWindows: {name: "windows", partition: "DAY", channel: "windows", columns: []column{
			columnTs, columnVenue, columnSymbol,
			{name: "name", kind: symbol, key: true, plain: true, capacity: capacityNames, text: (*source).windowName},
			{name: "value", kind: price, number: func(x *source, _ *column) number { return x.vwap(x.window().Notional, x.window().Volume) }},
			{name: "volume", kind: price, number: func(x *source, _ *column) number { return x.volume(x.window().Volume) }},
			{name: "notional", kind: sum, number: func(x *source, _ *column) number { return x.notional(x.window().Notional) }},
			{name: "trades", kind: long, integer: func(x *source) (int64, bool) { return int64(x.window().Trades), true }},
			{name: "rev", kind: long, integer: func(x *source) (int64, bool) { return int64(x.window().Rev), true }},
			columnFinal, columnWhole,
		}},

		tableGaps: {name: "gaps", partition: "DAY", columns: []column{
			columnTs,
			{name: "ts_end", kind: nanos, integer: func(x *source) (int64, bool) { return x.gap().EndNanos, x.gap().EndNanos > 0 }},
			columnVenue, columnSymbol,
			{name: "channel", kind: symbol, key: true, capacity: capacityNames, text: (*source).gapChannel},
			{name: "reason", kind: symbol, key: true, capacity: capacityNames, text: func(x *source) string { return x.gap().Reason.String() }},
			columnOrd,
			{name: "lost", kind: long, integer: func(x *source) (int64, bool) { return x.gap().Lost, x.gap().Lost >= 0 }},
			{name: "repaired", kind: boolean, truth: func(x *source) bool { return x.has(tick.RowRepaired) }},
			{name: "backfill", kind: symbol, capacity: capacityNames, text: func(x *source) string { return x.gap().Backfill.String() }},
		}},

		tableHealth: {name: "feed_health", partition: "DAY", columns: []column{
			columnTs,
			{name: "venue", kind: symbol, key: true, capacity: capacityVenues, text: func(x *source) string { return fieldText(x.health().VenueText[:]) }},
			{name: "line", kind: symbol, key: true, capacity: capacitySymbols, text: func(x *source) string { return fieldText(x.health().LineText[:]) }},
			{name: "up", kind: boolean, truth: func(x *source) bool { return x.health().Up }},
			{name: "frames", kind: long, integer: func(x *source) (int64, bool) { return int64(x.health().Frames), true }},
			{name: "bytes", kind: long, integer: func(x *source) (int64, bool) { return int64(x.health().Bytes), true }},
			{name: "decode_errors", kind: long, integer: func(x *source) (int64, bool) { return int64(x.health().DecodeErrors), true }},
			{name: "reconnects", kind: long, integer: func(x *source) (int64, bool) { return int64(x.health().Reconnects), true }},
			{name: "age_ns", kind: long, integer: func(x *source) (int64, bool) { return x.health().AgeNanos, true }},
			{name: "offset_ns", kind: long, integer: func(x *source) (int64, bool) { return x.health().OffsetNanos, true }},
			{name: "first", kind: long, integer: func(x *source) (int64, bool) { return int64(x.health().First), true }},
			{name: "second", kind: long, integer: func(x *source) (int64, bool) { return int64(x.health().Second), true }},
			{name: "missed", kind: long, integer: func(x *source) (int64, bool) { return int64(x.health().Missed), true }},
			{name: "lead_ns", kind: long, integer: func(x *source) (int64, bool) { return x.health().LeadNanos, true }},
			{name: "recv_src", kind: symbol, capacity: capacityNames, text: func(x *source) string {
				if x.health().KernelStamped {
					return "kernel"
				}
				return "user"
			}},
		}},

		tableInstruments: {name: "instruments", partition: "DAY", columns: []column{
			columnTs, columnVenue, columnSymbol,
			{name: "underlying", kind: symbol, capacity: capacitySymbols, text: func(x *source) string { return x.in.Underlying }},
			{name: "base", kind: symbol, capacity: capacitySymbols, text: func(x *source) string { return x.in.Base }},
			{name: "quote", kind: symbol, capacity: capacityNames, text: func(x *source) string { return x.in.Quote }},
			{name: "type", kind: symbol, capacity: capacityNames, text: func(x *source) string { return x.in.Type.String() }},
			{name: "inverse", kind: boolean, truth: func(x *source) bool { return x.in.Inverse }},
			{name: "price_digits", kind: long, integer: func(x *source) (int64, bool) { return int64(x.in.PriceDigits), true }},
			{name: "size_digits", kind: long, integer: func(x *source) (int64, bool) { return int64(x.in.SizeDigits), true }},
			{name: "tick", kind: price, number: func(x *source, _ *column) number { return known(x.in.Tick) }},
			{name: "lot", kind: price, number: func(x *source, _ *column) number { return known(x.in.Lot) }},
			{name: "contract_size", kind: price, number: func(x *source, _ *column) number { return known(x.in.ContractSize) }},
			{name: "state", kind: symbol, capacity: capacityNames, text: func(x *source) string { return x.in.State.String() }},
			{name: "expiry", kind: nanos, integer: func(x *source) (int64, bool) { return x.in.ExpiryNanos, x.in.ExpiryNanos > 0 }},
		}},

		tableFunding: {name: "funding", partition: "DAY", channel: tick.ChannelFunding.String(), columns: []column{
			columnTs, columnVenue, columnSymbol, columnOrd,
			{name: "mark", kind: price, number: func(x *source, _ *column) number { return told(x.funding().Mark, x.funding().MarkDigits) }},
			{name: "index_price", kind: price, number: func(x *source, _ *column) number { return told(x.funding().Index, x.funding().IndexDigits) }},
			{name: "rate", kind: price, number: func(x *source, _ *column) number { return told(x.funding().Rate, x.funding().RateDigits) }},
			{name: "next_funding_ts", kind: nanos, integer: func(x *source) (int64, bool) {
				return x.funding().NextFundingNanos, x.funding().NextFundingNanos > 0
			}},
			columnSource, columnRecv,
		}},

		tableOpenInterest: {name: "open_interest", partition: "DAY", channel: tick.ChannelOpenInterest.String(), columns: []column{
			columnTs, columnVenue, columnSymbol, columnOrd,
			{name: "size", kind: price, number: func(x *source, _ *column) number { return x.size(x.interest().Size) }},
			columnSource, columnRecv,
		}},

		tableLiquidations: {name: "liquidations", partition: "DAY", channel: tick.ChannelLiquidations.String(), columns: []column{
			columnTs, columnVenue, columnSymbol, columnOrd, columnSide, columnPrice, columnSize, columnSource, columnRecv,
		}},

		tableStatus: {name: "status", partition: "DAY", channel: "status", columns: []column{
			columnTs, columnVenue, columnSymbol, columnOrd,
			{name: "state", kind: symbol, capacity: capacityNames, text: func(x *source) string { return x.status().State.String() }},
			{name: "before", kind: symbol, capacity: capacityNames, text: func(x *source) string { return x.status().Before.String() }},
			columnSource, columnRecv,
		}},

		// Of no venue: a loss is reported as one of the instrument that lends its id.
		tableNbbo: {name: "nbbo", partition: "HOUR", channel: "nbbo", columns: []column{
			columnTs,
			{name: "symbol", kind: symbol, key: true, capacity: capacitySymbols, text: (*source).pair},
			{name: "type", kind: symbol, key: true, capacity: capacityNames, text: func(x *source) string { return x.in.Type.String() }},
			columnOrd,
			{name: "bid", kind: price, number: func(x *source, _ *column) number { return offered(x.nbbo().Bid, x.nbbo().BidDigits, x.nbbo().BidSize) }},
			{name: "bid_size", kind: price, number: func(x *source, _ *column) number {
				return offered(x.nbbo().BidSize, x.nbbo().BidSizeDigits, x.nbbo().BidSize)
			}},
			{name: "bid_venue", kind: symbol, capacity: capacityVenues, text: func(x *source) string { return x.offerer(x.nbbo().BidInstrument, x.nbbo().BidSize).Venue }},
			{name: "bid_symbol", kind: symbol, capacity: capacitySymbols, text: func(x *source) string { return x.offerer(x.nbbo().BidInstrument, x.nbbo().BidSize).Symbol }},
			{name: "ask", kind: price, number: func(x *source, _ *column) number { return offered(x.nbbo().Ask, x.nbbo().AskDigits, x.nbbo().AskSize) }},
			{name: "ask_size", kind: price, number: func(x *source, _ *column) number {
				return offered(x.nbbo().AskSize, x.nbbo().AskSizeDigits, x.nbbo().AskSize)
			}},
			{name: "ask_venue", kind: symbol, capacity: capacityVenues, text: func(x *source) string { return x.offerer(x.nbbo().AskInstrument, x.nbbo().AskSize).Venue }},
			{name: "ask_symbol", kind: symbol, capacity: capacitySymbols, text: func(x *source) string { return x.offerer(x.nbbo().AskInstrument, x.nbbo().AskSize).Symbol }},
			{name: "venues", kind: long, integer: func(x *source) (int64, bool) { return int64(x.nbbo().Venues), true }},
			{name: "crossed", kind: boolean, truth: func(x *source) bool { return x.has(tick.RowCrossed) }},
			columnValid, columnSource, columnRecv,
		}},
	}
	for _, t := range tables {
		t.lines = lineOrder(t.columns)
	}
	return tables
}

func bookColumns(depth int) []column {
	columns := []column{
		columnTs, columnVenue, columnSymbol,
		{name: "seq", kind: long, key: true, integer: func(x *source) (int64, bool) { return int64(x.book().Seq), true }},
		columnOrd, columnValid,
	}
	for i := range depth {
		columns = append(columns,
			column{name: fmt.Sprintf("bid%d", i), kind: price, index: i, number: func(x *source, c *column) number { return x.levelPrice(x.bids(), c.index) }},
			column{name: fmt.Sprintf("bid_size%d", i), kind: price, index: i, number: func(x *source, c *column) number { return x.levelSize(x.bids(), c.index) }},
			column{name: fmt.Sprintf("ask%d", i), kind: price, index: i, number: func(x *source, c *column) number { return x.levelPrice(x.asks(), c.index) }},
			column{name: fmt.Sprintf("ask_size%d", i), kind: price, index: i, number: func(x *source, c *column) number { return x.levelSize(x.asks(), c.index) }})
	}
	return append(columns, columnSource, columnRecv)
}

// bookArrays builds the view that offers the levels as DOUBLE[][]: prices, sizes.
func bookArrays(depth int) string {
	side := func(name string) string {
		var prices, sizes []string
		for i := range depth {
			prices = append(prices, fmt.Sprintf("%s%d::double", name, i))
			sizes = append(sizes, fmt.Sprintf("%s_size%d::double", name, i))
		}
		return fmt.Sprintf("ARRAY[[%s],[%s]] %ss", strings.Join(prices, ","), strings.Join(sizes, ","), name)
	}
	return fmt.Sprintf("SELECT ts, venue, symbol, seq, ord, valid, %s, %s FROM book", side("bid"), side("ask"))
}

func lineOrder(columns []column) []*column {
	var symbols, fields []*column
	for i := range columns {
		c := &columns[i]
		c.label = "," + c.name + "=" // no name has anything to escape
		switch c.kind {
		case designated:
		case symbol:
			symbols = append(symbols, c)
		default:
			fields = append(fields, c)
		}
	}
	return append(symbols, fields...)
}

func (t *table) keys() []string {
	var keys []string
	for _, c := range t.columns {
		if c.key {
			keys = append(keys, c.name)
		}
	}
	return keys
}
