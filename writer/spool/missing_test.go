package spool

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// kept is a spool in memory with six rows a table, durable and marked, some of
// them acknowledged; its process was killed.
type kept struct {
	t    *testing.T
	disk *memFS
	log  bytes.Buffer
	o    Options
}

func keptSpool(t *testing.T, acked int, change func(*Options)) *kept {
	x := &kept{t: t, disk: newMemFS()}
	x.o = options("/spool", func(o *Options) {
		o.FS, o.Logger = x.disk, slog.New(slog.NewTextHandler(&x.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		if change != nil {
			change(o)
		}
	})
	s := open(t, x.o)
	for n := range 6 {
		put(s, 0, n)
		put(s, 1, n)
	}
	flush(t, s)
	for range acked {
		next(t, s, 0)
	}
	done := false
	s.Checkpoint([]ShardMark{{0, Mark{1, 9}}}, func(err error) { done = err == nil })
	if flush(t, s); !done {
		t.Fatal("the checkpoint failed")
	}
	return x
}

func (x *kept) open() *Spool {
	x.log.Reset()
	return open(x.t, x.o)
}

// segment is the newest file of trades.
func (x *kept) segment() *memFile {
	names := sortedNames(x.disk.files)
	i := slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(filepath.Base(name), "quotes-") })
	trades := slices.DeleteFunc(names[i:], func(name string) bool { return !strings.HasPrefix(filepath.Base(name), "trades-") })
	return x.disk.files[trades[len(trades)-1]]
}

// cut leaves of that file what is before the row.
func (x *kept) cut(row int) {
	f := x.segment()
	f.data = f.data[:bytes.Index(f.data, []byte(line(row)))]
}

// A file with rows that were synced and not sent is cut, or removed. That is
// told as what it is; marks stand before those rows, so that they are made
// again, also if the next process dies before it has made them; and no offset is
// used twice.
func TestSyncedRowsGoMissing(t *testing.T) {
	t.Parallel()
	f := func(name string, acked, left int, change func(x *kept)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := keptSpool(t, acked, nil)
			end := int64(len(x.segment().data))
			file := x.segment().name
			change(x)
			marks := "map[]"
			if left > 0 {
				marks = fmt.Sprintf("map[0:{1 %d}]", left-1)
			}
			for range 2 {
				s := x.open()
				if got := fmt.Sprint(s.Marks()); got != marks {
					t.Errorf("marks %s, want %s", got, marks)
				}
				for _, want := range []string{"level=ERROR", "not sent are gone", "file=" + file, fmt.Sprintf("to=%d", end)} {
					if !strings.Contains(x.log.String(), want) {
						t.Errorf("%q is not in the log:\n%s", want, x.log.String())
					}
				}
				if strings.Contains(x.log.String(), "torn") {
					t.Errorf("it is called torn:\n%s", x.log.String())
				}
			}
			s := x.open()
			put(s, 0, 77)
			s.writeRound()
			if at := s.lanes[0].active.first; at != end {
				t.Errorf("the stream goes on at %d, not at %d", at, end)
			}
			equal(t, "what is left", all(t, s, 0), append(lines(min(acked, left), left), line(77)))
			if l := s.TakeLosses(); len(l) != 1 || l[0].Rows != -1 || !l[0].Damaged || left > 0 && string(l[0].Before) != fmt.Sprint("meta ", left-1) {
				t.Errorf("losses %+v", l)
			}
			// The sender has passed the hole, and nothing of what is made again is safe yet.
			if err := s.writeAcks(); err != nil {
				t.Fatal(err)
			}
			_ = x.disk.Remove(s.lanes[0].active.name)
			if got := fmt.Sprint(x.open().Marks()); got != marks {
				t.Errorf("marks %s behind the damage, want %s", got, marks)
			}
		})
	}
	f("cut", 0, 3, func(x *kept) { x.cut(3) })
	f("cut behind what was sent", 2, 3, func(x *kept) { x.cut(3) })
	f("cut to nothing", 0, 0, func(x *kept) { x.cut(0) })
	f("removed", 0, 0, func(x *kept) { _ = x.disk.Remove(x.segment().name) })
}

