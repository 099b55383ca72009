package okx

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"tickproc/feeds/sim"
	"tickproc/tick"
)

func (d *dialect) REST(m *sim.Market, path string, query url.Values) sim.Answer {
	list := func(put func(dst []byte, in *sim.Instrument) []byte) sim.Answer {
		kind := query.Get("instType")
		if !slices.Contains([]string{"SPOT", "SWAP", "FUTURES"}, kind) {
			return sim.Answer{Status: http.StatusBadRequest, Weight: 1, Body: []byte(`{"code":"51000","data":[],"msg":"Parameter instType  error"}`)}
		}
		body := []byte(`{"code":"0","msg":"","data":[`)
		first := true
		for _, in := range m.Instruments() {
			if typeName(in) != kind {
				continue
			}
			if !first {
				body = append(body, ',')
			}
			first = false
			body = put(body, in)
		}
		return sim.Answer{Status: http.StatusOK, Weight: 1, Body: append(body, `]}`...)}
	}
	switch path {
	case "/api/v5/public/instruments":
		return list(appendInstrument)
	case "/api/v5/market/tickers":
		now := m.NowNanos()
		return list(func(dst []byte, in *sim.Instrument) []byte { return appendTicker(dst, in, now) })
	case "/api/v5/market/history-trades":
		return historyTrades(m, query)
	case "/api/v5/public/time":
		return sim.Answer{Status: http.StatusOK, Weight: 1, Body: fmt.Appendf(nil, `{"code":"0","msg":"","data":[{"ts":"%d"}]}`, m.NowNanos()/1e6)}
	}
	return sim.Answer{Status: http.StatusNotFound, Body: []byte(`{"msg":"Not Found","code":"404"}`)}
}

// historyTrades answers with the newest trades below an id, newest first.
func historyTrades(m *sim.Market, query url.Values) sim.Answer {
	in := m.Instrument(query.Get("instId"))
	if in == nil {
		return sim.Answer{Status: http.StatusOK, Weight: 1, Body: []byte(`{"code":"51001","data":[],"msg":"Instrument ID does not exist"}`)}
	}
	limit := 100
	if n, err := strconv.Atoi(query.Get("limit")); err == nil && n > 0 && n < limit {
		limit = n
	}
	told := in.LastTrades(limit)
	if below, err := strconv.ParseInt(query.Get("after"), 10, 64); err == nil && query.Get("type") != "2" {
		told = in.TradesBefore(below, limit)
	}
	told = m.Past(in, told)
	w := encoder{[]byte(`{"code":"0","msg":"","data":[`)}
	for i := range told {
		t := &told[len(told)-1-i]
		if i > 0 {
			w.raw(",")
		}
		side := "buy"
		if t.Sell {
			side = "sell"
		}
		w.raw(`{"instId":"`, in.Name, `","side":"`, side, `","sz":"`)
		w.number(t.Size, in.SizeDigits)
		w.raw(`","px":"`)
		w.number(t.Price, in.PriceDigits)
		w.raw(`","tradeId":"`, strconv.FormatInt(t.ID, 10), `","ts":"`, strconv.FormatInt(t.TimeNanos/1e6, 10), `"}`)
	}
	w.raw(`]}`)
	return sim.Answer{Status: http.StatusOK, Weight: 1, Body: w.dst, Symbol: in.Name, Trades: told}
}

func (*dialect) RESTError(status int) []byte {
	if status == http.StatusTooManyRequests {
		return []byte(`{"msg":"Too Many Requests","code":"50011"}`)
	}
	return []byte(`{"code":"50001","data":[],"msg":"Service temporarily unavailable. Please try again later."}`)
}

var stateNames = map[tick.State]string{tick.StateTrading: "live", tick.StateRestricted: "post_only", tick.StatePreOpen: "preopen", tick.StateHalted: "suspend", tick.StateSettling: "settling"}

// appendInstrument writes the catalog's entry; what does not apply is "".
func appendInstrument(dst []byte, in *sim.Instrument) []byte {
	shortest := func(x int64, digits uint8) string {
		w := encoder{}
		w.number(x, digits)
		return string(w.dst)
	}
	base, quote, settle, value, multiplier, contract, currency, expiry, family := in.Base, in.Spec.Quote, "", "", "", "", "", "", ""
	if in.Type != tick.TypeSpot {
		base, quote, settle, multiplier, contract, currency, family = "", "", in.Spec.Quote, "1", "linear", in.Base, in.Alias
		if in.Inverse {
			settle, contract, currency = in.Base, "inverse", in.Spec.Quote
		}
		value = in.ContractSize.String()
	}
	if in.ExpiryNanos != 0 {
		expiry = strconv.FormatInt(in.ExpiryNanos/1e6, 10)
	}
	lot := shortest(in.Lot, in.SizeDigits)
	return fmt.Appendf(dst, `{"alias":"","auctionEndTime":"","baseCcy":%q,"category":"1","contTdSwTime":"","ctMult":%q,"ctType":%q,"ctVal":%q,"ctValCcy":%q,"expTime":%q,"futureSettlement":false,"groupId":"1","instCategory":"1","instFamily":%q,"instId":%q,"instIdCode":10458,"instType":%q,"lever":"10","listTime":"1611916828000","lotSz":%q,"minSz":%q,"openType":"","optType":"","preMktSwTime":"","quoteCcy":%q,"ruleType":"normal","settleCcy":%q,"state":%q,"stk":"","tickSz":%q,"tradeQuoteCcyList":[],"uly":%q,"upcChg":[]}`,
		base, multiplier, contract, value, currency, expiry, family, in.Name, typeName(in), lot, lot, quote, settle, stateNames[in.State], shortest(in.Tick, in.PriceDigits), family)
}

// appendTicker tells the volume of the last trades that are remembered.
func appendTicker(dst []byte, in *sim.Instrument, now int64) []byte {
	var last, size, volume float64
	for _, t := range in.LastTrades(1000) {
		last = float64(t.Price) / float64(tick.Pow10(in.PriceDigits))
		n := float64(t.Size) / float64(tick.Pow10(in.SizeDigits))
		size += n
		worth := float64(in.ContractSize.Mantissa) / float64(tick.Pow10(in.ContractSize.Digits))
		switch {
		case in.Type == tick.TypeSpot:
			volume += n * last // of the quote asset
		case in.Inverse:
			volume += n * worth / last
		default:
			volume += n * worth
		}
	}
	text := func(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
	return fmt.Appendf(dst, `{"instType":%q,"instId":%q,"last":%q,"lastSz":"1","askPx":%q,"askSz":"1","bidPx":%q,"bidSz":"1","open24h":%q,"high24h":%q,"low24h":%q,"volCcy24h":%q,"vol24h":%q,"sodUtc0":%q,"sodUtc8":%q,"ts":"%d"}`,
		typeName(in), in.Name, text(last), text(last), text(last), text(last), text(last), text(last), text(volume), text(size), text(last), text(last), now/1e6)
}
