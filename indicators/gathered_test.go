package indicators

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"tickproc/tick"
)

// Several indicators that get their trades gathered are always where those are
// that get each: the same deadlines after every trade, the same rows and the
// same state at every other call. In a part of the cases contracts have one
// value, in a part each interval its own.
func TestGatheredIsNoDifference(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var all []Spec
	for _, kind := range Kinds {
		all = append(append(all, kind.Default), examples[kind.Name]...)
	}
	waited := 0
	for i := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, i))
		specs := []Spec{all[i%uint64(len(all))]}
		for range random.IntN(5) {
			specs = append(specs, all[random.IntN(len(all))])
		}
		each, gathered := make([]*run, len(specs)), make([]*run, len(specs))
		indicators := make([]Indicator, len(specs))
		for k, spec := range specs {
			each[k], gathered[k] = start(spec), start(spec)
			indicators[k] = gathered[k].in.(Indicator)
		}
		var g Gathered
		for at, a := range crowded(random, newScript(random, specs[0], 150)) {
			if a.what == "trade" {
				for _, r := range each {
					r.do(&a)
				}
				if t := &a.trade; g.Has(t.TsNanos) {
					g.Take(t.TsNanos, t.ID, t.Price, t.Size, t.Sell)
					waited++
				} else {
					g.Settle(indicators)
					for _, x := range indicators {
						x.Trade(&a.trade)
					}
					g.Open(indicators, a.trade.TsNanos)
				}
				for k := range specs {
					if got, want := indicators[k].Deadline(), each[k].in.(Indicator).Deadline(); got != want {
						t.Fatalf("case %d, action %d: %+v: deadline %d, want %d", i, at, specs[k], got, want)
					}
				}
				continue
			}
			g.Settle(indicators)
			for k := range specs {
				got, want := gathered[k].do(&a), each[k].do(&a)
				if !slices.Equal(got, want) {
					t.Fatalf("case %d, action %d: %+v: %s gave\n%s\nwant\n%s", i, at, specs[k], a.what, text(t, got), text(t, want))
				}
				if !bytes.Equal(indicators[k].AppendState(nil), each[k].in.(Indicator).AppendState(nil)) {
					t.Fatalf("case %d, action %d: %+v: %s led to another state", i, at, specs[k], a.what)
				}
			}
		}
	}
	if waited == 0 {
		t.Error("no trade ever waited")
	}
}

// crowded adds trades around those that are there.
func crowded(random *rand.Rand, script []action) (all []action) {
	id := uint64(1 << 40)
	for _, a := range script {
		all = append(all, a)
		if a.what != "trade" {
			continue
		}
		for range random.IntN(8) {
			more := a
			id++
			more.trade.ID = tick.ID{Lo: id - uint64(random.IntN(5))*3}
			more.trade.TsNanos += int64(random.IntN(400)) * 1e6 * int64(random.IntN(3)) / 2
			more.trade.Price = max(1, more.trade.Price+int64(random.IntN(21))-10)
			more.trade.Size, more.trade.Sell = int64(random.IntN(1000))+1, random.IntN(2) == 0
			all = append(all, more)
		}
	}
	return all
}
