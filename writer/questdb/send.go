package questdb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tickproc/writer/spool"
)

// sender delivers the batches of one table, in order, one request at a time.
type sender struct {
	sink    *Sink
	index   int
	table   *table
	spool   *spool.Spool
	nudge   chan struct{} // a resend was asked for
	resend  atomic.Int64  // since when, ns; noResend
	stuck   atomic.Bool   // the last thing that was tried failed
	present present       // what the server must have
	stats   *TableStats
	schema  *schema
	http    *http.Client
	url     string
	ranker  *ranker    // nil where rows have no rank
	gaps    *gapKeeper // nil but for gaps that are computed again
	failing int64      // since when nothing gets through; 0 = all is well

	verifiedAt int64 // 0 = before the next row
	backoff    time.Duration
}

const (
	backoffMin = 100 * time.Millisecond
	backoffMax = 5 * time.Second
	// A server that creates tables by itself could do so after a DROP between
	// two posts that both succeed; that is noticed after this long.
	verifyEvery = int64(30 * time.Second)
	// After a refused line the next requests are smaller, so that a batch of
	// bad rows is not sent whole once a row; not smaller than this, because most
	// rows are good.
	rowsAfterRefusal = 64
	retryAfterMax    = 30 * time.Second
)

func (s *Sink) newSender(index int) *sender {
	l := &s.lanes[index]
	x := &sender{sink: s, index: index, table: l.table, spool: s.spool, nudge: make(chan struct{}, 1),
		present: decodePresent(s.spool.Note(index)), stats: &s.Stats.Tables[index], schema: s.newSchema(), url: s.o.URL + "/write"}
	// A connection a post: on one that is kept, QuestDB keeps the table's writer
	// beyond a DROP TABLE, and acknowledges the next rows without storing them
	// (questdb#5803). It costs half a millisecond a batch.
	x.http = newHTTP(false)
	if s.o.Transport != nil {
		x.http.Transport = s.o.Transport
	}
	if name, ok := rankNames[index]; ok {
		x.ranker = &ranker{table: l.table, name: name, client: x.schema.client, repeat: s.o.Repeat, outranked: map[rankKey]struct{}{}, startedNanos: s.o.Now()}
		if s.spool.Durable() {
			x.ranker.versions = x.versions
		}
	}
	if index == tableGaps && s.o.Repeat != RepeatNone {
		x.gaps = &gapKeeper{client: x.schema.client}
	}
	x.resend.Store(noResend)
	return x
}

// run ends with ctx. What is then left of a batch stays in the spool.
func (x *sender) run(ctx context.Context) {
	defer x.schema.client.closeIdle()
	// Tables exist from the start, so that queries for them work before their
	// first row.
	for x.verify(ctx) != nil && ctx.Err() == nil {
	}
	for ctx.Err() == nil {
		if !x.rewind(ctx) {
			continue
		}
		b, err := x.spool.Next(x.index, x.sink.o.FlushRows, x.sink.flushBytes)
		switch {
		case err != nil:
			x.fail(ctx, slog.LevelError, "the spool cannot be read, rows wait", err, 0)
		case b != nil:
			x.deliver(ctx, b)
		default:
			x.await(ctx)
		}
	}
}

// await returns when there may be something to do.
func (x *sender) await(ctx context.Context) {
	look := time.Duration(0)
	if x.spool.Durable() {
		// A table may be lost while no row comes. From the last look on, not from the
		// last row: or rows that come now and then would put it off.
		look = time.Duration(verifyEvery)
		if x.verifiedAt != 0 {
			look = time.Duration(max(x.verifiedAt+verifyEvery-x.sink.o.Now(), 1))
		}
	}
	if x.sink.o.Pace.Wait(ctx, look, x.spool.Wake(x.index), x.nudge) < 0 && ctx.Err() == nil {
		_ = x.verify(ctx)
	}
}

