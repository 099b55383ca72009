// Package questdb writes rows into QuestDB by ILP over HTTP.
//
//	Write ─► encoder (one a table) ─► batch ─► spool, on disk ─► sender (one a table) ─► POST /write
//	                                             │ limit            │ 204 kept for a while   400 row ─► dead letters
//	                                             ▼                  ▼ else again, after verifying the schema
//	                                     rows in gaps ◄──────── rejected rows
//
// One goroutine writes rows; it encodes and never waits. Rows leave in the
// order in which they came within a table, one request in flight a table. A
// row may be sent more than once: every table has dedup keys, and the schema is
// verified before the first row after each failure, so a row sent twice is
// still one row.
//
// Batches wait in a spool: on disk with Options.SpoolDir, where they survive
// this process, else in bounded memory; the code is the same. What QuestDB
// acknowledged is kept there for a horizon and sent again when QuestDB turns out
// to have lost it (truth.go). Rows that could be worse than what stands are
// looked at before they are sent (rank.go).
package questdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"tickproc/internal/vfs"
	"tickproc/tick"
	"tickproc/writer"
	"tickproc/writer/spool"
)

// Sink is a writer.Sink for QuestDB.
type Sink struct {
	Stats Stats

	o          Options
	lanes      [tableCount]lane
	spool      *spool.Spool
	unlock     func() // of the spool's directory
	rejections rejections
	failed     chan struct{} // what a sender tried failed
	started    bool
	senders    []*sender
	dead       deadLetters
	complaints complaints
	flushBytes int

	// owner of the rest: the goroutine that calls Write, Idle and Close
	source      source
	instruments []instrument // by id
	losses      losses
	left        int
	byHand      int // of the senders that somebody else runs, how many have not ended
	gapRow      [1]tick.Unit

	marks []spool.ShardMark // up to where rows came, by shard
	meta  []byte

	asking sync.Mutex // guards checkpoints, which any goroutine may ask for
	asked  []func([]spool.ShardMark, error)

	sending context.Context
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
	first  int64 // earliest receive time among the rows, 0 = of none
	last   int64 // and latest
	spans  []span
	// at finds an instrument's span: spans[at[id].place] if batch is the current.
	at    []spanPlace
	batch uint32
}

type spanPlace struct{ batch, place uint32 }

// New returns a sink that holds rows until Start. Faulty options are an error.
// It holds the lock of its spool until Close.
func New(o Options) (*Sink, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Sink{o: o, failed: make(chan struct{}, 1), unlock: func() {}, losses: newLosses(), complaints: complaints{keys: map[string]*complaint{}}, dead: deadLetters{dir: o.DeadLetterDir},
		// With every table's open batch and its batch in flight, half of the bound is left to wait.
		flushBytes: int(min(flushBytesMax, o.MaxBytes/(4*tableCount))),
		source:     source{scratch: make([]byte, 0, 64)}}
	for i, t := range tablesOf(o.Depth) {
		s.lanes[i] = lane{index: i, encoder: newEncoder(t, &s.o, s.flushBytes), batch: 1}
	}
	if err := s.openSpool(); err != nil {
		return nil, err
	}
	s.sending, s.cancel = context.WithCancel(context.Background())
	for i := range s.lanes {
		s.senders = append(s.senders, s.newSender(i))
	}
	return s, nil
}

// openSpool opens the spool, and takes its lock.
func (s *Sink) openSpool() (err error) {
	o := &s.o.Spool
	if s.o.SpoolDir != "" && o.FS == nil {
		if err := vfs.OS.MkdirAll(s.o.SpoolDir); err != nil {
			return fmt.Errorf("spool: %w", err)
		}
		if s.unlock, err = vfs.Lock(filepath.Join(s.o.SpoolDir, "lock")); err != nil {
			return fmt.Errorf("spool: %w", err)
		}
	}
	s.spool, err = spool.Open(spool.Options{Dir: s.o.SpoolDir, FS: o.FS, Tables: TableNames(), DropOrder: dropOrder, Once: onceTables, MemoryBytes: s.o.MaxBytes,
		MaxBytes: o.MaxBytes, FreeBytes: o.FreeBytes, SegmentBytes: o.SegmentBytes, Horizon: o.Horizon, HorizonBytes: o.HorizonBytes,
		SyncInterval: o.SyncInterval, Logger: s.o.Logger, Now: s.o.Now, Identity: o.Identity})
	if err != nil {
		s.unlock()
		return err
	}
	waits := 0
	for i, n := range s.spool.Rows() {
		s.Stats.Tables[i].Recovered.Add(uint64(n))
		waits += n
	}
	if waits > 0 {
		s.o.Logger.Info("rows of an earlier run wait in the spool, they are delivered first", "rows", waits)
	}
	return nil
}

