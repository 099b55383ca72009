package spool

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	modelSeed  = flag.Uint64("spool-seed", 1, "first seed of TestModel; 0 = by the clock")
	modelSeeds = flag.Int("spool-seeds", 400, "seeds of TestModel")
)

// model knows of each row of a table where it is at least, by the slow way: one
// state a row.
type model struct {
	rows []rowState
}

type rowState struct {
	position uint64 // in the log of the one shard
	durable  bool   // a sync that covers it succeeded
	sent     bool   // in this run or before
	lost     bool   // was reported
	gone     bool   // its run was killed before it was durable: it would be made again
}

// A spool is put to, written, synced, read, acknowledged, rewound, killed, cut
// off from power, filled and refused by its disk, and its files are cut and
// removed, at random. Always: rows come in
// order, whole, and none twice without a rewind or restart; a row that was
// durable is sent or reported; what is reported is named once; marks never say
// more than there is; and when the disk works everything comes through.
func TestModel(t *testing.T) {
	t.Parallel()
	seed := *modelSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	for i := range *modelSeeds {
		runModel(t, seed+uint64(i))
		if t.Failed() {
			t.Fatalf("go test ./writer/spool -run 'TestModel$' -spool-seeds 1 -spool-seed %d", seed+uint64(i))
		}
	}
}

// rowsIn is which rows stand in files.
func rowsIn(disk *memFS, names []string) map[int]bool {
	rows := map[int]bool{}
	for _, name := range names {
		if f := disk.files[name]; f != nil {
			for _, text := range rowText.FindAllSubmatch(f.data, -1) {
				n, _ := strconv.Atoi(string(text[1]))
				rows[n] = true
			}
		}
	}
	return rows
}

var rowText = regexp.MustCompile(`row (\d+)\n`)