// verify checks the table if that is due. On failure it waits before it
// returns the error.
func (x *sender) verify(ctx context.Context) error {
	now := x.sink.o.Now()
	if x.verifiedAt != 0 && now-x.verifiedAt < verifyEvery {
		return nil
	}
	err := x.schema.ensure(ctx, x.table)
	if err == nil && x.spool.Durable() {
		var has present
		if has, err = x.ask(ctx); err == nil {
			x.compare(has)
		}
	}
	if err == nil {
		x.verifiedAt = now
		x.stuck.Store(false)
		return nil
	}
	x.stats.SchemaFails.Add(1)
	level, message := slog.LevelWarn, "QuestDB cannot be asked about a table, rows wait"
	if errors.Is(err, ErrSchema) || errors.Is(err, ErrSQL) {
		level, message = slog.LevelError, "QuestDB table does not take our rows, they wait"
	}
	x.fail(ctx, level, message, err, 0)
	return err
}

// deliver sends a batch until none of its rows is left or ctx ends. Every
// answer either shortens the batch, or makes the next request smaller, or is
// followed by a wait.
func (x *sender) deliver(ctx context.Context, b *spool.Batch) {
	if (x.ranker != nil || x.gaps != nil) && !x.outrank(ctx, b) {
		return
	}
	limit := b.Rows // rows a request
	doomed := ""    // why the row behind the next request's will be refused
	checked := false
	for b.Rows > 0 && ctx.Err() == nil {
		if x.verify(ctx) != nil {
			continue
		}
		if x.goesBack(b) {
			return
		}
		rows := min(limit, b.Rows)
		lines := firstLines(b.Lines, rows, b.Rows)
		a := x.post(ctx, lines, rows)
		switch {
		case a.err == nil:
			x.acked()
			x.measure(b, rows)
			x.advance(b, len(lines), rows)
			limit = min(2*limit, b.Rows)
			if doomed != "" {
				x.quarantine(b, doomed)
				doomed = ""
			}
		case a.missing:
			// Somebody dropped the table, or the server is a new one.
			x.verifiedAt = 0
			x.fail(ctx, slog.LevelWarn, "QuestDB lost a table, it is created again", a.err, 0)
		case a.refused && !checked:
			// If the table was changed the rows are not at fault.
			x.verifiedAt, checked = 0, true
		case a.refused && (a.line == 1 || rows == 1):
			x.quarantine(b, a.err.Error())
			limit, doomed = max(rowsAfterRefusal, limit/2), ""
			if a.line == 0 {
				limit = 1 // finding one took halving; grow again from here
			}
		case a.refused && a.line > 1 && a.line <= rows:
			limit, doomed = a.line-1, a.err.Error()
		case a.refused:
			limit = rows / 2 // no line is named: halve until one row is left
		default:
			x.stats.Retried.Add(uint64(rows))
			doomed = ""
			x.fail(ctx, a.level, a.message, a.err, a.after)
		}
	}
}

// outrank drops rows that are worse than what stands. False: ctx ended, or
// the batch is empty.
func (x *sender) outrank(ctx context.Context, b *spool.Batch) bool {
	for ctx.Err() == nil {
		if x.verify(ctx) != nil {
			continue
		}
		if x.goesBack(b) {
			return false
		}
		lines, dropped, err := x.sift(ctx, b)
		if err != nil {
			x.verifiedAt = 0
			x.fail(ctx, slog.LevelWarn, "QuestDB cannot be asked about present rows, rows wait", err, 0)
			continue
		}
		rows := b.Rows - dropped
		if dropped > 0 {
			x.stats.Outranked.Add(uint64(dropped))
			x.spool.Replace(x.index, b, lines, rows)
		}
		return rows > 0
	}
	return false
}

func (x *sender) sift(ctx context.Context, b *spool.Batch) (rest []byte, dropped int, err error) {
	if x.gaps != nil {
		return x.gaps.sift(ctx, b.Lines)
	}
	return x.ranker.sift(ctx, b.Lines, b.Again)
}

