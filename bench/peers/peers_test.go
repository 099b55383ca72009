package main

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"tickproc/bench"
	"tickproc/tick"
)

// Every stack makes the same book and the same bar of the same frames as maps
// do: figures of one that loses its input would be worth nothing.
func TestStacksAgree(t *testing.T) {
	for _, recipe := range []bench.Recipe{{Venue: "binance-spot", Channels: tick.ChannelDepth, Frames: 500, Symbols: 1},
		{Venue: "binance-spot", Channels: tick.ChannelTrades, Frames: 2000, Symbols: 1}} {
		session, err := bench.Generate(recipe)
		if err != nil {
			t.Fatal(err)
		}
		bids, asks, volume := map[float64]bool{}, map[float64]bool{}, 0.0
		all := stacks()
		for _, r := range session.Records {
			if r.URL != "" || !strings.Contains(string(r.Payload), `"data"`) {
				continue
			}
			var m struct {
				Data struct {
					Bids [][2]json.Number `json:"b"`
					Asks [][2]json.Number `json:"a"`
					Size json.Number      `json:"q"`
				}
			}
			if err := json.Unmarshal([]byte(strings.ReplaceAll(string(r.Payload), `"A":`, `"_":`)), &m); err != nil {
				t.Fatal(err)
			}
			for side, levels := range map[*map[float64]bool][][2]json.Number{&bids: m.Data.Bids, &asks: m.Data.Asks} {
				for _, l := range levels {
					price, _ := l[0].Float64()
					if size, _ := l[1].Float64(); size == 0 {
						delete(*side, price)
					} else {
						(*side)[price] = true
					}
				}
			}
			if size, err := m.Data.Size.Float64(); err == nil {
				volume += size
			}
			for _, x := range all {
				take := x.depth
				if recipe.Channels == tick.ChannelTrades {
					take = x.trade
				}
				if err := take(r.Payload, true); err != nil {
					t.Fatalf("%s: %v: %s", x.name, err, r.Payload)
				}
			}
		}
		bid, ask := 0.0, math.Inf(1)
		for p := range bids {
			bid = max(bid, p)
		}
		for p := range asks {
			ask = min(ask, p)
		}
		if len(asks) == 0 {
			ask = 0
		}
		for _, x := range all {
			haveBid, haveAsk := x.best()
			if haveBid != bid || haveAsk != ask || math.Abs(x.volume()-volume) > 1e-6*volume {
				t.Errorf("%v: %s: best %v %v, volume %v; want %v %v, %v", recipe.Channels, x.name, haveBid, haveAsk, x.volume(), bid, ask, volume)
			}
		}
	}
}

// With a channel between its halves a stack ends with the same book and bar.
func TestHalvesAgree(t *testing.T) {
	session, err := bench.Generate(bench.Recipe{Venue: "binance-spot", Frames: 2000, Symbols: 1})
	if err != nil {
		t.Fatal(err)
	}
	through, direct := plainStack(), plainStack()
	direct.decode = nil
	for _, x := range []*stack{&through, &direct} {
		if _, err := x.lap(session); err != nil {
			t.Fatal(err)
		}
	}
	bid, ask := direct.best()
	haveBid, haveAsk := through.best()
	if haveBid != bid || haveAsk != ask || bid == 0 || through.volume() != direct.volume() || direct.volume() == 0 {
		t.Errorf("best %v %v, volume %v; without the channel %v %v, %v", haveBid, haveAsk, through.volume(), bid, ask, direct.volume())
	}
}

// Every side does what a map does, whose best price is looked for.
func TestBooksAgree(t *testing.T) {
	for _, kind := range bookKinds {
		for _, bids := range []bool{true, false} {
			random := rand.New(rand.NewPCG(1, 2))
			b, model := kind.make(bids), map[int64]int64{}
			for range 5000 {
				price, size := random.Int64N(200), random.Int64N(4)
				b.set(price, size)
				if delete(model, price); size != 0 {
					model[price] = size
				}
				best, found := int64(0), false
				for p := range model {
					if !found || (p > best) == bids {
						best, found = p, true
					}
				}
				if p, size := b.best(); p != best || size != model[best] {
					t.Fatalf("%s: best %d at %d, want %d at %d", kind.name, size, p, model[best], best)
				}
			}
		}
	}
}

// The table has a row for each line, and a ratio for each peer.
func TestTable(t *testing.T) {
	all := lines()
	for i := range all {
		all[i].Run = func(_ *bench.Run, s *bench.Sample) error { s.Add(100, 1); return nil }
		all[i].Cores = 0
	}
	report, err := bench.Do(t.Context(), bench.Options{Measurements: all, Time: time.Millisecond, Rounds: 1})
	if err != nil {
		t.Fatal(err)
	}
	text := table(report)
	if rows := strings.Count(text, "\n| ") - 1; rows != len(all) {
		t.Errorf("%d rows for %d lines:\n%s", rows, len(all), text)
	}
	for _, want := range []string{"| fastjson + btree | frame | 100 ns | 100 ns |  | 1.0 | ≥ 8 × | NOT MET |", "| **book/400**, tickproc | change |", "| floor/channel/many | message | 100 ns | 100 ns |  | 1.0 | ≥ 6 × as fast | NOT MET |"} {
		if !strings.Contains(text, want) {
			t.Errorf("no row %s in\n%s", want, text)
		}
	}
}
