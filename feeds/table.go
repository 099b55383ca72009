package feeds

import "tickproc/tick"

// Entry is what a decoder knows of an instrument: its id, and the scale its
// line uses, which only grows.
type Entry struct {
	Symbol                  string
	ID                      uint32
	PriceDigits, SizeDigits uint8
}

// Table finds instruments by the venue's symbol, without allocation. Each
// line has its own, so that each declares its own rescales.
// owner: the line's reading goroutine.
type Table struct {
	slots     []*Entry // open addressing, power of two, at most half full
	entries   int
	last      *Entry
	additions int
	// Discover introduces a symbol that nobody subscribed, or returns nil; nil
	// Discover means unknown symbols are errors.
	Discover func(symbol string) *Entry
	// Canary is told of what the venue's documents do not have; nil = nobody is.
	Canary *Canary
}

// NewTable returns a table of the given instruments at their initial scale.
func NewTable(instruments []*tick.Instrument) *Table {
	t := &Table{slots: make([]*Entry, 16)}
	for _, in := range instruments {
		t.Add(&Entry{Symbol: in.Symbol, ID: in.ID, PriceDigits: in.PriceDigits, SizeDigits: in.SizeDigits})
	}
	return t
}

// Add puts an entry in; a second one of the same symbol replaces the first.
func (t *Table) Add(e *Entry) {
	if t.entries*2 >= len(t.slots) {
		old := t.slots
		t.slots, t.entries = make([]*Entry, 2*len(old)), 0
		for _, o := range old {
			if o != nil {
				t.Add(o)
			}
		}
	}
	t.last = nil
	t.additions++
	i := hash([]byte(e.Symbol)) & uint32(len(t.slots)-1)
	for ; t.slots[i] != nil; i = (i + 1) & uint32(len(t.slots)-1) {
		if t.slots[i].Symbol == e.Symbol {
			t.slots[i] = e
			return
		}
	}
	t.slots[i] = e
	t.entries++
}

// Lookup returns the entry of a symbol in the venue's spelling, discovering it
// where that is allowed, or nil.
//
// hot: per frame, 0 allocs.
func (t *Table) Lookup(symbol []byte) *Entry {
	if e := t.Known(symbol); e != nil || t.Discover == nil {
		return e
	}
	e := t.Discover(string(symbol))
	if e != nil {
		t.Add(e)
	}
	return e
}

// Known is Lookup without discovery: for a look at a frame that may still
// prove broken.
//
// hot: per frame, 0 allocs.
func (t *Table) Known(symbol []byte) *Entry {
	// Frames of one instrument come in runs.
	if t.last != nil && t.last.Symbol == string(symbol) {
		return t.last
	}
	i := hash(symbol) & uint32(len(t.slots)-1)
	for ; t.slots[i] != nil; i = (i + 1) & uint32(len(t.slots)-1) {
		if t.slots[i].Symbol == string(symbol) {
			t.last = t.slots[i]
			return t.last
		}
	}
	return nil
}

// Last is whom the last Known found; nil if an entry was added since.
func (t *Table) Last() *Entry { return t.last }

// Additions counts the calls of Add: while it is the same, so are the entries.
func (t *Table) Additions() int { return t.additions }

// LastAt reports whether his symbol stands at a place of a text, and returns
// that of the quote behind it; else -1.
//
// hot: per frame, 0 allocs.
func (t *Table) LastAt(text []byte, at int) int {
	if t.last == nil {
		return -1
	}
	end := at + len(t.last.Symbol)
	if at < 0 || end >= len(text) || text[end] != '"' || string(text[at:end]) != t.last.Symbol {
		return -1
	}
	return end
}

// hash is FNV-1a.
func hash(b []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range b {
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}
