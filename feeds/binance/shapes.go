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
	nameEnd             int           // where the last stream's name ended
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
	kind  byte       // that the stream's name has behind the symbol
}

// tag is k as a number, and knownOf that as k.
func (k known) tag() uint32 { return uint32(k.time) | uint32(k.flags)<<8 | uint32(k.kind)<<16 }

func knownOf(tag uint32) known {
	return known{field(tag), tick.Flags(tag >> 8), byte(tag >> 16)}
}

// alike reads the frame if it differs from another in digits alone, levels apart.
// due reports that it does not, and is to be read in full.
//
// hot: per frame, 0 allocs.
func (d *decoder) alike() (due, ok bool) {
	t, at := d.Scan.Text(), d.shapes.nameEnd
	// Names are often as long as the last. If this is another sign, nothing is found.
	if at < 0 || at >= len(t)-1 || t[at] != '@' {
		if at = jsonscan.Until(t, len(head), '@'); at < 0 || at >= len(t)-1 {
			return false, false
		}
		d.shapes.nameEnd = at
	}
	var tag uint32
	if t[at+1] == 'd' {
		tag, due, ok = d.MatchAlikeLevels(&d.shapes.alike)
	} else {
		tag, due, ok = d.MatchAlike(&d.shapes.alike)
	}
	if !ok {
		return due, false
	}
	switch k := knownOf(tag); k.kind {
	case 't':
		return false, d.shapedTrade(k)
	case 'b':
		return false, d.shapedQuote(k)
	default:
		return false, d.shapedDelta(k)
	}
}

// head is what frames begin with; the stream's name follows.
const head = `{"stream":"`

// byShape reads the frame by the shape of its stream's messages. False leaves it
// to be read in full, which is also where faults are found and told.
//
// hot: per frame, 0 allocs.
func (d *decoder) byShape() bool {
	t := d.Scan.Text()
	if len(t) < 64 || string(t[:len(head)]) != head {
		return false
	}
	at := jsonscan.Until(t, len(head), '@')
	if at < 0 || at >= len(t)-1 {
		return false
	}
	switch t[at+1] {
	case 't':
		return d.Match(&d.shapes.trade.Shape, at) && d.shapedTrade(d.shapes.trade.known)
	case 'b':
		return d.Match(&d.shapes.quote.Shape, at) && d.shapedQuote(d.shapes.quote.known)
	case 'd':
		return d.Match(&d.shapes.depth.Shape, at) && d.shapedDelta(d.shapes.depth.known)
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

func (d *decoder) shapedDelta(k known) bool {
	n := &d.Numbers
	head := tick.Depth{FirstID: uint64(n[fieldFirstID]), LastID: uint64(n[fieldLastID])}
	if d.market.futures {
		head.PrevID = uint64(n[fieldPrevID])
	}
	if head.FirstID > head.LastID {
		return false
	}
	head.Header = d.At.Header(tick.KindDepth, d.Instrument(), d.shapedTime(k.time))
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
func (d *decoder) learn(x *shape, kind byte, forms *forms, flags tick.Flags) {
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
	k := known{flags: flags, kind: kind}
	if d.has(fieldTime) {
		k.time = fieldTime
	} else if d.has(fieldEventTime) {
		k.time = fieldEventTime
	}
	if wire.Sort(parts); x.Learn(d.Scan.Text(), parts) {
		x.known = k
	}
	d.LearnAlike(&d.shapes.alike, parts, k.tag())
}
