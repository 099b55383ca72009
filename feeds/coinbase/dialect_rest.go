package coinbase

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tickproc/feeds/sim"
	"tickproc/tick"
)

// REST knows the list of products, and one of them.
func (d dialect) REST(m *sim.Market, path string, query url.Values) sim.Answer {
	failed := func(status int, kind string, code int) sim.Answer {
		return sim.Answer{Status: status, Weight: 1, Body: fmt.Appendf(nil, `{"error":%q,"code":%d,"message":"","details":[]}`, kind, code)}
	}
	rest, ok := strings.CutPrefix(path, "/api/v3/brokerage/")
	switch {
	case !ok:
		return sim.Answer{Status: http.StatusNotFound, Body: []byte("404 page not found")}
	case rest == "time":
		now := m.NowNanos()
		return sim.Answer{Status: http.StatusOK, Weight: 1, Body: fmt.Appendf(nil, `{"iso":%q,"epochSeconds":"%d","epochMillis":"%d"}`,
			time.Unix(0, now).UTC().Format(time.RFC3339), now/1e9, now/1e6)}
	case rest == "market/products":
		return d.products(m, query)
	}
	if name, ok := strings.CutPrefix(rest, "market/products/"); ok && strings.HasSuffix(name, "/ticker") {
		if in := m.Instrument(strings.TrimSuffix(name, "/ticker")); in != nil {
			return marketTrades(m, in, query)
		}
		return failed(http.StatusNotFound, "NOT_FOUND", 5)
	}
	if name, ok := strings.CutPrefix(rest, "market/products/"); ok && !strings.Contains(name, "/") {
		if in := m.Instrument(name); in != nil {
			return sim.Answer{Status: http.StatusOK, Weight: 1, Body: appendProduct(nil, in, name), Symbol: name}
		}
		return failed(http.StatusNotFound, "NOT_FOUND", 5)
	}
	return failed(http.StatusNotFound, "unknown", 0)
}

// marketTrades answers with the newest trades of a window of whole seconds,
// newest first, each with the side of the order that took.
func marketTrades(m *sim.Market, in *sim.Instrument, query url.Values) sim.Answer {
	number := func(key string, otherwise int64) int64 {
		if n, err := strconv.ParseInt(query.Get(key), 10, 64); err == nil {
			return n
		}
		return otherwise
	}
	limit, start, end := number("limit", 100), number("start", 0), number("end", m.NowNanos()/1e9+1)
	if limit < 1 || limit > 1000 {
		limit = 1000
	}
	told := in.TradesSince(start*1e9, 1<<30)
	for len(told) > 0 && told[len(told)-1].TimeNanos >= end*1e9 {
		told = told[:len(told)-1]
	}
	told = m.Past(in, told[max(len(told)-int(limit), 0):])
	w := text{in: in}
	w.raw(`{"trades":[`)
	for i := range told {
		t := &told[len(told)-1-i]
		if i > 0 {
			w.raw(",")
		}
		side := "BUY"
		if t.Sell {
			side = "SELL"
		}
		w.raw(`{"trade_id":"` + strconv.FormatInt(t.ID, 10) + `","product_id":"` + in.Name + `"`)
		w.raw(`,"price":`)
		w.decimal("", t.Price, in.PriceDigits)
		w.raw(`,"size":`)
		w.decimal("", t.Size, in.SizeDigits)
		w.raw(`,"time":"` + time.Unix(0, t.TimeNanos).UTC().Format(time.RFC3339Nano) + `","side":"` + side + `","exchange":"COINBASE"}`)
	}
	w.raw(`],"best_bid":"","best_ask":""}`)
	return sim.Answer{Status: http.StatusOK, Weight: 1, Body: w.dst, Symbol: in.Name, Trades: told}
}

func (dialect) RESTError(status int) []byte {
	if status == http.StatusTooManyRequests {
		return []byte(`{"error":"RESOURCE_EXHAUSTED","code":8,"message":"too many requests","details":[]}`)
	}
	return []byte(`{"error":"INTERNAL","code":13,"message":"internal error","details":[]}`)
}

// products lists each product, and for those in dollars the one in USDC that
// trades in the same book.
func (dialect) products(m *sim.Market, query url.Values) sim.Answer {
	body, n := []byte(`{"products":[`), 0
	put := func(in *sim.Instrument, name string) {
		if n > 0 {
			body = append(body, ',')
		}
		n++
		body = appendProduct(body, in, name)
	}
	for _, in := range m.Instruments() {
		kind := "SPOT"
		if in.Type != tick.TypeSpot {
			kind = "FUTURE"
		}
		if want := query.Get("product_type"); want != "" && want != kind {
			continue
		}
		put(in, in.Name)
		if in.Alias != "" {
			put(in, in.Alias)
		}
	}
	return sim.Answer{Status: http.StatusOK, Weight: 1, Body: fmt.Appendf(body, `],"num_products":%d}`, n)}
}

