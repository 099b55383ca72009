package binance

import (
	"fmt"
	"strings"
	"time"

	"tickproc/feeds/sim"
	"tickproc/tick"
)

func spotSpec(base string, tickSize, lot, start, orderLots int64, reach int) sim.Spec {
	return sim.Spec{Name: base + "USDT", Base: base, Quote: "USDT", PriceDigits: 8, SizeDigits: 8,
		Tick: tickSize, Lot: lot, Start: start, OrderLots: orderLots, ReachBits: reach}
}

func usdmSpec(base string, priceDigits, sizeDigits uint8, tickSize, start, orderLots int64, reach int) sim.Spec {
	return sim.Spec{Name: base + "USDT", Base: base, Quote: "USDT", Alias: base + "USDT", Type: tick.TypePerpetual, Contract: "PERPETUAL",
		ContractSize: tick.Number{Mantissa: 1}, PriceDigits: priceDigits, SizeDigits: sizeDigits,
		Tick: tickSize, Lot: 1, Start: start, OrderLots: orderLots, ReachBits: reach}
}

func coinmSpec(base, contract, suffix string, digits uint8, tickSize, start, contractSize int64, reach int) sim.Spec {
	s := sim.Spec{Name: base + "USD_" + suffix, Base: base, Quote: "USD", Alias: base + "USD", Type: tick.TypePerpetual, Contract: contract,
		Inverse: true, ContractSize: tick.Number{Mantissa: contractSize}, PriceDigits: digits,
		Tick: tickSize, Lot: 1, Start: start, OrderLots: 40, ReachBits: reach}
	if contract != "PERPETUAL" {
		s.Type = tick.TypeFuture
		if day, err := time.Parse("060102", suffix); err == nil {
			s.ExpiryNanos = day.Add(8 * time.Hour).UnixNano()
		}
	}
	return s
}

// specs are the instruments with parameters like the real ones.
var specs = map[string][]sim.Spec{
	Spot: {
		spotSpec("BTC", 1e6, 1e3, 7_872_000, 20_000, 12),
		spotSpec("ETH", 1e6, 1e4, 268_000, 20_000, 10),
		spotSpec("SOL", 1e6, 1e5, 15_500, 30_000, 9),
		spotSpec("XRP", 1e4, 1e7, 6_200, 5_000, 8),
		spotSpec("DOGE", 1e3, 1e8, 10_500, 4_000, 8),
	},
	USDM: {
		usdmSpec("BTC", 2, 3, 10, 787_200, 300, 10),
		usdmSpec("ETH", 2, 3, 1, 268_000, 3_000, 10),
		usdmSpec("SOL", 4, 0, 100, 15_500, 60, 9),
		usdmSpec("XRP", 4, 1, 1, 6_200, 9_000, 8),
	},
	COINM: {
		coinmSpec("BTC", "PERPETUAL", "PERP", 1, 1, 787_300, 100, 10),
		coinmSpec("ETH", "PERPETUAL", "PERP", 2, 1, 268_000, 10, 10),
		coinmSpec("BTC", "CURRENT_QUARTER", "261225", 1, 1, 797_000, 100, 10),
	},
}

// DefaultSymbols returns the instruments of the table; the last one is quiet.
func (d *dialect) DefaultSymbols() []sim.Symbol {
	var out []sim.Symbol
	for _, s := range specs[d.venue] {
		out = append(out, sim.Symbol{Name: s.Name, Rate: 1})
	}
	out[len(out)-1].Rate = 0.1
	return out
}

// Spec takes any name with a base and a known quote.
func (d *dialect) Spec(name string) (sim.Spec, error) {
	for _, s := range specs[d.venue] {
		if s.Name == name {
			return s, nil
		}
	}
	start := int64(2_000 + sim.NameHash(name)%200_000)
	if d.venue == COINM {
		base, suffix, ok := strings.Cut(name, "USD_")
		if !ok || base == "" || suffix == "" {
			return sim.Spec{}, fmt.Errorf("%s: symbol %q: want a name like BTCUSD_PERP", d.venue, name)
		}
		contract := "PERPETUAL"
		if suffix != "PERP" {
			contract = "CURRENT_QUARTER"
		}
		return coinmSpec(base, contract, suffix, 3, 1, start, 10, 9), nil
	}
	for _, quote := range []string{"USDT", "USDC", "FDUSD", "BTC", "ETH", "BNB", "EUR", "USD"} {
		base, ok := strings.CutSuffix(name, quote)
		if !ok || base == "" {
			continue
		}
		s := spotSpec(base, 1e4, 1e7, start, 2_000, 9)
		if d.venue == USDM {
			s = usdmSpec(base, 4, 0, 1, start, 500, 9)
			s.Alias = name
		}
		s.Name, s.Quote = name, quote
		return s, nil
	}
	return sim.Spec{}, fmt.Errorf("%s: symbol %q: want a base and a known quote, like BTCUSDT", d.venue, name)
}
