package okx

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tickproc/feeds/sim"
	"tickproc/tick"
)

// Dialect is how the simulated exchange speaks for a venue, nil for one that
// is not ours. It shares nothing with the decoder: a common mistake would hide.
func Dialect(venue string) sim.Dialect {
	if venue != "okx" {
		return nil
	}
	return &dialect{}
}

type dialect struct{ sim.Defaults }

// Modes of a connection: the end of its path. A tap takes streams of both.
const (
	modePublic   = "public"
	modeBusiness = "business"
	modeAny      = "*"
)

// requestsPerHour bounds subscriptions and unsubscriptions of a connection.
const requestsPerHour = 480

// hour is a connection's state: what it asked for in this hour.
type hour struct {
	from int64
	n    int
}

func (*dialect) Profile() sim.Profile {
	return sim.Profile{
		DepthEvery: 100 * time.Millisecond, Lag: 3 * time.Millisecond, IDHoles: 40,
		FirstWithin: 30 * time.Second, IdleMax: 30 * time.Second,
		Connects: []sim.Budget{{N: 3, Per: time.Second}},
		Weight:   sim.Budget{N: 20, Per: 2 * time.Second},
		TapMode:  modeAny,
	}
}

func (*dialect) Open(path string, _ url.Values) (o sim.Opening, ok bool) {
	mode, found := strings.CutPrefix(path, "/ws/v5/")
	return sim.Opening{Mode: mode}, found && (mode == modePublic || mode == modeBusiness)
}

// Stream reads names like books:BTC-USDT, index-tickers:BTC-USDT and
// liquidation-orders:SWAP.
func (*dialect) Stream(mode any, name string) (spec sim.StreamSpec, ok bool) {
	channel, about, _ := strings.Cut(name, ":")
	if mode != modeAny && (mode == modeBusiness) != (channel == "trades-all") {
		return spec, false
	}
	spec.Symbol = about
	switch channel {
	case "trades-all":
		spec.Channel = tick.ChannelTrades
	case "bbo-tbt":
		spec.Channel, spec.QuietAfter = tick.ChannelQuotes, time.Minute
	case "books":
		spec.Channel, spec.Depth, spec.Deletes, spec.QuietAfter = tick.ChannelDepth, 400, true, time.Minute
	case "funding-rate", "mark-price":
		spec.Channel = tick.ChannelFunding
	case "open-interest":
		spec.Channel = tick.ChannelOpenInterest
	case "index-tickers":
		spec.Channel, spec.Symbol = tick.ChannelFunding, ""
	case "liquidation-orders":
		spec.Channel, spec.Symbol = tick.ChannelLiquidations, ""
	default:
		return spec, false
	}
	return spec, true
}

// request is a client's message.
type request struct {
	ID   string
	Op   string
	Args []struct {
		Channel  string
		InstType string
		InstID   string `json:"instId"`
	}
}

// Request serves ping, subscribe and unsubscribe: an answer for each argument,
// then what the new streams begin with.
func (d *dialect) Request(c *sim.Conn, text []byte) {
	if string(text) == "ping" {
		c.Send([]byte("pong"))
		return
	}
	var r request
	if json.Unmarshal(text, &r) != nil || r.Op == "" || len(r.ID) > 32 {
		d.refuse(c, "", 60012, "Invalid request: "+string(text[:min(len(text), 100)]))
		return
	}
	if r.Op != "subscribe" && r.Op != "unsubscribe" {
		d.refuse(c, r.ID, 60019, "Invalid op: "+r.Op)
		return
	}
	if d.asksTooMuch(c) {
		d.refuse(c, r.ID, 60014, "Requests too frequent")
		return
	}
	if len(r.Args) == 0 {
		d.refuse(c, r.ID, 60013, "Invalid args")
		return
	}
	var begun []*sim.Stream
	for _, a := range r.Args {
		named, key, about := "instId", `"instId"`, a.InstID
		if a.Channel == "liquidation-orders" {
			named, key, about = "instType", `"instType"`, a.InstType
		}
		stream := a.Channel + ":" + about
		if r.Op == "unsubscribe" {
			c.Unsubscribe(stream)
		} else {
			if code, message := wrongEndpoint(c.Mode, a.Channel); code != 0 {
				d.refuse(c, r.ID, code, message)
				continue
			}
			outcome := sim.UnknownStream
			var s *sim.Stream
			if d.has(c.Market(), a.Channel, about) {
				s, outcome = c.Subscribe(stream)
			}
			switch outcome {
			case sim.Refused:
				d.refuse(c, r.ID, 64003, "Your trading fee tier doesn't meet the requirement to access this channel")
				continue
			case sim.RateLimited:
				d.refuse(c, r.ID, 60014, "Requests too frequent")
				continue
			case sim.UnknownStream, sim.UnknownSymbol:
				d.refuse(c, r.ID, 60018, "Wrong URL or channel:"+a.Channel+","+named+":"+about+" doesn't exist. Please use the correct URL, channel and parameters referring to API document.")
				continue
			}
			// One that is asked for again begins again, too.
			begun = append(begun, s)
		}
		c.Send(fmt.Appendf(nil, `{%s"event":%q,"arg":{"channel":%q,%s:%q},"connId":"%08x"}`, requestID(r.ID), r.Op, a.Channel, key, about, c.Number()))
	}
	for _, s := range begun {
		c.SendSnapshot(s)
	}
}

