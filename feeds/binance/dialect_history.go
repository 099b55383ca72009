package binance

import (
	"net/http"
	"net/url"
	"strconv"

	"tickproc/feeds/sim"
)

// trades answers with the newest trades, or with those from an id on.
func (d *dialect) trades(v *sim.Market, query url.Values, fromID bool) sim.Answer {
	s := v.Instrument(query.Get("symbol"))
	if s == nil {
		return refuse(-1121, "Invalid symbol.")
	}
	weight, limit := 25, 1000
	switch {
	case fromID && d.futures():
		// It needs a key, which nobody here has.
		return sim.Answer{Status: http.StatusUnauthorized, Weight: 20, Body: []byte(`{"code":-2014,"msg":"API-key format invalid."}`), Symbol: s.Name}
	case d.futures():
		weight = 5
	}
	if n, err := strconv.Atoi(query.Get("limit")); err == nil && n > 0 && n < limit {
		limit = n
	}
	told := s.LastTrades(limit)
	if from, err := strconv.ParseInt(query.Get("fromId"), 10, 64); fromID && err == nil {
		told = s.TradesFrom(from, limit)
	}
	told = v.Past(s, told)
	w := writer{[]byte("["), s}
	for i := range told {
		t := &told[i]
		if i > 0 {
			w.raw(",")
		}
		w.integer(`{"id":`, t.ID)
		w.price(`,"price":"`, t.Price)
		w.size(`","qty":"`, t.Size)
		w.raw(`","` + map[bool]string{true: "baseQty", false: "quoteQty"}[d.venue == COINM] + `":"1"`)
		w.integer(`,"time":`, ms(t.TimeNanos))
		w.raw(`,"isBuyerMaker":` + strconv.FormatBool(t.Sell))
		if !d.futures() {
			w.raw(`,"isBestMatch":true`)
		}
		w.raw("}")
	}
	return sim.Answer{Status: http.StatusOK, Weight: weight, Body: append(w.dst, ']'), Symbol: s.Name, Trades: told}
}

// aggregateSize is how many trades an aggregate sums up, at the most. Real ones
// are those of one order at one price; here only that they name ids matters.
const aggregateSize = 3

// aggTrades answers with sums from a time, or from the number of an aggregate,
// on.
func (d *dialect) aggTrades(v *sim.Market, query url.Values) sim.Answer {
	s := v.Instrument(query.Get("symbol"))
	if s == nil {
		return refuse(-1121, "Invalid symbol.")
	}
	weight := 4
	if d.futures() {
		weight = 20
	}
	limit := 500
	if n, err := strconv.Atoi(query.Get("limit")); err == nil && n > 0 && n <= 1000 {
		limit = n
	}
	var from int64 // number of an aggregate: its first id / aggregateSize
	if n, err := strconv.ParseInt(query.Get("fromId"), 10, 64); err == nil {
		from = n
	} else if start, err := strconv.ParseInt(query.Get("startTime"), 10, 64); err == nil {
		if first := s.TradesSince(start*1e6, 1); len(first) > 0 {
			from = first[0].ID / aggregateSize
		}
	}
	all := s.TradesFrom(from*aggregateSize, limit*aggregateSize)
	w := writer{[]byte("["), s}
	for len(all) > 0 {
		number, n := all[0].ID/aggregateSize, 0
		for n < len(all) && all[n].ID/aggregateSize == number {
			n++
		}
		if len(w.dst) > 1 {
			w.raw(",")
		}
		w.integer(`{"a":`, number)
		w.price(`,"p":"`, all[0].Price)
		w.size(`","q":"`, all[0].Size)
		w.integer(`","f":`, all[0].ID)
		w.integer(`,"l":`, all[n-1].ID)
		w.integer(`,"T":`, ms(all[0].TimeNanos))
		w.raw(`,"m":` + strconv.FormatBool(all[0].Sell) + "}")
		all = all[n:]
	}
	return sim.Answer{Status: http.StatusOK, Weight: weight, Body: append(w.dst, ']'), Symbol: s.Name}
}
