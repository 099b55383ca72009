package simulation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// database is a QuestDB as far as the service can tell: statements, and lines of
// ILP that are upserted by the keys of the table's own DDL. A post is a
// transaction: it is committed, and shown a little later.
type database struct {
	loop     *loop
	random   *rand.Rand
	tables   map[string]*table
	ids      int64
	started  int64 // ns
	downTill int64
	troubles []trouble
	// doomed lines are refused: those of a hash.
	doomed         uint32
	doomed0, till1 int64
	refused        map[string]bool                 // lines
	alter          func(table, line string) string // of a mutation
	twice          []string                        // lines that come again
}

// trouble is what meets requests for a time.
type trouble struct {
	kind     faultKind
	from, to int64
}

type table struct {
	id      int64
	keys    []string
	columns []columnOf
	txns    []transaction
	applied int
	rows    map[string]*row // by key
	half    bool            // its creation was cut off: it is listed, reads as empty and takes no row
}

type columnOf struct{ name, kind string }

type transaction struct {
	lines   []byte
	at      int64 // committed
	showsAt int64
}

// row is a row of a table as it came.
type row struct {
	line   string
	ts     int64
	names  []string
	values []string
}

// text is a column's value as ILP has it, without quotes; "" = null.
func (r *row) text(name string) string {
	for i, n := range r.names {
		if n == name {
			return r.values[i]
		}
	}
	return ""
}

func (r *row) integer(name string) int64 {
	v, _ := strconv.ParseInt(strings.TrimSuffix(r.text(name), "i"), 10, 64)
	return v
}

func (r *row) float(name string) (float64, bool) {
	v, err := strconv.ParseFloat(r.text(name), 64)
	return v, err == nil
}

func (r *row) truth(name string) bool { return r.text(name) == "t" }

func newDatabase(l *loop, random *rand.Rand) *database {
	return &database{loop: l, random: random, tables: map[string]*table{}, started: l.now, refused: map[string]bool{}}
}

var (
	errRefused  = errors.New("connection refused")
	errHalfMade = errors.New("invalid transaction log file, cannot read version at offset 0")
)

// RoundTrip is of http.RoundTripper; a task calls it.
func (d *database) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	travel := func() error {
		t := between(d.random, 100*time.Microsecond, 3*time.Millisecond)
		if some(d.random, 50) {
			t = between(d.random, time.Millisecond, 300*time.Millisecond)
		}
		d.loop.pause(ctx, d.loop.now+int64(t))
		return ctx.Err()
	}
	if err := travel(); err != nil {
		return nil, err
	}
	if d.loop.now < d.downTill {
		return nil, errRefused
	}
	kind := faultNone
	for _, x := range d.troubles {
		if x.from <= d.loop.now && d.loop.now < x.to {
			kind = x.kind
		}
	}
	switch kind {
	case faultDBBusy:
		return d.reply(r, http.StatusTooManyRequests, `{"message":"busy"}`, "1"), nil
	case faultDBError:
		return d.reply(r, http.StatusInternalServerError, `internal error`, ""), nil
	case faultDBTimeout:
		d.loop.pause(ctx, 0)
		return nil, ctx.Err()
	}
	started := d.started
	status, body := d.serve(r)
	if err := travel(); err != nil {
		return nil, err
	}
	if kind == faultDBLostReply || d.started != started {
		return nil, io.ErrUnexpectedEOF
	}
	return d.reply(r, status, body, ""), nil
}

func (d *database) reply(r *http.Request, status int, body, retryAfter string) *http.Response {
	h := http.Header{}
	if retryAfter != "" {
		h.Set("Retry-After", retryAfter)
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r, ContentLength: int64(len(body))}
}

func (d *database) serve(r *http.Request) (status int, body string) {
	d.show()
	if r.URL.Path == "/write" {
		lines, err := io.ReadAll(r.Body)
		if err != nil {
			return http.StatusBadRequest, `{"message":"` + err.Error() + `"}`
		}
		return d.write(lines)
	}
	rows, err := d.query(r.URL.Query().Get("query"))
	if err != nil {
		text, _ := json.Marshal(map[string]any{"error": err.Error()})
		return http.StatusBadRequest, string(text)
	}
	if rows == nil {
		rows = [][]any{}
	}
	text, _ := json.Marshal(map[string]any{"columns": []any{}, "dataset": rows})
	return http.StatusOK, string(text)
}

