package main

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/bytedance/sonic"
	"github.com/shopspring/decimal"
	"github.com/tidwall/btree"
	"github.com/valyala/fastjson"

	"tickproc/bench"
	"tickproc/tick"
)

// A stack is what one builds of libraries for Binance's spot frames: a decoder
// that makes a message, and a book or bars that take it. Each does less than
// ours: no check of the venue's ids and quotes, no gaps, no late trades, no
// sliding window, no rows. So the ratios flatter them.
type stack struct {
	name string
	// depth decodes a frame of depth, and has it applied if apply says so; trade
	// likewise.
	depth, trade func(frame []byte, apply bool) error
	quote        func(frame []byte) error
	// decode and take are the two halves of it, for who has a channel between them;
	// nil = it has none.
	decode func(frame []byte, stream string) (message any, err error)
	take   func(message any)
	// best prices of the book, and the volume of the day's bar, for the tests.
	best   func() (bid, ask float64)
	volume func() float64
	// least is by how much ours is meant to be faster from frame to book; 0 =
	// nothing is meant.
	least float64
}

// Keys that differ only in case need both spelled out.
type tradeMessage[N any] struct {
	Data struct {
		Event     string `json:"e"`
		EventTime int64  `json:"E"`
		Time      int64  `json:"T"`
		ID        uint64 `json:"t"`
		Symbol    string `json:"s"`
		Price     N      `json:"p"`
		Size      N      `json:"q"`
		Maker     bool   `json:"m"`
		Ignore    bool   `json:"M"`
	} `json:"data"`
}

type depthMessage[N any] struct {
	Data struct {
		Event     string `json:"e"`
		EventTime int64  `json:"E"`
		Symbol    string `json:"s"`
		First     uint64 `json:"U"`
		Last      uint64 `json:"u"`
		Bids      [][2]N `json:"b"`
		Asks      [][2]N `json:"a"`
	} `json:"data"`
}

type quoteMessage[N any] struct {
	Data struct {
		Event     string `json:"e"`
		EventTime int64  `json:"E"`
		Time      int64  `json:"T"`
		Symbol    string `json:"s"`
		ID        uint64 `json:"u"`
		Bid       N      `json:"b"`
		BidSize   N      `json:"B"`
		Ask       N      `json:"a"`
		AskSize   N      `json:"A"`
	} `json:"data"`
}

// stacks are made anew for each line: they hold books and bars.
func stacks() []stack {
	return []stack{plainStack(), fastjsonStack(), sonicStack()}
}

// plainStack is encoding/json, shopspring/decimal and tidwall/btree.
func plainStack() stack {
	type priced struct{ price, size decimal.Decimal }
	side := func(sign int) *btree.BTreeG[priced] {
		return btree.NewBTreeGOptions(func(a, b priced) bool { return a.price.Cmp(b.price)*sign < 0 }, btree.Options{NoLocks: true})
	}
	bids, asks := side(-1), side(1)
	set := func(side *btree.BTreeG[priced], levels [][2]decimal.Decimal) {
		for _, l := range levels {
			if l[1].IsZero() {
				side.Delete(priced{price: l[0]})
			} else {
				side.Set(priced{l[0], l[1]})
			}
		}
	}
	bars := decimalBars{}
	takeDepth := func(m *depthMessage[decimal.Decimal]) {
		set(bids, m.Data.Bids)
		set(asks, m.Data.Asks)
		bid, _ := bids.Min()
		ask, _ := asks.Min()
		kept += bid.price.CoefficientInt64() + ask.price.CoefficientInt64()
	}
	takeTrade := func(m *tradeMessage[decimal.Decimal]) {
		bars.take(m.Data.Time, m.Data.Price, m.Data.Size, m.Data.Maker)
	}
	return stack{name: "encoding/json + decimal + btree", least: 18,
		depth: func(frame []byte, apply bool) error {
			m := new(depthMessage[decimal.Decimal])
			if err := json.Unmarshal(frame, m); err != nil || !apply {
				return err
			}
			takeDepth(m)
			return nil
		},
		trade: func(frame []byte, apply bool) error {
			m := new(tradeMessage[decimal.Decimal])
			if err := json.Unmarshal(frame, m); err != nil || !apply {
				return err
			}
			takeTrade(m)
			return nil
		},
		decode: func(frame []byte, stream string) (message any, err error) {
			switch stream {
			case "depth":
				message = new(depthMessage[decimal.Decimal])
			case "trade":
				message = new(tradeMessage[decimal.Decimal])
			default:
				message = new(quoteMessage[decimal.Decimal])
			}
			return message, json.Unmarshal(frame, message)
		},
		take: func(message any) {
			switch m := message.(type) {
			case *depthMessage[decimal.Decimal]:
				takeDepth(m)
			case *tradeMessage[decimal.Decimal]:
				takeTrade(m)
			}
		},
		quote: func(frame []byte) error {
			var m quoteMessage[decimal.Decimal]
			return json.Unmarshal(frame, &m)
		},
		best: func() (float64, float64) {
			bid, _ := bids.Min()
			ask, _ := asks.Min()
			return bid.price.InexactFloat64(), ask.price.InexactFloat64()
		},
		volume: func() float64 { return bars[3].volume.InexactFloat64() }}
}

