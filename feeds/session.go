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
	inURL      bool // the URL itself subscribes it
	up         bool
	begun      bool // data came on the present socket
	sequence   tick.SequenceKind
	tradeIDs   tick.TradeIDKind
	stats      *StreamStats
}

// hasIDs reports whether the stream's messages tell their place by ids that
// are the same on every socket.
func (st *stream) hasIDs() bool {
	return st.channel == tick.ChannelDepth && st.sequence != tick.SequenceNone || st.channel == tick.ChannelTrades && st.tradeIDs == tick.TradeIDContiguous
}

// ids returns the last id of a message and the one that it follows; 0 where
// there are none.
func (st *stream) ids(packet *tick.Unit) (last, join uint64) {
	if !st.hasIDs() {
		return 0, 0
	}
	switch packet.KindOf() {
	case tick.KindTrade:
		id := packet.Trade().ID.Lo
		return id, id - 1
	case tick.KindSnapshot:
		id := packet.Depth().LastID
		return id, id
	case tick.KindDepth:
		d := packet.Depth()
		switch st.sequence {
		case tick.SequenceChain:
			return d.LastID, d.PrevID
		case tick.SequenceRange:
			return d.LastID, d.FirstID - 1
		}
		return d.LastID, d.LastID - 1
	}
	return 0, 0
}

// newSession lays out the streams of a connection.
func newSession(c *Connection) (*session, []StreamStats) {
	s := &session{}
	var stats []StreamStats
	add := func(subscriptions []Subscription, inURL bool) {
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
				s.streams = append(s.streams, stream{instrument: sub.Instrument.ID, channel: channel, inURL: inURL,
					sequence: sub.Instrument.Sync.Sequence, tradeIDs: sub.Instrument.TradeIDs})
				s.slots[slot] = int32(len(s.streams))
				stats = append(stats, StreamStats{Instrument: sub.Instrument.ID, Symbol: sub.Instrument.Symbol, Channel: channel})
			}
		}
	}
	add(c.Streams, true)
	add(c.Subscriptions, false)
	for i := range s.streams {
		s.streams[i].stats = &stats[i]
	}
	return s, stats
}

// opened begins a socket, and appends the ups of the streams that the URL
// itself subscribes.
func (s *session) opened(dst []tick.Unit, at Stamp) []tick.Unit {
	for i := range s.streams {
		st := &s.streams[i]
		st.begun = false
		st.stats.FirstNanos.Set(0)
		st.stats.LastID.Set(0)
	}
	for i := range s.streams {
		if st := &s.streams[i]; st.inURL {
			dst = s.raise(dst, st, at)
		}
	}
	return dst
}

// acked appends the ups of streams that the venue agreed to deliver.
func (s *session) acked(dst []tick.Unit, streams []Subscription, at Stamp) []tick.Unit {
	s.each(streams, func(st *stream) { dst = s.raise(dst, st, at) })
	return dst
}

// refused appends the downs of streams that the venue does not deliver.
func (s *session) refused(dst []tick.Unit, streams []Subscription, at Stamp) []tick.Unit {
	s.each(streams, func(st *stream) { dst = s.lower(dst, st, tick.ReasonRefused, at) })
	return dst
}

func (s *session) each(streams []Subscription, do func(*stream)) {
	for _, sub := range streams {
		for i, channel := range tick.AllChannels {
			if sub.Channels.Has(channel) {
				if st := s.find(sub.Instrument.ID, i); st != nil {
					do(st)
				}
			}
		}
	}
}

// find returns a stream by its instrument and the index of its channel; nil
// if the connection does not have it.
func (s *session) find(instrument uint32, channel int) *stream {
	slot := int(instrument)*tick.ChannelCount + channel
	if slot >= len(s.slots) || s.slots[slot] == 0 {
		return nil
	}
	return &s.streams[s.slots[slot]-1]
}

// gap appends the gaps of every stream that is up: the venue's count of the
// socket's frames jumps, and any of them may have been in what is missing.
// heard is the receive time up to which nothing is.
func (s *session) gap(dst []tick.Unit, at Stamp, heard int64) []tick.Unit {
	for i := range s.streams {
		if st := &s.streams[i]; st.up {
			dst = appendChange(dst, tick.KindGap, st, tick.ReasonSequence, at)
			dst[len(dst)-1].Event().HeardNanos = heard
		}
	}
	return dst
}

// ended appends the downs of every stream that was up: the connection is gone.
// heard is the receive time up to which it is known to have lived.
func (s *session) ended(dst []tick.Unit, reason tick.Reason, at Stamp, heard int64) []tick.Unit {
	for i := range s.streams {
		if st := &s.streams[i]; st.up {
			dst = s.lower(dst, st, reason, at)
			dst[len(dst)-1].Event().HeardNanos = heard
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
		if channel := h.Kind.Channel(); channel != 0 {
			if st := s.find(h.Instrument, channel.Index()); st != nil {
				last, join := st.ids(&packets[0])
				st.stats.LastNanos.Set(at.ReceiveNanos)
				st.stats.LastID.Set(int64(last))
				if !st.begun {
					st.begun = true
					st.stats.JoinID.Set(int64(join))
					st.stats.FirstNanos.Set(at.ReceiveNanos)
				}
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
	st.stats.UpNanos.Set(at.ReceiveNanos)
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
