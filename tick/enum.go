package tick

import "strings"

// Channels is a set of a venue's streams about one instrument.
type Channels uint8

const (
	ChannelTrades Channels = 1 << iota
	ChannelQuotes          // the venue's own best bid and offer
	ChannelDepth           // the full book
)

// AllChannels lists the single channels in the order in which they are reported.
var AllChannels = [...]Channels{ChannelTrades, ChannelQuotes, ChannelDepth}

// ChannelCount is the number of single channels.
const ChannelCount = len(AllChannels)

// Has reports whether all of c are in the set.
func (s Channels) Has(c Channels) bool { return s&c == c }

// Index returns the place of a single channel in AllChannels.
func (s Channels) Index() int {
	for i, c := range AllChannels {
		if s == c {
			return i
		}
	}
	panic("BUG: Index of a set of channels")
}

var channelNames = map[Channels]string{ChannelTrades: "trades", ChannelQuotes: "quotes", ChannelDepth: "depth"}

// String joins the names of the set with "+".
func (s Channels) String() string {
	var names []string
	for _, c := range AllChannels {
		if s.Has(c) {
			names = append(names, channelNames[c])
		}
	}
	return strings.Join(names, "+")
}

// ChannelNames are the names that configuration accepts.
func ChannelNames() []string { return []string{"trades", "quotes", "depth"} }

// ChannelOf returns the channel of that name, 0 if there is none.
func ChannelOf(name string) Channels {
	for c, n := range channelNames {
		if n == name {
			return c
		}
	}
	return 0
}

// Reason says why a channel is down, a book invalid or an interval unseen.
// Numbers are part of the log format: append only.
type Reason uint8

const (
	ReasonNone        Reason = iota
	ReasonStart              // asked for, nothing seen yet
	ReasonStopped            // this process was told to stop, or the capture ended
	ReasonDisconnect         // the connection was lost
	ReasonReconnect          // we closed the connection: end of its life, or the venue's notice
	ReasonSilence            // nothing came for too long
	ReasonStale              // the venue's quotes ran ahead of its depth
	ReasonSequence           // the venue's ids do not join
	ReasonChecksum           // the book's checksum differs from the venue's
	ReasonQuoteDiffer        // the book's top differs from the venue's quotes at equal ids
	ReasonCrossed            // best bid at or above best ask
	ReasonOverload           // our own queue was full
	ReasonRange              // a number does not fit the instrument's scale
	ReasonBuffer             // too many deltas waited for a snapshot
	ReasonRefused            // the venue refused the subscription
	ReasonSink               // rows were dropped because the database stayed away
	ReasonRejected           // the database refused the row; it is in the dead letters
	reasonEnd
)

var reasonNames = [reasonEnd]string{"none", "start", "stopped", "disconnect", "reconnect", "silence", "stale",
	"sequence", "checksum", "quote_differs", "crossed", "overload", "range", "buffer", "refused", "sink", "rejected"}

func (r Reason) String() string {
	if r < reasonEnd {
		return reasonNames[r]
	}
	return "unknown"
}
