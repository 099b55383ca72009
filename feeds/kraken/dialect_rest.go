package kraken

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

// REST answers in the venue's envelope; errors of requests are HTTP 200.
func (d dialect) REST(m *sim.Market, path string, query url.Values) sim.Answer {
	name, ok := strings.CutPrefix(path, "/0/public/")
	answer := func(body string) sim.Answer {
		return sim.Answer{Status: http.StatusOK, Weight: 1, Body: []byte(`{"error":[],"result":` + body + `}`)}
	}
	if !ok {
		return sim.Answer{Status: http.StatusNotFound, Body: []byte(`{"error":["EGeneral:Unknown method"]}`)}
	}
	switch name {
	case "AssetPairs":
		return d.each(m, query, answer, assetPair)
	case "Trades":
		return d.trades(m, query, answer)
	case "Ticker":
		return d.each(m, query, answer, tickerEntry)
	case "Time":
		now := m.NowNanos()
		return answer(fmt.Sprintf(`{"unixtime":%d,"rfc1123":"Thu,  1 Oct 26 12:00:00 +0000"}`, now/1e9))
	case "SystemStatus":
		return answer(`{"status":"online","timestamp":"` + string(stampOf(nil, m.NowNanos())) + `"}`)
	}
	return sim.Answer{Status: http.StatusNotFound, Body: []byte(`{"error":["EGeneral:Unknown method"]}`)}
}

// trades answers with the first ones behind a time, of ns; their own times are
// finer than those of the websocket.
func (dialect) trades(m *sim.Market, query url.Values, answer func(string) sim.Answer) sim.Answer {
	i := slices.IndexFunc(m.Instruments(), func(in *sim.Instrument) bool {
		pair := query.Get("pair")
		return pair == in.Alias || pair == oldCode(in.Base)+oldCode(in.Spec.Quote)
	})
	if i < 0 {
		return sim.Answer{Status: http.StatusOK, Weight: 1, Body: []byte(`{"error":["EQuery:Unknown asset pair"]}`)}
	}
	in := m.Instruments()[i]
	count, err := strconv.Atoi(query.Get("count"))
	if err != nil || count < 1 || count > 1000 {
		count = 1000
	}
	told := in.LastTrades(count)
	const finer = 500 // ns
	if since, err := strconv.ParseInt(query.Get("since"), 10, 64); err == nil {
		told = in.TradesSince(since+1-finer, count)
	}
	told = m.Past(in, told)
	var out strings.Builder
	last := query.Get("since")
	for i, t := range told {
		if i > 0 {
			out.WriteByte(',')
		}
		side, nanos := "b", t.TimeNanos+finer
		if t.Sell {
			side = "s"
		}
		fmt.Fprintf(&out, `[%q,%q,%d.%07d,%q,"m","",%d]`, tick.FormatScaled(t.Price, in.PriceDigits), tick.FormatScaled(t.Size, in.SizeDigits),
			nanos/1e9, nanos%1e9/100, side, t.ID)
		last = strconv.FormatInt(nanos, 10)
	}
	a := answer(fmt.Sprintf(`{%q:[%s],"last":%q}`, in.Alias, out.String(), last))
	a.Symbol, a.Trades = in.Name, told
	return a
}

func (dialect) RESTError(status int) []byte {
	switch status {
	case http.StatusTooManyRequests:
		return []byte(`{"error":["EGeneral:Too many requests"]}`)
	case http.StatusServiceUnavailable:
		return []byte(`{"error":["EService:Unavailable"]}`)
	}
	return []byte(`{"error":["EGeneral:Internal error"]}`)
}

// each answers with an entry for each pair that is asked for, or all.
func (dialect) each(m *sim.Market, query url.Values, answer func(string) sim.Answer, entry func(*sim.Instrument) string) sim.Answer {
	var wanted []string
	if list := query.Get("pair"); list != "" {
		wanted = strings.Split(list, ",")
	}
	var entries []string
	for _, in := range m.Instruments() {
		if wanted == nil || slices.Contains(wanted, in.Alias) || slices.Contains(wanted, in.Name) {
			entries = append(entries, fmt.Sprintf("%q:%s", in.Alias, entry(in)))
		}
	}
	if wanted != nil && len(entries) < len(wanted) {
		return sim.Answer{Status: http.StatusOK, Weight: 1, Body: []byte(`{"error":["EQuery:Unknown asset pair"]}`)}
	}
	return answer("{" + strings.Join(entries, ",") + "}")
}

