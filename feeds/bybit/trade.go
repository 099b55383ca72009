package bybit

import (
	"encoding/binary"
	"encoding/hex"

	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

func executionField(key []byte) field {
	switch string(key) {
	case "T":
		return fieldTradeTime
	case "s":
		return fieldSymbol
	case "S":
		return fieldSide
	case "v":
		return fieldSize
	case "p":
		return fieldPrice
	case "i":
		return fieldTradeID
	case "BT":
		return fieldBlock
	case "L", "RPI", "seq": // direction of the price, a retail maker, orders the topics
		return fieldUnused
	}
	return fieldStrange
}

var (
	liquidationFields = set(fieldTradeTime, fieldSymbol, fieldSide, fieldSize, fieldPrice)
	tradeFields       = liquidationFields | set(fieldTradeID)
)

// executions reads a list of trades or of liquidations.
//
// hot: per frame, 0 allocs.
func (d *decoder) executions() {
	for more := d.Scan.Array(); more; more = d.Scan.Next(']') {
		if d.execution(); !d.Sound() {
			return
		}
	}
}

func (d *decoder) execution() {
	s := &d.Scan
	d.data = 0
	isTrade := d.subject.kind == subjectTrades
	message, need := "publicTrade", tradeFields
	if !isTrade {
		message, need = "allLiquidation", liquidationFields
	}
	for more := s.Object(); more; more = s.Next('}') {
		key := s.Key()
		f := executionField(key)
		switch {
		case f >= fieldCount:
			d.pass(f, message, key)
		case !d.once(&d.data, f):
			return
		default:
			d.values[f] = s.Value()
		}
	}
	if !d.complete(need, "trade") || !d.isSubject() {
		return
	}
	var sold bool
	switch string(d.textOf(fieldSide)) {
	case "Buy":
	case "Sell":
		sold = true
	default:
		d.Refuse("a side is neither Buy nor Sell")
		return
	}
	nanos := d.time(fieldTradeTime)
	price, size := d.Price(d.values[fieldPrice]), d.Size(d.values[fieldSize])
	var flags tick.Flags
	if !isTrade {
		// The side is the position's: of a long one that was liquidated ("Buy"), the
		// forced order sells. The price is that of bankruptcy.
		if !sold {
			flags = tick.FlagSell
		}
		d.Liquidation(flags, price, size, nanos)
		return
	}
	if sold {
		flags = tick.FlagSell
	}
	if d.data&set(fieldBlock) != 0 && d.isBlock() {
		flags |= tick.FlagNotMarket
	}
	if id, ok := d.tradeID(); ok {
		d.Trade(flags, id, price, size, nanos)
	}
}

// isBlock tells block trades: they were agreed on away from the book, at
// prices that are none of the market's.
func (d *decoder) isBlock() bool {
	switch d.values[fieldBlock].Kind {
	case jsonscan.True:
		return true
	case jsonscan.False:
	default:
		d.Refuse("BT is no boolean")
	}
	return false
}

// tradeID reads an integer (spot) or a UUID (contracts).
func (d *decoder) tradeID() (tick.ID, bool) {
	text := d.textOf(fieldTradeID)
	if id, ok := uuid(text); ok {
		return id, true
	}
	if n, ok := uintOf(text); ok {
		return tick.ID{Lo: n}, true
	}
	d.Refuse("a trade id is neither a UUID nor an integer")
	return tick.ID{}, false
}

// uuid reads 20f43950-d8dd-5b31-9112-a178eb6023af.
func uuid(text []byte) (id tick.ID, ok bool) {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return tick.ID{}, false
	}
	var digits [32]byte
	n := copy(digits[:], text[:8])
	n += copy(digits[n:], text[9:13])
	n += copy(digits[n:], text[14:18])
	n += copy(digits[n:], text[19:23])
	copy(digits[n:], text[24:])
	var raw [16]byte
	if _, err := hex.Decode(raw[:], digits[:]); err != nil {
		return tick.ID{}, false
	}
	return tick.ID{Hi: binary.BigEndian.Uint64(raw[:8]), Lo: binary.BigEndian.Uint64(raw[8:])}, true
}

// uintOf reads a text of 1 to 19 digits.
func uintOf(text []byte) (n uint64, ok bool) {
	for _, c := range text {
		if c-'0' > 9 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, len(text) > 0 && len(text) <= 19
}
