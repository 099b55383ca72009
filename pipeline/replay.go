package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"tickproc/engine"
	"tickproc/feeds"
	"tickproc/internal/clock"
	"tickproc/internal/stat"
	"tickproc/ringbuf"
	"tickproc/tick"
	"tickproc/writer"
	"tickproc/writer/questdb"
)

// ReplayOptions say what to replay, and where to.
type ReplayOptions struct {
	Files []string
	// Venue of all files; "" = what each file says.
	Venue string
	// Speed is a multiple of real time; 0 = as fast as possible.
	Speed float64
	// Config gives bars, windows, book, limits, shards and QuestDB; its feeds
	// do not count.
	Config    *Config
	ToQuestDB bool
	Logger    *slog.Logger
	// Progress is called now and then with the share of the input done.
	Progress func(done float64)
}

// Replay runs captures through shards and sinks. The report depends on the
// captures and the options alone, but for its times. It is given beside an
// error where the replay itself went through.
func Replay(ctx context.Context, o ReplayOptions) (*ReplayReport, error) {
	r := newReplay(o)
	if err := r.open(); err != nil {
		return nil, err
	}
	defer r.close()
	sinks := []writer.Sink{r.totals}
	var database *questdb.Sink
	if o.ToQuestDB {
		options := o.Config.questDBOptions()
		options.Logger = o.Logger
		options.DeadLetterDir = o.Config.DataDir
		var err error
		if database, err = questdb.New(options); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInput, err)
		}
		if err := database.CheckSchema(ctx); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDependency, err)
		}
		database.Start()
		sinks = append(sinks, database)
	}
	report, err := r.run(ctx, sinks)
	if database != nil {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		if e := database.Close(drain); e != nil && err == nil {
			err = fmt.Errorf("%w: %w", ErrDependency, e)
		}
	}
	return report, err
}

// replay is a run over captures: one goroutine reads and decodes, one a shard
// applies, one writes.
type replay struct {
	options     ReplayOptions
	engine      engine.Options
	totals      *tradeTotals
	files       []*replayFile
	lines       []*replayLine
	bytes       int64 // of all files
	tables      map[string]*venueTable
	instruments int
	routes      feeds.Routes
	drivers     []*engine.Driver
	out         *feeds.Output
	units       []tick.Unit
	frames      uint64
	errors      uint64
	firstError  error
	now         int64 // receive time of the record at hand
	ordinal     uint64
	started     time.Time
	firstRecv   int64
}

func newReplay(o ReplayOptions) *replay {
	return &replay{options: o, engine: o.Config.engineOptions(), totals: &tradeTotals{}, tables: map[string]*venueTable{}}
}

// replayFile is one capture.
type replayFile struct {
	reader  *feeds.CaptureReader
	path    string
	counted *countingFile
	line    *replayLine
	records uint64
}

// replayLine is what one connection after the other on a line has come to.
// Files of which one continues the other share it.
type replayLine struct {
	number  uint16
	venue   *venueTable // nil until it is known
	decoder feeds.Decoder
	table   *feeds.Table
	// ours: our recorder wrote it, so that answers to what was sent are in it,
	// numbered as we number.
	ours  bool
	asked [][]feeds.Stream // by request of the connection
	up    map[upStream]bool
}

type upStream struct {
	instrument uint32
	channel    tick.Channels
}

// venueTable is what all files of one venue share: a symbol is one instrument.
type venueTable struct {
	adapter     feeds.Adapter
	catalog     map[string]tick.Instrument // from a recorded catalog
	instruments map[string]*tick.Instrument
}

// countingFile counts what was read, for progress, on whatever goroutine.
type countingFile struct {
	*os.File
	read stat.Counter
}

func (f *countingFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.read.Add(uint64(n))
	return n, err
}

