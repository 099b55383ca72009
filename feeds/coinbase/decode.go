package coinbase

import (
	"errors"
	"unicode/utf8"

	"tickproc/feeds"
	"tickproc/feeds/wire"
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// decoder reads a frame by the shape of the one before, else
// {"channel":…,"timestamp":…,"sequence_num":…,"events":[…]} in
// one pass: events are converted where they stand as soon as channel and time
// are known (at this venue they come before) and the products are ones we know.
// Otherwise they are read again when all of the frame has proven well-formed,
// and then may introduce products.
// owner: the line's reading goroutine.
type decoder struct {
	wire.Frame

	// Of the frame being read.
	seen     keys
	channel  channel
	nanos    int64 // of the envelope
	number   uint64
	places   [keyCount]jsonscan.Value
	read     bool // the events were converted where they stood
	sure     bool // the frame is well-formed: products may be introduced
	again    bool // a product was not known while it was not sure
	unknown  jsonscan.Value
	passable bool // an error of this frame hides nothing that we follow

	// Of the socket.
	count   frameCount
	shapes  shapes
	answers int   // to requests, so far
	owed    []int // requests whose acknowledgement stood back behind a jump
}

// keys is a set of an object's keys.
type keys uint16

const (
	keyChannel = iota
	keyTime
	keyNumber
	keyEvents
	keyType
	keyMessage
	keyCount
)

// channel is what a frame is about.
type channel uint8

const (
	channelNone channel = iota
	channelDepth
	channelTrades
	channelTicker
	channelHeartbeats
	channelSubscriptions
	channelOther // documented, and not subscribed
	channelUnknown
)

func channelOf(name []byte) channel {
	switch string(name) {
	case "l2_data":
		return channelDepth
	case "market_trades":
		return channelTrades
	case "ticker":
		return channelTicker
	case "heartbeats":
		return channelHeartbeats
	case "subscriptions":
		return channelSubscriptions
	case "ticker_batch", "candles", "status", "user", "futures_balance_summary":
		// status says of a product only whether it is online; what may be done
		// with it is told by the catalog.
		return channelOther
	}
	return channelUnknown
}

// isData reports whether the channel's events become packets.
func (c channel) isData() bool {
	return c == channelDepth || c == channelTrades || c == channelTicker
}

// Decode implements feeds.Decoder. A frame that is not understood does not
// count, so that the next one shows a jump: what it held may have mattered. A
// frame that was seen before, or comes behind later ones, gives its trades at
// the most.
//
// hot: per frame, 0 allocs for market data.
func (d *decoder) Decode(dst []tick.Unit, frame []byte, at feeds.Stamp) ([]tick.Unit, feeds.Notice, error) {
	if d.Begin(dst, frame, at); d.byShape() {
		notice := feeds.Notice{}
		if len(d.Out) == len(dst) {
			notice.Kind = feeds.NoticeIgnored
		}
		out, notice := d.counted(d.Out, len(dst), notice)
		return out, notice, nil
	}
	out, notice, err := d.Run(d, dst, frame, at)
	if err != nil {
		if d.passable && (errors.Is(err, feeds.ErrUnknownSymbol) || errors.Is(err, feeds.ErrUnknownMessage)) {
			d.count.pass(d.number)
		}
		return out, notice, err
	}
	if d.channel == channelNone { // an error has no number
		return out, d.answered(notice), nil
	}
	d.learn(out[len(dst):])
	out, notice = d.counted(out, len(dst), notice)
	return out, notice, nil
}

// counted is what is left of a good frame's packets, which begin at from, and what
// is to be told, when its number is known.
func (d *decoder) counted(out []tick.Unit, from int, notice feeds.Notice) ([]tick.Unit, feeds.Notice) {
	p, lost := d.count.take(d.number)
	if p == late || p == past || p == duplicate {
		out = stragglers(out, from, p)
		if len(out) == from && (notice.Kind == feeds.NoticeNone || p != late) {
			notice = feeds.Notice{Kind: feeds.NoticeIgnored}
		}
	}
	if notice = d.answered(notice); p == jumped || p == anew {
		return out, d.jump(notice, p, lost)
	}
	return out, d.settle(notice)
}

// Read implements wire.Reader.
func (d *decoder) Read() {
	d.seen, d.channel, d.nanos, d.number = 0, channelNone, 0, 0
	d.read, d.sure, d.again, d.passable, d.unknown = false, false, false, false, jsonscan.Value{}
	base := len(d.Out)
	s := &d.Scan
	if s.Peek() != jsonscan.Object {
		s.Skip()
	} else {
		d.envelope()
	}
	if d.Complete() {
		d.dispatch(base)
	}
}

func (d *decoder) envelope() {
	s := &d.Scan
	for more := s.Object(); more; more = s.Next('}') {
		k := keyCount
		switch key := s.Key(); string(key) {
		case "channel":
			k = keyChannel
		case "timestamp":
			k = keyTime
		case "sequence_num":
			k = keyNumber
		case "events":
			k = keyEvents
		case "type":
			k = keyType
		case "message":
			k = keyMessage
		case "client_id":
		default:
			d.Strange("frame", key)
		}
		if k == keyCount {
			s.Skip()
			continue
		}
		if !d.once(&d.seen, k) {
			return
		}
		const before = 1<<keyChannel | 1<<keyTime
		if k == keyEvents && d.seen&before == before && d.channel.isData() && s.Peek() == jsonscan.Array {
			d.places[k] = jsonscan.Value{Kind: jsonscan.Array, Start: int32(s.At())}
			d.read = true
			d.events()
			continue
		}
		v := s.Value()
		d.places[k] = v
		switch k {
		case keyChannel:
			if v.Kind != jsonscan.String {
				d.Refuse("channel is no string")
				return
			}
			d.channel = channelOf(s.Bytes(v))
		case keyTime:
			d.nanos = d.nanosOf(v)
		case keyNumber:
			if v.Kind != jsonscan.Uint {
				d.Refuse("sequence_num is no whole number")
			}
			d.number = v.Uint
		}
	}
}

// once notes a key of an object; a second time is a fault: which of two values
// would be meant?
func (d *decoder) once(seen *keys, k int) bool {
	bit := keys(1) << k
	if *seen&bit != 0 {
		d.Refuse("a key stands twice")
		return false
	}
	*seen |= bit
	return true
}

// dispatch says what a well-formed frame is. base is where its packets begin.
func (d *decoder) dispatch(base int) {
	const enveloped = 1<<keyChannel | 1<<keyTime | 1<<keyNumber | 1<<keyEvents
	switch {
	case d.seen&(1<<keyChannel) == 0:
		d.bare()
		return
	case d.seen&enveloped != enveloped:
		d.Refuse("a frame lacks a key")
		return
	case d.places[keyEvents].Kind != jsonscan.Array:
		d.Refuse("events are no array")
		return
	}
	switch d.channel {
	case channelHeartbeats:
		d.Notify(feeds.NoticePong)
	case channelSubscriptions:
		d.Notify(feeds.NoticeAck)
	case channelOther:
		d.Notify(feeds.NoticeIgnored)
	case channelUnknown:
		d.passable = true
		d.strangeKind("channel", d.places[keyChannel])
	default:
		d.data(base)
	}
}

// data completes a frame of market data.
func (d *decoder) data(base int) {
	if !d.read || d.again {
		d.sure, d.Out = true, d.Out[:base]
		d.Scan.Seek(d.places[keyEvents])
		d.events()
	}
	switch {
	case !d.Sound() || len(d.Out) > base:
	case d.unknown.Kind == jsonscan.String:
		d.passable = true
		d.Fault(feeds.ErrUnknownSymbol, "product", d.Scan.Bytes(d.unknown))
	default:
		d.Notify(feeds.NoticeIgnored)
	}
}

// strangeKind refuses what is well-formed and of a kind nobody documented.
func (d *decoder) strangeKind(what string, v jsonscan.Value) {
	text := d.Scan.Bytes(v)
	d.Fault(feeds.ErrUnknownMessage, what, text)
	d.Table().Canary.Report(feeds.CanaryMessage, what+" "+string(text[:min(len(text), 64)]))
}

// events reads the array of events.
func (d *decoder) events() {
	s := &d.Scan
	for more := s.Array(); more; more = s.Next(']') {
		d.event()
	}
}

// event is one member of events: {"type":"update","product_id":…,"updates":[…]},
// {"type":…,"trades":[…]} or {"type":…,"tickers":[…]}.
type event struct {
	seen     keys
	snapshot bool
	product  jsonscan.Value
	body     jsonscan.Value
}

const (
	eventType = iota
	eventProduct
	eventBody
)

func (d *decoder) event() {
	s := &d.Scan
	var e event
	deferred := false
	for more := s.Object(); more; more = s.Next('}') {
		switch key := s.Key(); {
		case string(key) == "type":
			if !d.once(&e.seen, eventType) {
				return
			}
			v := s.Value()
			switch text := s.Bytes(v); {
			case v.Kind != jsonscan.String:
				d.Refuse("the type of an event is no string")
				return
			case string(text) == "snapshot":
				e.snapshot = true
			case string(text) != "update":
				d.strangeKind("event type", v)
			}
		case string(key) == "product_id" && d.channel == channelDepth:
			if !d.once(&e.seen, eventProduct) {
				return
			}
			e.product = s.Value()
		case d.isBody(key):
			if !d.once(&e.seen, eventBody) {
				return
			}
			if deferred = !d.bodyIsClear(e.seen); deferred {
				e.body = s.Value()
			} else {
				d.body(&e)
			}
		default:
			d.Strange("event", key)
			s.Skip()
		}
	}
	switch {
	case s.Failed():
		d.Refuse("broken event")
	case e.seen&(1<<eventBody) == 0 || !d.bodyIsClear(e.seen):
		d.Refuse("an event lacks a key")
	case deferred:
		behind := jsonscan.Value{Start: int32(s.At())}
		s.Seek(e.body)
		d.body(&e)
		if !s.Failed() {
			s.Seek(behind)
		}
	}
}

func (d *decoder) isBody(key []byte) bool {
	switch d.channel {
	case channelDepth:
		return string(key) == "updates"
	case channelTrades:
		return string(key) == "trades"
	}
	return string(key) == "tickers"
}

// bodyIsClear reports whether the keys say all that one must know of an event
// to read its body.
func (d *decoder) bodyIsClear(seen keys) bool {
	need := keys(1 << eventType)
	if d.channel == channelDepth {
		need |= 1 << eventProduct
	}
	return seen&need == need
}

func (d *decoder) body(e *event) {
	s := &d.Scan
	if s.Peek() != jsonscan.Array {
		d.Refuse("the body of an event is no array")
		return
	}
	switch d.channel {
	case channelDepth:
		if !d.find(e.product) {
			s.Skip()
			return
		}
		d.updates(e.snapshot)
	case channelTrades:
		d.trades(e.snapshot)
	case channelTicker:
		d.tickers()
	}
}

// find looks a product up. One that nobody subscribed is passed over: others
// may be in the same frame.
//
// hot: per product, 0 allocs.
func (d *decoder) find(product jsonscan.Value) bool {
	if product.Kind != jsonscan.String {
		d.Refuse("product_id is no string")
		return false
	}
	symbol := d.Scan.Bytes(product)
	switch {
	case d.Known(symbol):
		return true
	case !d.sure:
		d.again = true
		return false
	case plain(symbol) && d.Table().Lookup(symbol) == nil:
		d.unknown = product
		return false
	}
	return d.Lookup(symbol)
}

// plain reports whether a symbol can be looked up as it stands.
func plain(symbol []byte) bool {
	if len(symbol) == 0 || len(symbol) > 64 || !utf8.Valid(symbol) {
		return false
	}
	for _, c := range symbol {
		if c == '\\' {
			return false
		}
	}
	return true
}

// nanosOf reads a time as ns since the epoch. Zero, and no fault, is one that
// is none: the venue writes year 1 or 1970 where it has no time.
//
// hot: per time, 0 allocs.
func (d *decoder) nanosOf(v jsonscan.Value) int64 {
	if v.Kind == jsonscan.String {
		if n, ok := wire.ParseTime(d.Scan.Bytes(v)); ok {
			return n
		}
	}
	d.Refuse("a time is not in the form of RFC 3339")
	return 0
}