// write takes a post, or refuses it as a whole.
func (d *database) write(lines []byte) (status int, body string) {
	name, _, _ := bytes.Cut(lines, []byte(","))
	t := d.tables[string(name)]
	if t == nil {
		return http.StatusBadRequest, fmt.Sprintf(`{"code":"invalid","message":"table does not exist [table=%s]","line":1}`, name)
	}
	if d.doomed0 <= d.loop.now && d.loop.now < d.till1 {
		for i, line := range bytes.Split(bytes.TrimSuffix(lines, []byte("\n")), []byte("\n")) {
			h := fnv.New32a()
			h.Write(line)
			if h.Sum32()%200 == d.doomed%200 {
				d.refused[string(line)] = true
				return http.StatusBadRequest, fmt.Sprintf(`{"code":"invalid","message":"error in line %d: not to my taste","line":%d}`, i+1, i+1)
			}
		}
	}
	if t.half {
		return http.StatusInternalServerError, `{"code":"internal error","message":"` + errHalfMade.Error() + `"}`
	}
	lag := between(d.random, 0, 20*time.Millisecond)
	showsAt := d.loop.now + int64(lag)
	if n := len(t.txns); n > 0 {
		showsAt = max(showsAt, t.txns[n-1].showsAt)
	}
	t.txns = append(t.txns, transaction{bytes.Clone(lines), d.loop.now, showsAt})
	return http.StatusNoContent, ""
}

// show applies what was committed and is due.
func (d *database) show() {
	for _, name := range slices.Sorted(maps.Keys(d.tables)) {
		t := d.tables[name]
		for t.applied < len(t.txns) && t.txns[t.applied].showsAt <= d.loop.now {
			d.apply(name, t, t.txns[t.applied].lines)
			t.applied++
		}
	}
}

func (d *database) apply(name string, t *table, lines []byte) {
	for len(lines) > 0 {
		line, rest, _ := bytes.Cut(lines, []byte("\n"))
		lines = rest
		text := string(line)
		if d.alter != nil {
			if text = d.alter(name, text); text == "" {
				continue
			}
			for _, again := range d.twice {
				d.twice = nil
				d.apply(name, t, []byte(again))
			}
		}
		r := parseLine(text)
		var key strings.Builder
		for _, k := range t.keys {
			if k == "ts" {
				fmt.Fprintf(&key, "%d|", r.ts)
			} else {
				key.WriteString(r.text(k) + "|")
			}
		}
		t.rows[key.String()] = r
	}
}

// parseLine takes a line of ILP apart.
func parseLine(line string) *row {
	r := &row{line: line}
	i := strings.IndexByte(line, ',')
	if i < 0 {
		i = strings.IndexByte(line, ' ')
	}
	rest := line[i:]
	for fields := false; rest != ""; {
		if rest[0] == ' ' {
			if fields {
				break
			}
			fields = true
		}
		rest = rest[1:]
		eq := strings.IndexByte(rest, '=')
		name := rest[:eq]
		rest = rest[eq+1:]
		var value []byte
		quoted := rest != "" && rest[0] == '"'
		if quoted {
			rest = rest[1:]
		}
		n := 0
		for n < len(rest) {
			c := rest[n]
			if c == '\\' && n+1 < len(rest) {
				value = append(value, rest[n+1])
				n += 2
				continue
			}
			if quoted && c == '"' {
				n++
				break
			}
			if !quoted && (c == ',' || c == ' ') {
				break
			}
			value = append(value, c)
			n++
		}
		rest = rest[n:]
		r.names, r.values = append(r.names, name), append(r.values, string(value))
	}
	ts, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
	if err != nil {
		panic("BUG: a line without a time: " + line)
	}
	r.ts = ts
	return r
}

var (
	named      = regexp.MustCompile(`'([^']*)'`)
	createText = regexp.MustCompile(`^CREATE TABLE IF NOT EXISTS (\w+) \((.*)\) TIMESTAMP\(ts\) .* DEDUP UPSERT KEYS\(([^)]*)\)$`)
	rankText   = regexp.MustCompile(`^SELECT ts, venue, symbol, (\w+), complete, final, rev, trades FROM (\w+) WHERE ts IN \((.*)\)$`)
)

