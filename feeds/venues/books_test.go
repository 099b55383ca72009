package venues_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"tickproc/book"
	"tickproc/feeds"
	"tickproc/feeds/sim"
	"tickproc/tick"
)

// sight is what a venue's rule lets a client see, of each thing that can befall
// a frame on the way. Whatever it cannot see, a book that is called valid is the
// venue's, at least as deep as the truth is kept.
//
//	ids        a depth message names its place: one that is lost is noticed by the
//	           next, one that comes too early at once, one that comes twice is
//	           dropped. What is not depth is nothing to the book. A message that
//	           moves no id is no loss.
//	count      every frame of the socket is numbered: whatever is lost or comes too
//	           early, the next frame tells.
//	checksum   a loss is noticed by the next message of the book whose checksum covers
//	           a level that differs.
type sight struct{ ids, count, checksum bool }

func (m *market) sight() sight {
	return sight{ids: m.rule.Sequence != tick.SequenceNone, count: m.profile.Numbered, checksum: m.rule.Checksum != tick.ChecksumNone}
}

// The rule of a venue shows a loss by at least one of the three.
func TestNoVenueIsBlind(t *testing.T) {
	everyVenue(t, func(t *testing.T, m *market) {
		if m.sight() == (sight{}) {
			t.Errorf("rule %+v: no ids, no numbered frames, no checksum: a loss cannot be noticed", m.rule)
		}
	})
}

// recording is a stretch of what a client read, to be read again otherwise.
type recording struct {
	m      *market
	plans  []feeds.Connection
	before []recorded // up to the first whole book and a little more
	frames []recorded // the stretch
	after  []recorded // a delta, a fresh whole book, and what follows
	in     *tick.Instrument
	truth  *sim.Truth
}

// recorded is a frame of a socket or, with a url, a REST answer.
type recorded struct {
	socket int
	text   []byte
	url    string
	depth  bool // it has a delta of the book
	whole  bool // it has a whole book
	idle   bool // its delta moves no id
}

func (c *client) recorded(from int) (all []recorded) {
	for _, f := range c.frames[from:] {
		r := recorded{text: f.text, url: f.url, socket: slices.Index(c.sockets, f.socket)}
		for p := f.units; len(p) > 0; p = p[tick.PacketUnits(&p[0]):] {
			switch p[0].KindOf() {
			case tick.KindDepth:
				r.depth = true
				r.idle = c.rule.Sequence == tick.SequenceChain && p[0].Depth().LastID == p[0].Depth().PrevID
			case tick.KindSnapshot:
				r.whole = true
			}
		}
		all = append(all, r)
	}
	return all
}

// whole has the book anew without an unsubscription: a REST answer, or the
// stream's own snapshot.
func (c *client) whole(in *tick.Instrument) {
	c.t.Helper()
	if r, ok := c.adapter.SnapshotRequest(in); ok {
		c.fetch(r.URL, 0)
		return
	}
	c.inject(sim.Fault{Kind: sim.FaultResnapshot, Symbol: in.Symbol, Channel: tick.ChannelDepth})
	c.settle()
}

// deltas counts the deltas that came.
func (c *client) deltas() (n int) {
	for _, f := range c.recorded(0) {
		if f.depth && !f.idle {
			n++
		}
	}
	return n
}

// until runs until so many deltas have come since from.
func (c *client) until(from, n int) {
	c.t.Helper()
	for range 2000 {
		if c.deltas()-from >= n {
			return
		}
		c.step()
	}
	c.t.Fatalf("only %d of %d deltas came", c.deltas()-from, n)
}

// record reads a stretch with so many deltas, with a whole book behind delta
// number at of it, -1 for none.
func record(t *testing.T, m *market, channels tick.Channels, deltas, at int) *recording {
	t.Helper()
	r := &recording{m: m}
	inBubble(t, func(t *testing.T) {
		c := newClient(t, m, clientOptions{channels: channels & m.adapter.Channels(), before: 200 * time.Millisecond, Options: sim.Options{Rate: 40, Levels: 30}})
		c.connect()
		c.until(0, 3)
		if !c.books[0].sync.IsValid() {
			t.Fatal("the book did not become valid")
		}
		r.before = c.recorded(0)
		from, start := c.deltas(), len(c.frames)
		if at >= 0 {
			c.until(from, at)
			c.whole(c.instruments[0])
		}
		c.until(from, deltas)
		middle := len(c.frames)
		c.until(from, deltas+1) // by which a loss of the last one is noticed before the whole book
		c.whole(c.instruments[0])
		c.until(c.deltas(), 4)
		end := len(c.frames)
		c.finish()
		r.frames, r.after = c.recorded(start)[:middle-start], c.recorded(middle)[:end-middle]
		r.in, r.truth = c.instruments[0], c.truths()[0]
		for _, s := range c.sockets {
			r.plans = append(r.plans, s.plan)
		}
		if len(c.errors) > 0 {
			t.Fatal(c.errors[0])
		}
	})
	return r
}

