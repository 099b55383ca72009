package coinbase

import (
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

const (
	tickerProduct = iota
	tickerBid
	tickerBidSize
	tickerAsk
	tickerAskSize
	tickerTime
	tickerKeys
)

// tickers reads the tickers of an event. They tell the best bid and offer when
// a trade happened, and none in between.
func (d *decoder) tickers() {
	s := &d.Scan
	for more := s.Array(); more; more = s.Next(']') {
		d.ticker()
	}
	if s.Failed() {
		d.Refuse("broken tickers")
	}
}

// ticker reads {"type":"ticker","product_id":…,"best_bid":…, …}. Its time is
// the envelope's unless it has its own.
//
// hot: per ticker, 0 allocs.
func (d *decoder) ticker() {
	s := &d.Scan
	var seen keys
	var v [tickerKeys]jsonscan.Value
	for more := s.Object(); more; more = s.Next('}') {
		k := 0
		switch key := s.Key(); string(key) {
		case "product_id":
			k = tickerProduct
		case "best_bid":
			k = tickerBid
		case "best_bid_quantity":
			k = tickerBidSize
		case "best_ask":
			k = tickerAsk
		case "best_ask_quantity":
			k = tickerAskSize
		case "time":
			k = tickerTime
		case "type", "price", "volume_24_h", "low_24_h", "high_24_h", "low_52_w", "high_52_w", "price_percent_chg_24_h":
			s.Skip()
			continue
		default:
			d.Strange("ticker", key)
			s.Skip()
			continue
		}
		if !d.once(&seen, k) {
			return
		}
		v[k] = s.Value()
	}
	const needed = 1<<tickerProduct | 1<<tickerBid | 1<<tickerBidSize | 1<<tickerAsk | 1<<tickerAskSize
	switch {
	case s.Failed(): // said by the caller
		return
	case seen&needed != needed:
		d.Refuse("a ticker lacks a key")
		return
	}
	nanos := int64(0)
	if seen&(1<<tickerTime) != 0 {
		nanos = d.nanosOf(v[tickerTime])
	}
	if nanos == 0 {
		nanos = d.nanos
	}
	if d.find(v[tickerProduct]) {
		d.Quote(0, d.best(v[tickerBid], v[tickerBidSize]), d.best(v[tickerAsk], v[tickerAskSize]), nanos)
	}
}

// best reads one side of a quote; an empty side is empty strings, or zeros.
func (d *decoder) best(price, size jsonscan.Value) (l tick.Level) {
	if !isEmpty(price) {
		l.Price = d.Price(price)
	}
	if !isEmpty(size) {
		l.Size = d.Size(size)
	}
	return l
}

func isEmpty(v jsonscan.Value) bool { return v.Kind == jsonscan.String && v.Start == v.End }