// floatBook is two B-trees of floats, as most write them.
type floatBook struct{ bids, asks *btree.BTreeG[floatLevel] }

type floatLevel struct{ price, size float64 }

func newFloatBook() *floatBook {
	return &floatBook{
		btree.NewBTreeGOptions(func(a, b floatLevel) bool { return a.price > b.price }, btree.Options{NoLocks: true}),
		btree.NewBTreeGOptions(func(a, b floatLevel) bool { return a.price < b.price }, btree.Options{NoLocks: true})}
}

func (b *floatBook) set(side *btree.BTreeG[floatLevel], price, size float64) {
	if size == 0 {
		side.Delete(floatLevel{price: price})
	} else {
		side.Set(floatLevel{price, size})
	}
}

func (b *floatBook) top() (bid, ask float64) {
	bids, _ := b.bids.Min()
	asks, _ := b.asks.Min()
	return bids.price, asks.price
}

// keepTop looks at both best prices.
func (b *floatBook) keepTop() {
	bid, ask := b.top()
	kept += int64(bid + ask)
}

// fastjsonStack is valyala/fastjson, floats and tidwall/btree.
func fastjsonStack() stack {
	var parser fastjson.Parser
	b, bars := newFloatBook(), floatBars{}
	number := func(v *fastjson.Value) (float64, error) {
		text, err := v.StringBytes()
		if err != nil {
			return 0, err
		}
		return strconv.ParseFloat(string(text), 64)
	}
	levels := func(data *fastjson.Value, key string, side *btree.BTreeG[floatLevel], apply bool) error {
		for _, l := range data.GetArray(key) {
			pair, err := l.Array()
			if err != nil || len(pair) != 2 {
				return fmt.Errorf("%s: %v", key, err)
			}
			price, err := number(pair[0])
			if err != nil {
				return err
			}
			size, err := number(pair[1])
			if err != nil {
				return err
			}
			if apply {
				b.set(side, price, size)
			}
		}
		return nil
	}
	return stack{name: "fastjson + btree", least: 8,
		depth: func(frame []byte, apply bool) error {
			v, err := parser.ParseBytes(frame)
			if err != nil {
				return err
			}
			data := v.Get("data")
			kept += int64(data.GetUint64("u"))
			if err := levels(data, "b", b.bids, apply); err != nil {
				return err
			}
			if err := levels(data, "a", b.asks, apply); err != nil || !apply {
				return err
			}
			b.keepTop()
			return nil
		},
		trade: func(frame []byte, apply bool) error {
			v, err := parser.ParseBytes(frame)
			if err != nil {
				return err
			}
			data := v.Get("data")
			price, err := number(data.Get("p"))
			if err != nil {
				return err
			}
			size, err := number(data.Get("q"))
			if err != nil {
				return err
			}
			at, id, maker := data.GetInt64("T"), data.GetUint64("t"), data.GetBool("m")
			kept += int64(id)
			if apply {
				bars.take(at, price, size, maker)
			}
			return nil
		},
		quote: func(frame []byte) error {
			v, err := parser.ParseBytes(frame)
			if err != nil {
				return err
			}
			data := v.Get("data")
			for _, key := range []string{"b", "B", "a", "A"} {
				x, err := number(data.Get(key))
				if err != nil {
					return err
				}
				kept += int64(x)
			}
			return nil
		},
		best: b.top, volume: func() float64 { return bars[3].volume }}
}

