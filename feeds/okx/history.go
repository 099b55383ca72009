package okx

import (
	"net/url"
	"strconv"
	"strings"

	"tickproc/feeds"
	"tickproc/feeds/wire"
	"tickproc/tick"
)

const (
	historyPath = "/api/v5/market/history-trades"
	historyMax  = 100 // trades in an answer
)

// pastTrades is how the venue lists trades of the last three months over REST,
// each single one, as trades-all does; the side is the taker's.
var pastTrades = wire.HistorySpec{
	NewestFirst: true,
	Path:        []string{"data"}, Code: "code", Good: "0",
	ID: "tradeId", Price: "px", Size: "sz", Time: "ts", Side: "side", Symbol: "instId",
	Unused: map[string]bool{"source": true, "count": true, "seqId": true},
	IDOf:   wire.WholeID, TimeOf: wire.Millis, Sold: wire.Words("sell", "buy"),
}

// Backfill goes back from the last trade that was missed: the venue pages by
// the newest ones below an id.
func (venue) Backfill(b *feeds.Backfill) (feeds.TradesRequest, tick.Backfill) {
	return b.Backwards(func(below uint64) feeds.TradesRequest {
		return feeds.TradesRequest{Request: feeds.Request{Weight: 1, URL: restBase + historyPath + "?instId=" + url.QueryEscape(b.Instrument.Symbol) +
			"&type=1&after=" + strconv.FormatUint(below, 10) + "&limit=" + strconv.Itoa(historyMax)}}
	})
}

// Aggregates: none are asked for.
func (venue) Aggregates([]byte, uint64, uint64) (feeds.Page, uint64, error) {
	return feeds.Page{}, 0, feeds.ErrUnknownMessage
}

// DecodeREST finds past trades alone: books come in-band.
func (venue) DecodeREST(dst []tick.Unit, address string, body []byte, table *feeds.Table, at feeds.Stamp, _ uint64) ([]tick.Unit, error) {
	u, err := url.Parse(address)
	if err != nil || !strings.HasSuffix(u.Path, historyPath) {
		return dst, nil
	}
	return wire.ReadHistory(&pastTrades, name, u.Query().Get("instId"), dst, body, table, at)
}
