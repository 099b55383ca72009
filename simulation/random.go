package simulation

import (
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// stream is the random numbers of one component: one each, so that adding one,
// or silencing one, leaves the others' as they were.
func stream(seed uint64, name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// between returns a duration of at least from and less than to.
func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(r.Int64N(int64(to-from)))
}

// some returns true once in n times.
func some(r *rand.Rand, n int) bool { return r.IntN(n) == 0 }
