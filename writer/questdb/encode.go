package questdb

import (
	"errors"
	"strings"
	"unicode/utf8"

	"tickproc/internal/invariants"
)

// encoder turns rows of one table into lines of ILP: it says which values a
// line has, and its writer how they are written.
// owner: the goroutine that writes rows.
type encoder struct {
	lineWriter
	table    *table
	decimals bool
	text     []byte // of decimals
}

// lineWriter writes the lines of one table. Two do, and write the same bytes:
// clientLines and nativeLines.
type lineWriter interface {
	// begin opens a line of the instrument, nil where the row is of none. It
	// returns the columns that it has not written yet.
	begin(in *instrument) []*column
	symbol(c *column, text string)
	text(c *column, text string)
	float(c *column, n number)
	integer(c *column, v int64)
	truth(c *column, v bool)
	// end closes the line, drop takes it back.
	end(ts int64) error
	drop()
	// size is the bytes written since the last take, those of an open line included.
	size() int
	// take returns the lines written since the last take. Their memory is the
	// caller's, and dst's memory the writer's, from then on.
	take(dst []byte) []byte
}

// Encoders that Options.Encoder names.
const (
	EncoderNative = "native"
	EncoderV3     = "v3"
)

// Times that a row may have, exclusive. Before: QuestDB takes none from before
// 1970, and 0 is a forgotten time. After: one wrong year would make a TTL drop
// everything else.
const (
	nanosMin = 0
	nanosMax = 7258118400_000000000 // 2200-01-01
)

// Reasons why a row is refused before it is encoded.
var (
	errTime = errors.New("time outside 1970..2200")
	errText = errors.New("text with control characters or invalid UTF-8")
	errName = errors.New("venue or symbol is empty")
)

func newEncoder(t *table, o *Options, bytesMax int) *encoder {
	e := &encoder{table: t, decimals: o.Numbers == "decimal", text: make([]byte, 0, 128)}
	if o.Encoder == EncoderV3 {
		e.lineWriter = newClientLines(t, bytesMax)
	} else {
		e.lineWriter = newNativeLines(t)
	}
	return e
}

// line encodes x as a row at ts. An error leaves no trace of the row.
//
// hot: per row, 0 allocs (DOUBLE columns).
func (e *encoder) line(x *source, ts int64) error {
	if ts <= nanosMin || ts >= nanosMax {
		return errTime
	}
	w := e.lineWriter
	for _, c := range w.begin(x.in) {
		switch c.kind {
		case symbol, varchar:
			text := c.text(x)
			if invariants.Enabled && c.plain && (!fit(text) || strings.ContainsAny(text, `\" ,=`)) {
				panic("BUG: column " + c.name + " is not plain: " + text)
			}
			switch {
			case text == "": // null
			case !c.plain && !fit(text):
				w.drop()
				return errText
			case c.kind == symbol:
				w.symbol(c, text)
			default:
				w.text(c, text)
			}
		case price, sum:
			n := c.number(x, c)
			switch {
			case n.null:
			case e.decimals:
				e.decimal(c, n)
			default:
				w.float(c, n)
			}
		case long, nanos:
			if v, ok := c.integer(x); ok {
				w.integer(c, v)
			}
		case boolean:
			w.truth(c, c.truth(x))
		}
	}
	return w.end(ts)
}

// decimal writes n as text, from which QuestDB reads a DECIMAL exactly.
func (e *encoder) decimal(c *column, n number) {
	scale := priceScale
	if c.kind == sum {
		scale = sumScale
	}
	e.text = n.appendDecimal(e.text[:0], scale)
	e.lineWriter.text(c, view(e.text))
}

// fit reports text that may go into a line. Control characters are refused
// with NUL, so that a line of ILP is a line of text: a rejected one is found
// by its number.
func fit(text string) bool {
	all := byte(0)
	for i := 0; i < len(text); i++ {
		if text[i] < ' ' || text[i] == 0x7f {
			return false
		}
		all |= text[i]
	}
	return all < utf8.RuneSelf || utf8.ValidString(text)
}
