package pipeline

import (
	"testing"

	"tickproc/tick"
	"tickproc/writer/shm/reader"
)

// An image counts only beside the row of its own moment; then every level counts,
// whatever the digits.
func TestImagesAgainstLastRows(t *testing.T) {
	t.Parallel()
	x := &demoReader{images: map[uint32]reader.Image{}, rows: &lastBooks{}}
	row := func(id uint32, seq uint64, valid bool, levels ...tick.Level) {
		rows := make([]tick.Unit, 1+(len(levels)+3)/4)
		r := rows[0].BookRow()
		r.Kind, r.Instrument, r.TsNanos, r.Seq, r.PriceDigits = tick.RowBook, id, 1000, seq, 1
		if r.Bids, r.LevelCount = 1, uint16(len(levels)); valid {
			r.Flags = tick.RowValid
		}
		copy(tick.RowLevels(rows), levels)
		x.rows.Write(rows)
	}
	image := func(id uint32, lastID uint64, bid, ask int64) {
		x.images[id] = reader.Image{Instrument: id, Valid: true, LastID: lastID, DepthNanos: 1000, PriceDigits: 2, SizeDigits: 0,
			Bids: []reader.Level{{Price: bid, Size: 3}}, Asks: []reader.Level{{Price: ask, Size: 4}}}
	}
	levels := []tick.Level{{Price: 10, Size: 3}, {Price: 11, Size: 4}}
	row(1, 7, true, levels...)
	row(1, 0, false, levels...) // that it is invalid since is no book
	image(1, 7, 100, 110)
	row(2, 7, true, levels...)
	image(2, 8, 999, 110) // a message later
	image(3, 7, 100, 110) // no row
	if equal, differ := x.compare(); equal != 1 || differ != 0 {
		t.Errorf("%d equal, %d differ", equal, differ)
	}
	image(1, 7, 100, 111)
	if equal, differ := x.compare(); equal != 0 || differ != 1 {
		t.Errorf("%d equal, %d differ", equal, differ)
	}
	if _, err := x.summary(); err == nil {
		t.Error("a difference is no fault")
	}
}