// Spool returns the spool's numbers.
func (s *Sink) Spool() *spool.Stats { return &s.spool.Stats }

// SpoolDown returns why the rows of some tables cannot be written to the spool's
// disk now; nil where all can.
func (s *Sink) SpoolDown() error { return s.spool.Down() }

// Marks says up to where the rows of each shard's log were in the spool when
// the sink was made, those of every table. Empty without a spool.
func (s *Sink) Marks() map[uint16]spool.Mark { return s.spool.Marks() }

// Resend sends again what QuestDB acknowledged since then and the spool still
// keeps, ahead of what waits. Any goroutine may call it.
func (s *Sink) Resend(since time.Time) {
	for _, x := range s.senders {
		x.askResend(since.UnixNano())
	}
}

// Checkpoint makes everything durable that was written so far, and then calls
// done, once, from another goroutine, with up to where the shards' logs are
// covered. It does not wait, and any goroutine may call it; the goroutine that
// writes begins with it in its next Write or Idle. Without a spool done gets an
// error.
func (s *Sink) Checkpoint(done func(covered []spool.ShardMark, err error)) {
	s.asking.Lock()
	defer s.asking.Unlock()
	s.asked = append(s.asked, done)
}

// checkpoint seals what is open where that was asked for.
func (s *Sink) checkpoint(now int64) {
	s.asking.Lock()
	asked := s.asked
	s.asked = nil
	s.asking.Unlock()
	if len(asked) == 0 {
		return
	}
	for i := range s.lanes {
		if s.lanes[i].rows > 0 {
			s.seal(&s.lanes[i], now)
		}
	}
	marks := slices.Clone(s.marks)
	s.spool.Checkpoint(marks, func(err error) {
		for _, done := range asked {
			done(marks, err)
		}
	})
}

// mark notes up to where a shard's rows have come.
func (s *Sink) mark(p *tick.PositionRow) {
	m := spool.Mark{Epoch: p.Epoch, Position: p.Position}
	for i := range s.marks {
		if have := &s.marks[i]; have.Shard == p.Shard {
			if m.Before(have.Mark) {
				panic(fmt.Sprintf("BUG: shard %d went back from %v to %v", p.Shard, have.Mark, m))
			}
			have.Mark = m
			return
		}
	}
	s.marks = append(s.marks, spool.ShardMark{Shard: p.Shard, Mark: m})
}

// Start starts the senders, one a table; Close ends them.
func (s *Sink) Start() {
	s.started = true
	s.spool.Start()
	for _, x := range s.senders {
		s.running.Go(func() { x.run(s.sending) })
	}
}

// Senders are what Start starts, for who runs them by himself, each until Close
// ends them; the spool's rounds are then his as well.
func (s *Sink) Senders() (all []func(), kept *spool.Spool) {
	s.started = true
	for _, x := range s.senders {
		all = append(all, func() {
			s.byHand++
			defer func() { s.byHand-- }()
			x.run(s.sending)
		})
	}
	return all, s.spool
}

// CheckSchema creates what is missing and verifies every table now, rather
// than at the first row. Tables that do not fit come back as *SchemaError, all
// of them, joined, among those that QuestDB cannot open.
func (s *Sink) CheckSchema(ctx context.Context) error {
	var faults []error
	schema := s.newSchema()
	defer schema.client.closeIdle()
	for i := range s.lanes {
		var broken *tornError
		switch err := schema.ensure(ctx, s.lanes[i].table); {
		case errors.Is(err, ErrSchema), errors.As(err, &broken):
			faults = append(faults, err)
		case err != nil:
			return fmt.Errorf("no answer from QuestDB at %s: %w", s.o.URL, err) // nor for the other tables
		}
	}
	return errors.Join(faults...)
}