// sonicStack is bytedance/sonic into structs, floats and tidwall/btree.
func sonicStack() stack {
	b, bars := newFloatBook(), floatBars{}
	levels := func(side *btree.BTreeG[floatLevel], levels [][2]string, apply bool) error {
		for _, l := range levels {
			price, err := strconv.ParseFloat(l[0], 64)
			if err != nil {
				return err
			}
			size, err := strconv.ParseFloat(l[1], 64)
			if err != nil {
				return err
			}
			if apply {
				b.set(side, price, size)
			}
		}
		return nil
	}
	return stack{name: "sonic + btree",
		depth: func(frame []byte, apply bool) error {
			var m depthMessage[string]
			if err := sonic.Unmarshal(frame, &m); err != nil {
				return err
			}
			if err := levels(b.bids, m.Data.Bids, apply); err != nil {
				return err
			}
			if err := levels(b.asks, m.Data.Asks, apply); err != nil || !apply {
				return err
			}
			b.keepTop()
			return nil
		},
		trade: func(frame []byte, apply bool) error {
			var m tradeMessage[string]
			if err := sonic.Unmarshal(frame, &m); err != nil {
				return err
			}
			price, err := strconv.ParseFloat(m.Data.Price, 64)
			if err != nil {
				return err
			}
			size, err := strconv.ParseFloat(m.Data.Size, 64)
			if err != nil {
				return err
			}
			if apply {
				bars.take(m.Data.Time, price, size, m.Data.Maker)
			}
			return nil
		},
		quote: func(frame []byte) error {
			var m quoteMessage[string]
			if err := sonic.Unmarshal(frame, &m); err != nil {
				return err
			}
			for _, text := range []string{m.Data.Bid, m.Data.BidSize, m.Data.Ask, m.Data.AskSize} {
				x, err := strconv.ParseFloat(text, 64)
				if err != nil {
					return err
				}
				kept += int64(x)
			}
			return nil
		},
		best: b.top, volume: func() float64 { return bars[3].volume }}
}

func frameLines() (all []bench.Measurement) {
	f := func(ours string, channel tick.Channels, apply bool) {
		for i, x := range stacks() {
			least := 0.0
			if apply && channel == tick.ChannelDepth {
				least = x.least
			}
			all = append(all, against(ours, x.name, least, func(r *bench.Run, s *bench.Sample) error {
				frames, err := r.Frames("binance-spot", channel)
				if err != nil {
					return err
				}
				x := stacks()[i]
				take := x.trade
				if channel == tick.ChannelDepth {
					take = x.depth
				}
				next, failed := 0, error(nil)
				step := func() {
					if err := take(frames.Records[next].Payload, apply); err != nil {
						failed = err
					}
					if next++; next == len(frames.Records) {
						next = 0
					}
				}
				for range len(frames.Records) { // books fill
					step()
				}
				r.Batches(s, bench.Work{Do: func(n int) int {
					for range n {
						step()
					}
					return n
				}})
				if failed != nil {
					return fmt.Errorf("BUG: %s refuses a generated frame: %w", x.name, failed)
				}
				return nil
			}))
		}
	}
	f("decode/trades/binance-spot", tick.ChannelTrades, false)
	f("decode/depth/binance-spot", tick.ChannelDepth, false)
	f("path/trades/binance-spot", tick.ChannelTrades, true)
	f("path/depth/binance-spot", tick.ChannelDepth, true)
	return all
}
