package okx

import "tickproc/internal/jsonscan"

// field is a key that means something to us.
type field uint8

const (
	fieldNone  field = iota // in no document
	fieldOther              // documented, and of no use to us
	fieldArg
	fieldAction
	fieldData
	fieldEvent
	fieldRequest
	fieldCode
	fieldMessage
	fieldChannel
	fieldSymbol
	fieldAsks
	fieldBids
	fieldTime
	fieldChecksum
	fieldSequence
	fieldPrevious
	fieldTradeID
	fieldPrice
	fieldSize
	fieldSide
	fieldFundingRate
	fieldFundingTime
	fieldMark
	fieldIndex
	fieldOpenInterest
	fieldDetails
	fieldBankruptcy
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

// scope is an object of the frame whose keys count: where their values are.
type scope struct {
	name   string // of it in reports
	count  fields
	seen   fields
	values [fieldCount]jsonscan.Value
}

func (s *scope) has(f field) bool { return s.seen&(1<<f) != 0 }

// Which keys count depends on where they stand.
var (
	frameFields  = set(fieldArg, fieldAction, fieldData, fieldEvent, fieldRequest, fieldCode, fieldMessage)
	argFields    = set(fieldChannel, fieldSymbol)
	itemFields   = set(fieldSymbol, fieldAsks, fieldBids, fieldTime, fieldChecksum, fieldSequence, fieldPrevious, fieldTradeID, fieldPrice, fieldSize, fieldSide, fieldFundingRate, fieldFundingTime, fieldMark, fieldIndex, fieldOpenInterest, fieldDetails)
	detailFields = set(fieldTime, fieldSize, fieldSide, fieldBankruptcy)

	depthFields = set(fieldAsks, fieldBids, fieldTime)
	tradeFields = set(fieldTradeID, fieldPrice, fieldSize, fieldSide, fieldTime)
)

func fieldOf(key []byte) field {
	switch string(key) {
	case "arg":
		return fieldArg
	case "action":
		return fieldAction
	case "data":
		return fieldData
	case "event":
		return fieldEvent
	case "id":
		return fieldRequest
	case "code":
		return fieldCode
	case "msg":
		return fieldMessage
	case "channel":
		return fieldChannel
	case "instId":
		return fieldSymbol
	case "asks":
		return fieldAsks
	case "bids":
		return fieldBids
	case "ts":
		return fieldTime
	case "checksum":
		return fieldChecksum
	case "seqId":
		return fieldSequence
	case "prevSeqId":
		return fieldPrevious
	case "tradeId":
		return fieldTradeID
	case "px":
		return fieldPrice
	case "sz":
		return fieldSize
	case "side":
		return fieldSide
	case "fundingRate":
		return fieldFundingRate
	case "fundingTime":
		return fieldFundingTime
	case "markPx":
		return fieldMark
	case "idxPx":
		return fieldIndex
	case "oi":
		return fieldOpenInterest
	case "details":
		return fieldDetails
	case "bkPx":
		return fieldBankruptcy
	case "connId", "connCount", "instType", "instFamily", "uly", "uid", "source", "count",
		"formulaType", "impactValue", "interestRate", "method", "maxFundingRate", "minFundingRate", "nextFundingRate", "nextFundingTime",
		"premium", "settFundingRate", "settState", "high24h", "low24h", "open24h", "sodUtc0", "sodUtc8", "oiCcy", "oiUsd", "bkLoss", "ccy", "posSide":
		return fieldOther
	}
	return fieldNone
}
