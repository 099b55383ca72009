package okx

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"tickproc/feeds/sim"
	"tickproc/tick"
)

// specs are instruments with parameters like the real ones. Alias is the
// index. No two derivatives share one: see indexLeader.
var specs = []sim.Spec{
	{Name: "BTC-USDT", Base: "BTC", Quote: "USDT", PriceDigits: 1, SizeDigits: 8, Tick: 1, Lot: 1, Start: 787_222, OrderLots: 20_000_000, ReachBits: 11},
	{Name: "ETH-USDT", Base: "ETH", Quote: "USDT", PriceDigits: 2, SizeDigits: 6, Tick: 1, Lot: 1, Start: 268_000, OrderLots: 2_000_000, ReachBits: 11},
	contract("BTC-USDT-SWAP", false, tick.Number{Mantissa: 1, Digits: 2}, 1, 2, 787_300, 3_000, 11),
	contract("BTC-USD-SWAP", true, tick.Number{Mantissa: 100}, 1, 0, 787_300, 60, 11),
	contract("ETH-USD-261225", true, tick.Number{Mantissa: 10}, 2, 0, 271_000, 90, 10),
}

func contract(name string, inverse bool, size tick.Number, priceDigits, sizeDigits uint8, start, orderLots int64, reach int) sim.Spec {
	part := strings.Split(name, "-")
	s := sim.Spec{Name: name, Base: part[0], Quote: part[1], Alias: part[0] + "-" + part[1], Type: tick.TypePerpetual, Inverse: inverse, ContractSize: size,
		PriceDigits: priceDigits, SizeDigits: sizeDigits, Tick: 1, Lot: 1, Start: start, OrderLots: orderLots, ReachBits: reach}
	if day, err := time.Parse("060102", part[2]); err == nil {
		s.Type, s.ExpiryNanos = tick.TypeFuture, day.Add(8*time.Hour).UnixNano()
	}
	return s
}

// DefaultSymbols returns the instruments of the table; the last one is quiet.
func (*dialect) DefaultSymbols() []sim.Symbol {
	var out []sim.Symbol
	for _, s := range specs {
		out = append(out, sim.Symbol{Name: s.Name, Rate: 1})
	}
	out[len(out)-1].Rate = 0.1
	return out
}

var names = regexp.MustCompile(`^[A-Z0-9]{1,16}-[A-Z]{2,6}(-SWAP|-\d{6})?$`)

// Spec takes any name of the venue's forms.
func (*dialect) Spec(name string) (sim.Spec, error) {
	for _, s := range specs {
		if s.Name == name {
			return s, nil
		}
	}
	part := strings.Split(name, "-")
	if len(part) == 3 && part[2] != "SWAP" {
		if _, err := time.Parse("060102", part[2]); err != nil {
			part = nil
		}
	}
	if !names.MatchString(name) || part == nil {
		return sim.Spec{}, fmt.Errorf("okx: symbol %q: want a name like BTC-USDT, BTC-USDT-SWAP or BTC-USD-261225", name)
	}
	start := int64(2_000 + sim.NameHash(name)%200_000)
	if len(part) == 2 {
		return sim.Spec{Name: name, Base: part[0], Quote: part[1], PriceDigits: 4, SizeDigits: 4, Tick: 1, Lot: 1, Start: start, OrderLots: 50_000, ReachBits: 9}, nil
	}
	if part[1] == "USD" {
		return contract(name, true, tick.Number{Mantissa: 10}, 4, 0, start, 100, 9), nil
	}
	return contract(name, false, tick.Number{Mantissa: 1}, 4, 1, start, 500, 9), nil
}