func requestID(id string) string {
	if id == "" {
		return ""
	}
	return fmt.Sprintf(`"id":%q,`, id)
}

func (d *dialect) refuse(c *sim.Conn, id string, code int, message string) {
	text, _ := json.Marshal(message)
	c.Send(fmt.Appendf(nil, `{%s"event":"error","code":"%d","msg":%s,"connId":"%08x"}`, requestID(id), code, text, c.Number()))
}

// asksTooMuch counts a request.
func (*dialect) asksTooMuch(c *sim.Conn) bool {
	now := c.Market().NowNanos()
	h, _ := c.State.(hour)
	if h.n == 0 || now-h.from >= int64(time.Hour) {
		h = hour{from: now}
	}
	h.n++
	c.State = h
	return h.n > requestsPerHour
}

// wrongEndpoint is the venue's word about a channel that lives elsewhere.
func wrongEndpoint(mode any, channel string) (code int, message string) {
	switch {
	case mode == modePublic && (channel == "trades-all" || strings.HasPrefix(channel, "candle")):
		return 64001, "This channel has been migrated to the '/business' URL. Please subscribe using the new URL. More details can refer to: https://www.okx.com/help-center/changes-to-v5-api-websocket-subscription-parameter-and-url."
	case mode == modeBusiness && channel != "trades-all":
		return 64002, `This channel is not supported by "/business" URL. Please use "/private" URL(for private channels), or "/public" URL(for public channels). More details can refer to: https://www.okx.com/help-center/changes-to-v5-api-websocket-subscription-parameter-and-url.`
	}
	return 0, ""
}

// has says whether an instrument, an index or a type has a channel.
func (d *dialect) has(m *sim.Market, channel, about string) bool {
	switch channel {
	case "index-tickers":
		return indexLeader(m, about) != nil
	case "liquidation-orders":
		return about == "SWAP" || about == "FUTURES"
	}
	in := m.Instrument(about)
	if in == nil {
		return true // for the machine to say so
	}
	switch channel {
	case "funding-rate":
		return in.Type == tick.TypePerpetual
	case "mark-price", "open-interest":
		return in.Type != tick.TypeSpot
	}
	return true
}

// indexLeader is the derivative whose index price is that of the index: each
// simulated instrument has its own, the venue has one.
func indexLeader(m *sim.Market, index string) *sim.Instrument {
	for _, in := range m.Instruments() {
		if in.Type != tick.TypeSpot && in.Alias == index {
			return in
		}
	}
	return nil
}

// Notice is told on /public alone.
func (*dialect) Notice(c *sim.Conn, _ sim.Notice) []byte {
	if c.Mode == modeBusiness {
		return nil
	}
	return fmt.Appendf(nil, `{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. Please reconnect.","connId":"%08x"}`, c.Number())
}

