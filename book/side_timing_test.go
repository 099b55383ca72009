package book

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"tickproc/tick"
)

// walk is a side's levels and what then happens to them, near the best price
// more often than far from it, as in recorded sessions: the rank of a change is
// as likely between 2 and 4 as between 512 and 1024. Half of the changes give a
// level another size, a quarter are new levels, a quarter go. At its end, the
// side is what it was at its beginning.
func walk(levels int) (begin, changes []tick.Level) {
	random := rand.New(rand.NewPCG(uint64(levels), 1))
	var prices []int64 // worst first
	sizes := map[int64]int64{}
	for i := range int64(levels) {
		p := 1_000_000 + 2*i + random.Int64N(2) // two ticks a level
		prices = append(prices, p)
		sizes[p] = 1 + random.Int64N(1000)
		begin = append(begin, tick.Level{Price: p, Size: sizes[p]})
	}
	slices.Reverse(begin)
	var back []tick.Level
	for range 1 << 15 {
		rank := random.IntN(1 << random.IntN(bits.Len(uint(len(prices)))))
		i := len(prices) - 1 - rank
		p := prices[i]
		size := 1 + random.Int64N(1000)
		switch n := random.IntN(4); {
		case n == 0 && len(prices) >= levels:
			size = 0
			prices = slices.Delete(prices, i, i+1)
		case n == 1 && len(prices) <= levels:
			for sizes[p] != 0 {
				p += 1 - 2*random.Int64N(2)
			}
			at, _ := slices.BinarySearch(prices, p)
			prices = slices.Insert(prices, at, p)
		}
		changes, back = append(changes, tick.Level{Price: p, Size: size}), append(back, tick.Level{Price: p, Size: sizes[p]})
		sizes[p] = size
	}
	slices.Reverse(back)
	return begin, append(changes, back...)
}

// sortedSide is the thing to beat: all levels in one slice, best at the end.
type sortedSide struct{ levels sortedLevels }

func (s *sortedSide) Set(price, size int64) bool { return s.levels.set(price, size, 1) }

func (s *sortedSide) setAll(levels []tick.Level) (orphans int) {
	for _, l := range levels {
		if !s.levels.set(l.Price, l.Size, 1) && l.Size == 0 {
			orphans++
		}
	}
	return orphans
}

func (s *sortedSide) Best() tick.Level { return s.levels[len(s.levels)-1] }

// sortedLevels are levels from worst to best.
type sortedLevels []tick.Level

func (f *sortedLevels) set(price, size, sign int64) bool {
	levels := *f
	i, found := levels.find(price, sign)
	switch {
	case found && size != 0:
		levels[i].Size = size
	case found:
		*f = append(levels[:i], levels[i+1:]...)
	case size != 0:
		levels = append(levels, tick.Level{})
		copy(levels[i+1:], levels[i:])
		levels[i] = tick.Level{Price: price, Size: size}
		*f = levels
	}
	return found
}

// find returns where price is, or where it belongs, galloping from the best.
func (f sortedLevels) find(price, sign int64) (int, bool) {
	key := price * sign
	hi := len(f)
	step := 1
	lo := hi - 1
	for lo >= 0 && f[lo].Price*sign > key {
		hi = lo
		lo -= step
		step *= 2
	}
	lo = max(lo, -1)
	for hi-lo > 1 {
		mid := int(uint(lo+hi) / 2)
		if f[mid].Price*sign > key {
			hi = mid
		} else {
			lo = mid
		}
	}
	if lo >= 0 && f[lo].Price == price {
		return lo, true
	}
	return hi, false
}

type timedSide interface {
	Set(price, size int64) bool
	setAll(levels []tick.Level) int
	Best() tick.Level
}

// cpuMeter measures processor time, which says more than elapsed time where
// others use the machine too.
type cpuMeter struct {
	b    *testing.B
	from int64
}

func startCPU(b *testing.B) cpuMeter {
	b.ReportAllocs()
	return cpuMeter{b, cpuNanos(b)}
}

func (m cpuMeter) perLevel(levels int) {
	m.b.ReportMetric(float64(cpuNanos(m.b)-m.from)/float64(m.b.N)/float64(levels), "cpu-ns/level")
}

func cpuNanos(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// settling is how many changes a side has seen before it is measured.
const settling = 1 << 12

// BenchmarkSide sets a level and looks at the best one, in one book and in
// turns in a thousand, which do not fit the caches; then whole messages.
func BenchmarkSide(b *testing.B) {
	for _, levels := range []int{50, 400, 5000} {
		begin, changes := walk(levels)
		for _, books := range []int{1, 100, 1000} {
			for _, kind := range []struct {
				name string
				make func() timedSide
			}{
				{"window", func() timedSide { s := NewSide(true); return &s }},
				{"slice", func() timedSide { return new(sortedSide) }},
			} {
				sides := func() (all []timedSide) {
					for range books {
						s := kind.make()
						s.setAll(begin)
						s.setAll(changes[:settling])
						all = append(all, s)
					}
					return all
				}
				name := fmt.Sprintf("%d levels/%d books/%s", levels, books, kind.name)
				if books == 1 {
					b.Run(name+"/set and best", func(b *testing.B) {
						s, at, sum := sides()[0], settling, int64(0)
						m := startCPU(b)
						for b.Loop() {
							if at == len(changes) {
								at = 0
							}
							s.Set(changes[at].Price, changes[at].Size)
							sum += s.Best().Size
							at++
						}
						m.perLevel(1)
						if sum == 0 {
							b.Fatal("no levels")
						}
					})
				}
				b.Run(name+"/messages of 16", func(b *testing.B) {
					all, at, sum, n := sides(), settling, int64(0), 0
					m := startCPU(b)
					for b.Loop() {
						if n == len(all) {
							n = 0
							if at += 16; at == len(changes) {
								at = 0
							}
						}
						all[n].setAll(changes[at : at+16])
						sum += all[n].Best().Size
						n++
					}
					m.perLevel(16)
					if sum == 0 {
						b.Fatal("no levels")
					}
				})
			}
		}
	}
}

// BenchmarkCopyBest walks from the best level on, where one price of two and
// one of forty is taken.
func BenchmarkCopyBest(b *testing.B) {
	for _, apart := range []int64{2, 40} {
		for _, n := range []int{10, 25, 1000} {
			s, plain := NewSide(true), sortedLevels{}
			for i := range int64(1000) {
				price := 1_000_000 - apart*i + i%2
				s.Set(price, 1+i)
				plain.set(price, 1+i, 1)
			}
			s.layWindow()
			top := make([]tick.Level, n)
			b.Run(fmt.Sprintf("every %d/%d levels/window", apart, n), func(b *testing.B) {
				m := startCPU(b)
				for b.Loop() {
					s.CopyBest(top)
				}
				m.perLevel(n)
			})
			b.Run(fmt.Sprintf("every %d/%d levels/slice", apart, n), func(b *testing.B) {
				m := startCPU(b)
				for b.Loop() {
					for i := range top {
						top[i] = plain[len(plain)-1-i]
					}
				}
				m.perLevel(n)
			})
		}
	}
}