// query answers the statements that the service has.
func (d *database) query(sql string) ([][]any, error) {
	about := func() (string, *table) {
		m := named.FindStringSubmatch(sql)
		if m == nil {
			return "", nil
		}
		return m[1], d.tables[m[1]]
	}
	has := func(prefix string) bool { return strings.HasPrefix(sql, prefix) }
	switch {
	case has("CREATE TABLE"):
		m := createText.FindStringSubmatch(sql)
		if m == nil {
			return nil, fmt.Errorf("unexpected DDL: %s", sql)
		}
		if d.tables[m[1]] == nil {
			d.ids++
			t := &table{id: d.ids, rows: map[string]*row{}, keys: strings.Split(m[3], ", ")}
			for _, c := range strings.Split(m[2], ", ") {
				parts := strings.Fields(c)
				t.columns = append(t.columns, columnOf{parts[0], parts[1]})
			}
			d.tables[m[1]] = t
		}
		return nil, nil
	case has("SELECT count() FROM "):
		t := d.tables[strings.TrimPrefix(sql, "SELECT count() FROM ")]
		if t == nil {
			return nil, errors.New("table does not exist")
		}
		return [][]any{{len(t.rows)}}, nil
	case has("INSERT INTO "), has("DROP TABLE "):
		name := strings.Fields(sql)[2]
		t := d.tables[name]
		if t == nil {
			return nil, errors.New("table does not exist")
		}
		if has("DROP") {
			delete(d.tables, name)
		}
		if t.half {
			return nil, errHalfMade
		}
		return nil, nil
	case has("CREATE OR REPLACE VIEW"), has("SELECT view_status"):
		return nil, nil
	case has("SELECT pg_postmaster_start_time()"):
		return [][]any{{time.Unix(0, d.started).UTC().Format(time.RFC3339Nano)}}, nil
	case has("SELECT walEnabled, dedup, designatedTimestamp, table_type FROM tables()"):
		if _, t := about(); t != nil {
			return [][]any{{true, true, "ts", "T"}}, nil
		}
		return nil, nil
	case has("SELECT id FROM tables()"):
		if _, t := about(); t != nil {
			return [][]any{{t.id}}, nil
		}
		return nil, nil
	case has(`SELECT "column", type, designated, upsertKey`):
		name, t := about()
		if t == nil {
			return nil, fmt.Errorf("table does not exist [table=%s]", name)
		}
		var rows [][]any
		for _, c := range t.columns {
			rows = append(rows, []any{c.name, c.kind, c.name == "ts", slices.Contains(t.keys, c.name)})
		}
		return rows, nil
	case has("SELECT sequencerTxn FROM wal_tables()"):
		if _, t := about(); t != nil {
			return [][]any{{len(t.txns)}}, nil
		}
		return nil, nil
	case has("SELECT suspended, errorMessage, sequencerTxn FROM wal_tables()"):
		if _, t := about(); t != nil {
			return [][]any{{false, "", len(t.txns)}}, nil
		}
		return nil, nil
	case has("SELECT suspended, writerTxn, sequencerTxn FROM wal_tables()"):
		if _, t := about(); t != nil {
			return [][]any{{false, t.applied, len(t.txns)}}, nil
		}
		return nil, nil
	}
	m := rankText.FindStringSubmatch(sql)
	if m == nil {
		panic("BUG: the simulated database does not know the statement: " + sql)
	}
	t := d.tables[m[2]]
	if t == nil {
		return nil, fmt.Errorf("table does not exist [table=%s]", m[2])
	}
	wanted := map[int64]bool{}
	for _, x := range named.FindAllStringSubmatch(m[3], -1) {
		at, err := time.Parse(time.RFC3339Nano, x[1])
		if err != nil {
			return nil, err
		}
		wanted[at.UnixNano()] = true
	}
	var rows [][]any
	for _, key := range slices.Sorted(maps.Keys(t.rows)) {
		if r := t.rows[key]; wanted[r.ts] {
			rows = append(rows, []any{time.Unix(0, r.ts).UTC().Format(time.RFC3339Nano), r.text("venue"), r.text("symbol"), r.text(m[1]),
				r.truth("complete"), r.truth("final"), r.integer("rev"), r.integer("trades")})
		}
	}
	return rows, nil
}

// restart is the server's; lost are the newest transactions that its host had
// not written back.
func (d *database) restart(lost time.Duration, away time.Duration) {
	d.show()
	d.started, d.downTill = d.loop.now, d.loop.now+int64(away)
	for _, t := range d.tables {
		// As where it is killed while it creates the table. Not drawn: tables come in
		// no order here, and draws would go to others of them each time.
		t.half = t.half || len(t.txns) == 0 && (d.loop.now+t.id)%2 == 0
	}
	if lost == 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(d.tables)) {
		t := d.tables[name]
		n := len(t.txns)
		for n > 0 && t.txns[n-1].at > d.loop.now-int64(lost) {
			n--
		}
		t.txns, t.rows, t.applied = t.txns[:n], map[string]*row{}, 0
		for t.applied < len(t.txns) {
			d.apply(name, t, t.txns[t.applied].lines)
			t.applied++
		}
	}
}

// wipe is a server in the place of the old one, with nothing in it.
func (d *database) wipe() { d.tables, d.started = map[string]*table{}, d.loop.now }

// all returns a table's rows, in the order of time, then of their text.
func (d *database) all(name string) []*row {
	t := d.tables[name]
	if t == nil {
		return nil
	}
	rows := slices.Collect(maps.Values(t.rows))
	slices.SortFunc(rows, func(a, b *row) int {
		if a.ts != b.ts {
			if a.ts < b.ts {
				return -1
			}
			return 1
		}
		return strings.Compare(a.line, b.line)
	})
	return rows
}

// settle shows all that was committed.
func (d *database) settle() {
	for _, t := range d.tables {
		for i := range t.txns {
			t.txns[i].showsAt = 0
		}
	}
	d.show()
}