// Render writes an event with the fields, order and digits of the venue.
func (d *dialect) Render(dst []byte, s *sim.Stream, e *sim.Event) []byte {
	channel, about, _ := strings.Cut(s.Name, ":")
	in := e.Instrument
	w := encoder{dst}
	switch channel {
	case "books":
		w.book(in, "update", e.Bids, e.Asks, e.TimeNanos, e.LastID, int64(e.PrevID))
	case "bbo-tbt":
		w.quote(in, e.Bids[0], e.Asks[0], e.TimeNanos, e.LastID)
	case "trades-all":
		w.trade(in, &e.Trades[0])
	case "mark-price":
		r := &e.Reference
		w.open(channel, in.Name)
		w.raw(`{"instType":"`, typeName(in), `","instId":"`, in.Name, `","markPx":"`)
		w.number(r.Mark, r.PriceDigits)
		w.time(`","ts":"`, r.TimeNanos)
		w.raw(`"}]}`)
	case "funding-rate":
		w.funding(in, &e.Reference)
	case "index-tickers":
		if in != indexLeader(s.Market(), about) {
			break
		}
		r := &e.Reference
		w.open(channel, about)
		w.raw(`{"instId":"`, about, `","idxPx":"`)
		w.number(r.Index, r.PriceDigits)
		for _, key := range []string{"high24h", "low24h", "open24h", "sodUtc0", "sodUtc8"} {
			w.raw(`","`, key, `":"`)
			w.number(r.Index, r.PriceDigits)
		}
		w.time(`","ts":"`, r.TimeNanos)
		w.raw(`"}]}`)
	case "open-interest":
		w.open(channel, in.Name)
		w.raw(`{"instId":"`, in.Name, `","instType":"`, typeName(in), `","oi":"`)
		w.number(e.OpenInterest, in.SizeDigits)
		w.raw(`","oiCcy":"`)
		w.number(e.OpenInterest, in.SizeDigits)
		w.raw(`","oiUsd":"`)
		w.number(e.OpenInterest, in.SizeDigits)
		w.time(`","ts":"`, e.TimeNanos)
		w.raw(`"}]}`)
	case "liquidation-orders":
		if about == typeName(in) {
			w.forced(in, &e.Liquidation)
		}
	}
	return w.dst
}

// Snapshot is the whole book, the best bid and offer, the last trade.
func (d *dialect) Snapshot(dst []byte, s *sim.Stream) ([]byte, []sim.Trade) {
	channel, _, _ := strings.Cut(s.Name, ":")
	w := encoder{dst}
	switch channel {
	case "books":
		bids, asks := s.Book()
		w.book(s.Instrument, "snapshot", bids, asks, s.BookNanos(), s.BookID(), -1)
	case "bbo-tbt":
		q := s.Instrument.Quote()
		if q.ID == 0 {
			return dst, nil
		}
		w.quote(s.Instrument, q.Bid, q.Ask, q.TimeNanos, q.ID)
	case "trades-all":
		last := s.Instrument.LastTrades(1)
		if len(last) == 0 {
			return dst, nil
		}
		w.trade(s.Instrument, &last[0])
		return w.dst, last
	}
	return w.dst, nil
}

// Quiet tells that the connection lives: nothing of a book, the same quote
// again.
func (d *dialect) Quiet(dst []byte, s *sim.Stream) []byte {
	if strings.HasPrefix(s.Name, "books:") {
		w := encoder{dst}
		w.book(s.Instrument, "update", nil, nil, s.Market().CutNanos(), s.BookID(), int64(s.BookID()))
		return w.dst
	}
	dst, _ = d.Snapshot(dst, s)
	return dst
}

// encoder appends parts of the venue's JSON. Numbers have no more digits than
// they need.
type encoder struct{ dst []byte }

func (w *encoder) raw(texts ...string) {
	for _, t := range texts {
		w.dst = append(w.dst, t...)
	}
}

func (w *encoder) number(x int64, digits uint8) {
	for digits > 0 && x%10 == 0 {
		x, digits = x/10, digits-1
	}
	w.dst = tick.AppendScaled(w.dst, x, digits)
}

func (w *encoder) integer(before string, x int64) {
	w.dst = strconv.AppendInt(append(w.dst, before...), x, 10)
}

func (w *encoder) time(before string, nanos int64) { w.integer(before, nanos/int64(time.Millisecond)) }

func (w *encoder) open(channel, name string) {
	w.raw(`{"arg":{"channel":"`, channel, `","instId":"`, name, `"},"data":[`)
}

