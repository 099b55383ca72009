package coinbase

import (
	"fmt"
	"net/url"
	"strings"

	"tickproc/feeds"
	"tickproc/feeds/wire"
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// historyMax is how many trades the venue gives in an answer: it documents no
// limit, and fails on more than twice as many.
const historyMax = 1000

// pastTrades is how the venue lists trades over REST. Other than on the stream,
// the side is the taker's.
var pastTrades = wire.HistorySpec{
	NewestFirst: true,
	Path:        []string{"trades"},
	ID:          "trade_id", Price: "price", Size: "size", Time: "time", Side: "side", Symbol: "product_id",
	Unused: map[string]bool{"bid": true, "ask": true, "exchange": true},
	IDOf:   wire.WholeID,
	TimeOf: func(f *wire.Frame, v jsonscan.Value) (int64, bool) {
		if v.Kind != jsonscan.String {
			return 0, false
		}
		return wire.ParseTime(f.Scan.Bytes(v))
	},
	Sold: wire.Words("SELL", "BUY"),
}

const nanosPerSecond = 1_000_000_000

// Backfill goes back by time, the newest trades of a window first, in whole
// seconds: each answer may tell trades again.
func (adapter) Backfill(b *feeds.Backfill) (feeds.TradesRequest, tick.Backfill) {
	end := b.ToNanos/nanosPerSecond + 1
	if p, ok := b.Last(); ok {
		first := b.Pages[0]
		before := end
		if n := len(b.Pages); n > 1 {
			before = b.Pages[n-2].FirstNanos/nanosPerSecond + 1
		}
		end = p.FirstNanos/nanosPerSecond + 1
		byTime := b.ToID == 0
		switch {
		case p.Refused:
			return feeds.TradesRequest{}, tick.BackfillNotOffered
		case first.Trades == 0, !byTime && first.LastID < b.ToID, byTime && first.LastNanos < b.ToNanos:
			return feeds.TradesRequest{}, tick.BackfillFailed // it is behind the stream
		case !byTime && p.FirstID <= b.FromID, byTime && (p.FirstNanos < b.FromNanos || p.Trades < historyMax):
			return feeds.TradesRequest{}, tick.BackfillWhole
		case p.Trades < historyMax: // and yet some are missing
			return feeds.TradesRequest{}, tick.BackfillFailed
		case len(b.Pages) > 1 && end >= before: // more in a second than an answer holds
			return feeds.TradesRequest{}, tick.BackfillPartly
		}
	}
	return feeds.TradesRequest{Request: feeds.Request{Weight: 1, URL: fmt.Sprintf("%s/%s/ticker?limit=%d&start=%d&end=%d",
		restURL, url.PathEscape(b.Instrument.Symbol), historyMax, b.FromNanos/nanosPerSecond-1, end)}}, tick.BackfillPending
}

// Aggregates: the venue has none.
func (adapter) Aggregates([]byte, uint64, uint64) (feeds.Page, uint64, error) {
	return feeds.Page{}, 0, feeds.ErrUnknownMessage
}

// DecodeREST finds past trades alone: all else are streams.
func (adapter) DecodeREST(dst []tick.Unit, address string, body []byte, table *feeds.Table, at feeds.Stamp, _ uint64) ([]tick.Unit, error) {
	u, err := url.Parse(address)
	if err != nil {
		return dst, nil
	}
	path, found := strings.CutSuffix(u.Path, "/ticker")
	i := strings.LastIndexByte(path, '/')
	if !found || i < 0 || !strings.HasSuffix(path[:i], "/market/products") {
		return dst, nil
	}
	return wire.ReadHistory(&pastTrades, venueName, path[i+1:], dst, body, table, at)
}
