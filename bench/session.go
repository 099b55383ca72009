package bench

import (
	"fmt"
	"io"
	"slices"

	"tickproc/engine"
	"tickproc/feeds"
	"tickproc/indicators"
	"tickproc/pipeline"
	"tickproc/tick"
)

// Session is a recorded or generated session in memory. Who has it reads only.
type Session struct {
	Name    string
	Adapter feeds.Adapter
	Records []Record
	Frames  int   // of the records, those that are no REST answer
	Bytes   int64 // of the frames

	path          string // of the capture; "" = generated
	streams       []feeds.Stream
	subscriptions []feeds.Subscription // of a generated session, with what its catalog says
	sockets       []feeds.Connection   // likewise; none = one that nothing is known of
	chunk         []byte               // payloads lie in it
}

// Record is a frame, or a REST answer where URL is set.
type Record struct {
	At      feeds.Stamp
	URL     string
	Socket  int // index of the planned connection that it came by
	Payload []byte
}

// add copies the payload behind the one before: frames come in the order in
// which they lie in memory, as out of a socket's buffer.
func (s *Session) add(recvNanos int64, socket int, url string, payload []byte) {
	if url == "" {
		s.Frames++
		s.Bytes += int64(len(payload))
	}
	if len(payload) > cap(s.chunk)-len(s.chunk) {
		s.chunk = make([]byte, 0, max(len(payload), 1<<20))
	}
	from := len(s.chunk)
	s.chunk = append(s.chunk, payload...)
	at := feeds.Stamp{Ordinal: uint64(len(s.Records) + 1), ReceiveNanos: recvNanos}
	s.Records = append(s.Records, Record{at, url, socket, s.chunk[from:len(s.chunk):len(s.chunk)]})
}

// ReadSession reads a capture of a venue into memory.
func ReadSession(path string, adapter feeds.Adapter) (*Session, error) {
	s := &Session{Name: adapter.Venue(), Adapter: adapter, path: path}
	capture, err := feeds.OpenCapture(path)
	if err != nil {
		return nil, err
	}
	defer capture.Close()
	for {
		r, err := capture.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		switch r.Tag {
		case feeds.TagOpen:
			streams, _ := s.Adapter.Streams(string(r.URL), nil)
			s.streams = append(s.streams, streams...)
		case feeds.TagText:
			s.add(r.RecvNanos, 0, "", r.Payload)
		case feeds.TagREST:
			s.add(r.RecvNanos, 0, string(r.URL), r.Payload)
		}
	}
	if s.Frames == 0 || len(s.streams) == 0 {
		return nil, fmt.Errorf("%s: no frames, or no stream of %s is opened in it: is it a capture of that venue?", path, adapter.Venue())
	}
	return s, nil
}

// Line is what a connection does with a session's records.
type Line struct {
	session  *Session
	decoders []feeds.Decoder // by socket
	table    *feeds.Table
	units    []tick.Unit // of the last record
}

// Open returns the line of a session and the packets that come before its
// first record: definitions, and subscriptions that took effect.
func (s *Session) Open() (l *Line, opening []tick.Unit) {
	instruments := s.instruments()
	for _, in := range instruments {
		var err error
		if opening, err = tick.AppendCatalog(opening, s.Records[0].At.Header(tick.KindCatalog, in.ID, 0), *in); err != nil {
			panic("BUG: " + err.Error())
		}
	}
	for _, in := range instruments {
		for _, channel := range tick.AllChannels {
			if in.Channels.Has(channel) {
				opening = tick.AppendEvent(opening, s.Records[0].At.Header(tick.KindUp, in.ID, 0), channel, tick.ReasonNone)
			}
		}
	}
	l = &Line{session: s, table: feeds.NewTable(instruments)}
	if len(s.sockets) == 0 {
		l.decoders = append(l.decoders, s.Adapter.NewDecoder(nil, l.table))
	}
	for i := range s.sockets {
		l.decoders = append(l.decoders, s.Adapter.NewDecoder(&s.sockets[i], l.table))
	}
	return l, opening
}

// instruments are those that are subscribed.
func (s *Session) instruments() (all []*tick.Instrument) {
	for _, wanted := range s.subscriptions {
		in := *wanted.Instrument
		all = append(all, &in)
	}
	bySymbol := map[string]*tick.Instrument{}
	for _, stream := range s.streams {
		if in := bySymbol[stream.Symbol]; in != nil {
			in.Channels |= stream.Channel
			continue
		}
		in := s.Adapter.Instrument(stream.Symbol)
		in.ID, in.Channels = uint32(len(all)), stream.Channel
		bySymbol[stream.Symbol] = &in
		all = append(all, &in)
	}
	return all
}

// Decode returns the packets of a record; they live until the next call.
//
// hot: per frame, 0 allocs.
func (l *Line) Decode(r *Record) []tick.Unit {
	var err error
	if r.URL == "" {
		l.units, _, err = l.decoders[r.Socket].Decode(l.units[:0], r.Payload, r.At)
	} else {
		l.units, err = l.session.Adapter.DecodeREST(l.units[:0], r.URL, r.Payload, l.table, r.At, 0)
	}
	if err != nil {
		panic("BUG: a good session does not decode: " + err.Error())
	}
	return l.units
}

// settled returns a line that has seen the session: its scales fit all of it.
func (s *Session) settled() *Line {
	l, _ := s.Open()
	for i := range s.Records {
		l.Decode(&s.Records[i])
	}
	return l
}

// packets decodes the whole session; the packets of each record that gives any
// are a slice.
func (s *Session) packets() (batches [][]tick.Unit) {
	l, opening := s.Open()
	batches = append(batches, opening)
	for i := range s.Records {
		if some := l.Decode(&s.Records[i]); len(some) > 0 {
			batches = append(batches, slices.Clone(some))
		}
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
