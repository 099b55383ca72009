package tick

import (
	"math/bits"
	"strings"
)

// Channels is a set of a venue's streams about one instrument.
type Channels uint8

const (
	ChannelTrades Channels = 1 << iota
	ChannelQuotes          // the venue's own best bid and offer
	ChannelDepth           // the full book
	// The rest exist on derivatives alone.
	ChannelFunding      // mark and index price, funding rate and when it is next paid
	ChannelOpenInterest // contracts that are open
	ChannelLiquidations // forced orders
)

// AllChannels lists the single channels in the order in which they are reported.
var AllChannels = [...]Channels{ChannelTrades, ChannelQuotes, ChannelDepth, ChannelFunding, ChannelOpenInterest, ChannelLiquidations}

// ChannelCount is the number of single channels.
const ChannelCount = len(AllChannels)

// Has reports whether all of c are in the set.
func (s Channels) Has(c Channels) bool { return s&c == c }

// Index returns the place of a single channel in AllChannels.
func (s Channels) Index() int {
	if s == 0 || s&(s-1) != 0 {
		panic("BUG: Index of a set of channels")
	}
	return bits.TrailingZeros8(uint8(s))
}

// channelNames in the order of AllChannels.
var channelNames = [ChannelCount]string{"trades", "quotes", "depth", "funding", "open_interest", "liquidations"}

// String joins the names of the set with "+".
func (s Channels) String() string {
	var names []string
	for i, c := range AllChannels {
		if s.Has(c) {
			names = append(names, channelNames[i])
		}
	}
	return strings.Join(names, "+")
}

// ChannelNames are the names that configuration accepts.
func ChannelNames() []string { return channelNames[:] }

// ChannelOf returns the channel of that name, 0 if there is none.
func ChannelOf(name string) Channels {
	for i, n := range channelNames {
		if n == name {
			return AllChannels[i]
		}
	}
	return 0
}

// State is what may be done with an instrument. Numbers are part of the log
// format: append only.
type State uint8

const (
	StateUnknown    State = iota // no catalog has said
	StateTrading                 // orders match
	StateRestricted              // some orders are taken: post-only, limit-only, cancel-only, auction
	StatePreOpen                 // listed, and does not trade yet
	StateHalted                  // does not trade for now: break, suspension, maintenance
	StateSettling                // expired, is being settled or delivered
	StateDelisted                // gone from the catalog, or said to be
	stateEnd
)

var stateNames = [stateEnd]string{"unknown", "trading", "restricted", "preopen", "halted", "settling", "delisted"}

func (s State) String() string {
	if s < stateEnd {
		return stateNames[s]
	}
	return "unknown"
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
	ReasonDelisted           // the venue no longer lists the instrument
	ReasonRestart            // this process was started again, and its connections with it
	ReasonLog                // the log could not be written, so that nothing was read
	reasonEnd
)

var reasonNames = [reasonEnd]string{"none", "start", "stopped", "disconnect", "reconnect", "silence", "stale",
	"sequence", "checksum", "quote_differs", "crossed", "overload", "range", "buffer", "refused", "sink", "rejected", "delisted", "restart", "log"}

func (r Reason) String() string {
	if r < reasonEnd {
		return reasonNames[r]
	}
	return "unknown"
}

// Backfill says what became of the trades that were missed in a gap. Numbers
// are part of the log format: append only.
type Backfill uint8

const (
	BackfillNone       Backfill = iota // nothing was to be fetched, or nobody wants it
	BackfillPending                    // they are asked for
	BackfillWhole                      // all of them came
	BackfillPartly                     // some did, or none; the venue has no more
	BackfillAggregates                 // the venue has them as sums of several alone, which prove that they happened
	BackfillGivenUp                    // the gap is older or larger than is asked for, or the venue did not answer
	BackfillNotOffered                 // the venue offers none
	// BackfillFailed is an outcome alone: the venue did not answer, or not with what
	// it must have; it can be asked again.
	BackfillFailed
	backfillEnd
)

var backfillNames = [backfillEnd]string{"", "pending", "whole", "partly", "aggregates", "given_up", "not_offered", "failed"}

func (b Backfill) String() string {
	if b < backfillEnd {
		return backfillNames[b]
	}
	return "unknown"
}

// BackfillOf returns the one of that name; false if there is none.
func BackfillOf(name string) (Backfill, bool) {
	for i, n := range backfillNames {
		if n == name {
			return Backfill(i), true
		}
	}
	return 0, false
}