func assetPair(in *sim.Instrument) string {
	base, quote := oldCode(in.Base), oldCode(in.Spec.Quote)
	return fmt.Sprintf(`{"altname":%q,"wsname":%q,"aclass_base":"currency","base":%q,"aclass_quote":"currency","quote":%q,"lot":"unit","cost_decimals":5,"pair_decimals":%d,"lot_decimals":%d,"lot_multiplier":1,"leverage_buy":[],"leverage_sell":[],"fees":[],"fees_maker":[],"fee_volume_currency":"ZUSD","margin_call":80,"margin_stop":40,"ordermin":%q,"costmin":"0.5","tick_size":%q,"status":%q,"execution_venue":"international"}`,
		base+quote, base+"/"+quote, base, quote, in.PriceDigits, in.SizeDigits, tick.FormatScaled(in.Lot, in.SizeDigits), tick.FormatScaled(in.Tick, in.PriceDigits), statusOf(in.State))
}

func tickerEntry(in *sim.Instrument) string {
	bid, ask := in.Quote().Bid, in.Quote().Ask
	price := func(x int64) string { return tick.FormatScaled(x, in.PriceDigits) }
	volume := tick.FormatScaled(dayVolume(in), in.SizeDigits)
	middle := price(in.Tick * in.Start)
	return fmt.Sprintf(`{"a":[%q,"1","1.000"],"b":[%q,"1","1.000"],"c":[%q,"0.00100000"],"v":["0.50000000",%q],"p":[%q,%q],"t":[1,135262],"l":[%q,%q],"h":[%q,%q],"o":%q}`,
		price(ask.Price), price(bid.Price), middle, volume, middle, middle, middle, middle, middle, middle, middle)
}

// oldCode is an asset in REST's spelling.
func oldCode(asset string) string {
	switch asset {
	case "BTC":
		return "XBT"
	case "DOGE":
		return "XDG"
	}
	return asset
}

// oldName is a pair in REST's spelling: the oldest assets have a letter before
// their code, X for coins and Z for money.
func oldName(base, quote string) string {
	coins := []string{"BTC", "ETH", "LTC", "XRP", "ETC", "ZEC", "XMR", "XLM"}
	money := []string{"USD", "EUR", "GBP", "JPY", "CAD"}
	switch {
	case slices.Contains(coins, base) && slices.Contains(money, quote):
		return "X" + oldCode(base) + "Z" + quote
	case slices.Contains(coins, base) && slices.Contains(coins, quote):
		return "X" + oldCode(base) + "X" + oldCode(quote)
	}
	return oldCode(base) + oldCode(quote)
}

func spotSpec(base, quote string, digits uint8, start, orderLots int64, reach int) sim.Spec {
	return sim.Spec{Name: base + "/" + quote, Alias: oldName(base, quote), Base: base, Quote: quote, PriceDigits: digits, SizeDigits: 8,
		Tick: 1, Lot: 1, Start: start, OrderLots: orderLots, ReachBits: reach}
}

// specs are the instruments with parameters like the real ones.
var specs = []sim.Spec{
	spotSpec("BTC", "USD", 1, 788_550, 5_000_000, 11),
	spotSpec("ETH", "USD", 2, 268_000, 100_000_000, 10),
	spotSpec("SOL", "USD", 2, 15_500, 2_000_000_000, 9),
	spotSpec("ETH", "BTC", 5, 3_205, 50_000_000, 8),
	spotSpec("DOGE", "USD", 7, 1_050_000, 500_000_000_000, 13),
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

// Spec takes any name of a base and a quote.
func (d dialect) Spec(name string) (sim.Spec, error) {
	for _, s := range specs {
		if s.Name == name {
			return s, nil
		}
	}
	base, quote, ok := strings.Cut(name, "/")
	if !ok || base == "" || quote == "" || strings.ContainsAny(name, ": ") || base == "XBT" || quote == "XBT" || base == "XDG" {
		return sim.Spec{}, fmt.Errorf("%s: symbol %q: want a base and a quote like BTC/USD", venueName, name)
	}
	return spotSpec(base, quote, 4, int64(2_000+sim.NameHash(name)%200_000), 1_000_000_000, 9), nil
}
