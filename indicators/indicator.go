// Package indicators turns an instrument's trades into bars and VWAP windows,
// in the venue's event time.
//
//	trades ───► Trade ───► slots by event time ──(venue clock passes end + grace)──► Advance ──► rows, final
//	               └─ late, its row is out already ──────────────────────────────► Advance ──► same key, rev+1
//	losses ───► Coverage ──(a loss, or its repair)─────────────────────────────► Revise ───► same key, rev+1
//	end of input ──────────────────────────────────────────────────────────────► Finish ───► open rows, not final
//
// Rows do not depend on the order in which trades arrive: sums are 128-bit
// integers, and first and last trade are told by time and id. An indicator
// belongs to one instrument and one goroutine, reads no clock, and allocates
// only when it is built (and when trades run so far ahead of the venue clock,
// or Hold asks for so much, that more must be held than the lateness asks for).
package indicators

import (
	"math"

	"tickproc/tick"
)

// Trade is one market trade. Price and Size are scaled by the instrument's
// digits of the moment; Rescale announces a change.
type Trade struct {
	TsNanos     int64 // exchange time, at the venue's resolution
	ID          tick.ID
	Price, Size int64
	Sell        bool // the aggressor sold
}

// Out takes rows. The caller owns Rows and empties it between calls; the rest
// goes into the rows' headers, NowNanos as RowHeader.ReceiveNanos.
type Out struct {
	Rows                    []tick.Unit
	Instrument              uint32
	PriceDigits, SizeDigits uint8
	NowNanos                int64
}

// Indicator is one configured bar interval or window of one instrument.
// venueNow is the estimated venue clock in ns. A trade is in time while its
// TsNanos is at least the largest venueNow given to Advance, less the
// lateness; should an older one come (the clock was set back), it changes
// only what is still held.
type Indicator interface {
	// Trade takes an in-time trade, never a duplicate. Its effect waits for
	// Advance. t is not kept; it escapes all the same, so callers reuse one.
	Trade(t *Trade)
	// Room returns the event times from ≤ ts < to around a trade that it just took,
	// in which further trades would do nothing but add to sums of which nothing was
	// emitted: the deadline stays, and Add of all of them together gives what Trade
	// of each would give. Nothing where there is no such time.
	Room(ts int64) (from, to int64)
	// Add takes trades of the room that Room told last, if no other method was
	// called since.
	Add(trades *part)
	// Deadline is the venue time at which Advance must next run:
	// math.MinInt64 = at once (emitted rows changed), math.MaxInt64 = never.
	Deadline() int64
	// Advance emits every row that is due at venueNow, oldest first.
	Advance(venueNow int64, out *Out)
	// Hold keeps what holds trades from a time on: nothing of it is forgotten,
	// whatever its age. Trades from there on are in time then. It counts until
	// the next Hold; math.MaxInt64, and a new indicator, hold nothing.
	Hold(from int64)
	// Revise is called after the coverage of [from, to] changed: emitted rows
	// that are still held, overlap it and are complete now but were not (or
	// the other way round) come again, rev+1.
	Revise(from, to int64, out *Out)
	// Rescale multiplies prices and sizes of the state by powers of ten, or
	// returns tick.ErrRange and changes nothing.
	Rescale(priceFactor, sizeFactor int64) error
	// Finish ends the input: what waits as a revision comes as Advance would
	// give it, open rows come with final unset, and not complete, because
	// their interval was not seen to its end. Open rows stay open.
	Finish(out *Out)
	// Begin says, before the first trade, that those older than this event time
	// were not seen by this indicator, whatever the coverage says.
	Begin(at int64)
	// AppendState appends the state, little-endian; equal states give equal bytes.
	AppendState(dst []byte) []byte
	// LoadState takes what AppendState of an equally configured indicator
	// gave and returns the bytes behind it. After an error the indicator is empty.
	LoadState(src []byte) (rest []byte, err error)
	// Reset forgets all trades. The scale that Rescale arrived at stays.
	Reset()
}

const (
	none  = math.MinInt64 // a time before every other
	never = math.MaxInt64 // a time behind every other
)

// slotsMax bounds what one indicator may hold: 1e6 slots are about 200 MB of
// bars, and more is a mistyped unit.
const slotsMax = 1_000_000

// header starts a row.
func (o *Out) header(kind tick.Kind, flags tick.RowFlags, tsNanos int64) tick.RowHeader {
	return tick.RowHeader{Kind: kind, Flags: flags, PriceDigits: o.PriceDigits, SizeDigits: o.SizeDigits,
		Instrument: o.Instrument, Source: tick.TimeExchange, TsNanos: tsNanos, ReceiveNanos: o.NowNanos}
}

// finalFlags are those of a row whose time is over.
func finalFlags(complete bool) tick.RowFlags {
	if complete {
		return tick.RowFinal | tick.RowComplete
	}
	return tick.RowFinal
}

// floorTo rounds down to a multiple of width, counted from 1970-01-01 00:00 UTC.
func floorTo(nanos, width int64) int64 {
	rest := nanos % width
	if rest < 0 {
		rest += width
	}
	return nanos - rest
}
