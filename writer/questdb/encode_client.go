package questdb

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	qdb "github.com/questdb/go-questdb-client/v3"
)

// clientLines has QuestDB's client write the values; what it would send is
// caught on its transport.
type clientLines struct {
	table   *table
	client  lineClient
	caught  caught
	scratch []byte // for numbers
}

// lineClient is what the client's HTTP sender offers.
type lineClient interface {
	qdb.LineSender
	BufLen() int // bytes of finished lines and of the one being written
}

func newClientLines(t *table, bytesMax int) *clientLines {
	w := &clientLines{table: t, scratch: make([]byte, 0, 128)}
	transport := &http.Transport{}
	transport.RegisterProtocol("http", &w.caught)
	// The client's own flushing and retrying lose rows when they fail.
	sender, err := qdb.NewLineSender(context.Background(), qdb.WithHttp(), qdb.WithAddress("encoder:1"),
		qdb.WithHttpTransport(transport), qdb.WithAutoFlushDisabled(), qdb.WithRetryTimeout(0), qdb.WithInitBufferSize(16<<10),
		// Looked at after growth by doubling, so the bound must not be the batch's.
		qdb.WithMaxBufferSize(8*bytesMax+1<<20))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	w.client = sender.(lineClient)
	return w
}

func (w *clientLines) begin(*instrument) []*column {
	w.client.Table(w.table.name)
	return w.table.lines
}

func (w *clientLines) symbol(c *column, text string) { w.client.Symbol(c.name, text) }
func (w *clientLines) text(c *column, text string)   { w.client.StringColumn(c.name, text) }
func (w *clientLines) integer(c *column, v int64)    { w.client.Int64Column(c.name, v) }
func (w *clientLines) truth(c *column, v bool)       { w.client.BoolColumn(c.name, v) }
func (w *clientLines) float(c *column, n number)     { w.client.Float64Column(c.name, n.float(w.scratch)) }
func (w *clientLines) size() int                     { return w.client.BufLen() }

func (w *clientLines) end(ts int64) error {
	if err := w.client.At(context.Background(), time.Unix(0, ts)); err != nil {
		return fmt.Errorf("the client refused the row: %w", err)
	}
	return nil
}

func (w *clientLines) drop() {
	// The client drops an unfinished row only with an error of its own.
	w.client.Table(w.table.name)
	_ = w.client.At(context.Background(), time.Unix(0, 1))
}

func (w *clientLines) take(dst []byte) []byte {
	w.caught.dst = dst[:0]
	if err := w.client.Flush(context.Background()); err != nil {
		panic("BUG: nothing to fail on the way to memory: " + err.Error())
	}
	dst, w.caught.dst = w.caught.dst, nil
	return dst
}

// caught is the transport on which the client flushes: it keeps the body and
// answers as QuestDB does when all is well.
type caught struct{ dst []byte }

func (c *caught) RoundTrip(request *http.Request) (*http.Response, error) {
	n := int(request.ContentLength)
	if cap(c.dst) < n {
		c.dst = make([]byte, n)
	}
	c.dst = c.dst[:n]
	if _, err := io.ReadFull(request.Body, c.dst); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: request}, nil
}
