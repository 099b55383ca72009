package simulation

import (
	"slices"
	"time"

	"tickproc/tick"
)

// down is a time, in the venues' clock, in which nobody listened to a channel.
type down struct {
	stream   channelOf
	from, to int64
}

// channelOf is a channel of an instrument.
type channelOf struct {
	venue, symbol string
	channel       tick.Channels
}

// listening says how many sockets listen to a stream, and since when none does.
type listening struct {
	sockets int
	since   int64 // 0 = nobody ever did
}

// each does something for all that a link carries.
func (w *world) each(k *link, do func(channelOf, *listening)) {
	for _, s := range k.l.Carries() {
		for _, channel := range []tick.Channels{tick.ChannelTrades, tick.ChannelQuotes, tick.ChannelDepth} {
			if s.Channels.Has(channel) {
				key := channelOf{k.venue, s.Instrument.Symbol, channel}
				x := w.listens[key]
				if x == nil {
					x = &listening{}
					w.listens[key] = x
				}
				do(key, x)
			}
		}
	}
}

// heard notes that a socket is open, unheard that it is no more.
func (w *world) heard(k *link) {
	w.each(k, func(key channelOf, x *listening) {
		if x.sockets++; x.sockets == 1 && x.since != 0 {
			w.downs = append(w.downs, down{key, x.since, w.now + int64(w.offset)})
		}
	})
}

// inFlight is how long a message may be on its way: what was when its socket died
// went with it.
const inFlight = 2 * time.Second

// nobodyListened reports that in some of an interval of the venues' time nobody
// listened to a stream, though it may have been thought so, and that a row may not
// have been corrected since.
func (w *world) nobodyListened(to channelOf, from, end int64) bool {
	return slices.ContainsFunc(w.downs, func(d down) bool {
		return d.stream == to && d.from-int64(inFlight) < end && d.to >= from && (w.flipped || w.believes(d))
	})
}

// believes reports that, where things went wrong to the end, a socket that was
// dead then is still believed: nobody could have told yet, or the row that tells
// was still in a batch.
func (w *world) believes(d down) bool {
	if w.o.Unbounded && w.now+int64(w.offset)-d.to < int64(2*time.Second) {
		return true
	}
	if w.process == nil {
		return false
	}
	for _, k := range w.process.links {
		if k.dead && k.client != nil && k.venue == d.stream.venue && d.to > k.diedAt+int64(w.offset) {
			return true
		}
	}
	return false
}

func (w *world) unheard(k *link) {
	if k.dead {
		return // since it died
	}
	w.each(k, func(_ channelOf, x *listening) {
		if x.sockets--; x.sockets == 0 {
			x.since = w.now + int64(w.offset)
		}
	})
}