// goesBack gives the batch back where a resend is to come first: what it would
// send belongs behind.
func (x *sender) goesBack(b *spool.Batch) bool {
	rows := b.Rows
	if x.resend.Load() == noResend || !x.spool.Abandon(x.index, b) {
		return false
	}
	x.stats.Resent.Add(uint64(b.Taken() - rows))
	return true
}

// measure counts how long rows took that were just acknowledged.
func (x *sender) measure(b *spool.Batch, rows int) {
	if b.Again || b.FirstNanos == 0 {
		return
	}
	now := x.sink.o.Now()
	x.stats.AckFirst.Observe(now-b.FirstNanos, uint64(rows))
	x.stats.AckLast.Observe(now-b.LastNanos, uint64(rows))
}

func (x *sender) advance(b *spool.Batch, bytes, rows int) {
	x.stats.Acked.Add(uint64(rows))
	x.stats.Batches.Add(1)
	x.backoff = 0
	x.stuck.Store(false)
	if x.failing != 0 {
		x.complain(slog.LevelInfo, "QuestDB takes rows again", "after", time.Duration(x.sink.o.Now()-x.failing))
		x.failing = 0
	}
	x.spool.Progress(x.index, b, bytes, rows)
}

// quarantine moves the batch's first row to the dead letters.
func (x *sender) quarantine(b *spool.Batch, reason string) {
	line := firstLines(b.Lines, 1, b.Rows)
	text := strings.TrimSuffix(string(line), "\n")
	x.stats.Quarantined.Add(1)
	x.complain(slog.LevelError, "QuestDB refused a row, it is in the dead letters", "reason", reason, "line", text)
	if kept, err := x.sink.dead.add(x.sink.o.Now(), x.table.name, reason, text); !kept {
		x.sink.Stats.DeadLettersDropped.Add(1)
		if err != nil {
			x.complain(slog.LevelError, "dead letter was not written", "error", err)
		}
	}
	if x.table.channel != "" {
		if venue, symbol, ts, ok := lineIdentity(text); ok {
			// Before the batch can be done.
			x.spool.Untold(x.index, b.From)
			if !x.sink.rejections.add(rejection{x.index, venue, symbol, ts, b.From}) {
				x.spool.Told(x.index, b.From)
			}
		}
	}
	x.spool.Progress(x.index, b, len(line), 1)
}

// fail says once in a while what is wrong, and waits: twice as long as the
// last time, with jitter, so that many writers do not come back together.
func (x *sender) fail(ctx context.Context, level slog.Level, message string, err error, atLeast time.Duration) {
	if ctx.Err() != nil {
		return
	}
	if x.failing == 0 {
		x.failing = x.sink.o.Now()
	}
	x.stuck.Store(true)
	signal(x.sink.failed)
	x.complain(level, message, "error", err)
	x.backoff = min(max(2*x.backoff, backoffMin), backoffMax)
	wait := x.backoff/2 + time.Duration(x.sink.o.Random(int64(x.backoff/2)))
	x.sink.o.Pace.Wait(ctx, max(wait, min(atLeast, retryAfterMax)))
}

func (x *sender) complain(level slog.Level, message string, args ...any) {
	key := message
	if level >= slog.LevelError {
		key += x.table.name // somebody has to do something about each
	}
	x.sink.complaints.log(x.sink.o.Logger, level, x.sink.o.Now(), key, message, append([]any{"table", x.table.name}, args...)...)
}

// answer is what became of a post.
type answer struct {
	err     error // nil = committed
	refused bool  // 400 or 413: these rows, as they are, will never be taken
	line    int   // the refused line, from 1; 0 = not named
	missing bool  // the table or a column is not there
	level   slog.Level
	message string
	after   time.Duration
}

