package bench

import (
	"fmt"
	"math/rand/v2"

	"tickproc/book"
	"tickproc/tick"
)

// BookOp sets a level, as depth messages do; Size 0 removes it.
type BookOp struct {
	Price, Size int64
	Bid         bool
}

// The middle of the generated books, in ticks.
const bookMiddle = 1 << 20

// BookOps makes the levels of a book and the changes to go round: a function of
// its arguments and a fixed seed. Four of five changes are near the best price
// (half of them within 7 ticks), one anywhere; a quarter of those that meet a
// level remove it, which keeps the sides about as long as they were.
func BookOps(levels int) (begin, ops []BookOp) {
	random := rand.New(rand.NewPCG(1, uint64(levels)))
	price := func(bid bool, distance int) int64 {
		if bid {
			return bookMiddle - 1 - int64(distance)
		}
		return bookMiddle + int64(distance)
	}
	size := func() int64 { return 1 + random.Int64N(1_000_000) }
	present := map[bool][]bool{true: make([]bool, levels), false: make([]bool, levels)}
	for distance := range levels {
		for _, bid := range []bool{true, false} {
			present[bid][distance] = true
			begin = append(begin, BookOp{price(bid, distance), size(), bid})
		}
	}
	for range 1 << 16 {
		bid, distance := random.IntN(2) == 0, 0
		if random.IntN(5) == 0 {
			distance = random.IntN(levels)
		} else {
			distance = min(int(random.ExpFloat64()*10), levels-1)
		}
		op := BookOp{price(bid, distance), size(), bid}
		if present[bid][distance] && random.IntN(4) == 0 {
			op.Size = 0
		}
		present[bid][distance] = op.Size != 0
		ops = append(ops, op)
	}
	return begin, ops
}

// bookLines are the changing of a level and looking at both best prices. The
// floor is an array with a slot for each price: it knows where a level is, and
// no more about which is the best than the change itself tells.
func bookLines() (all []Measurement) {
	for _, levels := range []int{400, 5000} {
		name := fmt.Sprint(levels)
		all = append(all,
			Measurement{Name: "floor/book/" + name, What: "storing a size in an array of prices, and reading one", Unit: "change", Run: func(r *Run, s *Sample) error {
				_, ops := BookOps(levels)
				sizes, next := make([]int64, 1<<14), 0
				r.Batches(s, Work{Do: func(n int) int {
					for range n {
						op := &ops[next&(1<<16-1)]
						sizes[(op.Price-bookMiddle)&(1<<14-1)] = op.Size
						kept += uint64(sizes[next&1])
						next++
					}
					return n
				}})
				return nil
			}},
			Measurement{Name: "book/" + name, What: "setting a level of a book of " + name + " a side, and reading both best ones", Unit: "change", Floor: "floor/book/" + name, Aim: atMost(20),
				Run: func(r *Run, s *Sample) error {
					begin, ops := BookOps(levels)
					b := book.New()
					set := func(op *BookOp) {
						if op.Bid {
							b.Bids.Set(op.Price, op.Size)
						} else {
							b.Asks.Set(op.Price, op.Size)
						}
					}
					for i := range begin {
						set(&begin[i])
					}
					next := 0
					r.Batches(s, Work{Do: func(n int) int {
						var best tick.Level
						for range n {
							op := &ops[next&(1<<16-1)]
							if op.Bid {
								b.Bids.Set(op.Price, op.Size)
							} else {
								b.Asks.Set(op.Price, op.Size)
							}
							bid, ask := b.Bids.Best(), b.Asks.Best()
							best.Price, best.Size = best.Price+bid.Price, best.Size+ask.Size
							next++
						}
						kept += uint64(best.Price + best.Size)
						return n
					}})
					return nil
				}})
	}
	return all
}
