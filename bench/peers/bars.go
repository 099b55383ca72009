package main

import (
	"time"

	"github.com/shopspring/decimal"
)

// intervals are those of our defaults.
var intervals = []time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour}

// decimalBars are bars in decimals; floatBars in floats. A frame that comes
// again in a later lap belongs to a bar of the past: it begins one anew, which is
// no more work than the first time.
type decimalBars [4]struct {
	start                                 int64 // ms
	open, high, low, last, volume, amount decimal.Decimal
	buy, vwap                             decimal.Decimal
	trades                                int
}

func (b *decimalBars) take(ms int64, price, size decimal.Decimal, sell bool) {
	amount := price.Mul(size)
	for i := range b {
		x := &b[i]
		if start := ms - ms%intervals[i].Milliseconds(); start != x.start || x.trades == 0 {
			if x.trades > 0 {
				kept += x.amount.Div(x.volume).CoefficientInt64() // its row would be written
			}
			x.start, x.open, x.high, x.low, x.trades = start, price, price, price, 0
			x.volume, x.amount, x.buy = decimal.Decimal{}, decimal.Decimal{}, decimal.Decimal{}
		}
		x.high, x.low, x.last = decimal.Max(x.high, price), decimal.Min(x.low, price), price
		x.volume, x.amount = x.volume.Add(size), x.amount.Add(amount)
		if !sell {
			x.buy = x.buy.Add(size)
		}
		x.trades++
	}
}

type floatBars [4]struct {
	start                                 int64 // ms
	open, high, low, last, volume, amount float64
	buy                                   float64
	trades                                int
}

func (b *floatBars) take(ms int64, price, size float64, sell bool) {
	for i := range b {
		x := &b[i]
		if start := ms - ms%intervals[i].Milliseconds(); start != x.start || x.trades == 0 {
			if x.trades > 0 {
				kept += int64(x.amount / x.volume) // its row would be written
			}
			*x = floatBars{}[i]
			x.start, x.open, x.high, x.low = start, price, price, price
		}
		x.high, x.low, x.last = max(x.high, price), min(x.low, price), price
		x.volume, x.amount = x.volume+size, x.amount+price*size
		if !sell {
			x.buy += size
		}
		x.trades++
	}
}
