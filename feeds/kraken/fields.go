package kraken

// field is a key that means something to us.
type field uint8

const (
	fieldStrange field = iota // in no document
	fieldUnused               // documented, and of no use to us

	// Of a message.
	fieldChannel
	fieldType
	fieldData
	fieldMethod
	fieldResult
	fieldSuccess
	fieldError
	fieldRequest

	// Of an element of data, or of an answer.
	fieldSymbol
	fieldTime

	fieldBids
	fieldAsks
	fieldChecksum

	fieldSide
	fieldPrice
	fieldSize
	fieldTradeID

	fieldBid
	fieldBidSize
	fieldAsk
	fieldAskSize

	fieldStatus
	fieldCount
)

// fields is a set of fields.
type fields uint32

func set(of ...field) (s fields) {
	for _, f := range of {
		s |= 1 << f
	}
	return s
}

func messageField(key []byte) field {
	switch string(key) {
	case "channel":
		return fieldChannel
	case "type":
		return fieldType
	case "data":
		return fieldData
	case "method":
		return fieldMethod
	case "result":
		return fieldResult
	case "success":
		return fieldSuccess
	case "error":
		return fieldError
	case "req_id":
		return fieldRequest
	case "symbol":
		return fieldSymbol
	case "time_in", "time_out", "timestamp", "status", "warnings", "sequence":
		return fieldUnused
	}
	return fieldStrange
}

// element is what an element of a channel's data holds.
type element struct {
	channel string
	field   func(key []byte) field
	need    fields
}

var (
	tradeElement = element{"trade", tradeField, set(fieldSymbol, fieldSide, fieldPrice, fieldSize, fieldTradeID, fieldTime)}
	quoteElement = element{"ticker", quoteField, set(fieldSymbol, fieldBid, fieldBidSize, fieldAsk, fieldAskSize)}
	bookElement  = element{"book", bookField, set(fieldSymbol, fieldBids, fieldAsks, fieldChecksum)}
)

// elementOf returns what a channel's data hold; nil if they are no market data
// that we read.
func elementOf(channel []byte) *element {
	switch string(channel) {
	case "trade":
		return &tradeElement
	case "ticker":
		return &quoteElement
	case "book":
		return &bookElement
	}
	return nil
}

func bookField(key []byte) field {
	switch string(key) {
	case "symbol":
		return fieldSymbol
	case "bids":
		return fieldBids
	case "asks":
		return fieldAsks
	case "checksum":
		return fieldChecksum
	case "timestamp":
		return fieldTime
	}
	return fieldStrange
}

func tradeField(key []byte) field {
	switch string(key) {
	case "symbol":
		return fieldSymbol
	case "side":
		return fieldSide
	case "price":
		return fieldPrice
	case "qty":
		return fieldSize
	case "trade_id":
		return fieldTradeID
	case "timestamp":
		return fieldTime
	case "ord_type":
		return fieldUnused
	}
	return fieldStrange
}

func quoteField(key []byte) field {
	switch string(key) {
	case "symbol":
		return fieldSymbol
	case "bid":
		return fieldBid
	case "bid_qty":
		return fieldBidSize
	case "ask":
		return fieldAsk
	case "ask_qty":
		return fieldAskSize
	case "timestamp":
		return fieldTime
	case "last", "volume", "vwap", "low", "high", "change", "change_pct", "trades":
		return fieldUnused
	}
	return fieldStrange
}

// pairField is of the instrument channel's pairs.
func pairField(key []byte) field {
	switch string(key) {
	case "symbol":
		return fieldSymbol
	case "status":
		return fieldStatus
	case "base", "quote", "cost_min", "cost_precision", "has_index", "margin_initial", "marginable", "position_limit_long", "position_limit_short",
		"price_increment", "price_precision", "qty_increment", "qty_min", "qty_precision", "tick_size", "execution_venue":
		return fieldUnused
	}
	return fieldStrange
}

func resultField(key []byte) field {
	switch string(key) {
	case "channel":
		return fieldChannel
	case "symbol":
		return fieldSymbol
	case "warnings":
		return fieldData
	case "depth", "snapshot", "event_trigger", "interval":
		return fieldUnused
	}
	return fieldStrange
}
