package bench

import "tickproc/tick"

// What one writes for encoding/json: Binance's frames of a combined stream, of
// spot and futures.
// Keys that differ only in case need both spelled out.
type (
	tradeJSON struct {
		Stream string `json:"stream"`
		Data   struct {
			Event     string `json:"e"`
			EventTime int64  `json:"E"`
			Time      int64  `json:"T"`
			ID        int64  `json:"t"`
			Symbol    string `json:"s"`
			Price     string `json:"p"`
			Size      string `json:"q"`
			Maker     bool   `json:"m"`
			Ignore    bool   `json:"M"`
			OrderType string `json:"X"`
		} `json:"data"`
	}
	quoteJSON struct {
		Stream string `json:"stream"`
		Data   struct {
			ID        int64  `json:"u"`
			Event     string `json:"e"`
			EventTime int64  `json:"E"`
			Time      int64  `json:"T"`
			Symbol    string `json:"s"`
			Bid       string `json:"b"`
			BidSize   string `json:"B"`
			Ask       string `json:"a"`
			AskSize   string `json:"A"`
		} `json:"data"`
	}
	depthJSON struct {
		Stream string `json:"stream"`
		Data   struct {
			Event     string      `json:"e"`
			EventTime int64       `json:"E"`
			Time      int64       `json:"T"`
			Symbol    string      `json:"s"`
			First     int64       `json:"U"`
			Last      int64       `json:"u"`
			Previous  int64       `json:"pu"`
			Bids      [][2]string `json:"b"`
			Asks      [][2]string `json:"a"`
		} `json:"data"`
	}
)

// newJSON is a frame of a channel for encoding/json to fill.
func newJSON(channel tick.Channels) any {
	switch channel {
	case tick.ChannelTrades:
		return new(tradeJSON)
	case tick.ChannelQuotes:
		return new(quoteJSON)
	}
	return new(depthJSON)
}