// appendProduct writes a product under its own name or its alias's.
func appendProduct(dst []byte, in *sim.Instrument, name string) []byte {
	short := func(x int64, digits uint8) string {
		w := text{in: in}
		w.decimal("", x, digits)
		return string(w.dst)
	}
	base, quote, status, kind, venue := in.Base, in.Spec.Quote, "online", "SPOT", "CBE"
	alias, aliasTo := "", ""
	if in.Alias != "" {
		aliasTo = `"` + in.Alias + `"`
	}
	if name == in.Alias {
		quote, alias, aliasTo = "USDC", in.Name, ""
	}
	future := "null"
	if in.Type != tick.TypeSpot {
		base, status, kind, venue = "", "", "FUTURE", "INTX"
		future = fmt.Sprintf(`{"venue":"","contract_code":%q,"contract_expiry":"","contract_size":%q,"contract_root_unit":%q,"contract_expiry_type":"PERPETUAL","perpetual_details":{"open_interest":"0","funding_rate":"0.000001"}}`,
			in.Base, in.ContractSize, in.Base)
	}
	disabled := in.State != tick.StateTrading && in.State != tick.StateRestricted
	start := in.Tick * in.Start
	volume := float64(dayVolume(in)) / float64(tick.Pow10(in.SizeDigits)) * float64(start) / float64(tick.Pow10(in.PriceDigits))
	return fmt.Appendf(dst, `{"product_id":%q,"price":%s,"price_percentage_change_24h":"-0.27303411671707","volume_24h":%s,"volume_percentage_change_24h":"9.43","base_increment":%s,"quote_increment":%s,"quote_min_size":"1","quote_max_size":"150000000","base_min_size":%s,"base_max_size":"3400","base_name":%q,"quote_name":%q,"watched":false,"is_disabled":false,"new":false,"status":%q,"cancel_only":false,"limit_only":false,"post_only":%v,"trading_disabled":%v,"auction_mode":false,"product_type":%q,"quote_currency_id":%q,"base_currency_id":%q,"fcm_trading_session_details":null,"mid_market_price":"","alias":%q,"alias_to":[%s],"base_display_symbol":%q,"quote_display_symbol":%q,"view_only":false,"price_increment":%s,"display_name":%q,"product_venue":%q,"approximate_quote_24h_volume":"%.2f","new_at":"2023-01-01T00:00:00Z","future_product_details":%s}`,
		name, short(start, in.PriceDigits), short(dayVolume(in), in.SizeDigits), short(in.Lot, in.SizeDigits), short(in.Tick, in.PriceDigits), short(in.Lot, in.SizeDigits),
		in.Base, quote, status, in.State == tick.StateRestricted, disabled, kind, quote, base, alias, aliasTo, in.Base, quote, short(in.Tick, in.PriceDigits), name, venue, volume, future)
}

// spotSpec is a product of the spot market; those in dollars share their book.
func spotSpec(base, quote string, digits, sizeDigits uint8, start, orderLots int64, reach int) sim.Spec {
	s := sim.Spec{Name: base + "-" + quote, Base: base, Quote: quote, PriceDigits: digits, SizeDigits: sizeDigits,
		Tick: 1, Lot: 1, Start: start, OrderLots: orderLots, ReachBits: reach}
	if quote == "USD" {
		s.Alias = base + "-USDC"
	}
	return s
}

// specs are the instruments with parameters like the real ones.
var specs = []sim.Spec{
	spotSpec("BTC", "USD", 2, 8, 7_885_606, 5_000_000, 12),
	spotSpec("ETH", "USD", 2, 8, 268_000, 100_000_000, 10),
	spotSpec("SOL", "USD", 2, 8, 15_500, 2_000_000_000, 9),
	spotSpec("ETH", "BTC", 5, 8, 3_205, 50_000_000, 8),
	spotSpec("DOGE", "USD", 5, 1, 10_500, 50_000, 8),
}

// DefaultSymbols returns the instruments of the table; the last one is quiet.
func (dialect) DefaultSymbols() []sim.Symbol {
	var out []sim.Symbol
	for _, s := range specs {
		out = append(out, sim.Symbol{Name: s.Name, Rate: 1})
	}
	out[len(out)-1].Rate = 0.1
	return out
}

// Spec takes any name of a base and a quote, and perpetuals like BTC-PERP-INTX.
func (dialect) Spec(name string) (sim.Spec, error) {
	for _, s := range specs {
		if s.Name == name {
			return s, nil
		}
	}
	start := int64(2_000 + sim.NameHash(name)%200_000)
	if base, ok := strings.CutSuffix(name, "-PERP-INTX"); ok && base != "" && !strings.Contains(base, "-") {
		s := spotSpec(base, "USDC", 1, 4, start, 5_000, 9)
		s.Name, s.Type, s.Contract, s.ContractSize = name, tick.TypePerpetual, "PERPETUAL", tick.Number{Mantissa: 1}
		return s, nil
	}
	base, quote, ok := strings.Cut(name, "-")
	if !ok || base == "" || quote == "" || strings.ContainsAny(quote, "-: ") || quote == "USDC" && base != "USDT" && base != "EURC" {
		return sim.Spec{}, fmt.Errorf("%s: symbol %q: want a base and a quote like BTC-USD, not in USDC", venueName, name)
	}
	return spotSpec(base, quote, 4, 8, start, 1_000_000_000, 9), nil
}
