package reader

// Reason says why a book is not valid, or what was not seen.
type Reason uint8

// The order is that of package tick, which a test of the writer compares.
var reasonNames = [...]string{"none", "start", "stopped", "disconnect", "reconnect", "silence", "stale",
	"sequence", "checksum", "quote_differs", "crossed", "overload", "range", "buffer", "refused", "sink", "rejected", "delisted", "restart", "log"}

func (r Reason) String() string { return nameOf(reasonNames[:], int(r)) }

// State is what may be done with an instrument.
type State uint8

var stateNames = [...]string{"unknown", "trading", "restricted", "preopen", "halted", "settling", "delisted"}

func (s State) String() string { return nameOf(stateNames[:], int(s)) }

// InstrumentType says what is traded.
type InstrumentType uint8

var typeNames = [...]string{"spot", "perpetual", "future", "option"}

func (t InstrumentType) String() string { return nameOf(typeNames[:], int(t)) }

var channelNames = [...]string{"trades", "quotes", "depth", "funding", "open_interest", "liquidations"}

// ChannelName is that of a single channel's bit.
func ChannelName(bit uint8) string {
	for i, name := range channelNames {
		if bit == 1<<i {
			return name
		}
	}
	return "unknown"
}

var backfillNames = [...]string{"", "pending", "whole", "partly", "aggregates", "given_up", "not_offered", "failed"}

// BackfillName says what became of the trades that a gap missed.
func BackfillName(b uint8) string { return nameOf(backfillNames[:], int(b)) }

func nameOf(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return "unknown"
}