// post sends lines once.
func (x *sender) post(ctx context.Context, lines []byte, rows int) answer {
	ctx, cancel := x.sink.o.Pace.Timeout(ctx, x.sink.o.RequestTimeout)
	defer cancel()
	body := &lentBody{lines: bytes.NewReader(lines)}
	defer body.Close()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, x.url, body)
	if err != nil {
		panic("BUG: options were validated: " + err.Error())
	}
	request.ContentLength = int64(len(lines))
	x.sink.o.Credentials.apply(request)
	started := time.Now()
	response, err := x.http.Do(request)
	if err != nil {
		x.stats.Unreachable.Add(1)
		x.verifiedAt = 0
		return answer{err: err, level: slog.LevelWarn, message: "QuestDB does not answer, rows wait"}
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if response.StatusCode/100 == 2 {
		x.stats.PostNanos.Observe(int64(time.Since(started)), 1)
		return answer{}
	}
	return x.judge(response, text)
}

func (x *sender) judge(response *http.Response, text []byte) answer {
	status := &statusError{status: response.StatusCode, message: string(text[:min(len(text), 500)])}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		status.after = time.Duration(min(seconds, 3600)) * time.Second
	}
	switch code := response.StatusCode; {
	case code == http.StatusBadRequest || code == http.StatusRequestEntityTooLarge:
		x.stats.Refusals.Add(1)
		var reason struct {
			Message string `json:"message"`
			Line    int    `json:"line"`
		}
		if json.Unmarshal(text, &reason) != nil || reason.Message == "" {
			return answer{err: status, refused: true}
		}
		err := fmt.Errorf("%s", strings.Join(strings.Fields(reason.Message), " "))
		if strings.Contains(reason.Message, "does not exist") {
			return answer{err: err, missing: true}
		}
		return answer{err: err, refused: true, line: reason.Line}
	case code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout:
		x.stats.Busy.Add(1)
		if code >= 500 {
			x.verifiedAt = 0 // it may come back as another server
		}
		return answer{err: status, level: slog.LevelWarn, message: "QuestDB is busy or failing, rows wait", after: status.after}
	default:
		x.stats.Denied.Add(1)
		return answer{err: status, level: slog.LevelError, after: max(status.after, backoffMax/5),
			message: "QuestDB denies writing: check questdb url, token, user and password; rows wait"}
	}
}

// firstLines returns the first n lines; total is how many there are.
func firstLines(lines []byte, n, total int) []byte {
	if n == total {
		return lines
	}
	end := 0
	for range n {
		end += bytes.IndexByte(lines[end:], '\n') + 1
	}
	return lines[:end]
}

// lineIdentity reads venue, symbol and ts from a line of ours: tags come
// first, in the table's order, and the time last.
func lineIdentity(line string) (venue, symbol string, ts int64, ok bool) {
	tags := splitTags(line)
	venue, symbol = tags["venue"], tags["symbol"]
	ts, err := strconv.ParseInt(line[strings.LastIndexByte(line, ' ')+1:], 10, 64)
	return venue, symbol, ts, err == nil && venue != "" && symbol != ""
}

// splitTags reads name=value pairs up to the first space that is not escaped.
func splitTags(line string) map[string]string {
	tags := map[string]string{}
	var word []byte
	name := ""
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case '\\':
			if i++; i < len(line) {
				word = append(word, line[i])
			}
		case '=':
			name, word = string(word), nil
		case ',', ' ':
			if name != "" {
				tags[name] = string(word)
			}
			name, word = "", nil
			if c == ' ' {
				return tags
			}
		default:
			word = append(word, c)
		}
	}
	return tags
}

// lentBody lends a batch to one request. The transport may go on reading
// after the answer is here; the batch's memory is used again by then.
type lentBody struct {
	mu    sync.Mutex
	lines *bytes.Reader
}

func (b *lentBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lines == nil {
		return 0, errors.New("body was taken back")
	}
	return b.lines.Read(p)
}

func (b *lentBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = nil
	return nil
}
