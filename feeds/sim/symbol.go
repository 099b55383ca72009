package sim

import (
	"fmt"
	"hash/fnv"
	"strings"

	"tickproc/tick"
)

// Symbol chooses an instrument of a simulated venue.
type Symbol struct {
	// Name in the venue's spelling, "BTCUSDT", "BTCUSD_PERP".
	Name string
	// Rate multiplies Options.Rate; 0 means 1. Small values make a quiet symbol.
	Rate float64
}

// spec is what a venue's catalog says of an instrument, and how its market moves.
type spec struct {
	name, base, quote string
	pair              string // futures: the pair, "BTCUSD"
	contract          string // futures: the venue's contract type
	contractSize      int64  // COIN-M: USD a contract
	// Digits of prices and sizes on the wire; all integers below are at them.
	priceDigits, sizeDigits uint8
	tick, lot               int64
	start                   int64 // first price, in ticks
	orderLots               int64 // typical size of an order, in lots
	reachBits               int   // orders stand up to 2^reachBits ticks from the best
}

func spot(base string, tickSize, lot, start, orderLots int64, reach int) spec {
	return spec{name: base + "USDT", base: base, quote: "USDT", priceDigits: 8, sizeDigits: 8,
		tick: tickSize, lot: lot, start: start, orderLots: orderLots, reachBits: reach}
}

func usdm(base string, priceDigits, sizeDigits uint8, tickSize, start, orderLots int64, reach int) spec {
	return spec{name: base + "USDT", base: base, quote: "USDT", pair: base + "USDT", contract: "PERPETUAL",
		priceDigits: priceDigits, sizeDigits: sizeDigits, tick: tickSize, lot: 1, start: start, orderLots: orderLots, reachBits: reach}
}

func coinm(base, contract, suffix string, digits uint8, tickSize, start, contractSize int64, reach int) spec {
	return spec{name: base + "USD_" + suffix, base: base, quote: "USD", pair: base + "USD", contract: contract,
		contractSize: contractSize, priceDigits: digits, tick: tickSize, lot: 1, start: start, orderLots: 40, reachBits: reach}
}

// specs are the instruments with parameters like the real ones.
var specs = map[string][]spec{
	BinanceSpot: {
		spot("BTC", 1e6, 1e3, 6_180_000, 20_000, 12),
		spot("ETH", 1e6, 1e4, 268_000, 20_000, 10),
		spot("SOL", 1e6, 1e5, 15_500, 30_000, 9),
		spot("XRP", 1e4, 1e7, 6_200, 5_000, 8),
		spot("DOGE", 1e3, 1e8, 10_500, 4_000, 8),
	},
	BinanceUSDM: {
		usdm("BTC", 2, 3, 10, 618_000, 300, 10),
		usdm("ETH", 2, 3, 1, 268_000, 3_000, 10),
		usdm("SOL", 4, 0, 100, 15_500, 60, 9),
		usdm("XRP", 4, 1, 1, 6_200, 9_000, 8),
	},
	BinanceCOINM: {
		coinm("BTC", "PERPETUAL", "PERP", 1, 1, 618_000, 100, 10),
		coinm("ETH", "PERPETUAL", "PERP", 2, 1, 268_000, 10, 10),
		coinm("BTC", "CURRENT_QUARTER", "261225", 1, 1, 627_000, 100, 10),
	},
}

// DefaultSymbols returns the instruments that a venue has when none are
// named; the last one is quiet.
func DefaultSymbols(venue string) []Symbol {
	var out []Symbol
	for _, s := range specs[venue] {
		out = append(out, Symbol{Name: s.name, Rate: 1})
	}
	if len(out) > 0 {
		out[len(out)-1].Rate = 0.1
	}
	return out
}

// specOf returns the parameters of a symbol; symbols outside the table get
// plausible ones that depend on the name alone.
func specOf(venue, name string) (spec, error) {
	for _, s := range specs[venue] {
		if s.name == name {
			return s, nil
		}
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	start := int64(2_000 + h.Sum64()%200_000)
	if venue == BinanceCOINM {
		base, suffix, ok := strings.Cut(name, "USD_")
		if !ok || base == "" || suffix == "" {
			return spec{}, fmt.Errorf("%s: symbol %q: want a name like BTCUSD_PERP", venue, name)
		}
		contract := "PERPETUAL"
		if suffix != "PERP" {
			contract = "CURRENT_QUARTER"
		}
		return coinm(base, contract, suffix, 3, 1, start, 10, 9), nil
	}
	for _, quote := range []string{"USDT", "USDC", "FDUSD", "BTC", "ETH", "BNB", "EUR", "USD"} {
		base, ok := strings.CutSuffix(name, quote)
		if !ok || base == "" {
			continue
		}
		s := spot(base, 1e4, 1e7, start, 2_000, 9)
		if venue == BinanceUSDM {
			s = usdm(base, 4, 0, 1, start, 500, 9)
			s.pair = name
		}
		s.name, s.quote = name, quote
		return s, nil
	}
	return spec{}, fmt.Errorf("%s: symbol %q: want a base and a known quote, like BTCUSDT", venue, name)
}

// symbol is an instrument's market: the true book and what drives it.
// owner: the venue's lock.
type symbol struct {
	spec
	venue      *venue
	random     *source
	bids, asks side
	meanGap    float64 // ns between two events
	holes      int     // update ids skip up to this many; 0 = contiguous

	updateID     uint64 // of the last change
	sentID       uint64 // last id of the last depth message
	pendingFirst uint64 // id of the first change since then; 0 = none
	touched      [2][]int64
	tradeID      int64
	timeMs       int64 // matching time of the last event; never falls

	nextNanos, flushNanos   int64
	quietUntil, staleUntil  int64
	quotedBid, quotedAsk    tick.Level
	trend                   int // percent that lean the next market orders to buy
	event                   event
	changedBids, changedAsk []tick.Level

	truth       record
	subscribers [tick.ChannelCount][]subscription
}
