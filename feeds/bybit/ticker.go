package bybit

import (
	"tickproc/feeds/wire"
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// ticker is what a message tells of a contract.
type ticker struct {
	reference       wire.Reference
	openInterest    tick.Number
	hasOpenInterest bool
}

func tickerField(key []byte) field {
	switch string(key) {
	case "symbol":
		return fieldSymbol
	case "markPrice":
		return fieldMark
	case "indexPrice":
		return fieldIndex
	case "fundingRate":
		return fieldRate
	case "nextFundingTime":
		return fieldNextFunding
	case "openInterest":
		return fieldOpenInterest
	case "tickDirection", "price24hPcnt", "lastPrice", "prevPrice24h", "highPrice24h", "lowPrice24h", "prevPrice1h", "openInterestValue",
		"turnover24h", "volume24h", "bid1Price", "bid1Size", "ask1Price", "ask1Size", "deliveryTime", "basis", "basisRate", "basisRateYear",
		"deliveryFeeRate", "predictedDeliveryPrice", "preOpenPrice", "preQty", "curPreListingPhase", "fundingIntervalHour", "fundingCap",
		"singleOpenInterest", "singleOpenInterestValue":
		return fieldUnused
	}
	return fieldStrange
}

// tickers reads a snapshot or a delta alike: what a delta does not tell has
// not changed, and stays absent in the packet.
//
// hot: per frame, 0 allocs.
func (d *decoder) tickers() {
	s := &d.Scan
	d.data, d.ticker = 0, ticker{}
	for more := s.Object(); more; more = s.Next('}') {
		key := s.Key()
		f := tickerField(key)
		switch {
		case f >= fieldCount:
			d.pass(f, "tickers", key)
		case !d.once(&d.data, f):
			return
		default:
			d.values[f] = s.Value()
		}
	}
	if !d.complete(set(fieldSymbol), "ticker") || !d.isSubject() {
		return
	}
	t := &d.ticker
	t.reference.Mark, t.reference.HasMark = d.number(fieldMark)
	t.reference.Index, t.reference.HasIndex = d.number(fieldIndex)
	t.reference.Rate, t.reference.HasRate = d.number(fieldRate)
	t.openInterest, t.hasOpenInterest = d.number(fieldOpenInterest)
	if d.tells(fieldNextFunding) {
		millis, ok := uintOf(d.textOf(fieldNextFunding))
		if !ok {
			d.Refuse("a time is no whole number")
		}
		t.reference.NextFundingNanos = nanosOf(millis)
	}
}

// tells reports whether the data have a value: futures leave funding empty.
func (d *decoder) tells(f field) bool {
	return d.data&(1<<f) != 0 && (d.values[f].Kind != jsonscan.String || d.values[f].Start < d.values[f].End)
}

func (d *decoder) number(f field) (n tick.Number, told bool) {
	if !d.tells(f) {
		return tick.Number{}, false
	}
	return d.Number(d.values[f]), true
}

func (d *decoder) finishTicker() {
	nanos := d.sent()
	d.Mark(d.ticker.reference, nanos)
	if d.ticker.hasOpenInterest {
		d.OpenInterest(d.ticker.openInterest, nanos)
	}
}
