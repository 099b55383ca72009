package binance

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"tickproc/feeds"
	"tickproc/feeds/wire"
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// Past trades come three ways:
//
//	historicalTrades?fromId  single trades of any age; on futures it needs a key
//	trades                   the newest 1,000
//	aggTrades?startTime      sums of the trades of one order at one price, which
//	                         name their first and last id: proof, no trades
//
// Where the first is refused, or needs a key that is not there, the second
// serves gaps that lie within it, and the third proves what was missed before.
const (
	wayHistory uint8 = iota + 1
	wayRecent
	wayAggregates
)

const (
	recentMax     = 1000
	aggregatesMax = 1000
)

// pastTrades is how the venue lists trades over REST.
var pastTrades = wire.HistorySpec{
	ID: "id", Price: "price", Size: "qty", Time: "time", Side: "isBuyerMaker",
	Unused: map[string]bool{"quoteQty": true, "baseQty": true, "isBestMatch": true, "isRPITrade": true},
	IDOf:   wire.WholeID,
	TimeOf: func(f *wire.Frame, v jsonscan.Value) (int64, bool) {
		n, ok := f.Whole(v)
		return nanosOf(n), ok
	},
	Sold: func(_ *wire.Frame, v jsonscan.Value) (sold, ok bool) {
		return v.Kind == jsonscan.True, v.Kind == jsonscan.True || v.Kind == jsonscan.False // the buyer was the maker
	},
}

func (m *market) past(name, symbol string, weight int, parameters string, args ...any) feeds.Request {
	return feeds.Request{URL: m.restBase + m.restPath + "/" + name + "?symbol=" + url.QueryEscape(symbol) + fmt.Sprintf(parameters, args...), Weight: weight}
}

func (m *market) Backfill(b *feeds.Backfill) (feeds.TradesRequest, tick.Backfill) {
	symbol := b.Instrument.Symbol
	if (!m.futures || b.Keyed) && !b.Refused(wayHistory) {
		return b.Forwards(func(from uint64) feeds.TradesRequest {
			return feeds.TradesRequest{Request: m.past("historicalTrades", symbol, m.historyWeight, "&fromId=%d&limit=%d", from, m.historyLimit), Way: wayHistory, Keyed: true}
		})
	}
	p, _ := b.Last()
	switch {
	case p.Way != wayRecent && p.Way != wayAggregates:
		return feeds.TradesRequest{Request: m.past("trades", symbol, m.recentWeight, "&limit=%d", recentMax), Way: wayRecent}, tick.BackfillPending
	case p.Way == wayRecent && !p.Refused && (p.Trades == 0 || p.LastID < b.ToID):
		return feeds.TradesRequest{}, tick.BackfillFailed // it is behind the stream
	case p.Way == wayRecent && !p.Refused && p.FirstID <= b.FromID:
		return feeds.TradesRequest{}, tick.BackfillWhole
	case p.Way == wayRecent:
		// The venue's times are of ms, and the first trade that was missed may be of
		// the same one as the last that was not.
		return m.aggregates(symbol, "&startTime=%d&limit=%d", b.FromNanos/int64(time.Millisecond), aggregatesMax), tick.BackfillPending
	case p.Refused:
		return feeds.TradesRequest{}, tick.BackfillPartly
	case p.Trades == 0 || p.LastID >= b.ToID:
		return feeds.TradesRequest{}, tick.BackfillAggregates
	}
	return m.aggregates(symbol, "&fromId=%d&limit=%d", p.Cursor+1, aggregatesMax), tick.BackfillPending
}

func (m *market) aggregates(symbol, parameters string, args ...any) feeds.TradesRequest {
	return feeds.TradesRequest{Request: m.past("aggTrades", symbol, m.aggregatesWeight, parameters, args...), Way: wayAggregates, Aggregates: true}
}

// Aggregates reads [{"a":…,"p":…,"q":…,"f":…,"l":…,"T":…,"m":…}].
func (m *market) Aggregates(body []byte, from, to uint64) (p feeds.Page, proven uint64, err error) {
	var s jsonscan.Scanner
	s.Reset(body)
	malformed := func(what string) (feeds.Page, uint64, error) {
		return feeds.Page{}, 0, fmt.Errorf("%s: aggregates: %w: %s", m.venue, feeds.ErrMalformed, what)
	}
	if s.Peek() != jsonscan.Array {
		return malformed("no array")
	}
	for more := s.Array(); more; more = s.Next(']') {
		values := map[string]uint64{}
		for member := s.Object(); member; member = s.Next('}') {
			key := string(s.Key())
			if v := s.Value(); v.Kind == jsonscan.Uint {
				values[key] = v.Uint
			}
		}
		first, okFirst := values["f"]
		last, okLast := values["l"]
		number, okNumber := values["a"]
		nanos, okTime := values["T"]
		if s.Failed() || !okFirst || !okLast || !okNumber || !okTime || last < first {
			return malformed("an aggregate lacks a key")
		}
		at := nanosOf(nanos)
		if p.Trades == 0 {
			p.FirstID, p.FirstNanos = first, at
		}
		p.Trades++
		p.FirstID, p.LastID = min(p.FirstID, first), max(p.LastID, last)
		p.FirstNanos, p.LastNanos, p.Cursor = min(p.FirstNanos, at), max(p.LastNanos, at), max(p.Cursor, number)
		if low, high := max(first, from), min(last, to); low <= high {
			proven += high - low + 1
		}
	}
	if !s.End() {
		return malformed("broken JSON")
	}
	return p, proven, nil
}

// isPast reports whether a path is of a list of single trades.
func (m *market) isPast(path string) bool {
	return strings.HasSuffix(path, m.restPath+"/trades") || strings.HasSuffix(path, m.restPath+"/historicalTrades")
}
