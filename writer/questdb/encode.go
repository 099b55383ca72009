package questdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
	"unicode/utf8"

	qdb "github.com/questdb/go-questdb-client/v3"
)

// encoder turns rows of one table into lines of ILP. QuestDB's client does
// the writing of values; what it would send is caught on its transport.
// owner: the goroutine that writes rows.
type encoder struct {
	table    *table
	decimals bool
	client   lineClient
	caught   caught
	text     []byte // of decimals
}

// lineClient is what the client's HTTP sender offers.
type lineClient interface {
	qdb.LineSender
	BufLen() int // bytes of finished lines and of the one being written
}

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

func newEncoder(t *table, decimals bool, bytesMax int) *encoder {
	e := &encoder{table: t, decimals: decimals, text: make([]byte, 0, 128)}
	transport := &http.Transport{}
	transport.RegisterProtocol("http", &e.caught)
	// The client's own flushing and retrying lose rows when they fail.
	sender, err := qdb.NewLineSender(context.Background(), qdb.WithHttp(), qdb.WithAddress("encoder:1"),
		qdb.WithHttpTransport(transport), qdb.WithAutoFlushDisabled(), qdb.WithRetryTimeout(0), qdb.WithInitBufferSize(16<<10),
		// Looked at after growth by doubling, so the bound must not be the batch's.
		qdb.WithMaxBufferSize(8*bytesMax+1<<20))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	e.client = sender.(lineClient)
	return e
}

// size is the bytes encoded since the last take.
func (e *encoder) size() int { return e.client.BufLen() }

// line encodes x as a row at ts. An error leaves no trace of the row.
//
// hot: per row, 0 allocs (DOUBLE columns).
func (e *encoder) line(x *source, ts int64) error {
	if ts <= nanosMin || ts >= nanosMax {
		return errTime
	}
	c := e.client
	c.Table(e.table.name)
	refused := error(nil)
	for _, column := range e.table.lines {
		switch column.kind {
		case symbol, varchar:
			text := column.text(x)
			if text == "" {
				continue // null
			}
			if !fit(text) {
				refused = errText
				text = "?"
			}
			if column.kind == symbol {
				c.Symbol(column.name, text)
			} else {
				c.StringColumn(column.name, text)
			}
		case price, sum:
			e.number(column, column.number(x, column), x)
		case long, nanos:
			if v, ok := column.integer(x); ok {
				c.Int64Column(column.name, v)
			}
		case boolean:
			c.BoolColumn(column.name, column.truth(x))
		}
	}
	if refused != nil {
		// The client drops an unfinished row only with an error of its own.
		c.Table(e.table.name)
	}
	if err := c.At(context.Background(), time.Unix(0, ts)); err != nil && refused == nil {
		return fmt.Errorf("the client refused the row: %w", err)
	}
	return refused
}

func (e *encoder) number(c *column, n number, x *source) {
	switch {
	case n.null:
	case !e.decimals:
		e.client.Float64Column(c.name, n.float(e.text))
	default:
		scale := priceScale
		if c.kind == sum {
			scale = sumScale
		}
		e.text = n.appendDecimal(e.text[:0], scale)
		e.client.StringColumn(c.name, view(e.text))
	}
}

// take appends the encoded lines to dst and starts anew.
func (e *encoder) take(dst []byte) []byte {
	e.caught.dst = dst
	if err := e.client.Flush(context.Background()); err != nil {
		panic("BUG: nothing to fail on the way to memory: " + err.Error())
	}
	dst, e.caught.dst = e.caught.dst, nil
	return dst
}

// caught is the transport on which the client flushes: it keeps the body and
// answers as QuestDB does when all is well.
type caught struct{ dst []byte }

func (c *caught) RoundTrip(request *http.Request) (*http.Response, error) {
	at, n := len(c.dst), int(request.ContentLength)
	if cap(c.dst)-at < n {
		c.dst = append(make([]byte, 0, at+n), c.dst...)
	}
	c.dst = c.dst[:at+n]
	if _, err := io.ReadFull(request.Body, c.dst[at:]); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: request}, nil
}

// fit reports text that may go into a line. Control characters are refused
// with NUL, so that a line of ILP is a line of text: a rejected one is found
// by its number.
func fit(text string) bool {
	for i := 0; i < len(text); i++ {
		if text[i] < ' ' || text[i] == 0x7f {
			return false
		}
	}
	return utf8.ValidString(text)
}
