package binance

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"tickproc/feeds/sim"
	"tickproc/tick"
)

func (d *dialect) root() string {
	return map[string]string{Spot: "/api/v3/", USDM: "/fapi/v1/", COINM: "/dapi/v1/"}[d.venue]
}

func (d *dialect) REST(v *sim.Market, path string, query url.Values) sim.Answer {
	name, ok := strings.CutPrefix(path, d.root())
	if !ok {
		return sim.Answer{Status: http.StatusNotFound, Body: []byte("<html><body><h2>404 Not found</h2></body></html>")}
	}
	switch name {
	case "depth":
		return d.depth(v, query)
	case "exchangeInfo":
		return d.exchangeInfo(v, query)
	case "openInterest":
		if d.futures() {
			return d.openInterest(v, query)
		}
	case "trades", "historicalTrades":
		return d.trades(v, query, name == "historicalTrades")
	case "aggTrades":
		return d.aggTrades(v, query)
	case "time":
		return sim.Answer{Status: http.StatusOK, Weight: 1, Body: fmt.Appendf(nil, `{"serverTime":%d}`, ms(v.NowNanos()))}
	case "ping":
		return sim.Answer{Status: http.StatusOK, Weight: 1, Body: []byte(`{}`)}
	}
	return sim.Answer{Status: http.StatusNotFound, Body: []byte("<html><body><h2>404 Not found</h2></body></html>")}
}

func (d *dialect) RESTError(status int) []byte {
	if status == http.StatusTooManyRequests {
		return []byte(`{"code":-1003,"msg":"Too much request weight used; please use WebSocket Streams for live updates to avoid polling the API."}`)
	}
	return []byte(`{"code":-1000,"msg":"An unknown error occurred while processing the request."}`)
}

func refuse(code int, message string) sim.Answer {
	return sim.Answer{Status: http.StatusBadRequest, Weight: 1, Body: fmt.Appendf(nil, `{"code":%d,"msg":%q}`, code, message)}
}

// depth answers with the whole book as it stands, at most limit levels a side.
func (d *dialect) depth(v *sim.Market, query url.Values) sim.Answer {
	name := query.Get("symbol")
	if name == "" {
		return refuse(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
	}
	s := v.Instrument(name)
	if s == nil {
		return refuse(-1121, "Invalid symbol.")
	}
	limit, weight, ok := d.depthLimit(query.Get("limit"))
	if !ok && d.futures() {
		return refuse(-4021, query.Get("limit")+" is not valid depth limit.")
	}
	if !ok {
		return refuse(-1100, "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'.")
	}
	s.NoteBook() // a client may show this very book
	w := writer{nil, s}
	w.integer(`{"lastUpdateId":`, int64(s.UpdateID()))
	if d.futures() {
		w.integer(`,"E":`, max(ms(v.NowNanos()), ms(s.TimeNanos())))
		w.integer(`,"T":`, ms(s.TimeNanos()))
	}
	if d.venue == COINM {
		w.raw(`,"symbol":"` + s.Name + `","pair":"` + s.Alias + `"`)
	}
	w.levels(`,"bids":[`, s.Bids(limit), false)
	w.levels(`,"asks":[`, s.Asks(limit), false)
	w.raw(`}`)
	return sim.Answer{Status: http.StatusOK, Weight: weight, Body: w.dst, Symbol: s.Name}
}

// openInterest answers with the contracts that are open.
func (d *dialect) openInterest(v *sim.Market, query url.Values) sim.Answer {
	s := v.Instrument(query.Get("symbol"))
	if s == nil {
		return refuse(-1121, "Invalid symbol.")
	}
	open := tick.FormatScaled(s.OpenInterest(), s.SizeDigits)
	body := fmt.Appendf(nil, `{"openInterest":%q,"symbol":%q,"time":%d}`, open, s.Name, ms(v.NowNanos()))
	if d.venue == COINM {
		body = fmt.Appendf(nil, `{"symbol":%q,"pair":%q,"openInterest":%q,"contractType":%q,"time":%d}`, s.Name, s.Alias, open, s.Contract, ms(v.NowNanos()))
	}
	return sim.Answer{Status: http.StatusOK, Weight: 1, Body: body, Symbol: s.Name}
}

// depthLimit reads a limit: on spot any number up to 5000, on futures one of a
// few.
func (d *dialect) depthLimit(text string) (limit, weight int, ok bool) {
	limit = 100
	if d.futures() {
		limit = 500
	}
	if text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return 0, 0, false
		}
		limit = n
	}
	steps := [][2]int{{100, 5}, {500, 25}, {1000, 50}, {5000, 250}}
	if d.futures() {
		steps = [][2]int{{50, 2}, {100, 5}, {500, 10}, {1000, 20}}
		if !slices.Contains([]int{5, 10, 20, 50, 100, 500, 1000}, limit) {
			return 0, 0, false
		}
	}
	limit = min(limit, 5000)
	for _, s := range steps {
		if limit <= s[0] {
			return limit, s[1], true
		}
	}
	panic("BUG: depth limit without a weight")
}

