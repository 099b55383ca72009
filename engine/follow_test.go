package engine

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tickproc/book"
	"tickproc/tick"
)

// echo is a follower as it should be, slow and obvious: it applies what it is
// told, and must have the shard's book whenever it was told that it is valid.
type echo struct {
	t     testing.TB
	books map[uint32]*echoBook
	// counts of what was told
	wholes, deltas, validities int
}

type echoBook struct {
	bids, asks map[int64]int64
	digits     [2]uint8
	valid      bool
	reason     tick.Reason
	more       bool
}

func newEcho(t testing.TB) *echo { return &echo{t: t, books: map[uint32]*echoBook{}} }

func (e *echo) book(id uint32) *echoBook {
	if e.books[id] == nil {
		e.books[id] = &echoBook{bids: map[int64]int64{}, asks: map[int64]int64{}}
	}
	return e.books[id]
}

// take applies rows.
func (e *echo) take(rows []tick.Unit) {
	eachRow(rows, func(row []tick.Unit) {
		switch h := row[0].RowHeader(); h.Kind {
		case tick.RowValidity:
			b := e.book(h.Instrument)
			if b.more {
				e.t.Fatal("a message of several rows was not ended")
			}
			b.valid, b.reason = h.Flags&tick.RowValid != 0, row[0].ValidityRow().Reason
			e.validities++
		case tick.RowDepth:
			e.depth(row)
		}
	})
}

func (e *echo) depth(row []tick.Unit) {
	r := row[0].BookRow()
	b := e.book(r.Instrument)
	digits := [2]uint8{r.PriceDigits, r.SizeDigits}
	if r.Flags&tick.RowWhole != 0 {
		clear(b.bids)
		clear(b.asks)
		b.digits = digits
		e.wholes++
	} else {
		e.deltas++
	}
	if digits != b.digits {
		e.t.Fatalf("levels at %v in a book at %v", digits, b.digits)
	}
	for i, l := range tick.RowLevels(row) {
		side := b.asks
		if i < int(r.Bids) {
			side = b.bids
		}
		if side[l.Price] = l.Size; l.Size == 0 {
			delete(side, l.Price)
		}
	}
	b.more = r.Flags&tick.RowMore != 0
}

// compare must find the book of every instrument as the shard has it. What the
// venue no longer tells of far levels a follower forgets by the rule.
func (e *echo) compare(s *Shard) {
	e.t.Helper()
	for id, in := range s.instruments {
		if in == nil || !in.def.Channels.Has(tick.ChannelDepth) {
			continue
		}
		b := e.book(uint32(id))
		valid, reason := in.standing()
		if b.valid != valid || b.reason != reason {
			e.t.Fatalf("%s: told valid=%v (%v), is %v (%v)", in.def.Symbol, b.valid, b.reason, valid, reason)
		}
		if !valid {
			continue
		}
		// Until the next depth what was told is at the scale of before.
		price, size := tick.Pow10(in.priceDigits-b.digits[0]), tick.Pow10(in.sizeDigits-b.digits[1])
		bids, asks := levelsOf(&in.sync.Book.Bids, price, size), levelsOf(&in.sync.Book.Asks, price, size)
		if !maps.Equal(b.bids, bids) || !maps.Equal(b.asks, asks) {
			e.t.Fatalf("%s: told bids %v asks %v, are %v %v", in.def.Symbol, b.bids, b.asks, bids, asks)
		}
	}
}

func levelsOf(s *book.Side, priceFactor, sizeFactor int64) map[int64]int64 {
	all := map[int64]int64{}
	levels := make([]tick.Level, s.Len())
	s.CopyBest(levels)
	for _, l := range levels {
		all[l.Price/priceFactor] = l.Size / sizeFactor
	}
	return all
}

