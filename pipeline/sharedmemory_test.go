package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"tickproc/feeds/sim"
	"tickproc/tick"
	"tickproc/writer/shm/layout"
	"tickproc/writer/shm/reader"
)

// onMemory is a folder on a file system in memory, for as long as the test.
func onMemory(t *testing.T) string {
	t.Helper()
	root := "/dev/shm"
	if _, err := os.Stat(root); err != nil {
		root = t.TempDir()
	}
	dir, err := os.MkdirTemp(root, "tickproc-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// otherProcess follows a system by its shared memory alone.
type otherProcess struct {
	t        *testing.T
	from     *reader.Reader
	message  reader.Message
	pending  map[uint32]*reader.Image // of places that were not reached yet
	trades   map[string]int           // rows as the ledger's, and how often each came
	books    map[uint32]*followedBook
	kinds    map[layout.Kind]int
	compared int // books with an image of the same place
	ended    int // rings
}

// followedBook is a book by the rules of docs/shm.md.
type followedBook struct {
	bids, asks map[int64]int64
	valid      bool
	digits     [2]uint8
}

func newOtherProcess(t *testing.T, dir string) *otherProcess {
	t.Helper()
	from, err := reader.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { from.Close() })
	return &otherProcess{t: t, from: from, pending: map[uint32]*reader.Image{}, trades: map[string]int{}, books: map[uint32]*followedBook{}, kinds: map[layout.Kind]int{}}
}

// follow reads until every ring has ended.
func (x *otherProcess) follow() {
	for x.ended < x.from.Rings() {
		moved := false
		for i := range x.from.Rings() {
			ring := x.from.Ring(i)
			for ring.Next(&x.message) {
				moved = true
				x.take(i, ring.Position())
			}
		}
		if !moved {
			runtime.Gosched()
		}
	}
}

func (x *otherProcess) take(ring int, behind uint64) {
	m := &x.message
	x.kinds[m.Kind()]++
	if m.Lost > 0 {
		x.t.Errorf("%d slots were lost", m.Lost)
	}
	if m.Kind() == layout.KindEnd {
		x.ended++
		return
	}
	in, ok := x.from.Instrument(m.Instrument())
	if !ok || in.Shard != ring {
		x.t.Errorf("a %v of instrument %d in ring %d: %+v", m.Kind(), m.Instrument(), ring, in)
	}
	b := x.books[m.Instrument()]
	if b == nil {
		b = &followedBook{bids: map[int64]int64{}, asks: map[int64]int64{}}
		x.books[m.Instrument()] = b
	}
	if image := x.pending[m.Instrument()]; image != nil && m.Position >= image.Position {
		x.compare(&in, b, image)
		x.pending[m.Instrument()] = nil
	}
	switch m.Kind() {
	case layout.KindTrade:
		t := m.Trade()
		x.trades[fmt.Sprint(in.Venue, " ", in.Symbol, " ", m.Nanos(), " ", tick.ID{Hi: uint64(t.ID.Hi), Lo: t.ID.Lo}, " ", exact(t.Price, m.PriceDigits()), " ", exact(t.Size, m.SizeDigits()), " ", t.Sell, t.Late)]++
	case layout.KindDepth:
		d := m.Depth()
		if d.Whole {
			clear(b.bids)
			clear(b.asks)
			b.digits = [2]uint8{m.PriceDigits(), m.SizeDigits()}
		}
		if b.digits != [2]uint8{m.PriceDigits(), m.SizeDigits()} {
			x.t.Errorf("%s: levels of another scale", in.Symbol)
		}
		for i := range d.Levels {
			side, l := b.bids, m.Level(i)
			if i >= d.Bids {
				side = b.asks
			}
			if side[l.Price] = l.Size; l.Size == 0 {
				delete(side, l.Price)
			}
		}
		if !d.More && in.Truncate > 0 {
			truncate(b.bids, in.Truncate, -1)
			truncate(b.asks, in.Truncate, 1)
		}
	case layout.KindValidity:
		b.valid, _ = m.Validity()
	}
	if x.pending[m.Instrument()] != nil {
		return
	}
	image := &reader.Image{}
	if x.from.Image(m.Instrument(), image) && image.Position >= behind {
		x.pending[m.Instrument()] = image // until the next message of the instrument it is of this very place
	}
}

// compare compares a book with an image of the same place.
func (x *otherProcess) compare(in *reader.Instrument, b *followedBook, image *reader.Image) {
	if image.Valid != b.valid {
		x.t.Errorf("%s %s: told valid=%v, the image says %v", in.Venue, in.Symbol, b.valid, image.Valid)
	}
	if !b.valid || b.digits != [2]uint8{image.PriceDigits, image.SizeDigits} {
		return
	}
	x.compared++
	if bids, asks := best(b.bids, len(image.Bids), -1), best(b.asks, len(image.Asks), 1); len(b.bids) != image.BidTotal || len(b.asks) != image.AskTotal ||
		!slices.Equal(bids, image.Bids) || !slices.Equal(asks, image.Asks) {
		x.t.Errorf("%s %s: %d and %d levels, best %v %v; the image says %d and %d, %v %v", in.Venue, in.Symbol, len(b.bids), len(b.asks), bids, asks,
			image.BidTotal, image.AskTotal, image.Bids, image.Asks)
	}
}

// sortedPrices are those of a side, best first: sign 1 from low to high.
func sortedPrices(side map[int64]int64, sign int64) []int64 {
	return slices.SortedFunc(maps.Keys(side), func(a, b int64) int { return int(sign * (a - b)) })
}

func truncate(side map[int64]int64, n int, sign int64) {
	for i, price := range sortedPrices(side, sign) {
		if i >= n {
			delete(side, price)
		}
	}
}

func best(side map[int64]int64, n int, sign int64) (levels []reader.Level) {
	for _, price := range sortedPrices(side, sign)[:min(n, len(side))] {
		levels = append(levels, reader.Level{Price: price, Size: side[price]})
	}
	return levels
}

// Another process sees every trade that is stored, every book as the shard has it,
// and all the rest; while connections break, venues resynchronise and lie.
func TestSharedMemoryOfASystem(t *testing.T) {
	t.Parallel()
	exchange := newExchange(t, sim.Options{Seed: 11, Faults: sim.Faults{sim.FaultDrop: 0.005, sim.FaultDuplicate: 0.01, sim.FaultDuplicateTrade: 0.01}})
	var x *otherProcess
	followed := make(chan struct{})
	l := newLabWith(t, exchange, func(c *Config) {
		c.Shm = Shm{Enabled: On, Dir: filepath.Join(onMemory(t), "shm"), Ring: 64 << 20}
	}, func(s *system) {
		if err := s.share(); err != nil {
			t.Fatal(err)
		}
		x = newOtherProcess(t, s.shared.Dir())
		go func() {
			defer close(followed)
			x.follow()
		}()
	})
	l.awaitEvents(2000)
	for _, f := range feedsOf(exchange) {
		l.inject(sim.Fault{Kind: sim.FaultDisconnect, Venue: f.Venue})
	}
	l.awaitEvents(4000)
	l.finish()
	<-followed
	if err := x.from.Alive(); !errors.Is(err, reader.ErrStopped) {
		t.Errorf("after the end: %v", err)
	}
	stored := map[string]int{}
	l.ledger.mu.Lock()
	defer l.ledger.mu.Unlock()
	for _, e := range l.ledger.order {
		if e.table == "trades" {
			r := e.units[0].TradeRow()
			stored[fmt.Sprint(e.venue, " ", e.symbol, " ", r.TsNanos, " ", r.ID, " ", exact(r.Price, r.PriceDigits), " ", exact(r.Size, r.SizeDigits), " ", r.Flags&tick.RowSell != 0, r.Flags&tick.RowLate != 0)]++
		}
	}
	for row := range stored {
		if x.trades[row] == 0 {
			t.Errorf("another process did not see the trade %s", row)
		}
	}
	for row := range x.trades {
		if stored[row] == 0 {
			t.Errorf("another process saw a trade that is not stored: %s", row)
		}
	}
	for _, k := range []layout.Kind{layout.KindTrade, layout.KindQuote, layout.KindDepth, layout.KindValidity, layout.KindBar, layout.KindWindow, layout.KindGap, layout.KindNbbo, layout.KindStatus, layout.KindInstrument} {
		if x.kinds[k] == 0 {
			t.Errorf("there was no %v: %v", k, x.kinds)
		}
	}
	if x.compared < 200 {
		t.Errorf("only %d books were compared with an image", x.compared)
	}
	if n := len(slices.Collect(x.from.Instruments())); n != len(exchange.Truth()) {
		t.Errorf("%d instruments of %d", n, len(exchange.Truth()))
	}
}

// What cannot be begun says what to do, and what is not configured costs nothing.
func TestSharedMemoryThatCannotBe(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.DataDir = filepath.Join(t.TempDir(), "data")
	if c.Shm.Enabled != Off {
		t.Error("it is on by default")
	}
	s := newSystem(c, textLogger(&logText{}))
	if err := s.share(); err != nil || s.shared != nil || s.drivers[0].Follower != nil {
		t.Errorf("off: %v", err)
	}
	s.abandon()
	if runtime.GOOS != "linux" {
		return
	}
	c.Shm.Enabled, c.Shm.Dir = On, filepath.Join(t.TempDir(), "disk")
	s = newSystem(c, textLogger(&logText{}))
	if err := s.share(); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "shm.dir") || !strings.Contains(err.Error(), "/dev/shm") {
		t.Errorf("on a disk: %v", err)
	}
	s.abandon()
	c.Shm.Dir, c.Shm.Ring = filepath.Join(onMemory(t), "shm"), 1<<40
	s = newSystem(c, textLogger(&logText{}))
	if err := s.share(); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "shm.ring") {
		t.Errorf("larger than the memory: %v", err)
	}
	s.abandon()
	c.Shm.Ring = 64 << 10
	s = newSystem(c, textLogger(&logText{}))
	if err := s.share(); err != nil {
		t.Fatal(err)
	}
	defer s.abandon()
	second := newSystem(c, textLogger(&logText{}))
	if err := second.share(); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "another process uses it") {
		t.Errorf("a second one: %v", err)
	}
	second.abandon()
}

