package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"tickproc/engine"
	"tickproc/feeds"
	"tickproc/tick"
)

// captureChain is what was recorded of one line of one process: files of which
// each continues the one before.
type captureChain struct {
	key         lineRun
	venue, line string
	files       []chainFile
}

type chainFile struct {
	path  string
	first int64 // receive time of its first line
	whole bool  // nothing of the line was recorded before
}

func compareLineRuns(a, b lineRun) int {
	return cmp.Or(cmp.Compare(a.run, b.run), cmp.Compare(a.line, b.line))
}

// restLine is the name of the line of REST answers.
const restLine = "rest"

// findChains reads the heads of the captures in a folder. Those that do not say
// of which process they are belong to no log.
func findChains(dir string) (map[lineRun]*captureChain, error) {
	all, err := captures(dir)
	if err != nil {
		return nil, err
	}
	chains := map[lineRun]*captureChain{}
	for _, f := range all {
		path := filepath.Join(dir, f.name)
		r, err := feeds.OpenCapture(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		record, err := r.Next()
		if err == nil && r.Run != 0 {
			key := lineRun{r.Run, r.Number}
			if chains[key] == nil {
				chains[key] = &captureChain{key: key, venue: r.Venue, line: r.Line}
			}
			chains[key].files = append(chains[key].files, chainFile{path, record.RecvNanos, r.Continues == ""})
		}
		r.Close()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	for _, c := range chains {
		slices.SortStableFunc(c.files, func(a, b chainFile) int { return cmp.Compare(a.first, b.first) })
	}
	return chains, nil
}

// needed are the files that tell what was received from a time on, to another,
// and before it the opening of the socket that was open then: its decoder may
// know something of all frames since.
func (c *captureChain) needed(from, to int64) ([]chainFile, error) {
	begin := 0
	for i, f := range c.files {
		if f.first <= from {
			begin = i
		}
	}
	for ; begin > 0; begin-- {
		opened, err := opensBefore(c.files[begin].path, from)
		if err != nil {
			return nil, err
		}
		if opened {
			break
		}
	}
	end := begin
	for end < len(c.files) && (to == 0 || c.files[end].first < to+slowCapture) {
		end++
	}
	return c.files[begin:end], nil
}

// opensBefore reports whether a capture tells of a socket that was opened before
// a time.
func opensBefore(path string, before int64) (bool, error) {
	r, err := feeds.OpenCapture(path)
	if err != nil {
		return false, err
	}
	defer r.Close()
	for {
		record, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("%s: %w", path, err)
		case record.RecvNanos >= before:
			return false, nil
		case record.Tag == feeds.TagOpen:
			return true, nil
		}
	}
}

// frame is what a decoder makes now of one frame, for one shard. Its units are
// its own.
type frame struct {
	key      lineRun
	ordinal  uint64
	received int64
	units    []tick.Unit
}

const (
	frameChunk  = 256 // frames that go to a shard together
	frameChunks = 16  // that may wait for it
)

// decoding decodes the captures, merged by receive time.
// owner: one goroutine.
type decoding struct {
	of         *reprocess
	shards     []*reshard
	readers    []*feeds.CaptureReader
	lines      []*decodedLine // by reader
	chunks     [][]frame      // by shard
	units      []tick.Unit
	faults     uint64
	firstFault string
}

// decodedLine is a line as it is decoded.
type decodedLine struct {
	chain      *captureChain
	adapter    feeds.Adapter
	connection *feeds.Connection
	table      *feeds.Table
	entries    []*feeds.Entry
	decoder    feeds.Decoder
	begun      bool
	// known is what the shards know of the line where the period begins, by entry;
	// nil = the instrument is listed later. Noted before they go on.
	known  []*engine.LineKnown
	prefix []tick.Unit // that its next frame begins with
}

func newDecoding(r *reprocess, shards []*reshard) (*decoding, error) {
	d := &decoding{of: r, shards: shards, chunks: make([][]frame, len(shards))}
	from, to := shards[0].period.from, shards[0].period.to
	at := r.runOf(from)
	for _, key := range slices.SortedFunc(maps.Keys(r.chains), compareLineRuns) {
		if key.run < at || to != 0 && key.run >= to {
			continue
		}
		chain := r.chains[key]
		line, err := d.line(chain)
		if err != nil {
			return nil, errors.Join(err, d.close())
		}
		files, err := chain.needed(from, to)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%w: %w", ErrInput, err), d.close())
		}
		for _, f := range files {
			reader, err := feeds.OpenCapture(f.path)
			if err != nil {
				return nil, errors.Join(fmt.Errorf("%w: %w", ErrInput, err), d.close())
			}
			d.readers, d.lines = append(d.readers, reader), append(d.lines, line)
		}
	}
	return d, nil
}

