package book

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"tickproc/tick"
)

// truth is the venue's own book at one place of its stream.
type truth struct{ bids, asks map[int64]int64 }

func (b truth) clone() truth { return truth{maps.Clone(b.bids), maps.Clone(b.asks)} }

func (b truth) apply(bids, asks []tick.Level) {
	for _, l := range bids {
		slowSide{true, b.bids}.set(l.Price, l.Size)
	}
	for _, l := range asks {
		slowSide{false, b.asks}.set(l.Price, l.Size)
	}
}

func (b truth) equal(o truth) bool {
	return maps.Equal(b.bids, o.bids) && maps.Equal(b.asks, o.asks)
}

func (b truth) is(book *Book) bool {
	same := func(s *Side, sizes map[int64]int64) bool {
		if s.Len() != len(sizes) {
			return false
		}
		for _, l := range s.all() {
			if sizes[l.Price] != l.Size {
				return false
			}
		}
		return true
	}
	return same(&book.Bids, b.bids) && same(&book.Asks, b.asks)
}

// delta is one message: it leads from the true book at one place of the
// stream to that at another.
type delta struct {
	from, to          int
	prev, first, last uint64
	bids, asks        []tick.Level
	checksum          uint32
}

// stream is everything a venue did: one change of one level a place, and the
// messages in which it tells them.
type stream struct {
	rule   tick.SyncRule
	books  []truth  // by place
	ids    []uint64 // the venue's id of each place
	deltas []delta
	// checksums by place, for rules that have them.
	checksums []uint32
	packets   map[packetKey][]tick.Unit // made once
}

type packetKey struct {
	snapshot bool
	name     uint64 // id of a snapshot, number of a message
}

// newStream makes a stream of messages that tell of as many changes as widths says.
// Width 0 is a message without news. Ids rise by step a change, so that with
// steps above one some ids belong to no change of this book.
func newStream(random *rand.Rand, rule tick.SyncRule, step uint64, widths []int) *stream {
	v := &stream{rule: rule, packets: map[packetKey][]tick.Unit{}}
	// A level a side stays: the checksum of an empty book would be 0, which
	// means that there is none.
	now := truth{map[int64]int64{80: 1, 91: 1}, map[int64]int64{101: 1, 120: 1}}
	id := 1000 + random.Uint64N(1000)
	v.add(now, id)
	for _, width := range widths {
		d := delta{from: len(v.books) - 1, prev: id, first: id + 1}
		touched := truth{map[int64]int64{}, map[int64]int64{}}
		for range width {
			id += step
			price, size := random.Int64N(4), int64(id)*7
			if random.IntN(3) == 0 {
				size = 0
			}
			if random.IntN(2) == 0 {
				touched.bids[90+price] = size
			} else {
				touched.asks[100+price] = size
			}
			now.apply(levels(touched.bids), levels(touched.asks))
			v.add(now, id)
		}
		if step > 1 && width > 0 {
			d.first += random.Uint64N(step) // up to the id of the first change
		}
		d.to, d.last = len(v.books)-1, id
		// A level that came and went is told too: who begins half way has it.
		d.bids, d.asks = levels(touched.bids), levels(touched.asks)
		if rule.Snapshot == tick.SnapshotEvery {
			d.bids, d.asks = levels(now.bids), levels(now.asks)
		}
		d.checksum = v.checksums[d.to]
		v.deltas = append(v.deltas, d)
	}
	return v
}

func (v *stream) add(now truth, id uint64) {
	v.books, v.ids = append(v.books, now.clone()), append(v.ids, id)
	sum := uint32(0)
	if v.rule.Checksum != tick.ChecksumNone {
		b := New()
		b.Apply(levels(now.bids), len(now.bids))
		b.Apply(levels(now.asks), 0)
		sum = Checksum(&b, v.rule, 0, 0)
	}
	v.checksums = append(v.checksums, sum)
}

