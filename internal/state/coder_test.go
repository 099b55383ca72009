package state

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"testing"
)

type pair struct{ a, b int64 }

// thing has one of everything.
type thing struct {
	u64   uint64
	i64   int64
	n     int
	u32   uint32
	line  uint16
	kind  uint8
	yes   bool
	pairs []pair
	part  part
}

// part is three bytes that must be equal.
type part [3]byte

func (p *part) AppendState(dst []byte) []byte { return append(dst, p[:]...) }

func (p *part) LoadState(src []byte) ([]byte, error) {
	if len(src) < 3 || src[0] != src[1] || src[1] != src[2] {
		return src, errors.New("not three of a kind")
	}
	copy(p[:], src)
	return src[3:], nil
}

func (x *thing) code(c *Coder) {
	c.Uint64(&x.u64)
	c.Int64(&x.i64)
	c.Int(&x.n)
	c.Uint32(&x.u32)
	c.NameLines(2, func(i int) uint16 { return []uint16{7, 9}[i] })
	c.Line(&x.line)
	Enum(c, &x.kind, 5)
	c.Bool(&x.yes)
	List(c, &x.pairs, 10)
	c.Part(&x.part)
}

var example = thing{1 << 63, -5, -6, 1 << 31, 9, 5, true, []pair{{1, -2}, {3, 4}}, part{8, 8, 8}}

func saved(x thing) []byte {
	var c Coder
	c.Save(nil)
	x.code(&c)
	return c.Bytes()
}

// What is saved is loaded again, and nothing of it may miss.
func TestBothWays(t *testing.T) {
	t.Parallel()
	src := saved(example)
	var c Coder
	var back thing
	c.Load(src)
	back.code(&c)
	if err := c.End(); err != nil || !bytes.Equal(saved(back), src) || back.u64 != example.u64 || back.i64 != -5 || back.line != 9 || !slices.Equal(back.pairs, example.pairs) {
		t.Errorf("%+v, %v", back, err)
	}
	for cut := range src {
		var short thing
		c.Load(src[:cut])
		short.code(&c)
		if !errors.Is(c.End(), ErrDamaged) {
			t.Errorf("%d of %d bytes were taken for all", cut, len(src))
		}
	}
	c.Load(append(slices.Clone(src), 0))
	back.code(&c)
	if !errors.Is(c.End(), ErrDamaged) {
		t.Error("a byte too many was taken")
	}
}

// Saving and hashing only read: two goroutines may do it of one thing, as the
// race detector sees.
func TestSavingOnlyReads(t *testing.T) {
	t.Parallel()
	x := example
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			var c Coder
			c.Save(nil)
			x.code(&c)
			c.Hash(nil)
			x.code(&c)
		})
	}
	both.Wait()
}

// A hash knows lines by their places.
func TestHashKnowsNoLineNumbers(t *testing.T) {
	t.Parallel()
	f := func(line uint16, place byte) {
		t.Helper()
		var c Coder
		c.Hash(nil)
		c.NameLines(2, func(i int) uint16 { return []uint16{7, 9}[i] })
		c.Line(&line)
		if got := c.Bytes(); len(got) != 1 || got[0] != place {
			t.Errorf("line %d: % x", line, got)
		}
	}
	f(7, 0)
	f(9, 1)
	f(8, 255)
}

// Whatever the bytes: an error or a value, and no more memory than they fill.
func FuzzLoad(f *testing.F) {
	f.Add(saved(example))
	f.Fuzz(func(t *testing.T, src []byte) {
		var c Coder
		var x thing
		c.Load(src)
		x.code(&c)
		if err := c.End(); err == nil && !bytes.Equal(saved(x), src) {
			t.Error("what was loaded is saved as other bytes")
		}
		if 16*cap(x.pairs) > 2*len(src)+64 {
			t.Errorf("room for %d pairs from %d bytes", cap(x.pairs), len(src))
		}
	})
}
