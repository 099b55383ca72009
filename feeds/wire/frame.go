// Package wire holds what the decoders of all venues do alike: reading numbers
// at the scale that a line uses for an instrument, and again at a finer one,
// finding instruments, collecting levels, and saying what is wrong.
//
//	frame ─► Frame.Run ─► Reader.Read: scan ─► Lookup, Price, Size, Depth ─► packets
//	              ▲                               │ a number finer than the scale
//	              └── again, behind a rescale ────┘
//
// A venue's decoder embeds a Frame and is its Reader. Frames stay the
// caller's; what is returned points into the caller's units.
package wire

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"tickproc/feeds"
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// Reader reads one frame, which Frame.Scan stands before. It may be asked to
// read the same frame twice, and must then give the same again: what it counts
// or remembers of a frame it does after Run, or so that twice is once.
type Reader interface{ Read() }

// Frame is the message being read.
// owner: the line's reading goroutine.
type Frame struct {
	Scan jsonscan.Scanner
	At   feeds.Stamp
	// Out has the packets so far, behind those that were there before.
	Out    []tick.Unit
	Notice feeds.Notice
	// Depth collects the levels of a message, bids before asks.
	Depth DepthWriter
	// Numbers are those of a message that Match has read, by field.
	Numbers [FieldsMax]int64

	venue string
	table *feeds.Table
	err   error
	entry *feeds.Entry // whom the message is about
	price uint8        // the scale of this attempt
	size  uint8
	// levelPrice and levelSize are how the last levels were written, and the last
	// that were written otherwise.
	levelPrice, levelSize [2]jsonscan.Like
	foursShort            uint8 // texts of Fours that were not as the one before
	finer                 []finer
	symbol                [64]byte
	day                   day
	odd                   bool                // the frame has an unknown key
	strange               map[string]struct{} // unknown keys that were told
}

// finer is a scale that a number of this frame asked for.
type finer struct {
	entry       *feeds.Entry
	price, size uint8
}

// errFiner: the frame must be read again at a finer scale.
var errFiner = errors.New("finer than the scale")

// rescalesMax bounds the readings of one frame: more instruments than that
// never become finer at once.
const rescalesMax = 256

// Init sets whose frames are read, and where instruments are found.
func (f *Frame) Init(venue string, table *feeds.Table) { f.venue, f.table = venue, table }

// Table is where instruments are found.
func (f *Frame) Table() *feeds.Table { return f.table }

// Begin stands before a frame, for Match. Run, which reads it in full, begins
// anew.
func (f *Frame) Begin(dst []tick.Unit, frame []byte, at feeds.Stamp) {
	f.At, f.Out, f.err, f.entry, f.finer = at, dst, nil, nil, f.finer[:0]
	f.Scan.Reset(frame)
}

// Run reads a frame with r and returns dst with its packets: all of them or,
// with an error, none.
//
// hot: per frame, 0 allocs for market data.
func (f *Frame) Run(r Reader, dst []tick.Unit, frame []byte, at feeds.Stamp) ([]tick.Unit, feeds.Notice, error) {
	f.At, f.odd = at, false
	f.finer = f.finer[:0]
	for range rescalesMax {
		f.Out, f.Notice, f.err, f.entry = dst, feeds.Notice{}, nil, nil
		for _, n := range f.finer {
			f.Out = tick.AppendRescale(f.Out, at.Header(tick.KindRescale, n.entry.ID, 0), n.price, n.size)
		}
		f.Scan.Reset(frame)
		r.Read()
		if f.err != errFiner {
			break
		}
	}
	if f.err != nil {
		return dst, feeds.Notice{}, f.err
	}
	for _, n := range f.finer {
		n.entry.PriceDigits, n.entry.SizeDigits = n.price, n.size
	}
	return f.Out, f.Notice, nil
}

// Sound reports that no fault was found so far: a finer number is none.
func (f *Frame) Sound() bool { return f.err == nil || f.err == errFiner }

// Odd reports that the frame has a key that no documented message has.
func (f *Frame) Odd() bool { return f.odd }

// Again reports that the frame is read once more, at a finer scale.
func (f *Frame) Again() bool { return len(f.finer) > 0 }