func (r *replay) open() error {
	byPath := map[string]*replayFile{}
	for _, path := range r.options.Files {
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInput, err)
		}
		if info, err := f.Stat(); err == nil {
			r.bytes += info.Size()
		}
		file := &replayFile{path: path, counted: &countingFile{File: f}}
		r.files = append(r.files, file)
		if file.reader, err = feeds.NewCaptureReader(file.counted); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrInput, path, err)
		}
		byPath[filepath.Clean(path)] = file
	}
	for _, f := range r.files {
		if err := r.assign(f, byPath); err != nil {
			return err
		}
	}
	return nil
}

// assign gives a file its line: that of the file where its socket was opened,
// as far as that is among the given.
func (r *replay) assign(f *replayFile, byPath map[string]*replayFile) error {
	root := f
	for range r.files { // files might continue each other in a circle
		before := byPath[filepath.Join(filepath.Dir(root.path), root.reader.Continues)]
		if root.reader.Continues == "" || before == nil {
			break
		}
		root = before
	}
	if root.line == nil {
		root.line = &replayLine{number: uint16(len(r.lines)), ours: root.reader.Line != "", up: map[upStream]bool{}}
		r.lines = append(r.lines, root.line)
		name := r.options.Venue
		if name == "" {
			name = root.reader.Venue
		}
		if name != "" { // else its first connection tells
			if err := r.setVenue(root, name); err != nil {
				return err
			}
		}
	}
	f.line = root.line
	return nil
}

func (r *replay) close() {
	for _, f := range r.files {
		f.reader.Close() // the file may not go while it is read ahead
		f.counted.Close()
	}
}

func (r *replay) setVenue(f *replayFile, name string) error {
	v := r.tables[name]
	if v == nil {
		adapter, ok := adapterOf(name)
		if !ok {
			return fmt.Errorf("%w: %s: no adapter for venue %q; there is %s", ErrInput, f.path, name, strings.Join(Venues(), ", "))
		}
		v = &venueTable{adapter: adapter, catalog: map[string]tick.Instrument{}, instruments: map[string]*tick.Instrument{}}
		r.tables[name] = v
	}
	l := f.line
	l.venue = v
	l.table = feeds.NewTable(nil)
	l.table.Discover = func(symbol string) *feeds.Entry {
		in := r.introduce(l, symbol, tick.ChannelTrades|tick.ChannelQuotes|tick.ChannelDepth)
		return &feeds.Entry{Symbol: in.Symbol, ID: in.ID, PriceDigits: in.PriceDigits, SizeDigits: in.SizeDigits}
	}
	l.decoder = v.adapter.NewDecoder(nil, l.table)
	return nil
}

// run replays everything into sinks, which the caller closes.
func (r *replay) run(ctx context.Context, sinks []writer.Sink) (*ReplayReport, error) {
	shards := r.options.Config.ShardCount(cores())
	policy := r.options.Config.waitPolicy()
	rings := make([]*ringbuf.Ring, shards)
	var rows []*ringbuf.Ring
	for i := range rings {
		d := &engine.Driver{Shard: engine.NewShard(r.engine), Merge: true, Waker: ringbuf.NewWaker(policy), Rows: ringbuf.New(rowRingUnits)}
		rings[i] = ringbuf.New(r.options.Config.Rings.Units)
		rings[i].SetWaker(d.Waker)
		d.Inputs = []*ringbuf.Ring{rings[i]}
		r.drivers = append(r.drivers, d)
		rows = append(rows, d.Rows)
	}
	// A capture can wait, so that nothing is ever dropped for want of room.
	r.out = feeds.NewOutput(rings, &r.routes, feeds.OutputOptions{OverloadWait: 1 << 62})
	w := writer.New(rows, ringbuf.NewWaker(ringbuf.Park), sinks...)

	var sharding, writing sync.WaitGroup
	for _, d := range r.drivers {
		sharding.Go(func() { d.Run() })
	}
	var writeErr error
	writing.Go(func() { writeErr = w.Run(context.WithoutCancel(ctx)) })
	from := clock.Nanos()
	err := r.read(ctx)
	for _, ring := range rings {
		r.tick(ring)
	}
	r.out.Close()
	sharding.Wait()
	wall := float64(clock.Nanos()-from) / 1e9

	report := &ReplayReport{Frames: r.frames, WallSeconds: wall, FramesPerSecond: float64(r.frames) / wall, DecodeErrors: r.errors}
	var hash uint64
	var all []*engine.Shard
	for _, d := range r.drivers {
		hash += d.Shard.StateHash()
		all = append(all, d.Shard)
	}
	report.StateHash = fmt.Sprintf("%016x", hash)
	for _, f := range r.files {
		report.CaptureErrors += f.reader.Malformed
	}
	standing := standings(all)
	r.end()
	writing.Wait()
	report.Instruments = instrumentReports(standing, r.totals)
	switch {
	case err == nil:
		err = writeErr
	case r.frames == 0:
		return nil, err
	}
	if err == nil {
		err = r.unusable()
	}
	return report, err
}

