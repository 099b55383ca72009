package bybit

import (
	"fmt"
	"net/url"
	"strings"

	"tickproc/feeds"
	"tickproc/feeds/wire"
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

const recentPath = "recent-trade"

// recentMax is how many of its newest trades the venue gives, in one answer: it
// has no way to ask for those before them.
func (m *market) recentMax() int {
	if m.category == "spot" {
		return 60
	}
	return 1000
}

// pastTrades is how the venue lists trades over REST; the side is the taker's.
var pastTrades = wire.HistorySpec{
	NewestFirst: true,
	Path:        []string{"result", "list"}, Code: "retCode", Good: "0",
	ID: "execId", Price: "price", Size: "size", Time: "time", Side: "side", Symbol: "symbol", Block: "isBlockTrade",
	Unused: map[string]bool{"isRPITrade": true, "seq": true, "mP": true, "iP": true, "mIv": true, "iv": true},
	IDOf: func(f *wire.Frame, v jsonscan.Value) (tick.ID, bool) {
		if v.Kind == jsonscan.String {
			if id, ok := uuid(f.Scan.Bytes(v)); ok {
				return id, true
			}
		}
		return wire.WholeID(f, v)
	},
	TimeOf: wire.Millis,
	Sold:   wire.Words("Sell", "Buy"),
}

func (m *market) Backfill(b *feeds.Backfill) (feeds.TradesRequest, tick.Backfill) {
	return b.ByTime(feeds.TradesRequest{Request: feeds.Request{Weight: 1,
		URL: fmt.Sprintf("%s%s?category=%s&symbol=%s&limit=%d", restBase, recentPath, m.category, url.QueryEscape(b.Instrument.Symbol), m.recentMax())}}, m.recentMax())
}

// Aggregates: the venue has none.
func (m *market) Aggregates([]byte, uint64, uint64) (feeds.Page, uint64, error) {
	return feeds.Page{}, 0, feeds.ErrUnknownMessage
}

// DecodeREST finds past trades alone: all else are streams.
func (m *market) DecodeREST(dst []tick.Unit, address string, body []byte, table *feeds.Table, at feeds.Stamp, _ uint64) ([]tick.Unit, error) {
	u, err := url.Parse(address)
	if err != nil || !strings.HasSuffix(u.Path, "/v5/market/"+recentPath) {
		return dst, nil
	}
	return wire.ReadHistory(&pastTrades, m.venue, u.Query().Get("symbol"), dst, body, table, at)
}