// Refuse makes the message malformed, unless it has a fault already, and ends
// the scan. what says which rule it breaks; it quotes nothing, so that a large
// frame makes no large error.
func (f *Frame) Refuse(what string) {
	if f.Sound() {
		at := f.Scan.At()
		if f.Scan.Failed() {
			at = f.Scan.FailedAt()
		}
		f.err = fmt.Errorf("%s: %w: %s at byte %d", f.venue, feeds.ErrMalformed, what, at)
	}
	f.Scan.Fail()
}

// Fault gives the message a fault of a kind, with some of its text, unless it
// has one already.
func (f *Frame) Fault(kind error, what string, text []byte) {
	if f.Sound() {
		f.err = fmt.Errorf("%s: %w: %s %.64q", f.venue, kind, what, text)
	}
}

// Notify makes the message a notice, whatever its numbers were like.
func (f *Frame) Notify(kind feeds.NoticeKind) { f.Notice.Kind, f.err = kind, nil }

// Complete reads to the end of the text; false, and a fault, if it is broken.
func (f *Frame) Complete() bool {
	if !f.Scan.End() {
		f.Refuse("broken JSON")
	}
	return f.Sound()
}

// Lookup finds whom the message is about, and the scale; false is a fault.
func (f *Frame) Lookup(symbol []byte) bool {
	if f.entry = f.table.Known(symbol); f.entry == nil {
		f.discover(symbol)
	}
	if f.entry == nil {
		return false
	}
	f.scale()
	return true
}

// Known is Lookup in a frame that may still prove broken: nobody is
// discovered, and false is no fault.
func (f *Frame) Known(symbol []byte) bool {
	if f.entry = f.table.Known(symbol); f.entry == nil {
		return false
	}
	f.scale()
	return true
}

// Instrument is the id of whom the last Lookup found.
func (f *Frame) Instrument() uint32 { return f.entry.ID }

// Entry is whom the last Lookup found; nil if nobody.
func (f *Frame) Entry() *feeds.Entry { return f.entry }

// discover is Lookup's rare way: symbols with escapes, new ones, wrong ones.
func (f *Frame) discover(symbol []byte) {
	if len(symbol) <= 6*len(f.symbol) {
		symbol = jsonscan.AppendUnescaped(f.symbol[:0], symbol)
	}
	if len(symbol) == 0 || len(symbol) > len(f.symbol) || !utf8.Valid(symbol) {
		f.Refuse("no usable symbol")
	}
	if !f.Sound() {
		return
	}
	if f.entry = f.table.Lookup(symbol); f.entry == nil {
		f.err = fmt.Errorf("%s: %w: %q", f.venue, feeds.ErrUnknownSymbol, symbol)
	}
}

func (f *Frame) scale() {
	f.price, f.size = f.entry.PriceDigits, f.entry.SizeDigits
	for i := range f.finer {
		if n := &f.finer[i]; n.entry == f.entry {
			f.price, f.size = n.price, n.size
		}
	}
}

// Scale is the digits of prices and sizes at which this reading is made.
func (f *Frame) Scale() (price, size uint8) { return f.price, f.size }

// Price reads a price, in quotes or bare, at the instrument's scale. One that
// is finer stands in as 1 until the frame is read again.
//
// hot: per number, 0 allocs.
func (f *Frame) Price(v jsonscan.Value) int64 {
	if n, plain := f.Scan.Plain(v, f.price); plain {
		return n
	}
	return f.number(v, f.price, true)
}

// Size reads a size, likewise.
//
// hot: per number, 0 allocs.
func (f *Frame) Size(v jsonscan.Value) int64 {
	if n, plain := f.Scan.Plain(v, f.size); plain {
		return n
	}
	return f.number(v, f.size, false)
}

func (f *Frame) number(v jsonscan.Value, digits uint8, isPrice bool) int64 {
	switch v.Kind {
	case jsonscan.String, jsonscan.Uint, jsonscan.Number:
	default:
		f.Refuse("no number where one must be")
		return 0
	}
	text := f.Scan.Bytes(v)
	n, err := tick.ParseScaled(text, digits)
	switch {
	case err == nil:
	case err == tick.ErrFiner:
		exact, _ := tick.ParseNumber(text)
		f.refine(isPrice, exact.Digits)
		return 1
	case err != tick.ErrRange:
		f.Refuse("no number where one must be")
	case f.Sound():
		f.err = fmt.Errorf("%s: %w: %.40q with %d decimal places", f.venue, feeds.ErrNumberRange, text, digits)
	}
	return n
}

