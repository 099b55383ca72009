package questdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tickproc/internal/pace"
)

// Client asks QuestDB by SQL over its REST endpoint. Any goroutine may use it.
type Client struct {
	url         string
	credentials Credentials
	http        *http.Client
	timeout     time.Duration
	pace        pace.Pace
}

// Result is a query's answer.
type Result struct {
	Columns []string
	// Rows hold what JSON has: string, bool, nil, and json.Number, so that
	// integers stay exact. Times are RFC 3339 in UTC with nanoseconds.
	Rows [][]any
}

// ErrSQL is wrapped by the error of a statement that QuestDB refused.
var ErrSQL = errors.New("QuestDB refused the statement")

// resultBytesMax bounds an answer that is read into memory.
const resultBytesMax = 256 << 20

// NewClient returns a client; timeout bounds every call, 0 = 30 s. QuestDB
// has been seen to accept a connection and never answer.
func NewClient(url string, c Credentials, timeout time.Duration) *Client {
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	return &Client{url: strings.TrimRight(url, "/"), credentials: c, http: newHTTP(true), timeout: timeout, pace: pace.Real}
}

// newHTTP returns an HTTP client of our own: the default one shares its
// connections, and follows redirects, with everybody.
func newHTTP(keepAlive bool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
			TLSHandshakeTimeout: 5 * time.Second,
			IdleConnTimeout:     90 * time.Second,
			DisableKeepAlives:   !keepAlive,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (c Credentials) apply(r *http.Request) {
	if c.Token != "" {
		r.Header.Set("Authorization", "Bearer "+c.Token)
	} else if c.User != "" {
		r.SetBasicAuth(c.User, c.Password)
	}
}

// Query runs one statement. The whole answer is asked for: QuestDB repeats
// rows at the borders of pages, so large results are paged by LIMIT in SQL.
func (c *Client) Query(ctx context.Context, sql string) (*Result, error) {
	ctx, cancel := c.pace.Timeout(ctx, c.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/exec?query="+url.QueryEscape(sql), nil)
	if err != nil {
		return nil, err
	}
	c.credentials.apply(request)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, resultBytesMax+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > resultBytesMax:
		return nil, fmt.Errorf("the answer is beyond %d bytes: page it by LIMIT: %s", resultBytesMax, sql)
	}
	var answer struct {
		Error   string                  `json:"error"`
		Columns []struct{ Name string } `json:"columns"`
		Dataset [][]any                 `json:"dataset"`
	}
	decoder := json.NewDecoder(strings.NewReader(view(body)))
	decoder.UseNumber()
	decodeErr := decoder.Decode(&answer)
	switch {
	case answer.Error != "":
		return nil, fmt.Errorf("%w: %s: %s", ErrSQL, answer.Error, sql)
	case response.StatusCode != http.StatusOK:
		return nil, &statusError{status: response.StatusCode, message: string(body[:min(len(body), 200)])}
	case decodeErr != nil:
		return nil, fmt.Errorf("%s answers no JSON: %w", c.url, decodeErr)
	}
	r := &Result{Rows: answer.Dataset}
	for _, column := range answer.Columns {
		r.Columns = append(r.Columns, column.Name)
	}
	return r, nil
}

// Int returns a cell that is an integer; null is 0.
func (r *Result) Int(row, column int) int64 {
	n, ok := r.Rows[row][column].(json.Number)
	if !ok {
		return 0
	}
	v, err := n.Int64()
	if err != nil {
		return 0
	}
	return v
}

// float returns a cell that is a number, or a decimal's text; null is NaN.
func (r *Result) float(row, column int) float64 {
	text, ok := r.Rows[row][column].(string)
	if n, number := r.Rows[row][column].(json.Number); number {
		text, ok = string(n), true
	}
	v, err := strconv.ParseFloat(text, 64)
	if !ok || err != nil {
		return math.NaN()
	}
	return v
}

// Text returns a cell that is text; null is "".
func (r *Result) Text(row, column int) string {
	s, _ := r.Rows[row][column].(string)
	return s
}

// True returns a cell that is a boolean.
func (r *Result) True(row, column int) bool {
	b, _ := r.Rows[row][column].(bool)
	return b
}

// statusError is an answer that is neither success nor a line's refusal.
type statusError struct {
	status  int
	message string
	after   time.Duration // the server's Retry-After
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("QuestDB answers %d %s", e.status, http.StatusText(e.status))
	if e.message != "" {
		text += ": " + strings.TrimSpace(e.message)
	}
	return text
}

// closeIdle ends the connections that are kept for a next call.
func (c *Client) closeIdle() { c.http.CloseIdleConnections() }

// literal writes text as a SQL string.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// moment writes ns since the epoch as a SQL time.
func moment(nanos int64) string {
	return literal(time.Unix(0, nanos).UTC().Format("2006-01-02T15:04:05.000000000Z"))
}

// ErrBehind says that a table has not applied what it acknowledged.
var ErrBehind = errors.New("QuestDB has not applied all committed rows")

// Settle waits until SQL sees every row that was acknowledged when it was
// called, or returns ErrBehind when ctx ends first or the table is suspended.
// A table that does not exist has nothing to apply.
func (c *Client) Settle(ctx context.Context, table string) error {
	want := int64(-1)
	for {
		r, err := c.Query(ctx, "SELECT suspended, writerTxn, sequencerTxn FROM wal_tables() WHERE name = "+literal(table))
		switch {
		case err != nil && ctx.Err() != nil:
			return fmt.Errorf("table %s: %w", table, ErrBehind)
		case err != nil:
			return err
		case len(r.Rows) == 0:
			return nil
		case r.True(0, 0):
			return fmt.Errorf("table %s is suspended, run ALTER TABLE %s RESUME WAL: %w", table, table, ErrBehind)
		}
		if want < 0 {
			want = r.Int(0, 2)
		}
		if r.Int(0, 1) >= want {
			return nil
		}
		c.pace.Wait(ctx, 5*time.Millisecond)
	}
}
