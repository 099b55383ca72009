package bench

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// The plain Go stack: what one writes first. encoding/json reads frames into
// structs, prices and sizes are decimals, books are sorted slices, and a
// channel carries one message at a time to the goroutine that keeps books,
// bars and an average. It does less than the shard (no gaps, no late trades,
// no sliding window, no rows, no check against the venue's quotes), so the
// ratio between the two flatters it.

type plainMessage struct {
	symbol   string
	kind     string // trade, bookTicker, depthUpdate, snapshot
	time     int64  // ms
	first    uint64
	last     uint64
	previous uint64
	bids     []plainLevel
	asks     []plainLevel
	price    decimal.Decimal
	size     decimal.Decimal
	sell     bool
}

// plainLevel is price and size, as in the frame.
type plainLevel [2]decimal.Decimal

// plainState is what the second goroutine ends with.
type plainState struct{ books map[string]*plainBook }

func replayPlain(s *Session) *plainState {
	messages := make(chan *plainMessage, 1024)
	go func() {
		defer close(messages)
		for i := range s.Records {
			if m := plainDecode(&s.Records[i]); m != nil {
				messages <- m
			}
		}
	}()
	state := &plainState{books: map[string]*plainBook{}}
	chained := s.Adapter.Venue() != "binance-spot"
	for m := range messages {
		b := state.books[m.symbol]
		if b == nil {
			b = &plainBook{chained: chained, bars: map[time.Duration]*plainBar{}}
			state.books[m.symbol] = b
		}
		b.take(m)
	}
	return state
}

// Keys that differ only in case need both spelled out for encoding/json.
func plainDecode(r *Record) *plainMessage {
	must := func(err error) {
		if err != nil {
			panic("BUG: a good session does not decode: " + err.Error())
		}
	}
	if r.URL != "" {
		var body struct {
			LastUpdateID uint64 `json:"lastUpdateId"`
			Bids, Asks   []plainLevel
		}
		must(json.Unmarshal(r.Payload, &body))
		address, err := url.Parse(r.URL)
		must(err)
		return &plainMessage{symbol: address.Query().Get("symbol"), kind: "snapshot", last: body.LastUpdateID, bids: body.Bids, asks: body.Asks}
	}
	var frame struct {
		Stream string          `json:"stream"`
		Data   json.RawMessage `json:"data"`
	}
	must(json.Unmarshal(r.Payload, &frame))
	_, stream, _ := strings.Cut(frame.Stream, "@")
	switch kind, _, _ := strings.Cut(stream, "@"); kind {
	case "trade":
		var t struct {
			Event     string          `json:"e"`
			EventTime int64           `json:"E"`
			Time      int64           `json:"T"`
			Symbol    string          `json:"s"`
			ID        uint64          `json:"t"`
			Price     decimal.Decimal `json:"p"`
			Size      decimal.Decimal `json:"q"`
			Maker     bool            `json:"m"`
			Ignore    bool            `json:"M"`
			OrderType string          `json:"X"`
		}
		must(json.Unmarshal(frame.Data, &t))
		if t.OrderType != "" && t.OrderType != "MARKET" {
			return nil
		}
		return &plainMessage{symbol: t.Symbol, kind: kind, time: t.Time, last: t.ID, price: t.Price, size: t.Size, sell: t.Maker}
	case "bookTicker":
		var q struct {
			Event     string          `json:"e"`
			EventTime int64           `json:"E"`
			Time      int64           `json:"T"`
			Symbol    string          `json:"s"`
			ID        uint64          `json:"u"`
			Bid       decimal.Decimal `json:"b"`
			BidSize   decimal.Decimal `json:"B"`
			Ask       decimal.Decimal `json:"a"`
			AskSize   decimal.Decimal `json:"A"`
		}
		must(json.Unmarshal(frame.Data, &q))
		return &plainMessage{symbol: q.Symbol, kind: kind, time: q.Time, last: q.ID,
			bids: []plainLevel{{q.Bid, q.BidSize}}, asks: []plainLevel{{q.Ask, q.AskSize}}}
	case "depth":
		var d struct {
			Event     string       `json:"e"`
			EventTime int64        `json:"E"`
			Time      int64        `json:"T"`
			Symbol    string       `json:"s"`
			First     uint64       `json:"U"`
			Last      uint64       `json:"u"`
			Previous  uint64       `json:"pu"`
			Bids      []plainLevel `json:"b"`
			Asks      []plainLevel `json:"a"`
		}
		must(json.Unmarshal(frame.Data, &d))
		return &plainMessage{symbol: d.Symbol, kind: kind, time: d.EventTime, first: d.First, last: d.Last, previous: d.Previous, bids: d.Bids, asks: d.Asks}
	}
	return nil
}

