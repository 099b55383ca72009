package sim

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tickproc/tick"
)

// binance is the dialect of Binance's spot, USD-M and COIN-M markets.
type binance struct{ venue string }

const (
	// streamsMax is the limit of streams on a connection.
	streamsMax = 1024
	// anyTier stands for both of USD-M's public tiers.
	anyTier = "*"
)

func (b *binance) futures() bool { return b.venue != BinanceSpot }

func (b *binance) depthEvery() time.Duration {
	switch b.venue {
	case BinanceUSDM:
		return 50 * time.Millisecond
	case BinanceCOINM:
		return 10 * time.Millisecond
	}
	return 100 * time.Millisecond
}

func (b *binance) pingEvery() time.Duration {
	if b.futures() {
		return 3 * time.Minute
	}
	return 20 * time.Second
}

func (b *binance) pongWithin() time.Duration {
	if b.futures() {
		return 10 * time.Minute
	}
	return time.Minute
}

func (b *binance) idHoles() int {
	if b.futures() {
		return 120 // ids are shared by all symbols there
	}
	return 0
}

func (b *binance) lagMs() int64 {
	if b.venue == BinanceCOINM {
		return 12
	}
	return 3
}

func (b *binance) messagesPerSecond() int {
	if b.futures() {
		return 10
	}
	return 5
}

// open knows /ws, /ws/<streams>, /stream and /stream?streams=<streams>; on
// USD-M behind /public or /market, as its untiered paths are retired.
func (b *binance) open(path string, query url.Values) (mode socketMode, streams []string, ok bool) {
	if b.venue == BinanceUSDM {
		tier, rest, cut := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		if !cut || tier != "public" && tier != "market" {
			return mode, nil, false
		}
		mode.tier, path = tier, "/"+rest
	}
	split := func(list string) []string {
		return slices.DeleteFunc(strings.Split(list, "/"), func(s string) bool { return s == "" })
	}
	if path == "/stream" {
		mode.combined = true
		return mode, split(query.Get("streams")), true
	}
	if list, found := strings.CutPrefix(path, "/ws"); found && (list == "" || list[0] == '/') {
		return mode, split(list), true
	}
	return mode, nil, false
}

// depthSpeeds are the suffixes of a diff stream; "" is the venue's default.
var depthSpeeds = map[string][]string{
	BinanceSpot:  {"", "100ms", "1000ms"},
	BinanceUSDM:  {"", "0ms", "100ms", "500ms"},
	BinanceCOINM: {"", "0ms", "100ms", "500ms"},
}

// stream reads names like btcusdt@depth@100ms. All others of the venue
// (aggTrade, kline …), unknown symbols and the wrong tier are silent.
func (b *binance) stream(mode socketMode, name string) (symbol string, channel tick.Channels, ok bool) {
	low, kind, _ := strings.Cut(name, "@")
	kind, speed, _ := strings.Cut(kind, "@")
	if low != strings.ToLower(low) || b.venue == BinanceUSDM && mode.tier != "public" && mode.tier != anyTier {
		return "", 0, false
	}
	switch {
	case kind == "trade" && speed == "":
		channel = tick.ChannelTrades
	case kind == "bookTicker" && speed == "":
		channel = tick.ChannelQuotes
	case kind == "depth" && slices.Contains(depthSpeeds[b.venue], speed):
		channel = tick.ChannelDepth
	default:
		return "", 0, false
	}
	return strings.ToUpper(low), channel, true
}

// requestID is what the venue takes as an id: an integer, a short string, or null.
var requestID = regexp.MustCompile(`^(null|-?\d{1,19}|"[A-Za-z0-9_-]{0,36}")$`)

