package bybit

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"tickproc/feeds/sim"
	"tickproc/tick"
)

func (d *dialect) REST(m *sim.Market, path string, query url.Values) sim.Answer {
	var result []byte
	var told []sim.Trade
	switch path {
	case "/v5/market/recent-trade":
		result, told = d.recent(m, query)
	case "/v5/market/instruments-info":
		result = d.instruments(m, query)
	case "/v5/market/tickers":
		result = d.tickers(m, query)
	case "/v5/market/time":
		result = fmt.Appendf(nil, `{"timeSecond":"%d","timeNano":"%d"}`, m.NowNanos()/int64(time.Second), m.NowNanos())
	default:
		return sim.Answer{Status: http.StatusNotFound, Body: []byte("404 page not found")}
	}
	body := fmt.Appendf(nil, `{"retCode":0,"retMsg":"OK","result":%s,"retExtInfo":{},"time":%d}`, result, m.NowNanos()/int64(time.Millisecond))
	if result == nil {
		body = refused(10001, "params error: Category is invalid")
	}
	return sim.Answer{Status: http.StatusOK, Weight: 1, Body: body, Symbol: query.Get("symbol"), Trades: told}
}

func (d *dialect) RESTError(status int) []byte {
	if status == http.StatusTooManyRequests {
		return refused(10006, "Too many visits! Exceeded the API Rate Limit.")
	}
	return refused(10016, "Server error")
}

func refused(code int, message string) []byte {
	return fmt.Appendf(nil, `{"retCode":%d,"retMsg":%q,"result":{},"retExtInfo":{},"time":0}`, code, message)
}

// statusOf is the venue's word for a state; what is halted is in no list.
func statusOf(state tick.State) string {
	switch state {
	case tick.StateTrading, tick.StateRestricted:
		return "Trading"
	case tick.StatePreOpen:
		return "PreLaunch"
	case tick.StateSettling:
		return "Delivering"
	}
	return ""
}

// instruments answers with those of one status, by pages on contracts. It
// returns nil for another category than the venue's.
func (d *dialect) instruments(m *sim.Market, query url.Values) []byte {
	if query.Get("category") != d.category {
		return nil
	}
	status := query.Get("status")
	if status == "" || d.spot() {
		status = "Trading"
	}
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil || limit < 1 || limit > 1000 {
		limit = 500
	}
	from, _ := strconv.Atoi(query.Get("cursor"))
	var list []*sim.Instrument
	for _, in := range m.Instruments() {
		if only := query.Get("symbol"); statusOf(in.State) == status && (only == "" || only == in.Name) {
			list = append(list, in)
		}
	}
	next := ""
	if d.spot() {
		limit, from = len(list), 0
	}
	list = list[min(max(from, 0), len(list)):]
	if len(list) > limit {
		list, next = list[:limit], strconv.Itoa(from+limit)
	}
	out := fmt.Appendf(nil, `{"category":%q,"nextPageCursor":%q,"list":[`, d.category, next)
	for i, in := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = d.appendInstrument(out, in, status)
	}
	return append(out, `]}`...)
}

func (d *dialect) appendInstrument(dst []byte, in *sim.Instrument, status string) []byte {
	step, lot := tick.FormatScaled(in.Tick, in.PriceDigits), tick.FormatScaled(in.Lot, in.SizeDigits)
	if d.spot() {
		return fmt.Appendf(dst, `{"symbol":%q,"baseCoin":%q,"quoteCoin":%q,"innovation":"0","status":%q,"marginTrading":"none","stTag":"0","lotSizeFilter":{"basePrecision":%q,"quotePrecision":"0.0000001","minOrderQty":%q,"maxOrderQty":"1000000","minOrderAmt":"5","maxOrderAmt":"8000000"},"priceFilter":{"tickSize":%q},"riskParameters":{"priceLimitRatioX":"0.01","priceLimitRatioY":"0.02"},"symbolType":""}`,
			in.Name, in.Base, in.Spec.Quote, status, lot, lot, step)
	}
	settle := in.Spec.Quote
	if d.inverse() {
		settle = in.Base
	}
	return fmt.Appendf(dst, `{"symbol":%q,"contractType":%q,"status":%q,"baseCoin":%q,"quoteCoin":%q,"launchTime":"1584230400000","deliveryTime":"%d","deliveryFeeRate":"","priceScale":"%d","leverageFilter":{"minLeverage":"1","maxLeverage":"100.00","leverageStep":"0.01"},"priceFilter":{"minPrice":%q,"maxPrice":"1999999.80","tickSize":%q},"lotSizeFilter":{"maxOrderQty":"1190.000","minOrderQty":%q,"qtyStep":%q,"postOnlyMaxOrderQty":"1190.000","maxMktOrderQty":"500.000","minNotionalValue":"5"},"unifiedMarginTrade":true,"fundingInterval":480,"settleCoin":%q,"copyTrading":"both","upperFundingRate":"0.005","lowerFundingRate":"-0.005","isPreListing":false,"preListingInfo":null}`,
		in.Name, in.Contract, status, in.Base, in.Spec.Quote, in.ExpiryNanos/int64(time.Millisecond), in.PriceDigits, step, step, lot, lot, settle)
}