func (s *Sink) newSchema() *schema {
	client := NewClient(s.o.URL, s.o.Credentials, s.o.RequestTimeout)
	client.pace = s.o.Pace
	if s.o.Transport != nil {
		client.http.Transport = s.o.Transport
	}
	return &schema{client: client, options: &s.o, warn: func(message string, args ...any) {
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
	case tick.RowPosition:
		s.mark(row[0].PositionRow())
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
	if in.unfit == nil {
		in.tags = string(appendInstrumentTags(nil, &in))
	}
	for int(in.ID) >= len(s.instruments) {
		s.instruments = append(s.instruments, instrument{})
	}
	s.instruments[in.ID] = in
	s.source.all = s.instruments
	s.source.in = &s.instruments[in.ID]
	h := row[0].Header()
	switch {
	case h.Flags&tick.FlagKnown != 0:
	case h.ReceiveNanos > 0:
		s.state(s.source.in, h.ReceiveNanos, now)
	default:
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
	if x.row != nil {
		l.received(x.row[0].RowHeader().ReceiveNanos)
	}
	if x.in != nil && l.table.channel != "" {
		l.note(x.in, ts)
	}
	if l.rows >= s.o.FlushRows || l.size() >= s.flushBytes {
		s.seal(l, now)
	}
}

// received notes a row's receive time.
func (l *lane) received(at int64) {
	if at == 0 {
		return
	}
	if l.first == 0 || at < l.first {
		l.first = at
	}
	l.last = max(l.last, at)
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
func (l *lane) note(in *instrument, ts int64) {
	id := in.ID
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
	l.spans = append(l.spans, span{venue: in.Venue, symbol: in.Symbol, rows: 1, from: ts, to: ts})
}

// seal closes the lane's batch and hands it on; what has to go for it is lost.
func (s *Sink) seal(l *lane, now int64) {
	s.meta = encodeSpans(s.meta[:0], l.spans)
	r := spool.Record{Payload: l.take(s.spool.Buffer()), Rows: l.rows, OldestNanos: l.oldest, Marks: slices.Clone(s.marks), Meta: slices.Clone(s.meta),
		FirstNanos: l.first, LastNanos: l.last}
	l.rows, l.spans, l.first, l.last = 0, l.spans[:0], 0, 0
	l.batch++
	open := 0
	for i := range s.lanes {
		open += s.lanes[i].size()
	}
	s.spool.Put(l.index, r, int64(open))
	s.noteLosses(now)
}

// noteLosses remembers what the spool had to give up, by instrument.
func (s *Sink) noteLosses(now int64) {
	all := s.spool.TakeLosses()
	if len(all) == 0 {
		return
	}
	answered := s.spool.State().Answered
	for _, l := range all {
		st, name := &s.Stats.Tables[l.Table], s.lanes[l.Table].table.name
		message := "there is no room for waiting rows, rows are lost"
		answered := answered
		if l.Damaged {
			answered = 0 // nothing must get through first: it is not the database that lacks
			message = "rows cannot be read back from the spool, they are lost"
		}
		s.complaints.log(s.o.Logger, slog.LevelError, now, "lost "+name, message, "table", name, "rows", l.Rows,
			"max_bytes", s.o.MaxBytes, "spool_max_bytes", s.o.Spool.MaxBytes)
		if l.Rows < 0 {
			st.Damaged.Add(1)
			s.losses.noteUnknown(l, answered, now)
		} else {
			st.Lost.Add(uint64(l.Rows))
			s.noteSpans(&l, answered, now)
		}
		if l.Damaged && !l.Again {
			s.losses.untold = append(s.losses.untold, untold{l.Table, l.From})
		}
	}
}

// noteSpans notes a record of which it is known what was in it.
func (s *Sink) noteSpans(l *spool.Loss, answered uint64, now int64) {
	spans, err := decodeSpans(l.Meta)
	if err != nil {
		panic("BUG: the spool's sums let bad spans through")
	}
	for _, w := range spans {
		s.losses.note(lossKey{l.Table, w.venue, w.symbol, tick.ReasonSink}, loss{w.from, w.to, w.rows}, answered, now)
	}
}

// Idle lets old rows leave and reports losses once rows get through.
func (s *Sink) Idle(now int64) {
	s.checkpoint(now)
	for i := range s.lanes {
		if l := &s.lanes[i]; l.rows > 0 && now-l.oldest >= int64(s.o.FlushInterval) {
			s.seal(l, now)
		}
	}
	s.noteLosses(now)
	s.noteRejected(now)
	state := s.spool.State()
	bytes, oldest := state.Bytes, state.OldestNanos
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
	if s.losses.due(state.Answered, now) {
		s.writeLosses(now)
	}
}

// noteRejected remembers the rows that QuestDB refused. It answers, so nothing
// must get through first for the loss to be written.
func (s *Sink) noteRejected(now int64) {
	for _, r := range s.rejections.take() {
		s.losses.note(lossKey{r.table, r.venue, r.symbol, tick.ReasonRejected}, loss{r.ts, r.ts, 1}, 0, now)
		s.losses.untold = append(s.losses.untold, untold{r.table, r.offset})
	}
}

// writeLosses turns losses into rows of gaps.
func (s *Sink) writeLosses(now int64) {
	s.losses.spread(s.lanes[:], s.instruments)
	s.losses.take(func(key lossKey, lost loss) {
		s.gapRow[0] = tick.Unit{}
		g := s.gapRow[0].GapRow()
		g.Kind, g.Instrument, g.TsNanos, g.EndNanos = tick.RowGap, 0, lost.from, lost.to
		g.Lost, g.Reason = lost.rows, key.reason
		x := &s.source
		of := instrument{Instrument: tick.Instrument{Venue: key.venue, Symbol: key.symbol}, known: true}
		x.row, x.in, x.channelText = s.gapRow[:], &of, s.lanes[key.table].table.channel
		s.add(&s.lanes[tableGaps], lost.from, now)
		x.channelText = ""
	})
	told := s.losses.untold
	if s.losses.untold = nil; len(told) == 0 {
		return
	}
	if l := &s.lanes[tableGaps]; l.rows > 0 {
		s.seal(l, now)
	}
	s.spool.Checkpoint(nil, func(error) {
		// A disk that takes no rows takes no positions either.
		for _, x := range told {
			s.spool.Told(x.table, x.offset)
		}
	})
}

// Close delivers what was accepted, then ends the senders. With a spool it does
// not wait for a database that takes nothing: what is left is on disk, which is
// no error, and the next start delivers it.
func (s *Sink) Close(ctx context.Context) error {
	s.flush(ctx)
	s.cancel()
	s.running.Wait()
	for s.byHand > 0 {
		s.o.Pace.Wait(context.Background(), time.Millisecond)
	}
	lost, left := s.spool.Close()
	s.unlock()
	report := &writer.UndeliveredError{Cause: context.Cause(ctx)}
	waits := 0
	for i, n := range lost {
		if n += s.lanes[i].rows; n > 0 {
			report.Tables = append(report.Tables, writer.TableRows{Table: s.lanes[i].table.name, Rows: uint64(n)})
		}
		waits += left[i]
	}
	s.left = waits
	if report.Tables != nil {
		return report
	}
	return nil
}

// Left is how many rows Close left in the spool for the next start.
func (s *Sink) Left() int { return s.left }

// flush returns when nothing waits, ctx ends, or what waits is in the spool and
// does not get through. Delivering may bring up rejected rows, whose gaps are
// then delivered as well.
func (s *Sink) flush(ctx context.Context) {
	for {
		now := s.o.Now()
		s.checkpoint(now)
		s.noteLosses(now)
		s.noteRejected(now)
		s.writeLosses(now)
		for i := range s.lanes {
			if s.lanes[i].rows > 0 {
				s.seal(&s.lanes[i], now)
			}
		}
		if s.spool.State().Empty && s.rejections.none() || s.hopeless() {
			return
		}
		if s.o.Pace.Wait(ctx, 0, s.spool.Moved(), s.failed); ctx.Err() != nil {
			return
		}
	}
}

// hopeless reports that every table whose rows wait in the spool is failing.
func (s *Sink) hopeless() bool {
	if !s.spool.Durable() {
		return false
	}
	if !s.started {
		return true
	}
	for i, x := range s.senders {
		if !s.spool.Idle(i) && !x.stuck.Load() {
			return false
		}
	}
	return true
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