func (w *encoder) levels(key string, in *sim.Instrument, levels []tick.Level) {
	w.raw(key)
	for i, l := range levels {
		if i > 0 {
			w.raw(",")
		}
		w.raw(`["`)
		w.number(l.Price, in.PriceDigits)
		w.raw(`","`)
		w.number(l.Size, in.SizeDigits)
		orders := int64(0)
		if l.Size > 0 {
			orders = 1 + l.Size%7
		}
		w.integer(`","0","`, orders)
		w.raw(`"]`)
	}
	w.raw("]")
}

// book has a checksum of 0, which the venue keeps for those that ask for one.
func (w *encoder) book(in *sim.Instrument, action string, bids, asks []tick.Level, nanos int64, id uint64, previous int64) {
	w.raw(`{"arg":{"channel":"books","instId":"`, in.Name, `"},"action":"`, action, `","data":[{`)
	w.levels(`"asks":[`, in, asks)
	w.levels(`,"bids":[`, in, bids)
	w.time(`,"ts":"`, nanos)
	w.integer(`","checksum":0,"seqId":`, int64(id))
	w.integer(`,"prevSeqId":`, previous)
	w.raw(`}]}`)
}

func (w *encoder) quote(in *sim.Instrument, bid, ask tick.Level, nanos int64, id uint64) {
	w.open("bbo-tbt", in.Name)
	w.levels(`{"asks":[`, in, []tick.Level{ask})
	w.levels(`,"bids":[`, in, []tick.Level{bid})
	w.time(`,"ts":"`, nanos)
	w.integer(`","seqId":`, int64(id))
	w.raw(`}]}`)
}

func (w *encoder) trade(in *sim.Instrument, t *sim.Trade) {
	w.open("trades-all", in.Name)
	w.raw(`{"instId":"`, in.Name)
	w.integer(`","tradeId":"`, t.ID)
	w.raw(`","px":"`)
	w.number(t.Price, in.PriceDigits)
	w.raw(`","sz":"`)
	w.number(t.Size, in.SizeDigits)
	w.raw(`","side":"`, side(t.Sell), `","source":"0`)
	w.time(`","ts":"`, t.TimeNanos)
	w.raw(`"}]}`)
}

func side(sell bool) string {
	if sell {
		return "sell"
	}
	return "buy"
}

func (w *encoder) funding(in *sim.Instrument, r *sim.Reference) {
	w.open("funding-rate", in.Name)
	w.raw(`{"formulaType":"withRate","fundingRate":"`)
	w.number(r.FundingRate, r.RateDigits)
	w.time(`","fundingTime":"`, r.NextFundingNanos)
	w.raw(`","impactValue":"20000","instId":"`, in.Name, `","instType":"SWAP","interestRate":"0.0001","maxFundingRate":"0.00375","method":"current_period","minFundingRate":"-0.00375","nextFundingRate":"`)
	w.time(`","nextFundingTime":"`, r.NextFundingNanos+int64(in.FundingEvery))
	w.raw(`","premium":"0","settFundingRate":"`)
	w.number(r.FundingRate, r.RateDigits)
	w.time(`","settState":"settled","ts":"`, r.TimeNanos)
	w.raw(`"}]}`)
}

func (w *encoder) forced(in *sim.Instrument, l *sim.Liquidation) {
	position := "short"
	if l.Sell {
		position = "long"
	}
	w.raw(`{"arg":{"channel":"liquidation-orders","instType":"`, typeName(in), `"},"data":[{"details":[{"bkLoss":"0","bkPx":"`)
	w.number(l.Price, in.PriceDigits)
	w.raw(`","ccy":"","posSide":"`, position, `","side":"`, side(l.Sell), `","sz":"`)
	w.number(l.Size, in.SizeDigits)
	w.time(`","ts":"`, l.TimeNanos)
	w.raw(`"}],"instFamily":"`, in.Alias, `","instId":"`, in.Name, `","instType":"`, typeName(in), `","uly":"`, in.Alias, `"}]}`)
}

func typeName(in *sim.Instrument) string {
	switch in.Type {
	case tick.TypePerpetual:
		return "SWAP"
	case tick.TypeFuture:
		return "FUTURES"
	}
	return "SPOT"
}
