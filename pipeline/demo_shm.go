package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"tickproc/tick"
	"tickproc/writer/shm/layout"
	"tickproc/writer/shm/reader"
)

// demoReader reads what the demo shows to other processes, by the reader of tail
// and with nothing but the folder, and in the end holds the images against the
// last rows of book.
type demoReader struct {
	from   *reader.Reader
	ended  chan struct{}
	read   int
	lost   uint64                  // slots that were overwritten
	images map[uint32]reader.Image // when the exchanges were silent
	rows   *lastBooks
}

// share shows the demo's shards, and begins to read them. A machine without room
// for that has a demo without it.
func (d *demo) share(s *system, rows *lastBooks, logger *slog.Logger) (stop func()) {
	if d.config.Shm.Enabled != On {
		return func() {}
	}
	remove := func() { os.RemoveAll(d.config.shmDir()) }
	if err := s.share(); err != nil {
		logger.Warn("shared memory", "error", err)
		fmt.Fprintf(d.options.Out, "nothing is shown to other processes: %v\n", err)
		return func() {}
	}
	from, err := reader.Open(d.config.shmDir())
	if err != nil {
		logger.Error("shared memory", "error", err)
		return remove
	}
	x := &demoReader{from: from, ended: make(chan struct{}), images: map[uint32]reader.Image{}, rows: rows}
	go x.follow()
	d.shared = x
	return func() {
		<-x.ended // the service has ended, which is the last that it says
		x.from.Close()
		remove()
	}
}

// follow reads until every ring has ended.
func (x *demoReader) follow() {
	defer close(x.ended)
	var m reader.Message
	for rings := x.from.Rings(); rings > 0; {
		moved := false
		for i := range x.from.Rings() {
			for range 1000 {
				if !x.from.Ring(i).Next(&m) {
					break
				}
				moved = true
				x.read++
				x.lost += m.Lost
				if m.Kind() == layout.KindEnd {
					rings--
				}
			}
		}
		if !moved {
			time.Sleep(tailRest)
		}
	}
}

// look takes the images as they are now.
func (x *demoReader) look() {
	for in := range x.from.Instruments() {
		var image reader.Image
		if x.from.Image(in.ID, &image) {
			x.images[in.ID] = image
		}
	}
}

// compare counts the images that equal the last row of book of their moment.
// Where messages have no ids several may be of one moment, and nothing tells of
// which of them image and row are.
func (x *demoReader) compare() (equal, differ int) {
	for id, image := range x.images {
		row, ok := x.rows.of(id)
		if !ok || !image.Valid || image.LastID == 0 || row.head.Seq != image.LastID || row.head.TsNanos != image.DepthNanos {
			continue // a message came between the two
		}
		same := true
		side := func(of []tick.Level, in []reader.Level) {
			for i := range min(len(of), len(in)) {
				same = same && tick.CompareScaled(of[i].Price, row.head.PriceDigits, in[i].Price, image.PriceDigits) == 0 &&
					tick.CompareScaled(of[i].Size, row.head.SizeDigits, in[i].Size, image.SizeDigits) == 0
			}
			same = same && len(of) > 0 == (len(in) > 0)
		}
		side(row.levels[:row.head.Bids], image.Bids)
		side(row.levels[row.head.Bids:], image.Asks)
		if same {
			equal++
		} else {
			differ++
		}
	}
	return equal, differ
}

// summary says what another process had of it.
func (x *demoReader) summary() (text string, err error) {
	equal, differ := x.compare()
	text = fmt.Sprintf("shared memory: %d messages read as another process reads them, %d overwritten before that; %d of %d images of a book that are of the moment of its last row equal it",
		x.read, x.lost, equal, equal+differ)
	if differ > 0 {
		err = fmt.Errorf("images in shared memory and rows: %w", ErrDifference)
	}
	return text, err
}

// lastBooks keeps the last row of book of each instrument that a message made.
type lastBooks struct{ rows map[uint32]lastBook }

type lastBook struct {
	head   tick.BookRow
	levels []tick.Level
}

// Write takes rows.
func (x *lastBooks) Write(rows []tick.Unit) {
	if x.rows == nil {
		x.rows = map[uint32]lastBook{}
	}
	for ; len(rows) > 0; rows = rows[tick.PacketUnits(&rows[0]):] {
		if rows[0].KindOf() != tick.RowBook {
			continue
		}
		head := rows[0].BookRow()
		if head.Flags&tick.RowValid == 0 || head.Source == tick.TimeEstimate {
			continue
		}
		b := x.rows[head.Instrument]
		b.head, b.levels = *head, append(b.levels[:0], tick.RowLevels(rows)...)
		x.rows[head.Instrument] = b
	}
}

// Idle and Close have nothing to do.
func (x *lastBooks) Idle(int64) {}

func (x *lastBooks) Close(context.Context) error { return nil }

func (x *lastBooks) of(instrument uint32) (b lastBook, ok bool) {
	b, ok = x.rows[instrument]
	return b, ok
}