// refine notes that a number of the instrument needs more digits.
func (f *Frame) refine(isPrice bool, digits uint8) {
	at := -1
	for i := range f.finer {
		if f.finer[i].entry == f.entry {
			at = i
		}
	}
	if at < 0 {
		at = len(f.finer)
		f.finer = append(f.finer, finer{f.entry, f.entry.PriceDigits, f.entry.SizeDigits})
	}
	n := &f.finer[at]
	if isPrice {
		n.price = max(n.price, digits)
	} else {
		n.size = max(n.size, digits)
	}
	if f.err == nil {
		f.err = errFiner
	}
}

// Number reads a number exactly, at its own digits: reference prices and rates
// have no scale of the instrument's.
func (f *Frame) Number(v jsonscan.Value) tick.Number {
	switch v.Kind {
	case jsonscan.String, jsonscan.Uint, jsonscan.Number:
		n, err := tick.ParseNumber(f.Scan.Bytes(v))
		if err == nil {
			return n
		}
		if err == tick.ErrRange && f.Sound() {
			f.err = fmt.Errorf("%s: %w: %.40q", f.venue, feeds.ErrNumberRange, f.Scan.Bytes(v))
			return tick.Number{}
		}
	}
	f.Refuse("no number where one must be")
	return tick.Number{}
}

// Level reads an array of which the first two elements are price and size, in
// any spelling; further ones do not count.
//
// hot: per level, 0 allocs.
func (f *Frame) Level() (price, size int64) {
	s := &f.Scan
	price, size, plain := s.Pair(f.price, f.size)
	if plain {
		return price, size
	}
	if s.Array() {
		price = f.Price(s.Value())
		if s.Next(']') {
			size = f.Size(s.Value())
			for s.Next(']') {
				s.Skip()
			}
			return price, size
		}
	}
	f.Refuse("a level is no pair")
	return 0, 0
}

// Side reads an array of such levels into Depth.
//
// hot: per level, 0 allocs.
func (f *Frame) Side() {
	s := &f.Scan
	for more := s.Array(); more; more = s.Next(']') {
		from := s.At()
		s.Move(f.plainLevels(s.Text(), from))
		if t, at := s.Text(), s.At(); at > from && t[at-1] == ']' {
			continue
		}
		price, size := f.Level()
		if !f.ValidLevel(price, size) {
			return
		}
		f.Depth.Add(price, size)
	}
	if f.Scan.Failed() {
		f.Refuse("broken levels")
	}
}

// ValidLevel refuses the message unless price and size can be a level's.
func (f *Frame) ValidLevel(price, size int64) bool {
	if price <= 0 || size < 0 {
		f.Refuse("a level needs a price above 0 and a size from 0")
		return false
	}
	return true
}

// Trade appends a trade of the instrument. nanos is the venue's matching time.
//
// hot: per trade, 0 allocs.
func (f *Frame) Trade(flags tick.Flags, id tick.ID, price, size, nanos int64) {
	// Trades that are none of the market's, such as an insurance fund's, come with zeros.
	if price < 0 || size < 0 || (price == 0 || size == 0) && flags&tick.FlagNotMarket == 0 {
		f.Refuse("a trade needs a price and a size above 0")
		return
	}
	h := f.At.Header(tick.KindTrade, f.entry.ID, nanos)
	h.Flags |= flags
	*f.unit().Trade() = tick.Trade{Header: h, ID: id, Price: price, Size: size}
}

// Liquidation appends a forced order of the instrument: flags say its side.
func (f *Frame) Liquidation(flags tick.Flags, price, size, nanos int64) {
	if price <= 0 || size <= 0 {
		f.Refuse("a liquidation needs a price and a size above 0")
		return
	}
	h := f.At.Header(tick.KindLiquidation, f.entry.ID, nanos)
	h.Flags |= flags
	*f.unit().Trade() = tick.Trade{Header: h, Price: price, Size: size}
}

// unit appends a unit, which may hold anything.
func (f *Frame) unit() *tick.Unit {
	if len(f.Out) == cap(f.Out) {
		f.grow()
	}
	f.Out = f.Out[:len(f.Out)+1]
	return &f.Out[len(f.Out)-1]
}