// exchangeInfo is the catalog: the simulated symbols, and one that is halted.
func (d *dialect) exchangeInfo(v *sim.Market, query url.Values) sim.Answer {
	weight := 1
	if !d.futures() {
		weight = 20
	}
	only := query.Get("symbol")
	if only != "" && v.Instrument(only) == nil {
		return refuse(-1121, "Invalid symbol.")
	}
	out := fmt.Appendf(nil, `{"timezone":"UTC","serverTime":%d,"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":%d}],"exchangeFilters":[],"symbols":[`,
		ms(v.NowNanos()), d.Profile().Weight.N)
	first := true
	put := func(s *sim.Spec, trading bool) {
		if !first {
			out = append(out, ',')
		}
		first = false
		out = d.appendSymbol(out, s, trading)
	}
	for _, s := range v.Instruments() {
		if only == "" || only == s.Name {
			put(&s.Spec, s.State == tick.StateTrading)
		}
	}
	if only == "" {
		halted := v.Instruments()[0].Spec
		halted.Name, halted.Base = "HALTED"+halted.Name, "HALTED"+halted.Base
		halted.Alias = halted.Base + halted.Quote
		put(&halted, false)
	}
	return sim.Answer{Status: http.StatusOK, Weight: weight, Body: append(out, `]}`...)}
}

func (d *dialect) appendSymbol(dst []byte, s *sim.Spec, trading bool) []byte {
	price := func(x int64) string { return tick.FormatScaled(x, s.PriceDigits) }
	size := func(x int64) string { return tick.FormatScaled(x, s.SizeDigits) }
	status := map[bool]string{true: "TRADING", false: map[bool]string{true: "SETTLING", false: "BREAK"}[d.futures()]}[trading]
	filters := fmt.Sprintf(`[{"filterType":"PRICE_FILTER","minPrice":%q,"maxPrice":%q,"tickSize":%q},{"filterType":"LOT_SIZE","minQty":%q,"maxQty":%q,"stepSize":%q}]`,
		price(s.Tick), price(s.Tick*s.Start*10), price(s.Tick), size(s.Lot), size(s.Lot*1_000_000), size(s.Lot))
	if !d.futures() {
		return fmt.Appendf(dst, `{"symbol":%q,"status":%q,"baseAsset":%q,"baseAssetPrecision":8,"quoteAsset":%q,"quotePrecision":8,"quoteAssetPrecision":8,"orderTypes":["LIMIT","MARKET"],"icebergAllowed":true,"isSpotTradingAllowed":true,"isMarginTradingAllowed":false,"filters":%s,"permissions":[],"permissionSets":[["SPOT"]]}`,
			s.Name, status, s.Base, s.Quote, filters)
	}
	margin, statusKey, contract := s.Quote, "status", ""
	delivery := int64(4133404800000) // of a perpetual
	if s.ExpiryNanos != 0 {
		delivery = ms(s.ExpiryNanos)
	}
	if d.venue == COINM {
		margin, statusKey = s.Base, "contractStatus"
		contract = fmt.Sprintf(`"contractSize":%d,`, s.ContractSize.Mantissa)
	}
	return fmt.Appendf(dst, `{"symbol":%q,"pair":%q,"contractType":%q,"deliveryDate":%d,"onboardDate":1569398400000,%q:%q,%s"baseAsset":%q,"quoteAsset":%q,"marginAsset":%q,"pricePrecision":%d,"quantityPrecision":%d,"baseAssetPrecision":8,"quotePrecision":8,"underlyingType":"COIN","filters":%s,"orderTypes":["LIMIT","MARKET"],"timeInForce":["GTC"]}`,
		s.Name, s.Alias, s.Contract, delivery, statusKey, status, contract, s.Base, s.Quote, margin, s.PriceDigits, s.SizeDigits, filters)
}
