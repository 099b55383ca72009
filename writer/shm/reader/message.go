package reader

import (
	"tickproc/writer/shm/layout"
)

// Message is a copy of one message. It is large: make one and use it again.
type Message struct {
	Position uint64 // in its ring
	Lost     uint64 // slots that were overwritten unread just before it
	n        int
	words    [layout.MessageWordsMax]uint64
}

// Level is one price of a book's side; in a depth message size 0 removes it.
type Level struct{ Price, Size int64 }

// Int128 is a signed integer in two's complement.
type Int128 struct {
	Lo uint64
	Hi int64
}

// Kind says which of the methods below makes sense. Pass over the unknown.
func (m *Message) Kind() layout.Kind { return layout.Kind(m.words[0]) }

// Flags are those of package layout.
func (m *Message) Flags() uint8 { return uint8(m.words[0] >> 8) }

// Has reports whether a flag is set.
func (m *Message) Has(flag uint8) bool { return m.Flags()&flag != 0 }

// PriceDigits are the decimal places of the message's prices: they may grow.
func (m *Message) PriceDigits() uint8 { return uint8(m.words[0] >> 16) }

// SizeDigits are those of its sizes.
func (m *Message) SizeDigits() uint8 { return uint8(m.words[0] >> 24) }

// Instrument is its id, see Reader.Instrument.
func (m *Message) Instrument() uint32 { return uint32(m.words[0] >> 32) }

// Nanos is the time of the event, by the clock that Source says, since the epoch.
func (m *Message) Nanos() int64 { return int64(m.words[1]) }

// ReceiveNanos is when it reached the writer's process, by that machine's clock.
func (m *Message) ReceiveNanos() int64 { return int64(m.words[2]) }

// Source is the clock of Nanos: 0 the venue's, 1 ours, 2 ours moved by the
// estimated offset.
func (m *Message) Source() uint8 { return m.Flags() & layout.SourceMask }

// Words are the whole message, as in docs/shm.md; they are the Message's memory.
func (m *Message) Words() []uint64 { return m.words[:m.n] }

// Trade is one execution.
type Trade struct {
	Price, Size int64
	ID          Int128 // an integer, or 128 bits
	Sell        bool   // the aggressor sold
	Late        bool   // its bars are without it
}

// Trade reads a trade; of a liquidation without ID.
func (m *Message) Trade() Trade { return tradeOf(m.words[:]) }

func tradeOf(w []uint64) Trade {
	flags := uint8(w[0] >> 8)
	return Trade{Price: int64(w[3]), Size: int64(w[4]), ID: Int128{w[5], int64(w[6])}, Sell: flags&layout.FlagSell != 0, Late: flags&layout.FlagLate != 0}
}

// Quote is a best bid and offer; sizes are 0 where a side is empty.
type Quote struct {
	Bid, Ask Level
	Valid    bool
	FromBook bool
}

// Quote reads a quote.
func (m *Message) Quote() Quote { return quoteOf(m.words[:]) }

func quoteOf(w []uint64) Quote {
	flags := uint8(w[0] >> 8)
	return Quote{Bid: Level{int64(w[3]), int64(w[4])}, Ask: Level{int64(w[5]), int64(w[6])}, Valid: flags&layout.FlagValid != 0, FromBook: flags&layout.FlagBook != 0}
}

// Depth heads a change of a book, or all of it.
type Depth struct {
	LastID       uint64 // the venue's
	Bids, Levels int    // levels that are bids, and all of them
	Whole        bool   // forget the levels before
	More         bool   // the next depth message of the instrument goes on with it
}

// Depth reads a depth message. Its numbers are within what the message holds.
func (m *Message) Depth() Depth {
	levels := min(int(m.words[4]>>16&0xffff), max(0, m.n-layout.DepthHeadWords)/2)
	return Depth{LastID: m.words[3], Bids: min(int(m.words[4]&0xffff), levels), Levels: levels, Whole: m.Has(layout.FlagWhole), More: m.Has(layout.FlagMore)}
}

// Level reads the i-th level of a depth message, bids first.
func (m *Message) Level(i int) Level {
	return Level{int64(m.words[layout.DepthHeadWords+2*i]), int64(m.words[layout.DepthHeadWords+2*i+1])}
}

// Validity says whether the book is the venue's, and else why not.
func (m *Message) Validity() (valid bool, reason Reason) {
	return m.Has(layout.FlagValid), Reason(m.words[3])
}