// tail says what is missing where there is nothing to print.
func TestTailOfNothing(t *testing.T) {
	t.Parallel()
	off := DefaultConfig()
	off.DataDir = filepath.Join(t.TempDir(), "data")
	on := *off
	on.Shm.Enabled = On
	f := func(what string, o TailOptions, kind error, says string) {
		t.Helper()
		var out bytes.Buffer
		if err := Tail(context.Background(), &out, o); !errors.Is(err, kind) || !strings.Contains(err.Error(), says) || out.Len() > 0 {
			t.Errorf("%s: %v; printed %q", what, err, out.String())
		}
	}
	f("not configured", TailOptions{Config: off}, ErrInput, `add "shm: on"`)
	f("not running", TailOptions{Config: &on}, ErrDependency, "start the service")
	f("another folder", TailOptions{Dir: t.TempDir()}, ErrDependency, "there is no shared memory")
	f("less than nothing", TailOptions{Config: &on, Count: -1}, ErrInput, "must not be below 0")
	f("unknown kind", TailOptions{Config: &on, Kinds: []string{"candles"}}, ErrInput, "must be of trade, quote, depth")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, layout.DirectoryName), bytes.Repeat([]byte("x"), 8192), 0o644); err != nil {
		t.Fatal(err)
	}
	f("something else", TailOptions{Dir: dir}, ErrInput, "damaged")
}
