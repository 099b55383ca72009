package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tickproc/engine"
	"tickproc/feeds"
	"tickproc/feeds/venues"
	"tickproc/indicators"
	"tickproc/journal"
	"tickproc/pipeline"
	"tickproc/ringbuf"
	"tickproc/tick"
	"tickproc/writer/questdb"
)

// stage is a stage on the frames of a session.
type stage struct {
	frames  int
	do      func(frame int)
	between func() // after each chunk, uncounted
	end     func() error
	levels  []int // of each frame
}

func (s *stage) levelsFrom(frame int) (n int) {
	for i := frame; i < len(s.levels); i++ {
		n += s.levels[i]
	}
	return n
}

// stages in the order of the path. fits says by a session's name whether the
// stage is told of it.
var stages = []struct {
	name string
	fits func(session string) bool
	open func(*file) (*stage, error)
}{
	{"decode", all, decode},
	{"shard", binance, applied(false)},
	{"path", all, applied(true)},
	{"everything", everythingFits, everything},
	{"ring", onlyTrades, ring},
	{"log", onlyTrades, appended},
	{"rows", spotMarket, encoded},
}

func all(string) bool { return true }

// A shard does the same with every venue's packets, nearly.
func binance(session string) bool { return strings.Contains(session, "/binance") }

func onlyTrades(session string) bool { return session == "trades/binance-spot" }

func spotMarket(session string) bool {
	return strings.HasSuffix(session, "/binance-spot") && session != "depth40/binance-spot"
}

// line is what a connection does with a session's records.
type line struct {
	adapter  feeds.Adapter
	decoders []feeds.Decoder
	table    *feeds.Table
	records  []record
	units    []tick.Unit
}

// open returns the line of a session, and the packets before its first record:
// definitions, and subscriptions that took effect.
func (f *file) open() (l *line, opening []tick.Unit, err error) {
	adapter, ok := venues.New(f.Venue)
	if !ok {
		return nil, nil, fmt.Errorf("no venue %q", f.Venue)
	}
	l = &line{adapter: adapter, records: f.Records, table: feeds.NewTable(f.Instruments)}
	at := f.Records[0].At
	for _, in := range f.Instruments {
		if opening, err = tick.AppendCatalog(opening, at.Header(tick.KindCatalog, in.ID, 0), *in); err != nil {
			return nil, nil, err
		}
	}
	for _, in := range f.Instruments {
		for _, channel := range tick.AllChannels {
			if in.Channels.Has(channel) {
				opening = tick.AppendEvent(opening, at.Header(tick.KindUp, in.ID, 0), channel, tick.ReasonNone)
			}
		}
	}
	if len(f.Sockets) == 0 {
		l.decoders = append(l.decoders, adapter.NewDecoder(nil, l.table))
	}
	for i := range f.Sockets {
		l.decoders = append(l.decoders, adapter.NewDecoder(&f.Sockets[i], l.table))
	}
	return l, opening, nil
}

// decode returns the packets of a frame, until the next call.
func (l *line) decode(frame int) []tick.Unit {
	r, err := &l.records[frame], error(nil)
	if r.URL == "" {
		l.units, _, err = l.decoders[r.Socket].Decode(l.units[:0], r.Payload, r.At)
	} else {
		l.units, err = l.adapter.DecodeREST(l.units[:0], r.URL, r.Payload, l.table, r.At, 0)
	}
	if err != nil {
		panic("BUG: a good session does not decode: " + err.Error())
	}
	return l.units
}

// decoded is a session in packets.
type decoded struct {
	opening []tick.Unit
	frames  [][]tick.Unit
	levels  []int // in each frame
}

func (f *file) packets() (*decoded, error) {
	if f.decoded != nil {
		return f.decoded, nil
	}
	l, opening, err := f.open()
	if err != nil {
		return nil, err
	}
	d := &decoded{opening: opening, levels: make([]int, len(f.Records))}
	for i := range f.Records {
		packets := append([]tick.Unit(nil), l.decode(i)...)
		d.frames = append(d.frames, packets)
		for ; len(packets) > 0; packets = packets[tick.PacketUnits(&packets[0]):] {
			if packets[0].KindOf() == tick.KindDepth {
				d.levels[i] += int(packets[0].Depth().LevelCount)
			}
		}
	}
	f.decoded = d
	return d, nil
}

// options are those of an empty configuration.
func options() engine.Options {
	c := pipeline.DefaultConfig()
	o := engine.Options{
		Grace: c.Bars.Grace.Std(), Lateness: c.Bars.Lateness.Std(), BookEvery: c.Book.Every.Std(), BookDepth: c.Book.Depth,
		Silence: c.Limits.Silence.Std(), Stale: c.Limits.Stale.Std(), ClockWindow: c.Limits.ClockWindow.Std(),
	}
	for _, interval := range c.Bars.Intervals {
		o.Intervals = append(o.Intervals, interval.Std())
	}
	for _, w := range c.Windows.VWAP {
		o.Windows = append(o.Windows, indicators.WindowSpec{Span: w.Span.Std(), Step: w.Step.Std()})
	}
	o.Windows = append(o.Windows, indicators.WindowSpec{}) // the session
	return o
}

// decode is a frame in memory → packets.
func decode(f *file) (*stage, error) {
	d, err := f.packets()
	if err != nil {
		return nil, err
	}
	l, _, err := f.open()
	return &stage{frames: len(f.Records), levels: d.levels, do: func(i int) { kept += uint64(len(l.decode(i))) }}, err
}

