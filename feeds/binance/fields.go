package binance

// field is a key that means something to us.
type field uint8

const (
	fieldNone field = iota
	fieldEvent
	fieldEventTime
	fieldTime
	fieldSymbol
	fieldFirstID
	fieldLastID
	fieldPrevID
	fieldBids // depth: levels; quote: the price
	fieldAsks
	fieldBidSize
	fieldAskSize
	fieldTradeID
	fieldPrice
	fieldSize
	fieldMaker
	fieldOrderType
	fieldOrder // of a liquidation
	fieldSide
	fieldIndex // mark prices
	fieldRate
	fieldInterest // REST
	fieldInterestTime
	fieldBookID // a whole book, over REST or in a partial-depth stream
	fieldBookBids
	fieldBookAsks
	fieldBookSymbol
	fieldStream
	fieldData
	fieldResult
	fieldRequest
	fieldError
	fieldCode
	fieldMessage
	fieldCount
)

// fields is a set of fields.
type fields uint64

func set(of ...field) (s fields) {
	for _, f := range of {
		s |= 1 << f
	}
	return s
}

// Which keys count depends on where they stand.
var (
	dataFields = set(fieldEvent, fieldEventTime, fieldTime, fieldSymbol, fieldFirstID, fieldLastID, fieldPrevID, fieldBids, fieldAsks,
		fieldBidSize, fieldAskSize, fieldTradeID, fieldPrice, fieldSize, fieldMaker, fieldOrderType, fieldBookID, fieldOrder, fieldIndex, fieldRate)
	orderFields = set(fieldSymbol, fieldSide, fieldPrice, fieldSize, fieldTime)
	errorFields = set(fieldCode, fieldMessage)
	frameFields = dataFields | errorFields | set(fieldStream, fieldData, fieldResult, fieldRequest, fieldError)
	bookFields  = errorFields | set(fieldEventTime, fieldTime, fieldBookID, fieldBookBids, fieldBookAsks, fieldBookSymbol, fieldInterest, fieldInterestTime)

	nestedFields = set(fieldBids, fieldAsks, fieldBookBids, fieldBookAsks, fieldData, fieldError, fieldOrder)

	quoteFields       = set(fieldSymbol, fieldLastID, fieldBids, fieldBidSize, fieldAsks, fieldAskSize)
	tradeFields       = set(fieldSymbol, fieldTradeID, fieldPrice, fieldSize, fieldMaker)
	depthFields       = set(fieldSymbol, fieldFirstID, fieldLastID, fieldBids, fieldAsks)
	liquidationFields = set(fieldOrder, fieldSymbol, fieldSide, fieldPrice, fieldSize)
	markFields        = set(fieldSymbol, fieldPrice)
	interestFields    = set(fieldBookSymbol, fieldInterest)
	snapshotFields    = set(fieldBookID, fieldBookBids, fieldBookAsks)
)

var letterFields = [256]field{
	'e': fieldEvent, 'E': fieldEventTime, 'T': fieldTime, 's': fieldSymbol, 'U': fieldFirstID, 'u': fieldLastID,
	'b': fieldBids, 'a': fieldAsks, 'B': fieldBidSize, 'A': fieldAskSize, 't': fieldTradeID, 'p': fieldPrice, 'q': fieldSize,
	'm': fieldMaker, 'X': fieldOrderType, 'o': fieldOrder, 'S': fieldSide, 'i': fieldIndex, 'r': fieldRate,
}

// unused are keys of the messages that are read which tell nothing that is
// needed: M is ignored by the venue itself, P an estimated settlement price, st
// a state, ap and the others an order's execution.
var unused = map[string]bool{"M": true, "P": true, "ps": true, "ap": true, "st": true, "f": true, "l": true, "z": true, "o": true, "X": true, "nq": true}

func fieldOf(key []byte) field {
	if len(key) == 1 {
		return letterFields[key[0]]
	}
	switch string(key) {
	case "pu":
		return fieldPrevID
	case "stream":
		return fieldStream
	case "data", "event":
		return fieldData
	case "lastUpdateId":
		return fieldBookID
	case "bids":
		return fieldBookBids
	case "asks":
		return fieldBookAsks
	case "symbol":
		return fieldBookSymbol
	case "result":
		return fieldResult
	case "id":
		return fieldRequest
	case "error":
		return fieldError
	case "code":
		return fieldCode
	case "msg":
		return fieldMessage
	case "openInterest":
		return fieldInterest
	case "time":
		return fieldInterestTime
	}
	return fieldNone
}
