package sim

import (
	"math/bits"

	"tickproc/tick"
)

// Stream is one of a venue's streams, shared by all connections that ask for
// it: they get the same ids and the same text. It outlives its subscribers, so
// that counters go on. owner: the venue's lock.
type Stream struct {
	Name string
	StreamSpec
	Instrument *Instrument // nil: it is about all
	// Counter and State are the dialect's. State is a value: what Render changes
	// in it is undone when a stream is rendered twice (FaultAlter).
	Counter uint64
	State   any

	market      *Market
	window      *window // nil: the whole book
	bookID      uint64  // market's id of the book that clients of the window have
	bookNanos   int64   // its matching time
	subscribers []subscriber
	sentNanos   int64 // when it was last rendered
}

// subscriber is a connection that a stream goes to.
type subscriber struct {
	conn   *Conn
	silent bool // acknowledged, and never served
}

// Market returns the stream's exchange.
func (s *Stream) Market() *Market { return s.market }

// Book returns what a client that has read all of the stream shows, best
// first: the window's levels, or the whole book as it stands (of which the next
// event tells what is not yet told). It is valid until the call returns that
// got the stream.
func (s *Stream) Book() (bids, asks []tick.Level) {
	if s.window != nil {
		return s.window.sides[0].levels, s.window.sides[1].levels
	}
	return s.Instrument.Bids(never), s.Instrument.Asks(never)
}

// Top is Book's first n levels.
func (s *Stream) Top(n int) (bids, asks []tick.Level) {
	if s.window == nil {
		return s.Instrument.Bids(n), s.Instrument.Asks(n)
	}
	bids, asks = s.Book()
	return bids[:min(n, len(bids))], asks[:min(n, len(asks))]
}

// BookID is the market's id of Book, and BookNanos its matching time. In
// Render of a depth event they are those of the event; its PrevID is what
// BookID was.
func (s *Stream) BookID() uint64 {
	if s.window == nil {
		return s.Instrument.updateID
	}
	return s.bookID
}

func (s *Stream) BookNanos() int64 {
	if s.window == nil {
		return s.Instrument.timeNanos
	}
	return s.bookNanos
}

// NoteBook tells the truth that Book goes by an id and a time on the wire,
// either may be 0; for dialects with Profile.OwnIDs.
func (s *Stream) NoteBook(id uint64, nanos int64) {
	if s.window == nil {
		s.Instrument.truth.image(id, nanos, &s.Instrument.bids, &s.Instrument.asks)
		return
	}
	s.Instrument.truth.imageOf(id, nanos, s.window.sides[0].levels, s.window.sides[1].levels)
}

// NoteQuote is NoteBook for the best bid and offer as it stands.
func (s *Stream) NoteQuote(id uint64, nanos int64) {
	in := s.Instrument
	in.truth.quote(Quote{ID: id, TimeNanos: nanos, Bid: in.bids.best(), Ask: in.asks.best()})
}

// ConstantChecksum says that a fault keeps the checksum from following the book.
func (s *Stream) ConstantChecksum() bool { return s.market.now < s.market.constantUntil }

// Subscribers is the number of connections that the stream goes to.
func (s *Stream) Subscribers() int { return len(s.subscribers) }

// open returns a stream by name, with the window as it stands if nobody was
// listening before.
func (v *Market) open(name string, spec StreamSpec, in *Instrument) *Stream {
	if spec.Hears == 0 {
		spec.Hears = spec.Channel
	}
	s := v.streams[name]
	if s == nil {
		s = &Stream{Name: name, StreamSpec: spec, Instrument: in, market: v}
		if spec.Depth > 0 {
			s.window = &window{depth: spec.Depth, deletes: spec.Deletes}
		}
		v.streams[name] = s
	}
	s.Instrument = in // listed anew
	if len(s.subscribers) == 0 {
		s.sentNanos = v.now
		v.reset(s)
	}
	return s
}

// reset makes a stream's window the book as it stands.
func (v *Market) reset(s *Stream) {
	if s.window != nil {
		s.window.reset(s.Instrument)
		s.bookID, s.bookNanos = s.Instrument.updateID, s.Instrument.timeNanos
	}
}

// heard are the lists that a stream stands in while it has subscribers.
func (v *Market) heard(s *Stream) *[channelBits][]*Stream {
	if s.Instrument != nil {
		return &s.Instrument.streams
	}
	return &v.wide
}

// attach adds a subscriber. Lists are replaced, not changed: deliver may be
// walking the old ones.
func (v *Market) attach(s *Stream, sub subscriber) {
	if len(s.subscribers) == 0 {
		lists := v.heard(s)
		for i := range lists {
			if s.Hears&(1<<i) != 0 {
				lists[i] = append(lists[i][:len(lists[i]):len(lists[i])], s)
			}
		}
		if s.QuietAfter > 0 {
			v.quiet = append(v.quiet[:len(v.quiet):len(v.quiet)], s)
		}
	}
	s.subscribers = append(s.subscribers[:len(s.subscribers):len(s.subscribers)], sub)
}