// A follower is told of what a shard says in order, with the instruments first,
// and has an image of each that was touched; the tables' rows are those of a shard
// that nobody follows.
func TestFollower(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	options := Options{Intervals: []time.Duration{time.Second}, BookDepth: 5}
	w := newWorld(t, random, options, define(0, "BTC"), define(1, "ETH"))
	f := &imageFollower{echo: newEcho(t), images: map[uint32]Image{}}
	w.shard.TakeRows()
	w.shard.follow(f)
	if f.catalogs != 2 {
		t.Fatalf("%d instruments were told at the beginning", f.catalogs)
	}
	var x Image
	f.Rows(w.shard.TakeRows())
	w.shard.tellImages(f, &x)
	if len(f.images) != 2 {
		t.Fatalf("%d images at the beginning", len(f.images))
	}
	begun, from := len(w.rows), len(w.tape)
	w.read = func(_, rows []tick.Unit) {
		ends := f.ends
		f.Rows(rows)
		if w.shard.tellImages(f, &x); f.ends != ends+1 {
			t.Fatal("no end")
		}
		f.compare(w.shard)
		for _, in := range w.shard.instruments {
			want := Image{}
			if in.image(&want); f.images[in.def.ID] != want {
				// Another instrument's packet may have moved logical now.
				have := f.images[in.def.ID]
				if have.ReceiveNanos, have.OffsetNanos = want.ReceiveNanos, want.OffsetNanos; have != want {
					t.Fatalf("the image of %s is old:\n%+v\n%+v", in.def.Symbol, have, want)
				}
			}
		}
		w.rows = append(w.rows[:len(w.rows)-len(rows)], forTables(rows)...)
	}
	w.run(60 * time.Second)
	w.stop()
	if f.wholes < 5 || f.deltas < 100 || f.validities < 10 {
		t.Errorf("too little happened: %+v", f)
	}
	alone := NewShard(options)
	for rest := w.tape; len(rest) > 0; {
		n := tick.PacketUnits(&rest[0])
		alone.Apply(rest[:n])
		rest = rest[n:]
	}
	if rows := alone.TakeRows(); !slices.Equal(rows, w.rows) {
		t.Errorf("rows of the tables differ once somebody follows (%d and %d units, %d before, tape from %d)", len(rows), len(w.rows), begun, from)
	}
	if a, b := alone.StateHash(), w.shard.StateHash(); a != b {
		t.Errorf("the state differs once somebody follows")
	}
}

// imageFollower keeps images too.
type imageFollower struct {
	*echo
	images   map[uint32]Image
	catalogs int
	ends     int
}

func (f *imageFollower) Rows(rows []tick.Unit) {
	eachRow(rows, func(row []tick.Unit) {
		if row[0].KindOf() == tick.KindCatalog {
			f.catalogs++
		}
	})
	f.take(rows)
}

func (f *imageFollower) Image(x *Image, bids, asks *book.Side) {
	if x.Bid != bids.Best() || x.Ask != asks.Best() {
		f.t.Fatalf("an image with other sides: %+v", x)
	}
	f.images[x.Instrument] = *x
}

func (f *imageFollower) End() { f.ends++ }

// A book of more levels than a row takes is told in several.
func TestFollowerOfALargeBook(t *testing.T) {
	t.Parallel()
	def := define(0, "BTC")
	s := NewShard(Options{})
	h := tick.Header{Line: 1, ReceiveNanos: midnight, ExchangeNanos: midnight}
	catalog, err := tick.AppendCatalog(nil, h, def)
	if err != nil {
		t.Fatal(err)
	}
	s.follows = true
	e := newEcho(t)
	give := func(p []tick.Unit) {
		t.Helper()
		s.Apply(p)
		e.take(s.TakeRows())
		e.compare(s)
	}
	give(catalog)
	var bids, asks []tick.Level
	for i := range int64(3000) {
		bids, asks = append(bids, tick.Level{Price: 10_000 - i, Size: 1 + i}), append(asks, tick.Level{Price: 10_001 + i, Size: 1 + i})
	}
	give(tick.AppendEvent(nil, tick.Header{Kind: tick.KindUp, Line: 1, ReceiveNanos: midnight}, tick.ChannelDepth, tick.ReasonNone))
	give(depthPacket(h, tick.KindDepth, 8, 9, 0, bids[:1], asks[:1]))
	parts := depthPacket(h, tick.KindSnapshot, 8, 8, 0, bids, nil)
	parts[0].Header().Flags = tick.FlagFirst
	give(parts)
	parts = depthPacket(h, tick.KindSnapshot, 8, 8, 0, nil, asks)
	parts[0].Header().Flags = tick.FlagLast
	give(parts)
	give(depthPacket(h, tick.KindDepth, 10, 10, 0, bids[5:9], []tick.Level{{Price: 10_001}}))
	if !e.books[0].valid || e.wholes != 1 || len(e.books[0].bids) != 3000 || len(e.books[0].asks) != 2999 {
		t.Errorf("valid %v, %d books told, %d bids, %d asks", e.books[0].valid, e.wholes, len(e.books[0].bids), len(e.books[0].asks))
	}
}

