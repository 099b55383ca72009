package engine

import (
	"bytes"
	"testing"
	"time"

	"tickproc/tick"
)

// theLongWay applies a packet as if none were ordinary.
func (s *Shard) theLongWay(p []tick.Unit) {
	for _, in := range s.instruments {
		if in != nil {
			in.idle = false
		}
	}
	s.Apply(p)
}

// mustBeLike compares what two shards said, and when each of their instruments
// is looked at next.
func (s *Shard) mustBeLike(t testing.TB, long *Shard, p []tick.Unit) {
	t.Helper()
	if got, want := said(s), said(long); !bytes.Equal(got, want) {
		t.Fatalf("%v: other rows", p[0].KindOf())
	}
	for id, in := range s.instruments {
		if in != nil && in.key != long.instruments[id].key {
			t.Fatalf("%v: instrument %d is due at %d, want %d", p[0].KindOf(), id, in.key, long.instruments[id].key)
		}
	}
}

// Whether a trade or quote is taken as an ordinary one makes no difference to
// what is said, when, nor to the state.
func TestOrdinaryIsNoDifference(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	for range 3 {
		s, long := NewShard(everything), NewShard(everything)
		trades, ordinary := 0, 0
		for i, p := range packetsOf(manyMarkets(t, random, 20*time.Second)) {
			if h := p[0].Header(); h.Kind == tick.KindTrade {
				trades++
				if s.instruments[h.Instrument].idle {
					ordinary++
				}
			}
			s.Apply(p)
			long.theLongWay(p)
			s.mustBeLike(t, long, p)
			if i%500 == 0 && s.StateHash() != long.StateHash() {
				t.Fatal("another state")
			}
		}
		if s.StateHash() != long.StateHash() {
			t.Fatal("another state")
		}
		if ordinary < trades/2 {
			t.Errorf("of %d trades only %d found their instrument idle", trades, ordinary)
		}
	}
}