func (v *Market) detach(s *Stream, c *Conn) {
	var kept []subscriber
	for _, sub := range s.subscribers {
		if sub.conn != c {
			kept = append(kept, sub)
		}
	}
	gone := len(kept) == 0 && len(s.subscribers) > 0
	if s.subscribers = kept; !gone {
		return
	}
	lists := v.heard(s)
	for i := range lists {
		lists[i] = without(lists[i], s)
	}
	v.quiet = without(v.quiet, s)
}

// without is a list without one of its items, in new memory.
func without(list []*Stream, s *Stream) []*Stream {
	var kept []*Stream
	for _, other := range list {
		if other != s {
			kept = append(kept, other)
		}
	}
	return kept
}

// deliver notes an event and renders it for the streams that hear of it.
func (v *Market) deliver(e *Event) {
	in := e.Instrument
	in.truth.note(e, v.profile.OwnIDs)
	i := bits.TrailingZeros8(uint8(e.Channel))
	step := max(1, v.profile.TradesTogether)
	if e.Channel != tick.ChannelTrades {
		v.stats.Events++
		v.render(in.streams[i], e)
		v.render(v.wide[i], e)
		return
	}
	all := e.Trades
	for len(all) > 0 {
		n := min(step, len(all))
		e.Trades, all = all[:n], all[n:]
		v.stats.Events++
		v.render(in.streams[i], e)
		v.render(v.wide[i], e)
	}
}

func (v *Market) render(streams []*Stream, e *Event) {
	for _, s := range streams {
		told := e
		if s.window != nil && e.Channel == tick.ChannelDepth {
			windowed := *e
			windowed.Bids, windowed.Asks = s.window.update(e.Instrument, e.Bids, e.Asks)
			if len(windowed.Bids)+len(windowed.Asks) == 0 {
				continue
			}
			windowed.PrevID = s.bookID
			s.bookID, s.bookNanos = e.LastID, e.TimeNanos
			told = &windowed
		}
		v.tellStream(s, told)
	}
}

// tellStream renders an event for one stream and sends it to its subscribers.
func (v *Market) tellStream(s *Stream, e *Event) {
	altered := v.alteration(s, e)
	v.body = v.dialect.Render(v.body[:0], s, e)
	if len(v.body) == 0 {
		return
	}
	s.sentNanos = v.now
	m := frame{kind: frameText}
	if e.Channel == tick.ChannelTrades && s.Channel == tick.ChannelTrades {
		m.instrument, m.firstTrade, m.lastTrade = e.Instrument, e.Trades[0].ID, e.Trades[len(e.Trades)-1].ID
	}
	v.publish(s, e.Instrument, m, v.body, altered)
}

// publish wraps a stream's text for its subscribers and sends it. altered, if
// any, goes to the first in its place.
func (v *Market) publish(s *Stream, about *Instrument, m frame, body, altered []byte) {
	name := ""
	if about != nil {
		name = about.Name
	}
	var shared []byte
	var mode any
	for _, sub := range s.subscribers {
		if sub.silent {
			continue
		}
		text := body
		if altered != nil {
			text = altered
		}
		// Clients share a frame's bytes: nobody writes to them again.
		if v.profile.Numbered || altered != nil || shared == nil || mode != sub.conn.Mode {
			shared, mode = v.dialect.Wrap(make([]byte, 0, len(text)+len(s.Name)+64), sub.conn, s, text), sub.conn.Mode
		}
		m.text = shared
		if altered != nil {
			altered, shared = nil, nil
		}
		v.post(sub.conn, name, s.Channel, m)
	}
}

// snapshot renders a stream's state.
func (v *Market) snapshot(s *Stream) (body []byte, m frame) {
	body, trades := v.dialect.Snapshot(nil, s)
	if len(body) == 0 {
		return nil, m
	}
	if s.Instrument != nil && !v.profile.OwnIDs {
		switch {
		case s.Channel.Has(tick.ChannelDepth):
			s.NoteBook(s.BookID(), s.BookNanos())
		case s.Channel.Has(tick.ChannelQuotes):
			s.Instrument.truth.quote(s.Instrument.quoted)
		}
	}
	if len(trades) > 0 {
		m.instrument, m.firstTrade, m.lastTrade = s.Instrument, trades[0].ID, trades[len(trades)-1].ID
	}
	return body, m
}

// keepAlive lets streams speak that were silent for long.
func (v *Market) keepAlive() {
	for _, s := range v.quiet {
		if v.now-s.sentNanos < int64(s.QuietAfter) {
			continue
		}
		s.sentNanos = v.now
		if body := v.dialect.Quiet(nil, s); len(body) > 0 {
			v.publish(s, s.Instrument, frame{kind: frameText}, body, nil)
		}
	}
}
