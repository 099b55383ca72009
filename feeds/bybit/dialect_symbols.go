package bybit

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"tickproc/feeds/sim"
	"tickproc/tick"
)

func spotSpec(base, quote string, priceDigits, sizeDigits uint8, start, orderLots int64, reach int) sim.Spec {
	return sim.Spec{Name: base + quote, Base: base, Quote: quote, PriceDigits: priceDigits, SizeDigits: sizeDigits,
		Tick: 1, Lot: 1, Start: start, OrderLots: orderLots, ReachBits: reach}
}

func linearSpec(base, quote string, priceDigits, sizeDigits uint8, step, lot, start, orderLots int64, reach int) sim.Spec {
	return sim.Spec{Name: base + quote, Base: base, Quote: quote, Type: tick.TypePerpetual, Contract: "LinearPerpetual",
		ContractSize: tick.Number{Mantissa: 1}, PriceDigits: priceDigits, SizeDigits: sizeDigits,
		Tick: step, Lot: lot, Start: start, OrderLots: orderLots, ReachBits: reach}
}

func inverseSpec(base string, step, start int64, reach int) sim.Spec {
	return sim.Spec{Name: base + "USD", Base: base, Quote: "USD", Type: tick.TypePerpetual, Contract: "InversePerpetual",
		Inverse: true, ContractSize: tick.Number{Mantissa: 1}, PriceDigits: 2,
		Tick: step, Lot: 1, Start: start, OrderLots: 4_000, ReachBits: reach}
}

// dated makes a future of a perpetual.
func dated(s sim.Spec, name string, expiry time.Time) sim.Spec {
	s.Name, s.Type, s.ExpiryNanos = name, tick.TypeFuture, expiry.UnixNano()
	s.Contract = strings.Replace(s.Contract, "Perpetual", "Futures", 1)
	return s
}

// specs are the instruments with parameters like the real ones.
func (d *dialect) specs() []sim.Spec {
	perpetual := linearSpec("BTC", "USDT", 2, 3, 10, 1, 787_150, 300, 10)
	usdc := linearSpec("BTC", "USDC", 1, 3, 1, 1, 787_150, 300, 10)
	usdc.Name = "BTCPERP"
	switch d.category {
	case "spot":
		return []sim.Spec{
			spotSpec("BTC", "USDT", 1, 6, 787_150, 60_000, 11),
			spotSpec("ETH", "USDT", 2, 5, 268_000, 30_000, 10),
			spotSpec("SOL", "USDT", 2, 3, 15_500, 3_000, 9),
			spotSpec("XRP", "USDT", 4, 2, 19_531, 90_000, 8),
		}
	case "linear":
		return []sim.Spec{
			perpetual,
			linearSpec("ETH", "USDT", 2, 2, 1, 1, 268_000, 400, 10),
			linearSpec("1000PEPE", "USDT", 7, 0, 1, 100, 98_000, 200, 9),
			usdc,
			dated(perpetual, "BTCUSDT-25DEC26", time.Date(2026, 12, 25, 8, 0, 0, 0, time.UTC)),
		}
	}
	btc := inverseSpec("BTC", 10, 787_150, 10)
	return []sim.Spec{btc, inverseSpec("ETH", 1, 268_000, 10), dated(btc, "BTCUSDZ26", time.Date(2026, 12, 25, 8, 0, 0, 0, time.UTC))}
}

// DefaultSymbols returns the instruments of the table; the last one is quiet.
func (d *dialect) DefaultSymbols() []sim.Symbol {
	var out []sim.Symbol
	for _, s := range d.specs() {
		out = append(out, sim.Symbol{Name: s.Name, Rate: 1})
	}
	out[len(out)-1].Rate = 0.1
	return out
}

var inverseName = regexp.MustCompile(`^([A-Z0-9]+?)USD([FGHJKMNQUVXZ]\d\d)?$`)

// Spec takes any name with a base and a known quote.
func (d *dialect) Spec(name string) (sim.Spec, error) {
	for _, s := range d.specs() {
		if s.Name == name {
			return s, nil
		}
	}
	expiry := time.Date(2027, 3, 26, 8, 0, 0, 0, time.UTC)
	start := int64(2_000 + sim.NameHash(name)%200_000)
	if d.inverse() {
		parts := inverseName.FindStringSubmatch(name)
		if parts == nil {
			return sim.Spec{}, fmt.Errorf("%s: symbol %q: want a name like BTCUSD or BTCUSDH27", d.venue, name)
		}
		s := inverseSpec(parts[1], 1, start, 9)
		if parts[2] != "" {
			s = dated(s, name, expiry)
		}
		return s, nil
	}
	pair, date, isDated := strings.Cut(name, "-")
	for _, quote := range []string{"USDT", "USDC", "PERP", "BTC", "EUR"} {
		base, ok := strings.CutSuffix(pair, quote)
		if !ok || base == "" || isDated && date == "" {
			continue
		}
		switch {
		case d.spot() && !isDated:
			return spotSpec(base, quote, 4, 2, start, 20_000, 9), nil
		case !d.spot() && isDated:
			return dated(linearSpec(base, quote, 4, 1, 1, 1, start, 5_000, 9), name, expiry), nil
		case !d.spot():
			s := linearSpec(base, quote, 4, 1, 1, 1, start, 5_000, 9)
			if quote == "PERP" {
				s.Quote = "USDC"
			}
			return s, nil
		}
	}
	return sim.Spec{}, fmt.Errorf("%s: symbol %q: want a base and a known quote, like BTCUSDT", d.venue, name)
}
