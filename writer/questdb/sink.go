// Package questdb writes rows into QuestDB by ILP over HTTP.
//
//	Write ─► encoder (one a table) ─► batch ─► queue, bounded ─► sender (one a table) ─► POST /write
//	                                                │ overflow         │ 204 gone   400 row ─► dead letters
//	                                                ▼                  ▼ else again, after verifying the schema
//	                                        rows in gaps ◄──────── rejected rows
//
// One goroutine writes rows; it encodes and never waits. Rows leave in the
// order in which they came within a table, one request in flight a table. A
// row may be sent more than once: every table has dedup keys, and the schema is
// verified before the first row after each failure, so a row sent twice is
// still one row.
//
// Waiting batches live in memory. Their place between encoder and sender is
// where a spool on disk belongs.
package questdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"tickproc/tick"
	"tickproc/writer"
)

// Sink is a writer.Sink for QuestDB.
type Sink struct {
	Stats Stats

	o          Options
	lanes      [tableCount]lane
	queue      *queue
	dead       deadLetters
	complaints complaints
	flushBytes int

	// owner of the rest: the goroutine that calls Write, Idle and Close
	source      source
	instruments []instrument // by id
	losses      losses
	gapRow      [1]tick.Unit

	senders context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

var _ writer.Sink = (*Sink)(nil)

// lane is the open batch of one table.
type lane struct {
	*encoder
	index  int
	rows   int
	oldest int64 // when the first row was written
	spans  []span
	guards []guard
	// at finds an instrument's span: spans[at[id].place] if batch is the current.
	at    []spanPlace
	batch uint32
}

type spanPlace struct{ batch, place uint32 }

// New returns a sink that holds rows until Start. Faulty options are an error.
func New(o Options) (*Sink, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Sink{o: o, queue: newQueue(), losses: newLosses(), complaints: complaints{keys: map[string]*complaint{}}, dead: deadLetters{dir: o.DeadLetterDir},
		// With every table's open batch and its batch in flight, half of the bound is left to wait.
		flushBytes: int(min(flushBytesMax, o.MaxBytes/(4*tableCount))),
		source:     source{windows: o.Windows, scratch: make([]byte, 0, 64)}}
	for i, t := range tablesOf(o.Depth) {
		s.lanes[i] = lane{index: i, encoder: newEncoder(t, o.Numbers == "decimal", s.flushBytes), batch: 1}
	}
	s.senders, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Start starts the senders, one a table; Close ends them.
func (s *Sink) Start() {
	for i := range s.lanes {
		sender := s.newSender(i)
		s.running.Go(func() { sender.run(s.senders) })
	}
}

// CheckSchema creates what is missing and verifies every table now, rather
// than at the first row. Tables that do not fit come back as *SchemaError, all
// of them, joined.
func (s *Sink) CheckSchema(ctx context.Context) error {
	var faults []error
	schema := s.newSchema()
	defer schema.client.closeIdle()
	for i := range s.lanes {
		switch err := schema.ensure(ctx, s.lanes[i].table); {
		case errors.Is(err, ErrSchema):
			faults = append(faults, err)
		case err != nil:
			return fmt.Errorf("no answer from QuestDB at %s: %w", s.o.URL, err) // nor for the other tables
		}
	}
	return errors.Join(faults...)
}

func (s *Sink) newSchema() *schema {
	return &schema{client: NewClient(s.o.URL, s.o.Credentials, s.o.RequestTimeout), options: &s.o, warn: func(message string, args ...any) {
		s.complaints.log(s.o.Logger, slog.LevelWarn, s.o.Now(), message, message, args...)
	}}
}

// Write encodes rows into their tables' open batches.
//
// hot: per row, 0 allocs (DOUBLE columns); a finished batch allocates.
func (s *Sink) Write(packets []tick.Unit) {
	now := s.o.Now()
	for len(packets) > 0 {
		n := tick.PacketUnits(&packets[0])
		if n == 0 || n > len(packets) {
			panic("BUG: a torn row")
		}
		s.packet(packets[:n], now)
		packets = packets[n:]
	}
}

func (s *Sink) packet(row []tick.Unit, now int64) {
	x := &s.source
	x.row, x.in = row, nil
	var table int
	switch kind := row[0].KindOf(); kind {
	case tick.KindCatalog:
		s.introduce(row, now)
		return
	case tick.RowHealth:
		s.add(&s.lanes[tableHealth], row[0].RowHeader().TsNanos, now)
		return
	case tick.RowTrade:
		table = tableTrades
	case tick.RowQuote:
		table = tableQuotes
	case tick.RowBook:
		table = tableBook
	case tick.RowBar:
		table = tableBars
	case tick.RowWindow:
		table = tableWindows
	case tick.RowGap:
		table = tableGaps
	case tick.RowFunding:
		table = tableFunding
	case tick.RowOpenInterest:
		table = tableOpenInterest
	case tick.RowLiquidation:
		table = tableLiquidations
	case tick.RowStatus:
		table = tableStatus
	case tick.RowNbbo:
		table = tableNbbo
	default:
		panic(fmt.Sprintf("BUG: packet of kind %d is no row", kind))
	}
	h := row[0].RowHeader()
	if int(h.Instrument) >= len(s.instruments) || !s.instruments[h.Instrument].known {
		panic(fmt.Sprintf("BUG: row of instrument %d, which was never introduced", h.Instrument))
	}
	x.in = &s.instruments[h.Instrument]
	if x.in.unstated && h.ReceiveNanos > 0 {
		s.state(x.in, h.ReceiveNanos, now)
		x.row = row
	}
	s.add(&s.lanes[table], h.TsNanos, now)
}

// introduce learns an instrument, and writes its definition as a row.
func (s *Sink) introduce(row []tick.Unit, now int64) {
	in := instrument{Instrument: row[0].Catalog().Definition(), known: true}
	in.pair = in.Base + "-" + in.Quote
	for _, name := range []string{in.Venue, in.Symbol} {
		switch {
		case name == "":
			in.unfit = errName
		case !fit(name):
			in.unfit = errText
		}
	}
	for int(in.ID) >= len(s.instruments) {
		s.instruments = append(s.instruments, instrument{})
	}
	s.instruments[in.ID] = in
	s.source.all = s.instruments
	s.source.in = &s.instruments[in.ID]
	if at := row[0].Header().ReceiveNanos; at > 0 {
		s.state(s.source.in, at, now)
	} else {
		s.source.in.unstated = true // its first row tells the time
	}
}

func (s *Sink) state(in *instrument, ts, now int64) {
	in.unstated = false
	s.source.row = nil
	s.add(&s.lanes[tableInstruments], ts, now)
}

// add encodes the source's row and closes the batch when it is full.
func (s *Sink) add(l *lane, ts, now int64) {
	x := &s.source
	start := l.size()
	var err error
	if x.in != nil {
		err = x.in.unfit
	}
	if err == nil {
		err = l.line(x, ts)
	}
	if err != nil {
		s.refuse(l, err, ts, now)
		return
	}
	s.Stats.Tables[l.index].Accepted.Add(1)
	if l.rows == 0 {
		l.oldest = now
	}
	l.rows++
	if x.in != nil && l.table.channel != "" {
		l.note(x.in.ID, ts)
	}
	l.guard(x, ts, start)
	if l.rows >= s.o.FlushRows || l.size() >= s.flushBytes {
		s.seal(l, now)
	}
}

// refuse counts a row that cannot be a row.
func (s *Sink) refuse(l *lane, err error, ts, now int64) {
	s.Stats.Tables[l.index].Refused.Add(1)
	venue, symbol := "", ""
	if in := s.source.in; in != nil {
		venue, symbol = in.Venue, in.Symbol
	}
	s.complaints.log(s.o.Logger, slog.LevelWarn, now, "refused", "row refused before it was sent", "table", l.table.name,
		"venue", venue, "symbol", symbol, "ts", ts, "reason", err)
}

// note widens the instrument's span by a row at ts.
func (l *lane) note(id uint32, ts int64) {
	for int(id) >= len(l.at) {
		l.at = append(l.at, spanPlace{})
	}
	if p := l.at[id]; p.batch == l.batch {
		w := &l.spans[p.place]
		w.rows++
		w.from, w.to = min(w.from, ts), max(w.to, ts)
		return
	}
	l.at[id] = spanPlace{l.batch, uint32(len(l.spans))}
	l.spans = append(l.spans, span{instrument: id, rows: 1, from: ts, to: ts})
}

// seal closes the lane's batch and hands it on; what has to go for it is lost.
func (s *Sink) seal(l *lane, now int64) {
	lines := l.take(s.queue.buffer())
	b := &batch{lines: lines, buffer: lines, rows: l.rows, oldestNanos: l.oldest,
		spans: slices.Clone(l.spans), guards: slices.Clone(l.guards)}
	l.rows, l.spans, l.guards = 0, l.spans[:0], l.guards[:0]
	l.batch++
	open := 0
	for i := range s.lanes {
		open += s.lanes[i].size()
	}
	dropped, tables := s.queue.put(l.index, b, s.o.MaxBytes-int64(open))
	for i, b := range dropped {
		s.lose(tables[i], b, now)
	}
}

func (s *Sink) lose(table int, b *batch, now int64) {
	s.Stats.Tables[table].Lost.Add(uint64(b.rows))
	_, answered, _, _ := s.queue.state()
	for _, w := range b.spans {
		s.losses.note(lossKey{table, w.instrument, tick.ReasonSink}, loss{w.from, w.to, int64(w.rows)}, answered, now)
	}
	s.complaints.log(s.o.Logger, slog.LevelError, now, "lost "+s.lanes[table].table.name, "memory for waiting rows is full, rows are lost",
		"table", s.lanes[table].table.name, "rows", b.rows, "max_bytes", s.o.MaxBytes)
	s.queue.recycle(b)
}

// Idle lets old rows leave and reports losses once rows get through.
func (s *Sink) Idle(now int64) {
	for i := range s.lanes {
		// While batches of the table wait, rows gather in the open one: many
		// small requests would only make a slow database slower.
		if l := &s.lanes[i]; l.rows > 0 && now-l.oldest >= int64(s.o.FlushInterval) && s.queue.idle(i) {
			s.seal(l, now)
		}
	}
	s.noteRejected(now)
	bytes, answered, oldest, _ := s.queue.state()
	for i := range s.lanes {
		if l := &s.lanes[i]; l.rows > 0 {
			bytes += int64(l.size())
			if oldest == 0 || l.oldest < oldest {
				oldest = l.oldest
			}
		}
	}
	s.Stats.WaitingBytes.Set(bytes)
	s.Stats.OldestNanos.Set(oldest)
	if s.losses.due(answered, now) {
		s.writeLosses(now)
	}
}

// noteRejected remembers the rows that QuestDB refused. It answers, so nothing
// must get through first for the loss to be written.
func (s *Sink) noteRejected(now int64) {
	for _, r := range s.queue.takeRejected() {
		for id := range s.instruments {
			if in := &s.instruments[id]; in.known && in.Venue == r.venue && in.Symbol == r.symbol {
				s.losses.note(lossKey{r.table, in.ID, tick.ReasonRejected}, loss{r.ts, r.ts, 1}, 0, now)
			}
		}
	}
}

// writeLosses turns losses into rows of gaps.
func (s *Sink) writeLosses(now int64) {
	s.losses.take(func(key lossKey, lost loss) {
		s.gapRow[0] = tick.Unit{}
		g := s.gapRow[0].GapRow()
		g.Kind, g.Instrument, g.TsNanos, g.EndNanos = tick.RowGap, key.instrument, lost.from, lost.to
		g.Lost, g.Reason = lost.rows, key.reason
		x := &s.source
		x.row, x.in, x.channelText = s.gapRow[:], &s.instruments[key.instrument], s.lanes[key.table].table.channel
		s.add(&s.lanes[tableGaps], lost.from, now)
		x.channelText = ""
	})
}

// Close delivers what was accepted, then ends the senders.
func (s *Sink) Close(ctx context.Context) error {
	s.flush(ctx)
	s.cancel()
	s.running.Wait()
	_ = s.dead.close()
	report := &writer.UndeliveredError{Cause: context.Cause(ctx)}
	_, _, _, rows := s.queue.state()
	for i, n := range rows {
		if n += s.lanes[i].rows; n > 0 {
			report.Tables = append(report.Tables, writer.TableRows{Table: s.lanes[i].table.name, Rows: uint64(n)})
		}
	}
	if report.Tables != nil {
		return report
	}
	return nil
}

// flush returns when nothing waits or ctx ends. Delivering may bring up
// rejected rows, whose gaps are then delivered as well.
func (s *Sink) flush(ctx context.Context) {
	for {
		now := s.o.Now()
		s.noteRejected(now)
		s.writeLosses(now)
		for i := range s.lanes {
			if s.lanes[i].rows > 0 {
				s.seal(&s.lanes[i], now)
			}
		}
		if s.queue.empty() {
			return
		}
		select {
		case <-s.queue.moved:
		case <-ctx.Done():
			return
		}
	}
}
