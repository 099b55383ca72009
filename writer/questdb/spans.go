package questdb

import (
	"encoding/binary"
	"errors"
)

// span is what a batch holds of one instrument: enough to say what is missing
// if the batch is lost.
type span struct {
	venue, symbol string
	rows          int64
	from, to      int64 // ts
}

// onceTables are those no row of which is ever corrected.
var onceTables = []int{tableTrades, tableQuotes, tableBook}

// dropOrder is who gives way first when there is no room: what comes most and
// ages fastest; gaps last, because they say what is missing.
var dropOrder = []int{tableQuotes, tableNbbo, tableBook, tableFunding, tableOpenInterest, tableTrades, tableLiquidations,
	tableHealth, tableWindows, tableBars, tableStatus, tableInstruments, tableGaps}

// appendSpan writes a span behind one whose venue and start are given: names
// and not ids, because a later run gives other ids.
func appendSpan(dst []byte, s *span, venue string, from int64) []byte {
	if s.venue == venue {
		dst = append(dst, 0)
	} else {
		dst = binary.AppendUvarint(dst, uint64(len(s.venue))+1)
		dst = append(dst, s.venue...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.symbol)))
	dst = append(dst, s.symbol...)
	dst = binary.AppendVarint(dst, s.rows)
	dst = binary.AppendVarint(dst, s.from-from)
	return binary.AppendVarint(dst, s.to-s.from)
}

func encodeSpans(dst []byte, spans []span) []byte {
	venue, from := "", int64(0)
	for i := range spans {
		dst = appendSpan(dst, &spans[i], venue, from)
		venue, from = spans[i].venue, spans[i].from
	}
	return dst
}

var errSpans = errors.New("spans are damaged")

// decodeSpans reads what encodeSpans wrote.
func decodeSpans(b []byte) (spans []span, err error) {
	bad := false
	number := func() int64 {
		v, n := binary.Varint(b)
		if n <= 0 {
			bad, b = true, nil
			return 0
		}
		b = b[n:]
		return v
	}
	length := func() int {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > uint64(len(b)) {
			bad, b = true, nil
			return 0
		}
		b = b[n:]
		return int(v)
	}
	text := func(n int) string {
		if n > len(b) {
			bad, b = true, nil
			return ""
		}
		t := string(b[:n])
		b = b[n:]
		return t
	}
	venue, from := "", int64(0)
	for len(b) > 0 {
		s := span{venue: venue}
		if n := length(); n > 0 {
			s.venue = text(n - 1)
		}
		s.symbol = text(length())
		s.rows = number()
		s.from = from + number()
		s.to = s.from + number()
		if bad {
			return nil, errSpans
		}
		venue, from = s.venue, s.from
		spans = append(spans, s)
	}
	return spans, nil
}