// levels lists the prices of a side in order.
func levels(sizes map[int64]int64) (out []tick.Level) {
	for price, size := range sizes {
		out = append(out, tick.Level{Price: price, Size: size})
	}
	slices.SortFunc(out, func(a, b tick.Level) int { return int(a.Price - b.Price) })
	return out
}

// place of a venue's id: of the last change at or below it.
func (v *stream) place(id uint64) int {
	return sort.Search(len(v.ids), func(i int) bool { return v.ids[i] > id }) - 1
}

// between says whether an id is where one message ends and the next begins:
// in-band snapshots are.
func (v *stream) between(id uint64) bool {
	for i := range v.deltas {
		if v.deltas[i].prev == id || v.deltas[i].last == id {
			return true
		}
	}
	return false
}

// delta is the packet of a message.
func (v *stream) delta(i int) []tick.Unit {
	key := packetKey{false, uint64(i)}
	if p := v.packets[key]; p != nil {
		return p
	}
	d := &v.deltas[i]
	p := depthPacket(tick.KindDepth, d.bids, d.asks)
	head := p[0].Depth()
	head.FirstID, head.LastID, head.Checksum = d.first, d.last, d.checksum
	if v.rule.Sequence == tick.SequenceChain {
		head.PrevID = d.prev
	}
	if v.rule != spotRule && v.rule != futuresRule {
		head.FirstID = 0 // only Binance names it
	}
	v.packets[key] = p
	return p
}

// snapshot is the packet of the whole book at an id.
func (v *stream) snapshot(id, epoch uint64) []tick.Unit {
	key := packetKey{true, id}
	p := v.packets[key]
	if p == nil {
		at := v.place(id)
		p = depthPacket(tick.KindSnapshot, levels(v.books[at].bids), levels(v.books[at].asks))
		head := p[0].Depth()
		head.LastID, head.Checksum = id, v.checksums[at]
		v.packets[key] = p
	}
	p[0].Depth().PrevID = epoch
	return p
}

// depthPacket is a whole message.
func depthPacket(kind tick.Kind, bids, asks []tick.Level) []tick.Unit {
	p := make([]tick.Unit, tick.DepthUnits(len(bids)+len(asks)))
	head := p[0].Depth()
	head.Kind, head.Flags = kind, tick.FlagFirst|tick.FlagLast
	head.Bids, head.LevelCount = uint16(len(bids)), uint16(len(bids)+len(asks))
	copy(tick.Levels(p), bids)
	copy(tick.Levels(p)[min(len(bids), int(head.LevelCount)):], asks)
	return p
}

// fragments cuts a message into packets of at most n levels.
func fragments(message []tick.Unit, n int) (out [][]tick.Unit) {
	head := *message[0].Depth()
	levels := tick.Levels(message)
	bids := int(head.Bids)
	for at := 0; at == 0 || at < len(levels); at += n {
		part := levels[at:min(at+n, len(levels))]
		cut := max(0, min(bids-at, len(part)))
		p := depthPacket(head.Kind, part[:cut], part[cut:])
		h := p[0].Depth()
		h.Flags = 0
		h.FirstID, h.LastID, h.PrevID, h.Checksum = head.FirstID, head.LastID, head.PrevID, head.Checksum
		out = append(out, p)
	}
	out[0][0].Depth().Flags |= tick.FlagFirst
	out[len(out)-1][0].Depth().Flags |= tick.FlagLast
	return out
}

// The streams must be what they claim: each message leads from the book at
// its start, or anywhere on its way, to that at its end.
func TestStreamIsTrue(t *testing.T) {
	t.Parallel()
	v := newStream(seeded(t), tick.SyncRule{}, 2, []int{1, 3, 0, 2, 5, 4})
	for _, d := range v.deltas {
		for from := d.from; from <= d.to; from++ {
			b := v.books[from].clone()
			b.apply(d.bids, d.asks)
			if !b.equal(v.books[d.to]) {
				t.Fatalf("from place %d the message %+v leads astray", from, d)
			}
		}
	}
}