// A driver's follower is told of a batch behind the log and before the writer, and
// nothing else changes by it.
func TestDriverTellsItsFollower(t *testing.T) {
	t.Parallel()
	tape := manyMarkets(t, seeded(t), 10*time.Second)
	want := outcomeOf(tape, func() int { return 1 })
	r := newRig(everything, 1)
	r.Merge = true
	f := &orderFollower{imageFollower: imageFollower{echo: newEcho(t), images: map[uint32]Image{}}}
	r.Follower = f
	r.Log = func([]tick.Unit) uint64 {
		f.logged = true
		return 1
	}
	go produce(rand.New(rand.NewPCG(1, 2)), r.Inputs[0], packetsOf(tape))
	r.Run()
	f.compare(r.Shard)
	for _, in := range r.Shard.instruments {
		var want Image
		in.image(&want)
		have := f.images[in.def.ID]
		if have.ReceiveNanos, have.OffsetNanos = want.ReceiveNanos, want.OffsetNanos; have != want {
			t.Errorf("the last image of %s is old", in.def.Symbol)
		}
	}
	f.logged = true // the end of the input is no batch
	got := r.finish()
	got.mustBe(t, "followed", want)
	f.told.hash = got.hash
	f.told.mustBe(t, "told", want)
	if f.deltas == 0 || len(f.images) == 0 {
		t.Errorf("%d deltas, %d images", f.deltas, len(f.images))
	}
}

// orderFollower also keeps the rows of tables.
type orderFollower struct {
	imageFollower
	logged bool // the batch that is told next
	told   outcome
}

func (f *orderFollower) Rows(rows []tick.Unit) {
	if !f.logged {
		f.t.Fatal("rows of a batch that was not logged")
	}
	f.logged = false
	f.imageFollower.Rows(rows)
	f.told.add(forTables(slices.Clone(rows)))
}

// Following costs no allocation.
func TestFollowerZeroAllocs(t *testing.T) {
	skipUnderRace(t)
	s := newStream(tick.TradeIDContiguous)
	f := &countingFollower{}
	s.shard.follow(f)
	s.onDepth()
	var x Image
	s.rows = func(rows []tick.Unit) {
		f.Rows(rows)
		s.shard.tellImages(f, &x)
	}
	round := func() { s.onTrade(); s.onQuote(); s.onDepth() }
	for range 1000 {
		round()
	}
	f.depth = 0
	if n := testing.AllocsPerRun(20_000, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if f.depth < 20_000 || f.images < 60_000 {
		t.Errorf("too little was told: %+v", f)
	}
}

type countingFollower struct{ depth, images int }

func (f *countingFollower) Rows(rows []tick.Unit) {
	for ; len(rows) > 0; rows = rows[tick.PacketUnits(&rows[0]):] {
		if rows[0].KindOf() == tick.RowDepth {
			f.depth++
		}
	}
}

func (f *countingFollower) Image(*Image, *book.Side, *book.Side) { f.images++ }
func (f *countingFollower) End()                                 {}