// recent answers with the newest trades, newest first; nil for another
// category or symbol than the venue's.
func (d *dialect) recent(m *sim.Market, query url.Values) ([]byte, []sim.Trade) {
	in := m.Instrument(query.Get("symbol"))
	if query.Get("category") != d.category || in == nil {
		return nil, nil
	}
	limit := 1000
	if d.spot() {
		limit = 60
	}
	if n, err := strconv.Atoi(query.Get("limit")); err == nil && n > 0 && n < limit {
		limit = n
	}
	told := m.Past(in, in.LastTrades(limit))
	out := fmt.Appendf(nil, `{"category":%q,"list":[`, d.category)
	for i := range told {
		t := &told[len(told)-1-i]
		if i > 0 {
			out = append(out, ',')
		}
		side := "Buy"
		if t.Sell {
			side = "Sell"
		}
		out = fmt.Appendf(out, `{"execId":%q,"symbol":%q,"price":%q,"size":%q,"side":%q,"time":"%d","isBlockTrade":false,"isRPITrade":false,"seq":"%d"}`,
			d.TradeID(in, t.ID), in.Name, tick.FormatScaled(t.Price, in.PriceDigits), tick.FormatScaled(t.Size, in.SizeDigits), side,
			t.TimeNanos/int64(time.Millisecond), t.ID)
	}
	return append(out, `]}`...), told
}

// traded is what the venue says was traded in 24 hours: in the size's unit,
// and what that is in the other asset.
func (d *dialect) traded(in *sim.Instrument) (volume, turnover float64) {
	price := float64(in.Bids(1)[0].Price) / float64(tick.Pow10(in.PriceDigits))
	volume = float64(in.Lot*in.OrderLots) / float64(tick.Pow10(in.SizeDigits)) * float64(10_000+sim.NameHash(in.Name)%90_000)
	if d.inverse() {
		return volume, volume / price
	}
	return volume, volume * price
}

func (d *dialect) tickers(m *sim.Market, query url.Values) []byte {
	if query.Get("category") != d.category {
		return nil
	}
	out := fmt.Appendf(nil, `{"category":%q,"list":[`, d.category)
	first := true
	for _, in := range m.Instruments() {
		if only := query.Get("symbol"); statusOf(in.State) != "Trading" || only != "" && only != in.Name {
			continue
		}
		if !first {
			out = append(out, ',')
		}
		first = false
		bid, ask := in.Bids(1)[0], in.Asks(1)[0]
		price := func(x int64) string { return tick.FormatScaled(x, in.PriceDigits) }
		size := func(x int64) string { return tick.FormatScaled(x, in.SizeDigits) }
		volume, turnover := d.traded(in)
		out = fmt.Appendf(out, `{"symbol":%q,"lastPrice":%q,"bid1Price":%q,"bid1Size":%q,"ask1Price":%q,"ask1Size":%q,"volume24h":"%.4f","turnover24h":"%.4f"`,
			in.Name, price(bid.Price), price(bid.Price), size(bid.Size), price(ask.Price), size(ask.Size), volume, turnover)
		if r := in.Reference(); !d.spot() {
			out = fmt.Appendf(out, `,"markPrice":%q,"indexPrice":%q,"openInterest":%q,"fundingRate":%q,"nextFundingTime":"%d"`,
				tick.FormatScaled(r.Mark, r.PriceDigits), tick.FormatScaled(r.Index, r.PriceDigits), size(in.OpenInterest()),
				tick.FormatScaled(r.FundingRate, r.RateDigits), r.NextFundingNanos/int64(time.Millisecond))
		}
		out = append(out, '}')
	}
	return append(out, `]}`...)
}
