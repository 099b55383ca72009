package binance

import (
	"tickproc/feeds/wire"
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// shapes are of the messages that come by the thousand, as this line's socket
// writes them.
type shapes struct {
	trade, quote, depth shape
	alike               wire.Alike    // trades and quotes
	nameEnd             int           // of the stream that was read by its shape last
	parts               [12]wire.Part // scratch
}

type shape struct {
	wire.Shape
	known
}

// known is what is known of messages that are not read in full.
type known struct {
	time  field      // whose time counts; fieldNone = there is none
	flags tick.Flags // of a trade, as far as text tells them
	quote bool       // it is no trade
}

// tag is k as a number, and knownOf that as k.
func (k known) tag() (tag uint32) {
	if tag = uint32(k.time) | uint32(k.flags)<<8; k.quote {
		tag |= 1 << 16
	}
	return tag
}

func knownOf(tag uint32) known {
	return known{time: field(tag), flags: tick.Flags(tag >> 8), quote: tag>>16 != 0}
}

// alike reads the frame if it differs from another in digits alone. due reports
// that it does not, and is to be read in full.
//
// hot: per frame, 0 allocs.
func (d *decoder) alike() (due, ok bool) {
	// Levels are never alike. This is most likely where the stream is told.
	if t, i := d.Scan.Text(), d.shapes.nameEnd; i >= 0 && i < len(t)-2 && t[i] == '@' && t[i+1] == 'd' {
		return false, false
	}
	tag, due, ok := d.MatchAlike(&d.shapes.alike)
	if !ok {
		return due, false
	}
	k := knownOf(tag)
	if k.quote {
		return false, d.shapedQuote(k)
	}
	return false, d.shapedTrade(k)
}

// byShape reads the frame by the shape of its stream's messages. False leaves it
// to be read in full, which is also where faults are found and told.
//
// hot: per frame, 0 allocs.
func (d *decoder) byShape() bool {
	t := d.Scan.Text()
	const head = `{"stream":"`
	if len(t) < 64 || string(t[:len(head)]) != head {
		return false
	}
	at := jsonscan.Until(t, len(head), '@')
	if at < 0 || at >= len(t)-1 {
		return false
	}
	d.shapes.nameEnd = at
	switch t[at+1] {
	case 't':
		return d.Match(&d.shapes.trade.Shape, at) && d.shapedTrade(d.shapes.trade.known)
	case 'b':
		return d.Match(&d.shapes.quote.Shape, at) && d.shapedQuote(d.shapes.quote.known)
	case 'd':
		return d.Match(&d.shapes.depth.Shape, at) && d.shapedDelta()
	}
	return false
}

func (d *decoder) shapedTrade(k known) bool {
	n := &d.Numbers
	price, size := n[fieldPrice], n[fieldSize]
	if price == 0 || size == 0 {
		return false // allowed or not, it is read in full
	}
	flags := k.flags
	if n[fieldMaker] != 0 {
		flags |= tick.FlagSell
	}
	d.Trade(flags, tick.ID{Lo: uint64(n[fieldTradeID])}, price, size, d.shapedTime(k.time))
	return true
}

func (d *decoder) shapedQuote(k known) bool {
	n := &d.Numbers
	bid := tick.Level{Price: n[fieldBids], Size: n[fieldBidSize]}
	ask := tick.Level{Price: n[fieldAsks], Size: n[fieldAskSize]}
	if bid.Price == 0 || ask.Price == 0 {
		return false
	}
	d.Quote(uint64(n[fieldLastID]), bid, ask, d.shapedTime(k.time))
	return true
}

func (d *decoder) shapedDelta() bool {
	n := &d.Numbers
	head := tick.Depth{FirstID: uint64(n[fieldFirstID]), LastID: uint64(n[fieldLastID])}
	if d.market.futures {
		head.PrevID = uint64(n[fieldPrevID])
	}
	if head.FirstID > head.LastID {
		return false
	}
	head.Header = d.At.Header(tick.KindDepth, d.Instrument(), d.shapedTime(d.shapes.depth.time))
	d.Out = d.Depth.Finish(head)
	return true
}

func (d *decoder) shapedTime(f field) int64 {
	if f == fieldNone {
		return 0
	}
	return nanosOf(uint64(d.Numbers[f%wire.FieldsMax]))
}

// Fields whose values differ from message to message; all others are text.
var (
	tradeForms = forms{fieldStream: wire.FormName, fieldSymbol: wire.FormSymbol, fieldEventTime: wire.FormDigits, fieldTime: wire.FormDigits,
		fieldTradeID: wire.FormDigits, fieldPrice: wire.FormPrice, fieldSize: wire.FormSize, fieldMaker: wire.FormTruth}
	quoteForms = forms{fieldStream: wire.FormName, fieldSymbol: wire.FormSymbol, fieldEventTime: wire.FormDigits, fieldTime: wire.FormDigits,
		fieldLastID: wire.FormDigits, fieldBids: wire.FormPrice, fieldBidSize: wire.FormSize, fieldAsks: wire.FormPrice, fieldAskSize: wire.FormSize}
	depthForms = forms{fieldStream: wire.FormName, fieldSymbol: wire.FormSymbol, fieldEventTime: wire.FormDigits, fieldTime: wire.FormDigits,
		fieldFirstID: wire.FormDigits, fieldLastID: wire.FormDigits, fieldPrevID: wire.FormDigits, fieldBids: wire.FormLevels, fieldAsks: wire.FormLevels}
)

type forms [fieldCount]wire.Form

// learn takes the shape of a message that was read in full and is good.
func (d *decoder) learn(x *shape, forms *forms, flags tick.Flags) {
	if d.snapshot != nil || !d.Sound() || d.Again() || !d.has(fieldStream) || d.strange != nil && !unused[string(d.strange)] {
		return
	}
	// Asks before bids would be taken for bids.
	if forms[fieldBids] == wire.FormLevels && d.values[fieldBids].Start > d.values[fieldAsks].Start {
		return
	}
	parts := d.shapes.parts[:0]
	for f, form := range forms {
		if form != 0 && d.has(field(f)) {
			if field(f) == fieldEventTime && d.has(fieldTime) {
				form = wire.FormUnused
			}
			parts = append(parts, wire.Part{Value: d.values[f], Form: form, Field: uint8(f)})
		}
	}
	k := known{flags: flags, quote: x == &d.shapes.quote}
	if d.has(fieldTime) {
		k.time = fieldTime
	} else if d.has(fieldEventTime) {
		k.time = fieldEventTime
	}
	d.LearnAlike(&d.shapes.alike, parts, k.tag())
	if x.Learn(d.Scan.Text(), parts) {
		x.known = k
	}
}
