package indicators

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// later is a spec with more lateness.
func later(spec Spec, lateness time.Duration) Spec {
	switch s := spec.(type) {
	case BarsSpec:
		s.Lateness = lateness
		return s
	case WindowSpec:
		s.Lateness = lateness
		return s
	}
	panic("unknown spec")
}

// What is held is revised by trades of any age, as if the lateness were that
// long; and when the hold ends, what the lateness does not ask for goes.
func TestHoldIsLatenessForAWhile(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds {
		for _, spec := range append([]Spec{kind.Default}, examples[kind.Name]...) {
			t.Run(fmt.Sprintf("%s/%+v", kind.Name, spec), func(t *testing.T) {
				t.Parallel()
				seed := rand.Uint64()
				t.Logf("seed %d", seed)
				random := rand.New(rand.NewPCG(seed, 0))
				step, _, lateness := timing(spec)
				span := 200*step + lateness
				held, model := start(spec), start(later(spec, time.Duration(2*span)))
				in := held.in.(Indicator)
				from := noon
				in.Hold(from)
				now := from
				for id := uint64(1); now < from+span; id++ {
					a := action{what: "trade", trade: Trade{TsNanos: from + random.Int64N(now-from+1), Price: 1 + random.Int64N(100), Size: 1 + random.Int64N(9), Sell: id%2 == 0}}
					a.trade.ID.Lo = id
					if random.IntN(3) == 0 {
						now += random.Int64N(5 * step)
						a = action{what: "advance", now: now}
					}
					got, want := held.do(&a), model.do(&a)
					if len(got) != len(want) {
						t.Fatalf("%+v: %d units, want %d", a, len(got), len(want))
					}
					for i := range got {
						if got[i] != want[i] {
							t.Fatalf("%+v: unit %d differs", a, i)
						}
					}
				}
				size := len(in.AppendState(nil))
				in.Hold(math.MaxInt64)
				now += 10 * (lateness + step)
				held.do(&action{what: "trade", trade: Trade{TsNanos: now, Price: 1, Size: 1}})
				held.do(&action{what: "advance", now: now + 20*(lateness+step)})
				if left := len(in.AppendState(nil)); left >= size && size > 4096 {
					t.Errorf("a state of %d bytes is still %d when nothing is held", size, left)
				}
			})
		}
	}
}
