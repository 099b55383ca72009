package okx

import "tickproc/tick"

// streamKind is a channel on the wire.
type streamKind uint8

const (
	streamUnknown streamKind = iota
	streamIgnored            // documented, and not subscribed
	streamTrades
	streamQuotes
	streamDepth
	streamFunding
	streamMark
	streamIndex
	streamOpenInterest
	streamLiquidations
	streamCount
)

var streamNames = [streamCount]string{
	streamTrades: "trades-all", streamQuotes: "bbo-tbt", streamDepth: "books", streamFunding: "funding-rate",
	streamMark: "mark-price", streamIndex: "index-tickers", streamOpenInterest: "open-interest", streamLiquidations: "liquidation-orders",
}

func (k streamKind) String() string { return streamNames[k] }

// channel is what the stream belongs to; 0 for those that are not ours.
func (k streamKind) channel() tick.Channels {
	switch k {
	case streamTrades:
		return tick.ChannelTrades
	case streamQuotes:
		return tick.ChannelQuotes
	case streamDepth:
		return tick.ChannelDepth
	case streamFunding, streamMark, streamIndex:
		return tick.ChannelFunding
	case streamOpenInterest:
		return tick.ChannelOpenInterest
	case streamLiquidations:
		return tick.ChannelLiquidations
	}
	return 0
}

// ofInstrument is channel, 0 also where the stream is not about one instrument.
func (k streamKind) ofInstrument() tick.Channels {
	if k == streamIndex || k == streamLiquidations {
		return 0
	}
	return k.channel()
}

// kindOf reads a channel's name.
func kindOf(channel []byte) streamKind {
	switch string(channel) {
	case "books":
		return streamDepth
	case "bbo-tbt":
		return streamQuotes
	case "trades-all":
		return streamTrades
	case "mark-price":
		return streamMark
	case "index-tickers":
		return streamIndex
	case "funding-rate":
		return streamFunding
	case "open-interest":
		return streamOpenInterest
	case "liquidation-orders":
		return streamLiquidations
	case "trades", "tickers", "books5", "books-l2-tbt", "books50-l2-tbt", "books-elp", "books-rpi", "instruments", "price-limit", "opt-summary",
		"option-trades", "estimated-price", "adl-warning", "status", "call-auction-details", "economic-calendar", "block-tickers",
		"public-block-trades", "public-struc-block-trades":
		return streamIgnored
	}
	for _, prefix := range []string{"candle", "mark-price-candle", "index-candle", "sprd-"} {
		if len(channel) > len(prefix) && string(channel[:len(prefix)]) == prefix {
			return streamIgnored
		}
	}
	return streamUnknown
}