// grow makes room for some units more.
func (f *Frame) grow() { f.Out = slices.Grow(f.Out, 8) }

// Quote appends a best bid and offer of the instrument; an empty side is
// zero. id is the venue's, 0 where there is none; nanos 0 = no time given.
//
// hot: per quote, 0 allocs.
func (f *Frame) Quote(id uint64, bid, ask tick.Level, nanos int64) {
	if !quotable(bid) || !quotable(ask) {
		f.Refuse("a quote needs prices above 0 and sizes from 0")
		return
	}
	head := tick.Depth{Header: f.At.Header(tick.KindQuote, f.entry.ID, nanos), FirstID: id, LastID: id, Bids: 1, LevelCount: 2}
	*f.unit().Depth() = head
	*f.unit() = tick.Unit{uint64(bid.Price), uint64(bid.Size), uint64(ask.Price), uint64(ask.Size)}
}

// quotable reports whether a side of a quote can be such.
func quotable(l tick.Level) bool {
	return l.Price >= 0 && l.Size >= 0 && (l.Price > 0 || l.Size == 0)
}

// Reference is what a message tells of a derivative's reference prices and
// funding.
type Reference struct {
	Mark, Index, Rate          tick.Number
	HasMark, HasIndex, HasRate bool
	NextFundingNanos           int64 // 0 = not told
}

// Mark appends reference prices of the instrument, if any are told.
func (f *Frame) Mark(r Reference, nanos int64) {
	if !r.HasMark && !r.HasIndex && !r.HasRate && r.NextFundingNanos == 0 {
		return
	}
	digits := uint8(0)
	if r.HasMark {
		digits = r.Mark.Digits
	}
	if r.HasIndex {
		digits = max(digits, r.Index.Digits)
	}
	scaled := func(has bool, n tick.Number, digits uint8) int64 {
		if !has {
			return tick.Absent
		}
		v, err := n.Scaled(digits)
		if err != nil && f.Sound() {
			f.err = fmt.Errorf("%s: %w: %v with %d decimal places", f.venue, feeds.ErrNumberRange, n, digits)
		}
		return v
	}
	var p []tick.Unit
	f.Out, p = tick.AppendUnits(f.Out, 1)
	m := p[0].Mark()
	m.Header = f.At.Header(tick.KindMark, f.entry.ID, nanos)
	m.PriceDigits, m.RateDigits = digits, r.Rate.Digits
	m.Mark, m.Index = scaled(r.HasMark, r.Mark, digits), scaled(r.HasIndex, r.Index, digits)
	m.FundingRate = scaled(r.HasRate, r.Rate, r.Rate.Digits)
	if s := r.NextFundingNanos / 1e9; s > 0 && s <= 1<<32-1 {
		m.NextFundingSeconds = uint32(s)
	}
}

// OpenInterest appends the open interest of the instrument, in the venue's
// quantity.
func (f *Frame) OpenInterest(n tick.Number, nanos int64) {
	if n.Mantissa < 0 {
		f.Refuse("a negative open interest")
		return
	}
	var p []tick.Unit
	f.Out, p = tick.AppendUnits(f.Out, 1)
	o := p[0].OpenInterest()
	o.Header = f.At.Header(tick.KindOpenInterest, f.entry.ID, nanos)
	o.Size, o.SizeDigits = n.Mantissa, n.Digits
}

// Status appends a trading state of the instrument.
func (f *Frame) Status(state tick.State, nanos int64) {
	var p []tick.Unit
	f.Out, p = tick.AppendUnits(f.Out, 1)
	s := p[0].Status()
	s.Header = f.At.Header(tick.KindStatus, f.entry.ID, nanos)
	s.State = state
}

// strangeMax bounds the unknown keys that a line remembers.
const strangeMax = 64

// Strange tells the canary of a key that no documented message of this kind
// has, once: a venue that changes its protocol begins so.
func (f *Frame) Strange(message string, key []byte) {
	f.odd = true
	if f.table.Canary == nil || len(f.strange) >= strangeMax || len(key) > 64 {
		return
	}
	if _, told := f.strange[string(key)]; told {
		return
	}
	if f.strange == nil {
		f.strange = map[string]struct{}{}
	}
	f.strange[string(key)] = struct{}{}
	f.table.Canary.Report(feeds.CanaryField, message+"."+string(key))
}