// unusable says why the input was no market data at all, nil if it was, or if
// it was empty.
func (r *replay) unusable() error {
	for _, f := range r.files {
		if f.records == 0 && f.reader.Malformed > 0 {
			return fmt.Errorf("%w: %s is no capture: %s", ErrInput, f.path, f.reader.FirstMalformed)
		}
	}
	if r.frames == 0 || r.instruments > 0 {
		return nil
	}
	err := fmt.Errorf("%w: no market data in %d frames: say by --venue whose they are", ErrInput, r.frames)
	if r.firstError != nil {
		err = fmt.Errorf("%w; the first that could not be decoded: %w", err, r.firstError)
	}
	return err
}

// tick tells a shard the time of the end: what is due by then is written.
func (r *replay) tick(ring *ringbuf.Ring) {
	if r.now == 0 {
		return
	}
	r.out.Flush()
	var p [1]tick.Unit
	*p[0].Header() = tick.Header{Kind: tick.KindTick, ReceiveNanos: r.now}
	var backoff ringbuf.Backoff
	for !ring.Write(p[:]) {
		backoff.Pause()
	}
	ring.Publish()
}

// end says that every stream stopped, as the end of a run does, and writes
// what is open.
func (r *replay) end() {
	var stops []tick.Unit
	for _, l := range r.lines {
		stops = l.lower(stops, tick.ReasonStopped, r.stamp(l))
	}
	for i, d := range r.drivers {
		for rest := stops; len(rest) > 0; rest = rest[1:] {
			if r.routes.Shard(rest[0].Header().Instrument) == i {
				d.Shard.Apply(rest[:1])
			}
		}
		d.Shard.Finish()
		d.Flush()
		d.Rows.Close()
	}
}

func (r *replay) stamp(l *replayLine) feeds.Stamp {
	return feeds.Stamp{Line: l.number, Ordinal: r.ordinal, ReceiveNanos: r.now}
}

// read takes every record in order of receive time.
func (r *replay) read(ctx context.Context) error {
	var readers []*feeds.CaptureReader
	for _, f := range r.files {
		f.reader.ReadAhead()
		readers = append(readers, f.reader)
	}
	merge := feeds.MergeCaptures(readers)
	for n := 0; ; n++ {
		record, i, err := merge.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%w: %s: %w", ErrInput, r.files[i].path, err)
		case n%1024 == 0:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r.progress()
			// Else the shards would have nothing to do until a ring is full.
			r.out.Flush()
		}
		if r.options.Speed > 0 {
			if err := r.pace(ctx, record.RecvNanos); err != nil {
				return err
			}
		}
		r.now, r.ordinal = record.RecvNanos, record.Ordinal
		if err := r.record(r.files[i], record); err != nil {
			return err
		}
	}
}

func (r *replay) progress() {
	if r.options.Progress == nil || r.bytes == 0 {
		return
	}
	var read uint64
	for _, f := range r.files {
		read += f.counted.read.Load()
	}
	r.options.Progress(float64(read) / float64(r.bytes))
}