// Bar is one interval, which begins at Nanos. Volumes have SizeDigits, Notional
// PriceDigits+SizeDigits, InverseBase 16 decimal places.
type Bar struct {
	IntervalNanos                           int64
	Open, High, Low, Close                  int64
	Volume, Notional, BuyVolume, SellVolume Int128
	InverseBase                             Int128
	Trades                                  uint64
	Rev                                     uint32
	Final, Complete                         bool
}

// Bar reads a bar.
func (m *Message) Bar() Bar {
	w := &m.words
	return Bar{IntervalNanos: int64(w[3]), Open: int64(w[4]), High: int64(w[5]), Low: int64(w[6]), Close: int64(w[7]),
		Volume: m.wide(8), Notional: m.wide(10), BuyVolume: m.wide(12), SellVolume: m.wide(14), InverseBase: m.wide(16),
		Trades: w[18], Rev: uint32(w[19]), Final: m.Has(layout.FlagFinal), Complete: m.Has(layout.FlagComplete)}
}

// Window is a VWAP over the span that ends at Nanos: Notional / Volume.
type Window struct {
	SpanNanos, StepNanos int64 // span 0 = the session
	Volume, Notional     Int128
	Trades               uint64
	Rev                  uint32
	Final, Complete      bool
}

// Window reads a window.
func (m *Message) Window() Window {
	w := &m.words
	return Window{SpanNanos: int64(w[3]), StepNanos: int64(w[4]), Volume: m.wide(5), Notional: m.wide(7), Trades: w[9], Rev: uint32(w[10]),
		Final: m.Has(layout.FlagFinal), Complete: m.Has(layout.FlagComplete)}
}

// Gap is an interval that was not seen, from Nanos to EndNanos, 0 while it lasts.
type Gap struct {
	EndNanos int64
	Lost     int64 // messages; -1 = unknown
	Channel  uint8 // a bit
	Reason   Reason
	Backfill uint8
	Ord      uint32
	Repaired bool
}

// Gap reads a gap. Equal Nanos, Channel, Reason and Ord are one gap.
func (m *Message) Gap() Gap {
	x := m.words[5]
	return Gap{EndNanos: int64(m.words[3]), Lost: int64(m.words[4]), Channel: uint8(x), Reason: Reason(x >> 8), Backfill: uint8(x >> 16), Ord: uint32(x >> 32),
		Repaired: m.Has(layout.FlagRepair)}
}

// Nbbo is the best bid and offer over all venues that trade the same. Each
// number has digits of its own.
type Nbbo struct {
	Bid, Ask                     Level
	BidInstrument, AskInstrument uint32 // whose, where the size is not 0
	Venues                       uint16
	BidDigits, BidSizeDigits     uint8
	AskDigits, AskSizeDigits     uint8
	Valid, Crossed               bool
}

// Nbbo reads a consolidated best bid and offer.
func (m *Message) Nbbo() Nbbo {
	w := &m.words
	return Nbbo{Bid: Level{int64(w[3]), int64(w[4])}, Ask: Level{int64(w[5]), int64(w[6])}, BidInstrument: uint32(w[7]), AskInstrument: uint32(w[7] >> 32),
		Venues: uint16(w[8]), BidDigits: uint8(w[8] >> 16), BidSizeDigits: uint8(w[8] >> 24), AskDigits: uint8(w[8] >> 32), AskSizeDigits: uint8(w[8] >> 40),
		Valid: m.Has(layout.FlagValid), Crossed: m.Has(layout.FlagCross)}
}

// Absent stands in Funding for what the venue has not told.
const Absent = -1 << 63

// Funding is what is known of reference prices and funding.
type Funding struct {
	Mark, Index, Rate                   int64
	NextNanos                           int64 // 0 = not told
	MarkDigits, IndexDigits, RateDigits uint8
}

// Funding reads it.
func (m *Message) Funding() Funding {
	w := &m.words
	return Funding{Mark: int64(w[3]), Index: int64(w[4]), Rate: int64(w[5]), NextNanos: int64(w[6]), MarkDigits: uint8(w[7]), IndexDigits: uint8(w[7] >> 8), RateDigits: uint8(w[7] >> 16)}
}

// OpenInterest is in the venue's quantity, at SizeDigits.
func (m *Message) OpenInterest() int64 { return int64(m.words[3]) }

// Status reads a change of the trading state.
func (m *Message) Status() (state, before State) { return State(m.words[3]), State(m.words[3] >> 8) }

func (m *Message) wide(at int) Int128 { return Int128{m.words[at], int64(m.words[at+1])} }
