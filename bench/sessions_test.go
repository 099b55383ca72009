// Package bench measures the composed path, on whole sessions in memory:
//
//	session (frames) ─► line: decoder ─► packets ─┬─────────► shard ─► rows, discarded
//	                                              └─► ring ──►
//	                 ─► plain Go stack: encoding/json, decimals, sorted slices, a channel
//
// It holds benchmarks and the tests that make their figures mean something; no
// other package imports it. Decoding alone is measured in feeds/binance, other
// variants of single stages beside those. run.sh makes the summary in results/.
package bench

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tickproc/engine"
	"tickproc/feeds"
	"tickproc/feeds/binance"
	"tickproc/feeds/sim"
	"tickproc/indicators"
	"tickproc/internal/testdata"
	"tickproc/pipeline"
	"tickproc/tick"
)

// session is a recorded or generated session, decompressed.
type session struct {
	name    string
	path    string // of the capture; "" = generated
	adapter feeds.Adapter
	streams []feeds.Stream
	records []record
	frames  int
	bytes   int64  // of the frames
	chunk   []byte // payloads lie in it
}

// record is a frame, or a REST answer where url is set.
type record struct {
	at      feeds.Stamp
	url     string
	payload []byte
}

// source is where a session comes from. It is made once, when first asked for.
type source struct {
	name, venue string
	file        string // of a recorded session; "" = generated
	once        sync.Once
	session     *session
	err         error
}

// Recorded sessions have one symbol each; the generated one has five, and
// stands in where there are no recordings.
var sources = []*source{
	{name: "spot", venue: "binance-spot", file: "binance-spot-btcusdt-20240808.gz"},
	{name: "usdm", venue: "binance-usdm", file: "binance-usdm-btcusdt-20240808.gz"},
	{name: "coinm", venue: "binance-coinm", file: "binance-coinm-btcusd_perp-20240808.gz"},
	{name: "generated", venue: binance.Spot},
}

// eachSession runs f on every session that can be had here.
func eachSession[T interface {
	testing.TB
	Run(string, func(T)) bool
}](t T, f func(t T, s *session)) {
	for _, from := range sources {
		t.Run(from.name, func(t T) { f(t, from.open(t)) })
	}
}

func (from *source) open(t testing.TB) *session {
	t.Helper()
	dir := ""
	if from.file != "" {
		dir = testdata.Dir(t)
	}
	from.once.Do(func() {
		s := &session{name: from.name}
		s.adapter, _ = binance.New(from.venue)
		if from.file == "" {
			from.err = s.generate()
		} else {
			s.path = filepath.Join(dir, "captures", from.file)
			from.err = s.read()
		}
		from.session = s
	})
	if from.err != nil {
		t.Fatal(from.err)
	}
	return from.session
}

// add copies the payload behind the one before: frames come in the order in
// which they lie in memory, as out of a socket's buffer.
func (s *session) add(recvNanos int64, url string, payload []byte) {
	if url == "" {
		s.frames++
		s.bytes += int64(len(payload))
	}
	if len(payload) > cap(s.chunk)-len(s.chunk) {
		s.chunk = make([]byte, 0, max(len(payload), 1<<20))
	}
	from := len(s.chunk)
	s.chunk = append(s.chunk, payload...)
	at := feeds.Stamp{Ordinal: uint64(len(s.records) + 1), ReceiveNanos: recvNanos}
	s.records = append(s.records, record{at, url, s.chunk[from:len(s.chunk):len(s.chunk)]})
}

func (s *session) read() error {
	capture, err := feeds.OpenCapture(s.path)
	if err != nil {
		return err
	}
	defer capture.Close()
	for {
		r, err := capture.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.path, err)
		}
		switch r.Tag {
		case feeds.TagOpen:
			streams, _ := s.adapter.Streams(string(r.URL), nil)
			s.streams = append(s.streams, streams...)
		case feeds.TagText:
			s.add(r.RecvNanos, "", r.Payload)
		case feeds.TagREST:
			s.add(r.RecvNanos, string(r.URL), r.Payload)
		}
	}
}

const (
	generatedFrames = 60_000
	generatedStep   = time.Millisecond
)