func runModel(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	disk, clock := newMemFS(), &clockOf{now: 1}
	disk.full = 32 << 10
	broken := "" // the operation that fails
	disk.fail = func(op, name string) error {
		if op == broken && strings.HasSuffix(name, ".seg") && random.IntN(3) > 0 {
			return syscall.EIO
		}
		return nil
	}
	o := options("/spool", func(o *Options) {
		o.FS, o.Now = disk, clock.Now
		o.SegmentBytes, o.MaxBytes, o.MemoryBytes = 1<<10, 24<<10, 2<<10
		o.Horizon, o.HorizonBytes = time.Duration(50), 4<<10
	})
	s := open(t, o)
	var m [2]model
	position := uint64(0)
	cut := [2]map[int]bool{{}, {}} // rows that were cut off and are nowhere else
	var at [2]int                  // rows up to here were sent in this run
	var flight [2]*Batch           // and of these some
	var base [2]int                // rows from here on were put in this run
	reported := func() {
		for _, l := range s.TakeLosses() {
			table := &m[l.Table]
			switch {
			case l.Rows == 1:
				n := 0
				fmt.Sscanf(string(l.Meta), "meta %d", &n)
				table.rows[n].lost = true
				if !l.Again && table.rows[n].sent {
					t.Errorf("table %d: row %d was sent and is reported", l.Table, n)
				}
			case l.Rows < 0:
				// Between what is before and behind: anything may be missing.
				from, to := 0, len(table.rows)
				if l.Before != nil {
					fmt.Sscanf(string(l.Before), "meta %d", &from)
				}
				if l.After != nil {
					fmt.Sscanf(string(l.After), "meta %d", &to)
				}
				for n := from; n < to; n++ {
					table.rows[n].lost = true
				}
			}
		}
	}
	checkMarks := func() {
		for _, mark := range s.Marks() {
			for table := range m {
				for n := range cut[table] {
					if r := &m[table].rows[n]; r.position <= mark.Position && !r.sent && !r.lost && !r.gone {
						t.Errorf("table %d: row %d was cut off, and marks say that it is safe", table, n)
					}
				}
				for n := range m[table].rows {
					if r := &m[table].rows[n]; r.position <= mark.Position && !r.gone {
						r.durable = true // or was sent, or reported: else it must come now
					}
				}
			}
		}
	}
	restart := func() {
		reported()
		broken = ""
		s = open(t, o)
		for table := range m {
			// Rows that were nowhere durable may be gone without a word: they are not
			// covered by marks, so that they are made again.
			at[table], flight[table], base[table] = 0, nil, len(m[table].rows)
		}
		checkMarks()
		for table := range m {
			for n := range m[table].rows {
				if r := &m[table].rows[n]; !r.durable {
					r.gone = true
				}
			}
		}
	}
	// cutOff shortens a file of a table, or removes it.
	cutOff := func(table int) {
		var names []string
		for _, name := range sortedNames(disk.files) {
			if strings.HasPrefix(filepath.Base(name), o.Tables[table]+"-") {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			return
		}
		told := random.IntN(2) == 0 && s.writeAcks() == nil // else the next start may not know that they were safe
		before := rowsIn(disk, names)
		f := disk.files[names[random.IntN(len(names))]]
		if random.IntN(2) == 0 {
			delete(disk.files, f.name)
		} else {
			f.data = f.data[:random.IntN(len(f.data)+1)]
			f.durable = f.durable[:min(len(f.durable), len(f.data))]
		}
		after := rowsIn(disk, names)
		for n := range before {
			if !after[n] {
				cut[table][n] = true
				m[table].rows[n].durable = m[table].rows[n].durable && told
			}
		}
	}
	take := func(table int) {
		if flight[table] == nil {
			b, err := s.Next(table, 1+random.IntN(5), 1<<20)
			if err != nil || b == nil {
				return
			}
			flight[table] = b
		}
		b := flight[table]
		for b.Rows > 0 && random.IntN(8) > 0 {
			first, _, _ := strings.Cut(string(b.Lines), "\n")
			n := -1
			if _, err := fmt.Sscanf(first, "row %d", &n); err != nil || n < 0 || n >= len(m[table].rows) {
				t.Errorf("table %d: %q is sent", table, first)
				return
			}
			if n < at[table] {
				t.Errorf("table %d: row %d is sent behind %d", table, n, at[table])
				return
			}
			for skipped := at[table]; skipped < n; skipped++ {
				if r := m[table].rows[skipped]; r.durable && !r.sent && !r.lost {
					reported()
					if !m[table].rows[skipped].lost {
						t.Errorf("table %d: row %d was durable, and %d is sent without it", table, skipped, n)
						return
					}
				}
			}
			m[table].rows[n].sent = true
			at[table] = n + 1
			s.Progress(table, b, len(first)+1, 1)
		}
		if b.Rows == 0 {
			flight[table] = nil
		}
	}
	sync := func() {
		if s.syncRound() == nil {
			s.mu.Lock()
			for i, l := range s.lanes {
				// What memory does not hold any more is durable, or was given up.
				from := len(m[i].rows)
				if len(l.mem) > 0 {
					fmt.Sscanf(string(l.mem[0].Meta), "meta %d", &from)
				}
				if s.Stats.Unprotected.Load() == 0 {
					for n := base[i]; n < from; n++ {
						m[i].rows[n].durable = true
					}
				}
			}
			s.mu.Unlock()
		}
	}
	for range 400 {
		table := random.IntN(2)
		switch random.IntN(20) {
		case 0, 1, 2, 3, 4, 5:
			n := len(m[table].rows)
			position++
			m[table].rows = append(m[table].rows, rowState{position: position})
			s.Put(table, Record{Payload: []byte(line(n)), Rows: 1, OldestNanos: clock.Now(), Meta: fmt.Appendf(nil, "meta %d", n),
				Marks: []ShardMark{{Mark: Mark{1, position}}}}, 0)
		case 6, 7, 8:
			s.writeRound()
		case 9, 10:
			sync()
		case 11, 12, 13:
			take(table)
		case 14:
			clock.add(int64(random.IntN(20)))
			if random.IntN(4) == 0 {
				clock.add(2 * downRetryNanos)
			}
		case 15:
			if flight[table] != nil && s.Abandon(table, flight[table]) {
				flight[table] = nil
				at[table] = 0
			}
			if flight[table] == nil {
				if _, err := s.Rewind(table, clock.Now()-int64(random.IntN(100))); err != nil {
					t.Error(err)
				}
				at[table] = 0
			}
		case 16:
			broken = []string{"", "", "write", "sync", "create"}[random.IntN(5)]
		case 17:
			if random.IntN(4) == 0 {
				restart() // killed: the disk has what was written
			}
		case 18:
			switch random.IntN(16) {
			case 0, 1:
				disk.powerCut(random)
				restart()
			case 2:
				reported()
				cutOff(table)
				restart()
			}
		case 19:
			s.Checkpoint([]ShardMark{{0, Mark{1, position}}}, func(error) {})
		}
		if t.Failed() {
			return
		}
	}
	// The disk works again: all that waits comes.
	broken = ""
	clock.add(2 * downRetryNanos)
	for range 2 {
		s.writeRound()
		sync()
		for table := range m {
			for flight[table] != nil || !s.Idle(table) {
				take(table)
				s.writeRound()
				if t.Failed() {
					return
				}
			}
		}
	}
	reported()
	for table := range m {
		for n, r := range m[table].rows {
			if r.durable && !r.sent && !r.lost {
				t.Errorf("table %d: row %d was durable and never came", table, n)
			}
		}
		if st := s.State(); s.Rows()[table] != 0 || !st.Empty {
			t.Errorf("%+v", st)
		}
	}
	if s.memBytes < 0 || s.diskBytes < 0 || s.diskBytes > o.MaxBytes {
		t.Errorf("%d bytes in memory, %d on disk", s.memBytes, s.diskBytes)
	}
	total := int64(0)
	entries, _ := disk.List("/spool")
	for _, e := range entries {
		if strings.HasSuffix(e.Name, ".seg") {
			total += e.Size
		}
	}
	s.sweep()
	if total > o.MaxBytes+8<<10 {
		t.Errorf("%d bytes in files", total)
	}
	s.Close()
}