// replay reads frames by fresh decoders into a fresh book. valid says after
// each frame whether the book was called valid.
func (r *recording) replay(t *testing.T, frames []recorded) (b *bookOf, valid []bool) {
	t.Helper()
	c := &client{market: r.m, t: t, now: marketStart, restDigits: map[uint32]*[2]uint8{}, instruments: []*tick.Instrument{r.in},
		restTable: feeds.NewTable([]*tick.Instrument{r.in})}
	b = &bookOf{in: r.in, sync: book.NewSync(r.in.Sync, r.in.PriceDigits, r.in.SizeDigits)}
	b.sync.Up()
	c.books = []*bookOf{b}
	for i := range r.plans {
		s := &socket{plan: r.plans[i], digits: map[uint32]*[2]uint8{}, table: feeds.NewTable([]*tick.Instrument{r.in})}
		s.decoder = c.adapter.NewDecoder(&s.plan, s.table)
		c.sockets = append(c.sockets, s)
	}
	for _, f := range frames {
		seen := len(b.views)
		if f.url != "" {
			c.fetched(f.url, f.text, 0)
		} else {
			c.read(c.sockets[f.socket], f.text)
		}
		b.sync.TakeResync()
		valid = append(valid, b.sync.IsValid())
		for i := range b.views[seen:] {
			if wrong := wrongView(r.truth, &b.views[seen+i]); wrong != "" {
				t.Fatalf("the book is called valid after frame %d %.200q and is not: %s", len(valid)-1, f.text, wrong)
			}
		}
	}
	for _, err := range c.errors {
		t.Error(err)
	}
	return b, valid
}

// Every way in which a whole book and four deltas can arrive: the book as it
// was behind each of them, and each of them before or after it.
func TestSnapshotAndDeltaInterleavings(t *testing.T) {
	const n = 4
	everyVenue(t, func(t *testing.T, m *market) {
		tried := 0
		for made := range n + 1 {
			r := record(t, m, tick.ChannelDepth, n, made)
			var deltas []recorded
			var whole recorded
			for _, f := range r.frames {
				switch {
				case f.whole:
					whole = f
				case f.depth && !f.idle && len(deltas) < n:
					deltas = append(deltas, f)
				}
			}
			if whole.text == nil || len(deltas) != n {
				t.Fatalf("%d deltas and whole book %.40q recorded", len(deltas), whole.text)
			}
			for early := range 1 << n {
				var first, last []recorded
				for i, d := range deltas {
					if early>>i&1 == 1 {
						first = append(first, d)
					} else {
						last = append(last, d)
					}
				}
				inOrder := early&(early+1) == 0 // the early ones are the first ones
				asSent := inOrder && len(first) == made
				if m.profile.Numbered && asSent {
					first, last = nil, r.frames // nothing between may be missing
					whole = recorded{}
				}
				order := slices.Concat(first, []recorded{whole}, last)
				order = slices.DeleteFunc(order, func(f recorded) bool { return f.text == nil })
				b, valid := r.replay(t, order)
				tried++
				mustBeValid := asSent || inOrder && m.rule.Snapshot == tick.SnapshotREST
				if mustBeValid && !valid[len(valid)-1] {
					state, reason := b.sync.State()
					t.Fatalf("whole book made behind delta %d, come behind %d: state %d, %s at the end", made, len(first), state, reason)
				}
				if asSent && len(b.views) < n-made {
					t.Fatalf("whole book behind delta %d: only %d books seen", made, len(b.views))
				}
			}
		}
		if tried != (n+1)<<n {
			t.Errorf("%d orders tried", tried)
		}
	})
}

