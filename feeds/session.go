package feeds

import "tickproc/tick"

// session knows which streams of a connection are up, and says so in packets
// when that changes. It does no I/O and reads no clock.
// owner: the connection's reading goroutine.
type session struct {
	streams []stream
	// slots finds a stream by instrument id × ChannelCount + channel index;
	// the value is its index + 1.
	slots []int32
}

// stream is one channel of one instrument.
type stream struct {
	instrument uint32
	channel    tick.Channels
	request    int // index of the request that asks for it, -1 = the URL
	up         bool
	stats      *StreamStats
}

// newSession lays out the streams of a connection.
func newSession(c *Connection) (*session, []StreamStats) {
	s := &session{}
	var stats []StreamStats
	add := func(subscriptions []Subscription, request int) {
		for _, sub := range subscriptions {
			for i, channel := range tick.AllChannels {
				if !sub.Channels.Has(channel) {
					continue
				}
				slot := int(sub.Instrument.ID)*tick.ChannelCount + i
				if need := slot + 1; need > len(s.slots) {
					s.slots = append(s.slots, make([]int32, need-len(s.slots))...)
				}
				if s.slots[slot] != 0 {
					continue
				}
				s.streams = append(s.streams, stream{instrument: sub.Instrument.ID, channel: channel, request: request})
				s.slots[slot] = int32(len(s.streams))
				stats = append(stats, StreamStats{Instrument: sub.Instrument.ID, Symbol: sub.Instrument.Symbol, Channel: channel})
			}
		}
	}
	add(c.Streams, -1)
	for i, r := range c.Requests {
		add(r.Streams, i)
	}
	for i := range s.streams {
		s.streams[i].stats = &stats[i]
	}
	return s, stats
}

// opened appends the ups of the streams that the URL itself subscribes.
func (s *session) opened(dst []tick.Unit, at Stamp) []tick.Unit { return s.acked(dst, -1, at) }

// acked appends the ups of the streams that a request asked for.
func (s *session) acked(dst []tick.Unit, request int, at Stamp) []tick.Unit {
	for i := range s.streams {
		if st := &s.streams[i]; st.request == request {
			dst = s.raise(dst, st, at)
		}
	}
	return dst
}

// refused appends the downs of the streams that a refused request asked for.
func (s *session) refused(dst []tick.Unit, request int, at Stamp) []tick.Unit {
	for i := range s.streams {
		if st := &s.streams[i]; st.request == request && request >= 0 {
			dst = s.lower(dst, st, tick.ReasonRefused, at)
		}
	}
	return dst
}

// ended appends the downs of every stream that was up: the connection is gone.
func (s *session) ended(dst []tick.Unit, reason tick.Reason, at Stamp) []tick.Unit {
	for i := range s.streams {
		if st := &s.streams[i]; st.up {
			dst = s.lower(dst, st, reason, at)
		}
	}
	return dst
}

// seen notes what a frame's packets are about. It appends the ups of streams
// that deliver before (or without) their acknowledgement: data are the better
// proof, and a shard must not get data of a channel that is not up.
//
// hot: per frame, 0 allocs.
func (s *session) seen(dst []tick.Unit, packets []tick.Unit, at Stamp) []tick.Unit {
	for len(packets) > 0 {
		h := packets[0].Header()
		channel := -1
		switch h.Kind {
		case tick.KindTrade, tick.KindTradeCorrection:
			channel = tick.ChannelTrades.Index()
		case tick.KindQuote:
			channel = tick.ChannelQuotes.Index()
		case tick.KindDepth, tick.KindSnapshot:
			channel = tick.ChannelDepth.Index()
		}
		if channel >= 0 {
			slot := int(h.Instrument)*tick.ChannelCount + channel
			if slot < len(s.slots) && s.slots[slot] != 0 {
				st := &s.streams[s.slots[slot]-1]
				st.stats.LastNanos.Set(at.ReceiveNanos)
				if !st.up {
					dst = s.raise(dst, st, at)
				}
			}
		}
		packets = packets[tick.PacketUnits(&packets[0]):]
	}
	return dst
}

func (s *session) raise(dst []tick.Unit, st *stream, at Stamp) []tick.Unit {
	if st.up {
		return dst
	}
	st.up = true
	st.stats.Up.Set(1)
	return appendChange(dst, tick.KindUp, st, tick.ReasonNone, at)
}

func (s *session) lower(dst []tick.Unit, st *stream, reason tick.Reason, at Stamp) []tick.Unit {
	if st.up {
		st.up = false
		st.stats.Up.Set(0)
	}
	return appendChange(dst, tick.KindDown, st, reason, at)
}

func appendChange(dst []tick.Unit, kind tick.Kind, st *stream, reason tick.Reason, at Stamp) []tick.Unit {
	h := at.Header(kind, st.instrument, 0)
	h.Flags = 0
	return tick.AppendEvent(dst, h, st.channel, reason)
}
