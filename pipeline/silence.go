package pipeline

import (
	"time"

	"tickproc/feeds"
	"tickproc/tick"
)

// silence notices streams that a venue agreed to deliver and does not: a
// venue that moves a channel to another address does not refuse the old one.
// owner: the status goroutine.
type silence struct{ since map[*feeds.StreamStats]int64 } // when each was first seen up

// A stream may be quiet for so long. Trades of a small instrument may be rare.
const (
	silentAfter       = int64(time.Minute)
	silentTradesAfter = int64(15 * time.Minute)
)

// watched is a line of a venue.
type watched struct {
	venue string
	line  *feeds.LineStats
}

// look tells each venue's canary of its silent streams: up for long without
// anything, while others of the channel deliver on the venue, and other
// channels of the instrument, which is therefore traded. Liquidations may
// never come.
func (x *silence) look(lines []watched, canaries map[string]*feeds.Canary, now int64) {
	if x.since == nil {
		x.since = map[*feeds.StreamStats]int64{}
	}
	type channelOf struct {
		venue   string
		channel tick.Channels
	}
	delivers, alive := map[channelOf]bool{}, map[uint32]bool{}
	for _, w := range lines {
		for i := range w.line.Streams {
			st := &w.line.Streams[i]
			if last := st.LastNanos.Load(); last != 0 && now-last < silentAfter {
				delivers[channelOf{w.venue, st.Channel}], alive[st.Instrument] = true, true
			}
		}
	}
	for _, w := range lines {
		for i := range w.line.Streams {
			st := &w.line.Streams[i]
			if x.isSilent(st, now) && delivers[channelOf{w.venue, st.Channel}] && alive[st.Instrument] {
				canaries[w.venue].Report(feeds.CanarySilent, w.line.Name+" "+st.Symbol+" "+st.Channel.String())
			}
		}
	}
}

// isSilent: the stream is up for too long without anything.
func (x *silence) isSilent(st *feeds.StreamStats, now int64) bool {
	if st.Up.Load() == 0 {
		delete(x.since, st)
		return false
	}
	since, known := x.since[st]
	if !known {
		x.since[st], since = now, now
	}
	patience := silentAfter
	switch st.Channel {
	case tick.ChannelLiquidations:
		return false
	case tick.ChannelTrades:
		patience = silentTradesAfter
	}
	return now-since > patience && st.LastNanos.Load() < since
}