// One frame is lost, comes twice, or too early, at every position of a stretch:
// it is noticed exactly where the venue's rule lets it, the book is invalid from
// there to the next whole book, and the venue's from then on.
func TestEveryLossDuplicateAndSwap(t *testing.T) {
	everyVenue(t, func(t *testing.T, m *market) {
		deltas := 12
		if testing.Short() {
			deltas = 6
		}
		r := record(t, m, tick.ChannelTrades|tick.ChannelQuotes|tick.ChannelDepth, deltas, -1)
		all := slices.Concat(r.before, r.frames, r.after)
		from, to := len(r.before), len(r.before)+len(r.frames)
		b, valid := r.replay(t, all)
		if slices.Contains(valid[from:], false) || b.sync.Counts.Gaps != 0 {
			t.Fatalf("nothing is wrong, and the book is invalid: %v", valid)
		}
		see := m.sight()
		noticed, unseen := 0, 0
		next := func(i int, is func(recorded) bool) int {
			for k := i + 1; k < len(all); k++ {
				if all[k].socket == all[i].socket && is(all[k]) {
					return k
				}
			}
			return len(all)
		}
		fresh := &r.after[slices.IndexFunc(r.after, func(f recorded) bool { return f.whole })].text[0]
		anyFrame := func(recorded) bool { return true }
		delta := func(f recorded) bool { return f.depth || f.whole }

		// hold checks one damaged stretch: at is where in it the damage must be
		// noticed, -1 that it cannot be, -2 that the rule leaves it open.
		hold := func(what string, frames []recorded, at int) {
			t.Helper()
			b, valid := r.replay(t, frames)
			whole := slices.IndexFunc(frames, func(f recorded) bool { return f.whole && &f.text[0] == fresh })
			for i := from; i < len(frames); i++ {
				switch {
				case at >= 0 && i < at && !valid[i]:
					t.Fatalf("%s: noticed at frame %d, before it can be seen at %d", what, i, at)
				case at >= 0 && i >= at && i < whole && valid[i]:
					t.Fatalf("%s: the book is called valid after frame %d: must be invalid from %d to the whole book at %d", what, i, at, whole)
				case at == -1 && !valid[i]:
					state, reason := b.sync.State()
					t.Fatalf("%s: invalid after frame %d (now %d, %s): nothing was wrong", what, i, state, reason)
				}
			}
			if !valid[len(valid)-1] || b.sync.LastID() == 0 && see.ids {
				state, reason := b.sync.State()
				t.Fatalf("%s: the whole book did not mend it: state %d, %s", what, state, reason)
			}
			if slices.Contains(valid[from:], false) {
				noticed++
			} else {
				unseen++
			}
		}
		for i := from; i < to; i++ {
			f := all[i]
			moves := f.depth && !f.idle
			// Loss.
			at := -1
			switch {
			case see.count:
				at = next(i, anyFrame) - 1
			case see.ids && moves:
				at = next(i, delta) - 1
			case see.checksum && f.depth:
				at = -2
			}
			if at >= 0 && all[at+1].whole {
				at = -2 // the whole book is the next to tell, and mends
			}
			hold(fmt.Sprintf("frame %d %.120q is lost", i, f.text), slices.Delete(slices.Clone(all), i, i+1), at)

			// Twice: ids tell, and sizes are absolute.
			at = -1
			if see.count {
				at = -2
			}
			hold(fmt.Sprintf("frame %d %.120q comes twice", i, f.text), slices.Insert(slices.Clone(all), i, f), at)

			// Behind the next frame, and behind the next delta.
			for _, k := range []int{next(i, anyFrame), next(i, delta)} {
				if k >= to {
					continue
				}
				swapped := slices.Insert(slices.Clone(all), k+1, f)
				swapped = slices.Delete(swapped, i, i+1)
				at = -1
				switch {
				case see.count:
					at = i + next(i, anyFrame) - i - 1
				case see.ids && moves && all[k].depth:
					at = next(i, delta) - 1
				case see.checksum && f.depth:
					at = -2
				}
				hold(fmt.Sprintf("frame %d %.120q comes behind frame %d", i, f.text, k), swapped, at)
			}
		}
		if noticed == 0 || unseen == 0 && !see.count {
			t.Errorf("%d damages noticed, %d not: the stretch tests nothing", noticed, unseen)
		}
	})
}