// pace waits until it is the record's turn.
func (r *replay) pace(ctx context.Context, recv int64) error {
	if r.firstRecv == 0 {
		r.firstRecv, r.started = recv, time.Now()
	}
	wait := time.Until(r.started.Add(time.Duration(float64(recv-r.firstRecv) / r.options.Speed)))
	if wait <= 0 {
		return nil
	}
	r.out.Flush()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// record takes one line of a capture. Only what cannot be used at all is an
// error; a bad frame is counted.
func (r *replay) record(f *replayFile, record *feeds.Record) error {
	l := f.line
	f.records++
	if l.venue == nil {
		name, ok := "", false
		if record.Tag == feeds.TagOpen || record.Tag == feeds.TagREST {
			name, ok = venueOfURL(string(record.URL))
		}
		switch {
		case ok:
			if err := r.setVenue(f, name); err != nil {
				return err
			}
		case record.Tag == feeds.TagREST || record.Tag == feeds.TagRESTStatus:
			return nil // an answer from ahead of the first connection
		default:
			return fmt.Errorf("%w: %s: cannot tell its venue%s: say --venue with one of %s",
				ErrInput, f.path, urlHint(record.URL), strings.Join(Venues(), ", "))
		}
	}
	switch record.Tag {
	case feeds.TagText, feeds.TagBinary:
		r.frames++
		units, notice, err := l.decoder.Decode(r.units[:0], record.Payload, r.stamp(l))
		r.units = units
		r.fault(f, err)
		r.answered(l, notice)
		r.seen(l, units)
		r.out.Write(units)
	case feeds.TagREST:
		if r.catalog(f, string(record.URL), record.Payload) {
			return nil
		}
		units, err := l.venue.adapter.DecodeREST(r.units[:0], string(record.URL), record.Payload, l.table, r.stamp(l), 0)
		r.units = units
		r.fault(f, err)
		r.out.Write(units)
	case feeds.TagOpen:
		l.asked = l.asked[:0]
		l.decoder = l.venue.adapter.NewDecoder(nil, l.table) // it may count the frames of its socket
		r.raise(l, r.ask(l, l.venue.adapter.Streams(string(record.URL), nil)))
	case feeds.TagSent:
		streams := r.ask(l, l.venue.adapter.Streams("", record.Payload))
		switch {
		case len(streams) == 0:
		case l.ours:
			l.asked = append(l.asked, streams) // up when the venue says so, or delivers
		default:
			r.raise(l, streams)
		}
	case feeds.TagClose:
		r.out.Write(l.lower(r.units[:0], closeReason(string(record.Payload)), r.stamp(l)))
	}
	return nil
}

func urlHint(recorded []byte) string {
	if len(recorded) == 0 {
		return ""
	}
	address, _, _ := bytes.Cut(recorded, []byte("?")) // stream lists are long
	return fmt.Sprintf(" from %q", address)
}

func (r *replay) fault(f *replayFile, err error) {
	if err == nil {
		return
	}
	r.errors++
	if r.firstError == nil {
		r.firstError = err
		r.options.Logger.Warn("frame not decoded; further ones are counted", "file", f.path, "frame", r.ordinal, "error", err)
	}
}

// catalog takes a recorded answer to a catalog request.
func (r *replay) catalog(f *replayFile, recorded string, body []byte) bool {
	u, err := url.Parse(recorded)
	if err != nil {
		return false
	}
	for _, request := range f.line.venue.adapter.CatalogRequests() {
		own, err := url.Parse(request.URL)
		if err != nil || !strings.HasSuffix(u.Path, own.Path) {
			continue
		}
		definitions, err := f.line.venue.adapter.ParseCatalog(body)
		r.fault(f, err)
		for _, in := range definitions {
			f.line.venue.catalog[in.Symbol] = in
		}
		return true
	}
	return false
}

// introduce returns the instrument of a symbol, which is made known to its
// shard, with the channels that are new.
func (r *replay) introduce(l *replayLine, symbol string, channels tick.Channels) *tick.Instrument {
	in := l.venue.instruments[symbol]
	if in == nil {
		definition, ok := l.venue.catalog[symbol]
		if !ok {
			definition = l.venue.adapter.Instrument(symbol)
		}
		in = &definition
		in.ID = uint32(r.instruments)
		r.instruments++
		l.venue.instruments[symbol] = in
		r.routes.Set(in.ID, shardOf(in.Underlying, len(r.drivers)))
	}
	if in.Channels.Has(channels) {
		return in
	}
	in.Channels |= channels
	p, err := tick.AppendCatalog(nil, r.stamp(l).Header(tick.KindCatalog, in.ID, 0), *in)
	if err != nil {
		panic("BUG: " + err.Error()) // a venue's symbols fit the record
	}
	r.out.Write(p)
	return in
}

// ask introduces the instruments of streams that were asked for.
func (r *replay) ask(l *replayLine, streams []feeds.Stream) []feeds.Stream {
	channels := map[string]tick.Channels{}
	for _, s := range streams {
		channels[s.Symbol] |= s.Channel
	}
	for _, s := range streams {
		r.introduce(l, s.Symbol, channels[s.Symbol])
	}
	return streams
}

// answered says what a venue answered to a request.
func (r *replay) answered(l *replayLine, n feeds.Notice) {
	if n.Request < 0 || n.Request >= len(l.asked) {
		return
	}
	switch n.Kind {
	case feeds.NoticeAck:
		r.raise(l, l.asked[n.Request])
	case feeds.NoticeRefused:
		for _, s := range l.asked[n.Request] {
			in := l.venue.instruments[s.Symbol]
			delete(l.up, upStream{in.ID, s.Channel})
			r.out.Write(tick.AppendEvent(nil, r.stamp(l).Header(tick.KindDown, in.ID, 0), s.Channel, tick.ReasonRefused))
		}
	}
}

// raise says that streams deliver from here on.
func (r *replay) raise(l *replayLine, streams []feeds.Stream) {
	for _, s := range streams {
		in := l.venue.instruments[s.Symbol]
		if l.up[upStream{in.ID, s.Channel}] {
			continue
		}
		l.up[upStream{in.ID, s.Channel}] = true
		r.out.Write(tick.AppendEvent(nil, r.stamp(l).Header(tick.KindUp, in.ID, 0), s.Channel, tick.ReasonNone))
	}
}

// seen raises streams that deliver without, or before, the venue's word.
func (r *replay) seen(l *replayLine, packets []tick.Unit) {
	for ; len(packets) > 0; packets = packets[tick.PacketUnits(&packets[0]):] {
		h := packets[0].Header()
		var channel tick.Channels
		switch h.Kind {
		case tick.KindTrade:
			channel = tick.ChannelTrades
		case tick.KindQuote:
			channel = tick.ChannelQuotes
		case tick.KindDepth:
			channel = tick.ChannelDepth
		default:
			continue
		}
		if !l.up[upStream{h.Instrument, channel}] {
			l.up[upStream{h.Instrument, channel}] = true
			r.out.Write(tick.AppendEvent(nil, r.stamp(l).Header(tick.KindUp, h.Instrument, 0), channel, tick.ReasonNone))
		}
	}
}

// lower appends the ends of all streams of a line that are up.
func (l *replayLine) lower(dst []tick.Unit, reason tick.Reason, at feeds.Stamp) []tick.Unit {
	for _, s := range slices.SortedFunc(maps.Keys(l.up), func(a, b upStream) int {
		return cmp.Or(cmp.Compare(a.instrument, b.instrument), cmp.Compare(a.channel, b.channel))
	}) {
		dst = tick.AppendEvent(dst, at.Header(tick.KindDown, s.instrument, 0), s.channel, reason)
	}
	clear(l.up)
	return dst
}

// closeReason reads the reason that a recorder wrote.
func closeReason(text string) tick.Reason {
	for _, r := range []tick.Reason{tick.ReasonStopped, tick.ReasonReconnect, tick.ReasonSilence, tick.ReasonRefused} {
		if text == r.String() {
			return r
		}
	}
	return tick.ReasonDisconnect
}
