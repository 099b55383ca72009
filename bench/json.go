package bench

import (
	"encoding/json"

	"tickproc/tick"
)

// What one writes for encoding/json: Binance's frames of a combined stream.
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
		} `json:"data"`
	}
	quoteJSON struct {
		Stream string `json:"stream"`
		Data   struct {
			ID      int64  `json:"u"`
			Symbol  string `json:"s"`
			Bid     string `json:"b"`
			BidSize string `json:"B"`
			Ask     string `json:"a"`
			AskSize string `json:"A"`
		} `json:"data"`
	}
	depthJSON struct {
		Stream string `json:"stream"`
		Data   struct {
			Event     string      `json:"e"`
			EventTime int64       `json:"E"`
			Symbol    string      `json:"s"`
			First     int64       `json:"U"`
			Last      int64       `json:"u"`
			Bids      [][2]string `json:"b"`
			Asks      [][2]string `json:"a"`
		} `json:"data"`
	}
)

func unmarshal(channel tick.Channels, frame []byte) error {
	switch channel {
	case tick.ChannelTrades:
		return json.Unmarshal(frame, new(tradeJSON))
	case tick.ChannelQuotes:
		return json.Unmarshal(frame, new(quoteJSON))
	}
	return json.Unmarshal(frame, new(depthJSON))
}