// A checksum that disagrees has the book anew; one that is always 0 is
// recognised as absent, one that stands still as constant, and both leave the
// book to its ids.
func TestChecksums(t *testing.T) {
	everyVenue(t, func(t *testing.T, m *market) {
		if m.rule.Checksum == tick.ChecksumNone {
			t.Skip("the venue has no checksum")
		}
		inBubble(t, func(t *testing.T) {
			c := newClient(t, m, clientOptions{channels: tick.ChannelDepth, before: 200 * time.Millisecond, Options: sim.Options{Rate: 100, Levels: 40}})
			c.connect()
			c.run(3 * time.Second)
			s := c.books[0].sync
			given := anyOf(c.of(0, tick.KindDepth), func(p packet) bool { return p.units[0].Depth().Checksum != 0 })
			if !given {
				if !s.ChecksumAbsent() || s.ChecksumConstant() || !s.IsValid() || c.resyncs != 0 {
					t.Errorf("absent %v, constant %v, valid %v, %d resyncs: want it absent and the book valid", s.ChecksumAbsent(), s.ChecksumConstant(), s.IsValid(), c.resyncs)
				}
				return
			}
			if s.Counts.Checksums < 10 || s.ChecksumAbsent() || s.ChecksumConstant() || c.resyncs != 0 {
				t.Fatalf("%d checksums agreed, %d resyncs", s.Counts.Checksums, c.resyncs)
			}
			c.inject(sim.Fault{Kind: sim.FaultAlter, Symbol: c.instruments[0].Symbol, Count: 20})
			c.run(5 * time.Second)
			if c.resyncs == 0 || !s.IsValid() {
				t.Errorf("%d resyncs after sizes that were not the book's, valid %v", c.resyncs, s.IsValid())
			}
			before := c.resyncs
			c.inject(sim.Fault{Kind: sim.FaultConstantChecksum, For: 5 * time.Second})
			constant := false
			for range 500 {
				c.step()
				constant = constant || s.ChecksumConstant() || s.ChecksumAbsent() // the fault may well write 0
			}
			if !constant || c.resyncs-before > 10 {
				t.Errorf("a checksum that stands still: recognised %v, %d resyncs", constant, c.resyncs-before)
			}
			agreed := s.Counts.Checksums
			c.run(3 * time.Second)
			c.finish()
			if s.Counts.Checksums < agreed+5 || !s.IsValid() {
				t.Errorf("the checksum follows the book again: %d agreed since, valid %v", s.Counts.Checksums-agreed, s.IsValid())
			}

			// The same frames, had the venue ceased to give it.
			silent := book.NewSync(c.instruments[0].Sync, c.instruments[0].PriceDigits, c.instruments[0].SizeDigits)
			silent.Up()
			for _, p := range c.packets {
				switch d := p.units[0].Depth(); d.Kind {
				case tick.KindDepth:
					d.Checksum = 0
					silent.Delta(p.units, listener{&bookOf{in: c.instruments[0], sync: silent}, 0})
				case tick.KindSnapshot:
					d.Checksum = 0
					silent.Snapshot(p.units, listener{&bookOf{in: c.instruments[0], sync: silent}, 0})
				}
			}
			if !silent.ChecksumAbsent() {
				t.Error("a checksum that is always 0 is not recognised as absent")
			}
		})
	})
}

// Sizes that are not the book's are found by the checksum, or by quotes that
// bear the book's ids; other rules cannot see them, which is the venue's doing.
func TestAlteredBooks(t *testing.T) {
	everyVenue(t, func(t *testing.T, m *market) {
		if !m.rule.QuoteIDs {
			t.Skip("quotes do not bear the book's ids")
		}
		inBubble(t, func(t *testing.T) {
			c := newClient(t, m, clientOptions{channels: tick.ChannelDepth | tick.ChannelQuotes, before: 200 * time.Millisecond,
				Options: sim.Options{Rate: 100, Levels: 40}})
			c.connect()
			c.run(6 * time.Second)
			q := &c.books[0].sync.Quotes
			if q.Agreed < 3 || q.Differed != 0 || c.resyncs != 0 {
				t.Fatalf("%d quotes agreed, %d differed, %d resyncs", q.Agreed, q.Differed, c.resyncs)
			}
			c.inject(sim.Fault{Kind: sim.FaultAlter, Symbol: c.instruments[0].Symbol, Count: 60})
			c.run(20 * time.Second)
			if q.Differed == 0 || c.resyncs == 0 || !c.books[0].sync.IsValid() {
				t.Errorf("%d quotes differed, %d resyncs, valid %v", q.Differed, c.resyncs, c.books[0].sync.IsValid())
			}
			if c.resyncs > 30 {
				t.Errorf("a storm of %d resyncs", c.resyncs)
			}
		})
	})
}