// applied is the shard alone, of packets that were decoded before; or decoder
// and shard.
func applied(decoding bool) func(f *file) (*stage, error) {
	return func(f *file) (*stage, error) {
		d, err := f.packets()
		if err != nil {
			return nil, err
		}
		l, _, err := f.open()
		shard := engine.NewShard(options())
		shard.Apply(d.opening)
		s := &stage{frames: len(f.Records), levels: d.levels, end: func() error { return stands(shard) }}
		s.do = func(i int) {
			shard.Apply(d.frames[i])
			shard.TakeRows()
			shard.TakeCommands()
		}
		if decoding {
			s.do = func(i int) {
				shard.Apply(l.decode(i))
				shard.TakeRows()
				shard.TakeCommands()
			}
		}
		return s, err
	}
}

// stands fails where a path dropped its input: its figures are worth nothing.
func stands(shard *engine.Shard) error {
	for _, r := range shard.Reports(1) {
		if r.Instrument.Channels.Has(tick.ChannelDepth) && (!r.Valid || r.Depth.Applied == 0) {
			return fmt.Errorf("BUG: the book of %s is not valid (%v) at the end, %d messages applied", r.Instrument.Symbol, r.Reason, r.Depth.Applied)
		}
		if r.Instrument.Channels == tick.ChannelTrades && r.Counts.Trades == 0 {
			return fmt.Errorf("BUG: no trade of %s was counted", r.Instrument.Symbol)
		}
	}
	return nil
}

const ringUnits = 1 << 15

// write writes a frame's packets into a ring that has room for them.
func write(ring *ringbuf.Ring, packets []tick.Unit) {
	for len(packets) > 0 {
		n := tick.PacketUnits(&packets[0])
		if !ring.Write(packets[:n]) {
			panic("BUG: the ring is full")
		}
		packets = packets[n:]
	}
}

// publishEvery stands for the frames that one read of a busy socket brings.
const publishEvery = 16

// ring is a packet in and out of a ring, published and taken 16 at a time.
func ring(f *file) (*stage, error) {
	d, err := f.packets()
	if err != nil {
		return nil, err
	}
	r := ringbuf.New(ringUnits)
	return &stage{frames: len(d.frames), do: func(i int) {
		write(r, d.frames[i])
		if i%publishEvery != publishEvery-1 {
			return
		}
		r.Publish()
		for got := r.Poll(); len(got) > 0; got = r.Poll() {
			for j := range got {
				kept += got[j][0]
			}
			r.Release(len(got))
		}
	}}, nil
}

// memory is a log on tmpfs where there is one, drained by another thread, which
// is not counted.
type memory struct {
	log  *journal.Log
	stop func() error
}

func openLog() (*memory, error) {
	dir, err := os.MkdirTemp("", "tickproc-instructions-")
	if err != nil {
		return nil, err
	}
	ringDir, noTmpfs := os.MkdirTemp("/dev/shm", "tickproc-instructions-")
	if noTmpfs != nil {
		ringDir = filepath.Join(dir, "ring")
	}
	remove := func() { os.RemoveAll(dir); os.RemoveAll(ringDir) }
	log, _, err := journal.Open(journal.Options{Dir: filepath.Join(dir, "log"), RingDir: ringDir, RingOnDisk: noTmpfs != nil, RingBytes: 16 << 20})
	if err != nil {
		remove()
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	drained := make(chan struct{})
	go func() { log.Run(ctx); close(drained) }()
	return &memory{log, func() error {
		defer remove()
		stop()
		<-drained
		return log.Close()
	}}, nil
}

// rest waits until the ring is half empty: what would wait for a disk is not
// counted.
func (m *memory) rest() {
	var backoff ringbuf.Backoff
	for m.log.Retain(m.log.Synced()); m.log.Room() < 16<<20/tick.UnitSize/2; m.log.Retain(m.log.Synced()) {
		backoff.Pause()
	}
}

// appended is a frame's packet into the log, a batch of its own.
func appended(f *file) (*stage, error) {
	d, err := f.packets()
	if err != nil {
		return nil, err
	}
	m, err := openLog()
	if err != nil {
		return nil, err
	}
	return &stage{frames: len(d.frames), end: m.stop, between: m.rest, do: func(i int) {
		if len(d.frames[i]) > 0 && m.log.Append(d.frames[i]) == 0 {
			panic("BUG: the log takes nothing")
		}
	}}, nil
}

// encoded is a row into a line of QuestDB's protocol by our own encoder: all
// rows that the session's shard makes, the definition before them. A frame of
// this stage is a row.
func encoded(f *file) (*stage, error) {
	d, err := f.packets()
	if err != nil {
		return nil, err
	}
	shard := engine.NewShard(options())
	var rows [][]tick.Unit
	take := func(packets []tick.Unit) {
		shard.Apply(packets)
		for all := shard.TakeRows(); len(all) > 0; all = all[tick.PacketUnits(&all[0]):] {
			rows = append(rows, append([]tick.Unit(nil), all[:tick.PacketUnits(&all[0])]...))
		}
		shard.TakeCommands()
	}
	take(d.opening)
	for _, packets := range d.frames {
		take(packets)
	}
	// Nobody listens at port 1; no batch leaves before its minute, nor is full.
	sink, err := questdb.New(questdb.Options{URL: "http://127.0.0.1:1", FlushRows: 10_000_000, FlushInterval: time.Minute, MaxBytes: 4 << 30,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return nil, err
	}
	return &stage{frames: len(rows), do: func(i int) { sink.Write(rows[i]) }, end: func() error {
		abandoned, cancel := context.WithCancel(context.Background())
		cancel()
		sink.Close(abandoned) // its rows are nobody's: they are not delivered, and it says so
		return nil
	}}, nil
}
