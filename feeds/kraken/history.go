package kraken

import (
	"net/url"
	"strconv"
	"strings"

	"tickproc/feeds"
	"tickproc/feeds/wire"
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

const (
	historyPath = "/0/public/Trades"
	historyMax  = 1000 // trades in an answer
)

// Backfill goes on from the time of the last trade that is known: the venue
// gives the first ones behind a time. A ns earlier, because those of one moment
// would be passed over; what is told twice is known by its id.
func (*venue) Backfill(b *feeds.Backfill) (feeds.TradesRequest, tick.Backfill) {
	since := b.FromNanos
	if p, ok := b.Last(); ok {
		switch {
		case p.Refused:
			return feeds.TradesRequest{}, tick.BackfillNotOffered
		case p.Trades > 0 && p.LastID >= b.ToID:
			return feeds.TradesRequest{}, tick.BackfillWhole // whether none is missing in it the shard knows
		case p.Trades < historyMax: // it exists: a later one was seen
			return feeds.TradesRequest{}, tick.BackfillFailed
		case p.LastNanos <= since, len(b.Pages) > 1 && b.Pages[len(b.Pages)-2].LastNanos >= p.LastNanos:
			return feeds.TradesRequest{}, tick.BackfillPartly // more in a moment than an answer holds
		}
		since = p.LastNanos
	}
	return feeds.TradesRequest{Request: feeds.Request{Weight: 1, URL: restURL + historyPath + "?pair=" + url.QueryEscape(restPair(b.Instrument.Symbol)) +
		"&since=" + strconv.FormatInt(since-1, 10) + "&count=" + strconv.Itoa(historyMax)}}, tick.BackfillPending
}

// Aggregates: the venue has none.
func (*venue) Aggregates([]byte, uint64, uint64) (feeds.Page, uint64, error) {
	return feeds.Page{}, 0, feeds.ErrUnknownMessage
}

// restPair is a symbol in REST's spelling: XBTUSD for BTC/USD.
func restPair(symbol string) string {
	old := func(name string) string {
		switch name {
		case "BTC":
			return "XBT"
		case "DOGE":
			return "XDG"
		}
		return name
	}
	base, quote, _ := strings.Cut(symbol, "/")
	return old(base) + old(quote)
}

// symbolOf is the way back, to a symbol of the table: "" if there is none.
func symbolOf(pair string, table *feeds.Table) string {
	for i := 1; i < len(pair); i++ {
		if symbol := asset(pair[:i]) + "/" + asset(pair[i:]); table.Known([]byte(symbol)) != nil {
			return symbol
		}
	}
	// A capture's table learns as it reads. Most quotes have three or four letters.
	for _, i := range []int{len(pair) - 3, len(pair) - 4} {
		if i > 0 {
			if symbol := asset(pair[:i]) + "/" + asset(pair[i:]); table.Lookup([]byte(symbol)) != nil {
				return symbol
			}
		}
	}
	return ""
}

// DecodeREST finds past trades alone: all else are streams.
func (*venue) DecodeREST(dst []tick.Unit, address string, body []byte, table *feeds.Table, at feeds.Stamp, _ uint64) ([]tick.Unit, error) {
	u, err := url.Parse(address)
	if err != nil || !strings.HasSuffix(u.Path, historyPath) {
		return dst, nil
	}
	h := &history{pair: u.Query().Get("pair")}
	h.Init(venueName, table)
	dst, _, err = h.Run(h, dst, body, at)
	return dst, err
}

// history reads {"error":[],"result":{"XXBTZUSD":[[price, size, seconds, "b",
// "m", "", id],…],"last":"…"}}. Errors are HTTP 200.
type history struct {
	wire.Frame
	pair  string
	seen  [2]bool // error, result
	fault jsonscan.Value
	lists int
}

// Read implements wire.Reader.
func (h *history) Read() {
	base := len(h.Out)
	h.seen, h.fault, h.lists = [2]bool{}, jsonscan.Value{}, 0
	s := &h.Scan
	s.Skip()
	if !h.Complete() {
		return
	}
	// Nobody is introduced by a document that may prove broken.
	symbol := symbolOf(h.pair, h.Table())
	if symbol == "" {
		h.Fault(feeds.ErrUnknownSymbol, "pair", []byte(h.pair))
		return
	}
	if !h.Lookup([]byte(symbol)) {
		return
	}
	if s.Seek(jsonscan.Value{}); s.Peek() == jsonscan.Object {
		h.document()
	} else {
		s.Skip()
	}
	switch {
	case !h.Complete():
	case h.fault.Kind == jsonscan.String:
		h.Fault(feeds.ErrUnknownMessage, "trades refused:", s.Bytes(h.fault))
	case h.lists != 1:
		h.Fault(feeds.ErrUnknownMessage, "no list of trades", nil)
	default:
		h.Fetched(base, false)
	}
}

func (h *history) document() {
	s := &h.Scan
	for more := s.Object(); more; more = s.Next('}') {
		k := 0
		switch string(s.Key()) {
		case "error":
		case "result":
			k = 1
		default:
			s.Skip()
			continue
		}
		if h.seen[k] {
			h.Refuse("a key stands twice")
			return
		}
		h.seen[k] = true
		switch {
		case k == 0 && s.Peek() == jsonscan.Array:
			for e := s.Array(); e; e = s.Next(']') {
				h.fault = s.Value()
			}
		case k == 1 && s.Peek() == jsonscan.Object:
			h.result()
		default:
			s.Skip()
		}
	}
}

func (h *history) result() {
	s := &h.Scan
	for more := s.Object(); more; more = s.Next('}') {
		key := s.Key()
		if string(key) == "last" || s.Peek() != jsonscan.Array {
			s.Skip()
			continue
		}
		if h.lists++; h.lists > 1 {
			h.Refuse("trades of two pairs")
			return
		}
		for trade := s.Array(); trade; trade = s.Next(']') {
			if h.trade(); !h.Sound() {
				return
			}
		}
	}
}

// Places of a trade's elements. Behind the id there may be more one day.
const (
	atPrice = iota
	atSize
	atTime
	atSide
	atType
	atMisc
	atID
	elements
)

func (h *history) trade() {
	s := &h.Scan
	if s.Peek() != jsonscan.Array {
		h.Refuse("a trade is no array")
		return
	}
	var values [elements]jsonscan.Value
	n := 0
	for more := s.Array(); more; more = s.Next(']') {
		v := s.Value()
		if n < elements {
			values[n] = v
		}
		n++
	}
	switch {
	case s.Failed():
		return
	case n < elements || values[atID].Kind != jsonscan.Uint || values[atSide].Kind != jsonscan.String:
		h.Refuse("a trade lacks an element")
		return
	}
	var flags tick.Flags
	switch string(s.Bytes(values[atSide])) { // the taker's
	case "s":
		flags = tick.FlagSell
	case "b":
	default:
		h.Refuse("a side is neither b nor s")
		return
	}
	seconds := h.Number(values[atTime])
	nanos, err := seconds.Scaled(9)
	if err != nil && seconds.Digits > 9 {
		// Finer than ns: the rest is no time.
		nanos = seconds.Mantissa / tick.Pow10(seconds.Digits-9)
	} else if err != nil {
		nanos = 0
	}
	h.Trade(flags, tick.ID{Lo: values[atID].Uint}, h.Price(values[atPrice]), h.Size(values[atSize]), max(nanos, 0))
}