func (d *decoding) line(chain *captureChain) (*decodedLine, error) {
	adapter, ok := d.of.options.adapter(chain.venue)
	if !ok {
		return nil, fmt.Errorf("%w: %s: no adapter for venue %q", ErrInput, chain.files[0].path, chain.venue)
	}
	l := &decodedLine{chain: chain, adapter: adapter, connection: &feeds.Connection{Name: chain.line}, table: feeds.NewTable(nil), begun: chain.key.run != d.of.runOf(d.shards[0].period.from)}
	instruments, carried := d.of.survey.instruments, d.of.survey.carried[chain.key]
	for _, id := range slices.Sorted(maps.Keys(instruments)) {
		in := instruments[id]
		if in.Venue != chain.venue {
			continue
		}
		e := &feeds.Entry{Symbol: in.Symbol, ID: id, PriceDigits: in.PriceDigits, SizeDigits: in.SizeDigits}
		l.table.Add(e)
		l.entries = append(l.entries, e)
		channels := carried[id]
		if !l.begun { // the line was there before what was read of the log
			var noted *engine.LineKnown
			if known, there := d.shards[in.shard].driver.Shard.LineKnown(chain.key.line, id); there {
				noted, channels = &known, channels|known.Channels
			}
			l.known = append(l.known, noted)
		}
		if channels != 0 {
			l.connection.Subscriptions = append(l.connection.Subscriptions, feeds.Subscription{Instrument: &in.Instrument, Channels: channels})
		}
	}
	l.decoder = adapter.NewDecoder(l.connection, l.table)
	return l, nil
}

func (d *decoding) close() error {
	for _, r := range d.readers {
		r.Close() // it was only read
	}
	return nil
}

// run decodes to the end of the period, and what may stand too late in a capture.
func (d *decoding) run(ctx context.Context) error {
	defer func() {
		d.close()
		for _, x := range d.shards {
			close(x.frames)
		}
	}()
	for _, r := range d.readers {
		r.ReadAhead()
	}
	from, to := d.shards[0].period.from, d.shards[0].period.to
	merge := feeds.MergeCaptures(d.readers)
	for {
		record, i, err := merge.Next()
		switch {
		case errors.Is(err, io.EOF), err == nil && to != 0 && record.RecvNanos >= to+slowCapture:
			for shard := range d.shards {
				if err := d.flush(ctx, shard); err != nil {
					return err
				}
			}
			return nil
		case err != nil:
			return fmt.Errorf("%w: %s: %w", ErrInput, d.lines[i].chain.line, err)
		}
		l, inside := d.lines[i], record.RecvNanos >= from
		if inside && !l.begun {
			l.begun = true
			d.begin(l)
		}
		fault, isFrame := d.record(l, record)
		if !isFrame || !inside {
			continue
		}
		if fault != nil && (to == 0 || record.RecvNanos < to) {
			d.faults++
			if d.firstFault == "" {
				d.firstFault = fmt.Sprintf("%s %s, frame %d at %s: %v", l.chain.venue, l.chain.line, record.Ordinal, momentText(record.RecvNanos), fault)
			}
		}
		if err := d.hand(ctx, l, record); err != nil {
			return err
		}
	}
}

// record decodes one record into d.units; false if it is no frame. One that cannot
// be decoded has none.
func (d *decoding) record(l *decodedLine, record *feeds.Record) (fault error, isFrame bool) {
	at := feeds.Stamp{Line: l.chain.key.line, Ordinal: record.Ordinal, ReceiveNanos: record.RecvNanos}
	switch {
	case record.Tag == feeds.TagOpen:
		l.decoder = l.adapter.NewDecoder(l.connection, l.table)
		return nil, false
	case record.Tag == feeds.TagText, record.Tag == feeds.TagBinary:
		d.units, _, fault = l.decoder.Decode(d.units[:0], record.Payload, at)
	case record.Tag == feeds.TagREST && record.Ordinal != 0:
		d.units, fault = l.adapter.DecodeREST(d.units[:0], string(record.URL), record.Payload, l.table, at, 0)
	default:
		return nil, false
	}
	if fault != nil {
		d.units = d.units[:0]
	}
	return fault, true
}

// begin brings a line's scales to those that its shards knew where the period
// begins: they may be of frames that are not decoded again.
func (d *decoding) begin(l *decodedLine) {
	for i, e := range l.entries {
		known := l.known[i]
		if known == nil {
			continue
		}
		price, size := known.PriceDigits, known.SizeDigits
		if e.PriceDigits > price || e.SizeDigits > size {
			l.prefix = tick.AppendRescale(l.prefix, tick.Header{Line: l.chain.key.line, Instrument: e.ID}, max(e.PriceDigits, price), max(e.SizeDigits, size))
		}
		e.PriceDigits, e.SizeDigits = max(e.PriceDigits, price), max(e.SizeDigits, size)
	}
}

// hand gives every shard its part of a frame.
func (d *decoding) hand(ctx context.Context, l *decodedLine, record *feeds.Record) error {
	parts := make([]frame, len(d.shards))
	for i := range parts {
		parts[i] = frame{key: l.chain.key, ordinal: record.Ordinal, received: record.RecvNanos}
	}
	for _, units := range [2][]tick.Unit{l.prefix, d.units} {
		for len(units) > 0 {
			n := tick.PacketUnits(&units[0])
			if in := d.of.survey.instruments[units[0].Header().Instrument]; in != nil {
				parts[in.shard].units = append(parts[in.shard].units, units[:n]...)
			}
			units = units[n:]
		}
	}
	l.prefix = nil
	for i := range parts {
		if d.chunks[i] = append(d.chunks[i], parts[i]); len(d.chunks[i]) >= frameChunk {
			if err := d.flush(ctx, i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *decoding) flush(ctx context.Context, shard int) error {
	chunk := d.chunks[shard]
	d.chunks[shard] = nil
	select {
	case d.shards[shard].frames <- chunk:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