type plainBook struct {
	chained    bool // deltas name the one before
	bids, asks []plainLevel
	lastID     uint64
	valid      bool
	joined     bool
	waiting    []*plainMessage
	applied    uint64

	quote            *plainMessage
	trades           uint64
	volume, notional decimal.Decimal
	bars             map[time.Duration]*plainBar
}

type plainBar struct {
	start                             int64 // ms
	open, high, low, close            decimal.Decimal
	volume, notional, buyVolume, vwap decimal.Decimal
	trades                            int
}

func (b *plainBook) take(m *plainMessage) {
	switch m.kind {
	case "trade":
		b.trade(m)
	case "bookTicker":
		b.quote = m
	case "depth":
		if !b.valid {
			b.waiting = append(b.waiting, m)
			return
		}
		b.delta(m)
	case "snapshot":
		if b.valid {
			return
		}
		b.bids, b.asks, b.lastID, b.valid = nil, nil, m.last, true
		b.set(m)
		for _, waiting := range b.waiting {
			if b.valid {
				b.delta(waiting)
			}
		}
		b.waiting = nil
	}
}

func (b *plainBook) delta(m *plainMessage) {
	want := b.lastID
	if !b.chained {
		want++
	}
	follows := m.first <= want
	if b.joined && b.chained {
		follows = m.previous == b.lastID
	}
	switch {
	case m.last < want:
		return
	case !follows:
		b.valid, b.joined = false, false
		return
	}
	b.set(m)
	b.lastID, b.joined = m.last, true
	b.applied++
}

func (b *plainBook) set(m *plainMessage) {
	for _, l := range m.bids {
		b.bids = plainSet(b.bids, l, func(x plainLevel) int { return l[0].Cmp(x[0]) })
	}
	for _, l := range m.asks {
		b.asks = plainSet(b.asks, l, func(x plainLevel) int { return x[0].Cmp(l[0]) })
	}
}

// plainSet sets a level of a side that is sorted best first.
func plainSet(side []plainLevel, l plainLevel, compare func(plainLevel) int) []plainLevel {
	i, found := slices.BinarySearchFunc(side, l, func(x, _ plainLevel) int { return compare(x) })
	switch {
	case found && l[1].IsZero():
		return slices.Delete(side, i, i+1)
	case found:
		side[i] = l
	case !l[1].IsZero():
		return slices.Insert(side, i, l)
	}
	return side
}

func (b *plainBook) trade(m *plainMessage) {
	b.trades++
	notional := m.price.Mul(m.size)
	b.volume, b.notional = b.volume.Add(m.size), b.notional.Add(notional)
	for _, interval := range []time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour} {
		start := m.time - m.time%interval.Milliseconds()
		bar := b.bars[interval]
		if bar == nil || bar.start != start {
			if bar != nil { // it ends: its row would be written
				bar.vwap = bar.notional.Div(bar.volume)
			}
			bar = &plainBar{start: start, open: m.price, high: m.price, low: m.price}
			b.bars[interval] = bar
		}
		bar.high, bar.low, bar.close = decimal.Max(bar.high, m.price), decimal.Min(bar.low, m.price), m.price
		bar.volume, bar.notional = bar.volume.Add(m.size), bar.notional.Add(notional)
		if !m.sell {
			bar.buyVolume = bar.buyVolume.Add(m.size)
		}
		bar.trades++
	}
}
