package engine

import (
	"testing"

	"tickproc/tick"
)

// Ids that count up, against a set of those that were seen.
func TestTradeIDsContiguous(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	for range 50 {
		ids := tradeIDs{contiguous: true}
		first := uint64(random.IntN(50))
		highest, seen := first, map[uint64]bool{}
		missedBy := map[uint64]int64{} // the gap that an id is missing in
		given := []uint64{first}
		for n := int64(1); n < 400; n++ {
			id := given[len(given)-1]
			if n > 1 {
				switch random.IntN(10) {
				case 0, 1: // anything up to the highest
					id = uint64(random.IntN(int(highest) + 1))
				case 2:
					id = highest + 2 + uint64(random.IntN(8))
				default:
					id = highest + 1
				}
				given = append(given, id)
			}
			want, missed := idNext, uint64(0)
			switch {
			case seen[id]:
				want = idDuplicate
			case n > 1 && id < highest:
				want = idMissing
			case n > 1 && id > highest+1:
				want, missed = idJump, id-highest-1
			}
			got, gotMissed, hole := ids.see(tick.ID{Lo: id})
			if got != want || gotMissed != missed {
				t.Fatalf("%v: verdict %d missed %d, want %d %d", given, got, gotMissed, want, missed)
			}
			switch got {
			case idJump:
				for x := highest + 1; x < id; x++ {
					missedBy[x] = n
				}
				ids.miss(missed, openGap{ts: n}, n)
			case idMissing:
				gap := missedBy[id]
				delete(missedBy, id)
				left := uint64(0)
				for _, g := range missedBy {
					if gap != 0 && g == gap {
						left++
					}
				}
				if was, got := ids.fill(hole, id, false); got != left || was.counted != (gap != 0) || was.gap.ts != gap {
					t.Fatalf("%v: of gap %d %d are left (%+v), want %d of %d", given, was.gap.ts, got, was, left, gap)
				}
			}
			seen[id] = true
			highest = max(highest, id)
		}
	}
}

// More holes than can be told apart: whatever was not seen is still taken, what
// may have been seen is said to be unsure, no row is called repaired that is
// not, and nothing grows.
func TestTradeIDsManyHoles(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	ids := tradeIDs{contiguous: true}
	seen, missing, gapOf := map[uint64]bool{}, map[int64]int{}, map[uint64]int64{}
	highest, unsure, repaired := uint64(100_000), 0, 0
	take := func(n int64, id uint64) {
		v, missed, hole := ids.see(tick.ID{Lo: id})
		switch v {
		case idJump:
			for x := highest + 1; x < id; x++ {
				gapOf[x] = n
			}
			missing[n] = int(missed)
			ids.miss(missed, openGap{ts: n}, n)
		case idMissing, idUnsure:
			if v == idMissing && seen[id] {
				t.Fatalf("%d was seen", id)
			}
			holes := len(ids.holes)
			was, left := ids.fill(hole, id, false)
			if v == idUnsure {
				unsure++
				if len(ids.holes) > holes {
					t.Fatal("a guess was told apart")
				}
			}
			if !seen[id] {
				missing[gapOf[id]]--
			}
			if was.counted && left == 0 {
				repaired++
			}
			if was.counted && (was.gap.ts != gapOf[id] || int(left) != missing[gapOf[id]]) {
				t.Fatalf("gap %d: %d are left, want %d of %d", was.gap.ts, left, missing[gapOf[id]], gapOf[id])
			}
		case idDuplicate:
			if !seen[id] {
				t.Fatalf("%d was not seen", id)
			}
		}
		seen[id] = true
		highest = max(highest, id)
		if len(ids.holes) > holesMax {
			t.Fatalf("%d holes", len(ids.holes))
		}
	}
	take(0, highest)
	for n := int64(1); n < 20*holesMax; n++ {
		switch random.IntN(4) {
		case 0:
			take(n, highest+1)
		case 1:
			take(n, highest-uint64(random.IntN(int(min(highest, 6000)))))
		default:
			take(n, highest+2+uint64(random.IntN(6)))
		}
	}
	if unsure == 0 || repaired == 0 {
		t.Errorf("%d unsure, %d repaired", unsure, repaired)
	}
}

// Ids that do not count up: the last ones are remembered, exactly.
func TestTradeIDsRecent(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	var ids tradeIDs
	known := map[tick.ID]bool{}
	var order []tick.ID
	for range 5 * idMemory {
		id := tick.ID{Hi: uint64(random.IntN(4)), Lo: uint64(random.IntN(idMemory))}
		if len(order) > 0 && random.IntN(4) == 0 {
			id = order[random.IntN(len(order))]
		}
		got, _, _ := ids.see(id)
		if (got == idDuplicate) != known[id] {
			t.Fatalf("%v: verdict %d, known %v, %d remembered", id, got, known[id], len(order))
		}
		if known[id] {
			continue
		}
		if len(order) == idMemory {
			delete(known, order[0])
			order = order[1:]
		}
		known[id] = true
		order = append(order, id)
		if n := len(ids.recent.slots); n > max(8*len(order), idMemory/16) {
			t.Fatalf("%d slots for %d ids", n, len(order))
		}
	}
}
