package wire

import (
	"tickproc/feeds"
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// HistorySpec is how a venue's REST lists past trades: objects in an array.
type HistorySpec struct {
	// Path are the members that lead to the array from the document, outermost
	// first; none = the document is the array.
	Path []string
	// Code is the document's member that tells an error, and Good what it holds
	// where there is none; "" = there is no such member.
	Code, Good  string
	NewestFirst bool // the order of the array
	// Keys of a trade's members. Symbol and Block may be "": the venue has none.
	ID, Price, Size, Time, Side, Symbol, Block string
	Unused                                     map[string]bool // documented, and of no use
	// How the venue writes them; false is a fault.
	IDOf   func(f *Frame, v jsonscan.Value) (tick.ID, bool)
	TimeOf func(f *Frame, v jsonscan.Value) (nanos int64, ok bool)
	// Sold tells whether the aggressor sold.
	Sold func(f *Frame, v jsonscan.Value) (sold, ok bool)
}

// ReadHistory appends the trades of an answer about a symbol's past to dst.
func ReadHistory(spec *HistorySpec, venue, symbol string, dst []tick.Unit, body []byte, table *feeds.Table, at feeds.Stamp) ([]tick.Unit, error) {
	h := &history{spec: spec, symbol: []byte(symbol)}
	h.Init(venue, table)
	dst, _, err := h.Run(h, dst, body, at)
	return dst, err
}

const (
	historyID = iota
	historyPrice
	historySize
	historyTime
	historySide
	historySymbol
	historyBlock
	historyFields
)

// history reads one answer.
type history struct {
	Frame
	spec   *HistorySpec
	symbol []byte
	found  bool           // the array
	told   bool           // the code
	code   jsonscan.Value // if it is not good
	bad    bool
}

// Read implements Reader.
func (h *history) Read() {
	base := len(h.Out)
	h.found, h.told, h.bad = false, false, false
	if !h.Known(h.symbol) {
		// Nobody is introduced by a document that may prove broken.
		if h.Scan.Skip(); !h.Complete() || !h.Lookup(h.symbol) {
			return
		}
		h.Scan.Seek(jsonscan.Value{})
	}
	switch kind := h.Scan.Peek(); {
	case kind == jsonscan.Array && len(h.spec.Path) == 0:
		h.list()
	case kind == jsonscan.Object:
		h.members(0)
	default:
		h.Scan.Skip()
	}
	switch {
	case !h.Complete():
	case h.bad:
		h.Fault(feeds.ErrUnknownMessage, "trades refused: code", h.Scan.Bytes(h.code))
	case !h.found:
		h.Fault(feeds.ErrUnknownMessage, "no list of trades", nil)
	default:
		h.Fetched(base, h.spec.NewestFirst)
	}
}

// members reads the object at a level of the path.
func (h *history) members(level int) {
	s, spec := &h.Scan, h.spec
	for more := s.Object(); more; more = s.Next('}') {
		key := s.Key()
		switch {
		case level < len(spec.Path) && string(key) == spec.Path[level]:
			kind := s.Peek()
			switch {
			case h.found:
				h.Refuse("a key stands twice")
				return
			case level == len(spec.Path)-1 && kind == jsonscan.Array:
				h.list()
			case level < len(spec.Path)-1 && kind == jsonscan.Object:
				h.members(level + 1)
			default:
				s.Skip()
			}
		case level == 0 && spec.Code != "" && string(key) == spec.Code:
			v := s.Value()
			if h.told {
				h.Refuse("a key stands twice")
				return
			}
			if h.told = true; string(s.Bytes(v)) != spec.Good {
				h.bad, h.code = true, v
			}
		default:
			s.Skip()
		}
	}
}

func (h *history) list() {
	h.found = true
	for more := h.Scan.Array(); more; more = h.Scan.Next(']') {
		if h.trade(); !h.Sound() {
			return
		}
	}
}

// fieldOf returns what a key is, -1 for one of no use, -2 for one in no document.
func (spec *HistorySpec) fieldOf(key []byte) int {
	if len(key) == 0 {
		return -2 // not that of a member which the venue does not have
	}
	switch string(key) {
	case spec.ID:
		return historyID
	case spec.Price:
		return historyPrice
	case spec.Size:
		return historySize
	case spec.Time:
		return historyTime
	case spec.Side:
		return historySide
	case spec.Symbol:
		return historySymbol
	case spec.Block:
		return historyBlock
	}
	if spec.Unused[string(key)] {
		return -1
	}
	return -2
}

func (h *history) trade() {
	s := &h.Scan
	if s.Peek() != jsonscan.Object {
		h.Refuse("a trade is no object")
		return
	}
	var values [historyFields]jsonscan.Value
	seen := 0
	for more := s.Object(); more; more = s.Next('}') {
		key := s.Key()
		f := h.spec.fieldOf(key)
		if f < 0 {
			if f < -1 && !s.Failed() {
				h.Strange("past trade", key)
			}
			s.Skip()
			continue
		}
		if seen&(1<<f) != 0 {
			h.Refuse("a key stands twice")
			return
		}
		seen |= 1 << f
		values[f] = s.Value()
	}
	const need = 1<<historyID | 1<<historyPrice | 1<<historySize | 1<<historyTime | 1<<historySide
	switch {
	case s.Failed():
		return // Complete says so
	case seen&need != need:
		h.Refuse("a trade lacks a key")
		return
	case seen&(1<<historySymbol) != 0 && string(s.Bytes(values[historySymbol])) != string(h.symbol):
		h.Refuse("a trade of another symbol")
		return
	}
	id, okID := h.spec.IDOf(&h.Frame, values[historyID])
	nanos, okTime := h.spec.TimeOf(&h.Frame, values[historyTime])
	sold, okSide := h.spec.Sold(&h.Frame, values[historySide])
	if !okID || !okTime || !okSide {
		h.Refuse("an id, a time or a side is not as the venue writes it")
		return
	}
	var flags tick.Flags
	if sold {
		flags = tick.FlagSell
	}
	if seen&(1<<historyBlock) != 0 && values[historyBlock].Kind == jsonscan.True {
		flags |= tick.FlagNotMarket
	}
	h.Trade(flags, id, h.Price(values[historyPrice]), h.Size(values[historySize]), nanos)
}

// WholeID reads an id that is a whole number, bare or in quotes.
func WholeID(f *Frame, v jsonscan.Value) (tick.ID, bool) {
	n, ok := f.Whole(v)
	return tick.ID{Lo: n}, ok
}

// Millis reads a time in ms, bare or in quotes, as ns; one that no int64 of ns
// can hold is 0, no time.
func Millis(f *Frame, v jsonscan.Value) (int64, bool) {
	const nanosPerMilli = 1_000_000
	n, ok := f.Whole(v)
	if n > 1<<63/nanosPerMilli-1 {
		n = 0
	}
	return int64(n) * nanosPerMilli, ok
}

// Whole reads a whole number of at most 19 digits, bare or in quotes.
func (f *Frame) Whole(v jsonscan.Value) (n uint64, ok bool) {
	if v.Kind == jsonscan.Uint {
		return v.Uint, true
	}
	text := f.Scan.Bytes(v)
	if v.Kind != jsonscan.String || len(text) == 0 || len(text) > 19 {
		return 0, false
	}
	for _, c := range text {
		if c-'0' > 9 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

// Words reads a side by the venue's words for what the aggressor did.
func Words(sold, bought string) func(*Frame, jsonscan.Value) (bool, bool) {
	return func(f *Frame, v jsonscan.Value) (bool, bool) {
		if v.Kind != jsonscan.String {
			return false, false
		}
		text := string(f.Scan.Bytes(v))
		return text == sold, text == sold || text == bought
	}
}