// Rows are cut off that were acknowledged. What is kept before them is not sent
// again, for then older versions of rows would be the last; what comes behind is,
// also after another start. Tables whose rows have one version give nothing up, nor
// does one of which the database has nothing any more.
func TestAcknowledgedRowsGoMissing(t *testing.T) {
	t.Parallel()
	f := func(name string, once []int, kept int) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := keptSpool(t, 6, func(o *Options) { o.Once = once })
			x.cut(3)
			s := x.open()
			if got := fmt.Sprint(s.Marks()); got != "map[0:{1 9}]" {
				t.Errorf("marks %s: QuestDB has those rows", got)
			}
			if !strings.Contains(x.log.String(), "acknowledged and that were kept are gone") ||
				strings.Contains(x.log.String(), "is not sent again") != (kept == 0) {
				t.Errorf("the log:\n%s", x.log.String())
			}
			rewind := func(when string, want []string) {
				t.Helper()
				if rows, err := s.Rewind(0, 0); err != nil || rows != len(want) {
					t.Errorf("%s: %d rows, %v", when, rows, err)
				}
				equal(t, when, all(t, s, 0), want)
			}
			rewind("cut", lines(0, kept))
			put(s, 0, 77)
			flush(t, s)
			equal(t, "new", all(t, s, 0), []string{line(77)})
			rewind("with a new row", append(lines(0, kept), line(77)))
			flush(t, s)
			s = x.open()
			rewind("after a start", append(lines(0, kept), line(77)))
			s.Forgotten(0)
			rewind("when nothing stands in the database", append(lines(0, 3), line(77)))
			s.Close()
		})
	}
	f("rows have versions", nil, 0)
	f("rows have one", []int{0}, 3)
}

// While the disk takes nothing rows are delivered from memory, and are not kept.
// What is kept from before them is not sent again.
func TestDeliveredFromMemoryIsNotKept(t *testing.T) {
	t.Parallel()
	clock := &clockOf{now: 1}
	x := keptSpool(t, 6, func(o *Options) { o.Now = clock.Now })
	full := false
	x.disk.fail = func(op, name string) error {
		if full && op != "syncdir" && strings.HasSuffix(name, ".seg") {
			return errIO
		}
		return nil
	}
	s := x.open()
	full = true
	for n := range 3 {
		put(s, 0, 6+n)
	}
	s.writeRound()
	equal(t, "from memory", all(t, s, 0), lines(6, 9))
	if n := strings.Count(x.log.String(), "is not sent again"); n != 1 {
		t.Errorf("it is told %d times:\n%s", n, x.log.String())
	}
	for range 2 {
		if rows, err := s.Rewind(0, 0); err != nil || rows != 0 {
			t.Errorf("%d rows are sent again, %v", rows, err)
		}
		full = false
		_ = s.syncRound()
		s = x.open() // killed
	}
	clock.add(2 * downRetryNanos)
	put(s, 0, 9)
	flush(t, s)
	equal(t, "from disk", all(t, s, 0), lines(9, 10))
	flush(t, s)
	s = x.open()
	if rows, err := s.Rewind(0, 0); err != nil || rows != 1 {
		t.Errorf("%d rows are sent again, %v", rows, err)
	}
	s.Close()
}

// A power cut takes rows that were acknowledged and not synced. They are behind
// the marks and are made again, so what is kept before them may be sent again,
// after every start.
func TestPowerCutKeepsWhatWasSynced(t *testing.T) {
	t.Parallel()
	x := keptSpool(t, 6, nil)
	s := x.open()
	put(s, 0, 6)
	s.writeRound()
	equal(t, "sent", all(t, s, 0), lines(6, 7))
	if err := s.writeAcks(); err != nil {
		t.Fatal(err)
	}
	x.disk.powerCut(rand.New(rand.NewPCG(1, 1)))
	_ = x.disk.Remove(s.lanes[0].active.name)
	for range 3 {
		s = x.open()
		if x.log.Len() > 0 {
			t.Errorf("the log:\n%s", x.log.String())
		}
		if err := s.writeAcks(); err != nil {
			t.Fatal(err)
		}
	}
	if rows, err := s.Rewind(0, 0); err != nil || rows != 6 {
		t.Errorf("%d rows are sent again, %v", rows, err)
	}
	s.Close()
}