// request serves SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS.
func (b *binance) request(v *venue, c *client, text []byte) []byte {
	id := json.RawMessage(nil)
	refuse := func(code int, format string, args ...any) []byte {
		message, _ := json.Marshal(fmt.Sprintf(format, args...))
		if id == nil {
			return fmt.Appendf(nil, `{"error":{"code":%d,"msg":%s}}`, code, message)
		}
		return fmt.Appendf(nil, `{"error":{"code":%d,"msg":%s},"id":%s}`, code, message, id)
	}
	if !json.Valid(text) {
		return refuse(3, "Invalid JSON: expected value at line 1 column 1")
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(text, &fields) != nil {
		return refuse(2, "Invalid request: expected an object")
	}
	if !requestID.Match(fields["id"]) {
		return refuse(2, "Invalid request: request ID must be an unsigned integer")
	}
	id = fields["id"]
	var method string
	if json.Unmarshal(fields["method"], &method) != nil {
		return refuse(2, "Invalid request: missing field `method` at line 1 column %d", len(text))
	}
	var streams []string
	switch method {
	case "SUBSCRIBE", "UNSUBSCRIBE":
		if fields["params"] == nil {
			return refuse(2, "Invalid request: missing field `params` at line 1 column %d", len(text))
		}
		if json.Unmarshal(fields["params"], &streams) != nil {
			return refuse(2, "Invalid request: params must be an array of strings")
		}
	}
	switch method {
	case "SUBSCRIBE":
		if len(c.streams)+len(streams) > streamsMax {
			return refuse(2, "Invalid request: too many streams, limit %d", streamsMax)
		}
		for _, name := range streams {
			v.subscribe(c, name)
		}
	case "UNSUBSCRIBE":
		for _, name := range streams {
			if name != "" {
				v.unsubscribe(c, name)
			}
		}
	case "LIST_SUBSCRIPTIONS":
		list, _ := json.Marshal(append([]string{}, c.streams...))
		return fmt.Appendf(nil, `{"result":%s,"id":%s}`, list, id)
	default:
		return refuse(2, "Invalid request: unknown variant `%s`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` at line 1 column %d", method, len(text))
	}
	return fmt.Appendf(nil, `{"result":null,"id":%s}`, id)
}

func (b *binance) shutdown(ms int64) []byte {
	return fmt.Appendf(nil, `{"e":"serverShutdown","E":%d}`, ms)
}

func (b *binance) appendFrame(dst []byte, mode socketMode, stream string, body []byte) []byte {
	if !mode.combined {
		return append(dst, body...)
	}
	dst = append(dst, `{"stream":"`...)
	dst = append(dst, stream...)
	dst = append(dst, `","data":`...)
	dst = append(dst, body...)
	return append(dst, '}')
}

// appendEvent writes an event with the fields, order and digits of the venue.
func (b *binance) appendEvent(dst []byte, e *event) []byte {
	w := writer{dst, e.symbol}
	spot, coin := b.venue == BinanceSpot, b.venue == BinanceCOINM
	switch e.channel {
	case tick.ChannelQuotes:
		switch {
		case coin:
			w.integer(`{"u":`, int64(e.lastID))
			w.raw(`,"e":"bookTicker"`)
		case spot:
			w.integer(`{"u":`, int64(e.lastID))
		default:
			w.raw(`{"e":"bookTicker"`)
			w.integer(`,"u":`, int64(e.lastID))
		}
		w.names(coin)
		w.price(`,"b":"`, e.bids[0].Price)
		w.size(`","B":"`, e.bids[0].Size)
		w.price(`","a":"`, e.asks[0].Price)
		w.size(`","A":"`, e.asks[0].Size)
		w.raw(`"`)
		if !spot {
			w.integer(`,"T":`, e.timeMs)
			w.integer(`,"E":`, e.sendMs)
		}
	case tick.ChannelTrades:
		w.integer(`{"e":"trade","E":`, e.sendMs)
		if !spot {
			w.integer(`,"T":`, e.timeMs)
		}
		w.names(false) // also on COIN-M
		w.integer(`,"t":`, e.tradeID)
		w.price(`,"p":"`, e.price)
		w.size(`","q":"`, e.size)
		if spot {
			w.integer(`","T":`, e.timeMs)
		} else {
			w.raw(`","X":"MARKET"`)
		}
		w.raw(`,"m":`)
		w.dst = strconv.AppendBool(w.dst, e.sell)
		if spot {
			w.raw(`,"M":true`)
		}
	case tick.ChannelDepth:
		w.integer(`{"e":"depthUpdate","E":`, e.sendMs)
		if !spot {
			w.integer(`,"T":`, e.timeMs)
		}
		w.names(coin)
		w.integer(`,"U":`, int64(e.firstID))
		w.integer(`,"u":`, int64(e.lastID))
		if !spot {
			w.integer(`,"pu":`, int64(e.prevID))
		}
		w.levels(`,"b":[`, e.bids, !spot) // both sides ascend on futures
		w.levels(`,"a":[`, e.asks, false)
	}
	w.raw(`}`)
	return w.dst
}

// writer appends parts of Binance's JSON.
type writer struct {
	dst    []byte
	symbol *symbol
}

func (w *writer) raw(text string) { w.dst = append(w.dst, text...) }

func (w *writer) integer(key string, x int64) {
	w.dst = strconv.AppendInt(append(w.dst, key...), x, 10)
}

func (w *writer) price(before string, x int64) {
	w.dst = tick.AppendScaled(append(w.dst, before...), x, w.symbol.priceDigits)
}

func (w *writer) size(before string, x int64) {
	w.dst = tick.AppendScaled(append(w.dst, before...), x, w.symbol.sizeDigits)
}

// names writes the symbol, and its pair where the message has one.
func (w *writer) names(pair bool) {
	w.raw(`,"s":"`)
	w.raw(w.symbol.name)
	if pair {
		w.raw(`","ps":"`)
		w.raw(w.symbol.pair)
	}
	w.raw(`"`)
}

func (w *writer) levels(key string, levels []tick.Level, worstFirst bool) {
	w.raw(key)
	for i, l := range levels {
		if worstFirst {
			l = levels[len(levels)-1-i]
		}
		if i > 0 {
			w.raw(`,`)
		}
		w.price(`["`, l.Price)
		w.size(`","`, l.Size)
		w.raw(`"]`)
	}
	w.raw(`]`)
}
