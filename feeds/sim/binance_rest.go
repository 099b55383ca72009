package sim

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"tickproc/tick"
)

func (b *binance) weightHeader() string { return "X-Mbx-Used-Weight-1m" }

func (b *binance) weightPerMinute() int {
	if b.futures() {
		return 2400
	}
	return 6000
}

func (b *binance) root() string {
	return map[string]string{BinanceSpot: "/api/v3/", BinanceUSDM: "/fapi/v1/", BinanceCOINM: "/dapi/v1/"}[b.venue]
}

func (b *binance) rest(v *venue, path string, query url.Values) answer {
	name, ok := strings.CutPrefix(path, b.root())
	if !ok {
		return answer{status: http.StatusNotFound, body: []byte("<html><body><h2>404 Not found</h2></body></html>")}
	}
	switch name {
	case "depth":
		return b.depth(v, query)
	case "exchangeInfo":
		return b.exchangeInfo(v, query)
	case "time":
		return answer{status: http.StatusOK, weight: 1, body: fmt.Appendf(nil, `{"serverTime":%d}`, v.ms(v.now))}
	case "ping":
		return answer{status: http.StatusOK, weight: 1, body: []byte(`{}`)}
	}
	return answer{status: http.StatusNotFound, body: []byte("<html><body><h2>404 Not found</h2></body></html>")}
}

func (b *binance) restError(status int) []byte {
	if status == http.StatusTooManyRequests {
		return []byte(`{"code":-1003,"msg":"Too much request weight used; please use WebSocket Streams for live updates to avoid polling the API."}`)
	}
	return []byte(`{"code":-1000,"msg":"An unknown error occurred while processing the request."}`)
}

func refuse(code int, message string) answer {
	return answer{status: http.StatusBadRequest, weight: 1, body: fmt.Appendf(nil, `{"code":%d,"msg":%q}`, code, message)}
}

// depth answers with the whole book as it stands, at most limit levels a side.
func (b *binance) depth(v *venue, query url.Values) answer {
	name := query.Get("symbol")
	if name == "" {
		return refuse(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
	}
	s := v.bySymbol[name]
	if s == nil {
		return refuse(-1121, "Invalid symbol.")
	}
	limit, weight, ok := b.depthLimit(query.Get("limit"))
	if !ok && b.futures() {
		return refuse(-4021, query.Get("limit")+" is not valid depth limit.")
	}
	if !ok {
		return refuse(-1100, "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'.")
	}
	s.truth.imageOf(s) // a client may show this very book
	w := writer{nil, s}
	w.integer(`{"lastUpdateId":`, int64(s.updateID))
	if b.futures() {
		w.integer(`,"E":`, max(v.ms(v.now), s.timeMs))
		w.integer(`,"T":`, s.timeMs)
	}
	if b.venue == BinanceCOINM {
		w.raw(`,"symbol":"` + s.name + `","pair":"` + s.pair + `"`)
	}
	w.levels(`,"bids":[`, s.bids.appendTop(nil, limit), false)
	w.levels(`,"asks":[`, s.asks.appendTop(nil, limit), false)
	w.raw(`}`)
	return answer{status: http.StatusOK, weight: weight, body: w.dst}
}

// depthLimit reads a limit: on spot any number up to 5000, on futures one of a
// few.
func (b *binance) depthLimit(text string) (limit, weight int, ok bool) {
	limit = 100
	if b.futures() {
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
	if b.futures() {
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
func (b *binance) exchangeInfo(v *venue, query url.Values) answer {
	weight := 1
	if !b.futures() {
		weight = 20
	}
	only := query.Get("symbol")
	if only != "" && v.bySymbol[only] == nil {
		return refuse(-1121, "Invalid symbol.")
	}
	out := fmt.Appendf(nil, `{"timezone":"UTC","serverTime":%d,"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":%d}],"exchangeFilters":[],"symbols":[`,
		v.ms(v.now), b.weightPerMinute())
	first := true
	put := func(s *spec, trading bool) {
		if !first {
			out = append(out, ',')
		}
		first = false
		out = b.appendSymbol(out, s, trading)
	}
	for _, s := range v.market.symbols {
		if only == "" || only == s.name {
			put(&s.spec, true)
		}
	}
	if only == "" {
		halted := v.market.symbols[0].spec
		halted.name, halted.base = "HALTED"+halted.name, "HALTED"+halted.base
		halted.pair = halted.base + halted.quote
		put(&halted, false)
	}
	return answer{status: http.StatusOK, weight: weight, body: append(out, `]}`...)}
}

func (b *binance) appendSymbol(dst []byte, s *spec, trading bool) []byte {
	price := func(x int64) string { return tick.FormatScaled(x, s.priceDigits) }
	size := func(x int64) string { return tick.FormatScaled(x, s.sizeDigits) }
	status := map[bool]string{true: "TRADING", false: map[bool]string{true: "SETTLING", false: "BREAK"}[b.futures()]}[trading]
	filters := fmt.Sprintf(`[{"filterType":"PRICE_FILTER","minPrice":%q,"maxPrice":%q,"tickSize":%q},{"filterType":"LOT_SIZE","minQty":%q,"maxQty":%q,"stepSize":%q}]`,
		price(s.tick), price(s.tick*s.start*10), price(s.tick), size(s.lot), size(s.lot*1_000_000), size(s.lot))
	if !b.futures() {
		return fmt.Appendf(dst, `{"symbol":%q,"status":%q,"baseAsset":%q,"baseAssetPrecision":8,"quoteAsset":%q,"quotePrecision":8,"quoteAssetPrecision":8,"orderTypes":["LIMIT","MARKET"],"icebergAllowed":true,"isSpotTradingAllowed":true,"isMarginTradingAllowed":false,"filters":%s,"permissions":[],"permissionSets":[["SPOT"]]}`,
			s.name, status, s.base, s.quote, filters)
	}
	margin, statusKey, contract := s.quote, "status", ""
	if b.venue == BinanceCOINM {
		margin, statusKey = s.base, "contractStatus"
		contract = fmt.Sprintf(`"contractSize":%d,`, s.contractSize)
	}
	return fmt.Appendf(dst, `{"symbol":%q,"pair":%q,"contractType":%q,"deliveryDate":4133404800000,"onboardDate":1569398400000,%q:%q,%s"baseAsset":%q,"quoteAsset":%q,"marginAsset":%q,"pricePrecision":%d,"quantityPrecision":%d,"baseAssetPrecision":8,"quotePrecision":8,"underlyingType":"COIN","filters":%s,"orderTypes":["LIMIT","MARKET"],"timeInForce":["GTC"]}`,
		s.name, s.pair, s.contract, statusKey, status, contract, s.base, s.quote, margin, s.priceDigits, s.sizeDigits, filters)
}