// generate makes a session of the simulated exchange: a function of the seed.
func (s *session) generate() error {
	venue := s.adapter.Venue()
	exchange, err := sim.New(sim.Options{Seed: 1, Rate: 100, Venues: []sim.Venue{{Name: venue, Dialect: binance.Dialect(venue)}}})
	if err != nil {
		return err
	}
	// Only snapshots come over a socket: time stands still between steps.
	if err := exchange.Listen(); err != nil {
		return err
	}
	defer exchange.Close()
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	var names []string
	for _, symbol := range binance.Dialect(venue).DefaultSymbols() {
		lower := strings.ToLower(symbol.Name)
		names = append(names, lower+"@trade", lower+"@bookTicker", lower+"@depth@100ms")
	}
	s.streams, _ = s.adapter.Streams("wss://generated/stream?streams="+strings.Join(names, "/"), nil)
	if err := exchange.Tap(venue, names, func(frame []byte) {
		if frame != nil { // nil is the end of the connection
			s.add(now.UnixNano(), "", frame)
		}
	}); err != nil {
		return err
	}
	asked := false
	for exchange.Step(now); s.frames < generatedFrames; exchange.Step(now) {
		now = now.Add(generatedStep)
		if asked || s.frames < generatedFrames/100 {
			continue
		}
		asked = true
		for _, symbol := range binance.Dialect(venue).DefaultSymbols() {
			request, _ := s.adapter.SnapshotRequest(&tick.Instrument{Symbol: symbol.Name})
			_, path, _ := strings.Cut(strings.TrimPrefix(request.URL, "https://"), "/")
			answer, err := http.Get(exchange.RESTURL(venue) + "/" + path)
			if err != nil {
				return err
			}
			body, err := io.ReadAll(answer.Body)
			answer.Body.Close()
			if err != nil {
				return err
			}
			s.add(now.UnixNano(), request.URL, body)
		}
	}
	return nil
}

// line is what a connection does with a session's records.
type line struct {
	adapter feeds.Adapter
	decoder feeds.Decoder
	table   *feeds.Table
	units   []tick.Unit // of the last record
}

// open returns the line of a session and the packets that come before its
// first record: definitions, and subscriptions that took effect.
func (s *session) open() (l *line, opening []tick.Unit) {
	var instruments []*tick.Instrument
	bySymbol := map[string]*tick.Instrument{}
	for _, stream := range s.streams {
		if in := bySymbol[stream.Symbol]; in != nil {
			in.Channels |= stream.Channel
			continue
		}
		in := s.adapter.Instrument(stream.Symbol)
		in.ID, in.Channels = uint32(len(instruments)), stream.Channel
		bySymbol[stream.Symbol] = &in
		instruments = append(instruments, &in)
	}
	at := s.records[0].at
	for _, in := range instruments {
		var err error
		if opening, err = tick.AppendCatalog(opening, at.Header(tick.KindCatalog, in.ID, 0), *in); err != nil {
			panic("BUG: " + err.Error())
		}
	}
	for _, stream := range s.streams {
		opening = tick.AppendEvent(opening, at.Header(tick.KindUp, bySymbol[stream.Symbol].ID, 0), stream.Channel, tick.ReasonNone)
	}
	table := feeds.NewTable(instruments)
	return &line{adapter: s.adapter, decoder: s.adapter.NewDecoder(nil, table), table: table}, opening
}

// decode returns the packets of a record; they live until the next call.
//
// hot: per frame, 0 allocs.
func (l *line) decode(r *record) []tick.Unit {
	var err error
	if r.url == "" {
		l.units, _, err = l.decoder.Decode(l.units[:0], r.payload, r.at)
	} else {
		l.units, err = l.adapter.DecodeREST(l.units[:0], r.url, r.payload, l.table, r.at, 0)
	}
	if err != nil {
		panic("BUG: a good session does not decode: " + err.Error())
	}
	return l.units
}

// packets decodes the whole session; each record's packets are a slice.
func (s *session) packets() (batches [][]tick.Unit) {
	l, opening := s.open()
	batches = append(batches, opening)
	for i := range s.records {
		batches = append(batches, append([]tick.Unit(nil), l.decode(&s.records[i])...))
	}
	return batches
}

// shardOptions are those of an empty configuration: bars of 1s, 1m, 1h and 1d,
// VWAP over 60s each 1s and of the session, book rows each second.
func shardOptions() engine.Options {
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
