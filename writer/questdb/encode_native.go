package questdb

import "tickproc/internal/digits"

// nativeLines writes lines by itself, byte for byte as QuestDB's client does
// (encode_native_test.go), from integers rather than by way of float64.
//
// A line is its table, tags and fields, each behind a comma, and its time. The
// first field is behind a space; that is put right at the end of the line,
// because any field may be null.
type nativeLines struct {
	table   *table
	tagged  int // leading columns that an instrument has pre-encoded, see instrument.tags
	lines   []byte
	start   int // of the open line
	fields  int // where its tags end
	scratch []byte
}

func newNativeLines(t *table) *nativeLines {
	w := &nativeLines{table: t, scratch: make([]byte, 0, 128)}
	if len(t.lines) >= len(instrumentTags) {
		w.tagged = len(instrumentTags)
		for i, name := range instrumentTags {
			if t.lines[i].name != name || !t.lines[i].ofInstrument {
				w.tagged = 0
			}
		}
	}
	return w
}

// instrumentTags are the columns whose values are the same in every row of an
// instrument, in all tables that begin with them.
var instrumentTags = [...]string{columnVenue.name, columnSymbol.name}

// appendInstrumentTags appends them as the client writes them.
func appendInstrumentTags(dst []byte, in *instrument) []byte {
	for i, text := range [...]string{in.Venue, in.Symbol} {
		dst = appendTag(dst, ","+instrumentTags[i]+"=", text)
	}
	return dst
}

// hot: per row, 0 allocs but for growth.
func (w *nativeLines) begin(in *instrument) []*column {
	w.start = len(w.lines)
	w.lines = append(w.lines, w.table.name...)
	columns := w.table.lines
	if w.tagged > 0 && in.tags != "" {
		w.lines = append(w.lines, in.tags...)
		columns = columns[w.tagged:]
	}
	w.fields = len(w.lines)
	return columns
}

func (w *nativeLines) symbol(c *column, text string) {
	if c.plain {
		w.lines = append(append(w.lines, c.label...), text...)
	} else {
		w.lines = appendTag(w.lines, c.label, text)
	}
	w.fields = len(w.lines)
}

func (w *nativeLines) text(c *column, text string) {
	b := append(w.lines, c.label...)
	b = append(b, '"')
	if c.plain {
		b = append(b, text...)
	} else {
		b = appendEscaped(b, text, inQuotes)
	}
	w.lines = append(b, '"')
}

func (w *nativeLines) integer(c *column, v int64) {
	w.lines = append(digits.AppendInt(append(w.lines, c.label...), v), 'i')
}

func (w *nativeLines) truth(c *column, v bool) {
	text := byte('f')
	if v {
		text = 't'
	}
	w.lines = append(append(w.lines, c.label...), text)
}

func (w *nativeLines) float(c *column, n number) {
	w.lines = n.appendFloat(append(w.lines, c.label...), w.scratch)
}

func (w *nativeLines) end(ts int64) error {
	if len(w.lines) > w.fields {
		w.lines[w.fields] = ' '
	}
	w.lines = append(digits.AppendInt(append(w.lines, ' '), ts), '\n')
	return nil
}

func (w *nativeLines) drop() { w.lines = w.lines[:w.start] }

func (w *nativeLines) size() int { return len(w.lines) }

func (w *nativeLines) take(dst []byte) []byte {
	lines := w.lines
	// Growing from nothing would copy the next batch several times over.
	if len(lines) > cap(dst) {
		dst = make([]byte, 0, len(lines)+len(lines)/8)
	}
	w.lines = dst[:0]
	return lines
}

// Where text stands decides what is escaped in it.
const (
	inTag uint8 = 1 << iota
	inQuotes
)

var escaped = [256]uint8{' ': inTag, ',': inTag, '=': inTag, '"': inQuotes, '\\': inTag | inQuotes, '\n': inTag | inQuotes, '\r': inTag | inQuotes}

func appendTag(dst []byte, label, text string) []byte {
	return appendEscaped(append(dst, label...), text, inTag)
}

func appendEscaped(dst []byte, text string, where uint8) []byte {
	from := 0
	for i := 0; i < len(text); i++ {
		if escaped[text[i]]&where != 0 {
			dst = append(append(dst, text[from:i]...), '\\')
			from = i
		}
	}
	return append(dst, text[from:]...)
}
