package shm

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"tickproc/internal/vfs"
	"tickproc/tick"
	"tickproc/writer/shm/layout"
	"tickproc/writer/shm/reader"
)

// What a reader finds is what was asked for.
func TestCreate(t *testing.T) {
	t.Parallel()
	w := small(t, Options{Instance: "prod-1", Rings: 3, RingBytes: 100_000, Levels: 7, Instruments: 9, Pid: 42})
	r := open(t, w.Dir())
	if r.Epoch() != w.Epoch() || r.Pid() != 42 || r.Instance() != "prod-1" || r.Rings() != 3 || r.AliveAt(r.Heartbeat()) != nil {
		t.Errorf("epoch %d of %d, pid %d, %q, %d rings", r.Epoch(), w.Epoch(), r.Pid(), r.Instance(), r.Rings())
	}
	var bytes int64
	entries, err := os.ReadDir(w.Dir())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		bytes += info.Size()
	}
	if o := (Options{Rings: 3, RingBytes: 100_000, Levels: 7, Instruments: 9}); bytes != o.Bytes() {
		t.Errorf("%d bytes are taken, said were %d", bytes, o.Bytes())
	}
	if _, err := Create(Options{Dir: w.Dir()}); !errors.Is(err, vfs.ErrLocked) || !strings.Contains(err.Error(), "let each instance have its own") {
		t.Errorf("a second writer: %v", err)
	}
	if err := r.Alive(); err != nil {
		t.Errorf("a second writer that was refused hurt the first: %v", err)
	}
}

// Definitions come while readers read, change, and beyond the room are counted.
func TestGrowingInstruments(t *testing.T) {
	t.Parallel()
	w := small(t, Options{Instruments: 4, Rings: 2})
	r := open(t, w.Dir())
	ids := func() (all []uint32) {
		for in := range r.Instruments() {
			all = append(all, in.ID)
		}
		return all
	}
	if len(ids()) != 0 {
		t.Error("instruments before the first")
	}
	in := btc()
	w.Ring(1).Rows(catalogOf(t, in))
	have, ok := r.Instrument(3)
	want := reader.Instrument{ID: 3, Shard: 1, Venue: "binance-spot", Symbol: "BTCUSDT", Base: "BTC", Quote: "USDT", Underlying: "BTC", State: reader.State(tick.StateTrading),
		Channels: 7, Truncate: 500, PriceDigits: 2, SizeDigits: 5, Tick: reader.Number{Mantissa: 1, Digits: 2}, Lot: reader.Number{Mantissa: 1, Digits: 5}, ContractSize: reader.Number{Mantissa: 1}}
	if !ok || have != want {
		t.Errorf("%v %+v", ok, have)
	}
	var m reader.Message
	if !r.Ring(1).Next(&m) || m.Kind() != layout.KindInstrument || m.Instrument() != 3 {
		t.Errorf("no word of a new instrument: %v", m.Kind())
	}
	in.State, in.Symbol = tick.StateHalted, strings.Repeat("X", layout.InSymbolBytes)
	w.Ring(1).Rows(catalogOf(t, in))
	if have, _ := r.Instrument(3); have.State.String() != "halted" || have.Symbol != in.Symbol {
		t.Errorf("after a change: %+v", have)
	}
	for id := range uint32(6) {
		in.ID = id
		w.Ring(int(id % 2)).Rows(catalogOf(t, in))
	}
	if have := ids(); !slices.Equal(have, []uint32{0, 1, 2, 3}) || r.LeftOut() != 2 || w.LeftOut() != 2 {
		t.Errorf("instruments %v, %d left out", have, r.LeftOut())
	}
	// Messages of those without room are there all the same, images are not.
	w.Ring(0).Rows(trade(5, 1))
	bids, asks := sides(nil, nil)
	w.Ring(0).Image(&Standing{Instrument: 5}, bids, asks)
	last := reader.Message{}
	for r.Ring(0).Next(&last) {
	}
	var x reader.Image
	if last.Kind() != layout.KindTrade || last.Instrument() != 5 || r.Image(5, &x) || r.Image(4_000_000_000, &x) {
		t.Error("of an instrument without room")
	}
}

// An image has the last quote and trade beside the book; a trade that was fetched
// afterwards is not the last.
func TestImage(t *testing.T) {
	t.Parallel()
	w := small(t, Options{Levels: 2})
	r := open(t, w.Dir())
	var x reader.Image
	if r.Image(3, &x) {
		t.Error("an image of nothing")
	}
	ring := w.Ring(0)
	ring.Rows(trade(3, 9))
	ring.Rows(trade(3, 4))
	rows, u := tick.NewRow(nil, tick.RowQuote)
	q := u.QuoteRow()
	q.Instrument, q.TsNanos, q.PriceDigits, q.SizeDigits, q.Flags, q.Bid, q.BidSize, q.Ask, q.AskSize = 3, 55, 1, 6, tick.RowValid, 10, 20, 30, 40
	ring.Rows(rows)
	bids, asks := sides([]tick.Level{{Price: 1, Size: 10}, {Price: 3, Size: 30}, {Price: 2, Size: 20}}, []tick.Level{{Price: 5, Size: 50}})
	at := ring.next
	ring.Image(&Standing{Instrument: 3, Reason: tick.ReasonStale, PriceDigits: 4, SizeDigits: 8, ReceiveNanos: 1, OffsetNanos: -2, DepthNanos: 3, LastID: 4}, bids, asks)
	if !r.Image(3, &x) {
		t.Fatal("no image")
	}
	switch {
	case x.Instrument != 3 || x.Position != at || x.Valid || x.Reason.String() != "stale" || x.PriceDigits != 4 || x.SizeDigits != 8,
		x.ReceiveNanos != 1 || x.OffsetNanos != -2 || x.DepthNanos != 3 || x.LastID != 4,
		x.BidTotal != 3 || x.AskTotal != 1 || !slices.Equal(x.Bids, []reader.Level{{Price: 3, Size: 30}, {Price: 2, Size: 20}}) || !slices.Equal(x.Asks, []reader.Level{{Price: 5, Size: 50}}),
		x.Trade.ID.Lo != 9 || x.TradeNanos != 1009 || x.TradePriceDigits != 2 || x.TradeSizeDigits != 5,
		x.Quote != reader.Quote{Bid: reader.Level{Price: 10, Size: 20}, Ask: reader.Level{Price: 30, Size: 40}, Valid: true} || x.QuoteNanos != 55 || x.QuotePriceDigits != 1 || x.QuoteSizeDigits != 6:
		t.Errorf("%+v", x)
	}
	// A writer that died in the middle of an image left it locked: there is none.
	w.directory.image(3)[layout.ImSeq]++
	if r.Image(3, &x) {
		t.Error("half an image")
	}
}

// What others have in the folder stays: only files that are named as rings are
// go.
func TestCreateLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	others := []string{"ring-buffer-of-another", "ring-", "ring-0000000000000001", "ring-0000000000000001-", "ring-0000000000000001-x", "ring-000000000000000g-0", "ring-1-0"}
	for _, name := range append([]string{"ring-0000000000000001-0", "ring-18a2f4b3c5d6e7f8-255"}, others...) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	small(t, Options{Dir: dir})
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(others)+3 { // lock, directory, a ring
		t.Errorf("left: %v %v", entries, err)
	}
	for _, name := range others {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

// A start that fails leaves no memory behind.
func TestCreateFailsWithoutRests(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	if err := os.MkdirAll(filepath.Join(dir, layout.DirectoryName, "in the way"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(Options{Dir: dir, RingBytes: 1, Instruments: 8}); err == nil || !strings.Contains(err.Error(), "shm.dir") {
		t.Errorf("%v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 || entries[0].Name() != layout.DirectoryName || entries[1].Name() != "lock" {
		t.Errorf("left: %v %v", entries, err)
	}
}

// A folder whose earlier writer was of another kind, or is damaged, is begun anew.
func TestCreateOverRubbish(t *testing.T) {
	t.Parallel()
	for _, rubbish := range []string{"", "x", strings.Repeat("TICKPDIR", 1024)} {
		dir := folder(t)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{layout.DirectoryName, layout.DirectoryName + ".tmp", "ring-0000000000000001-7", "ring-0000000000000001-0"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(rubbish), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		w := small(t, Options{Dir: dir})
		if open(t, dir).Epoch() != w.Epoch() {
			t.Error("another epoch")
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 3 {
			t.Errorf("left: %v %v", entries, err)
		}
	}
	if _, err := Create(Options{Dir: filepath.Join(t.TempDir(), "x")}); runtime.GOOS == "linux" && (err == nil || !strings.Contains(err.Error(), "/dev/shm")) {
		t.Errorf("on a disk: %v", err)
	}
}

// Whatever is in the files, a reader refuses them or reads something, and never
// goes beyond them.
func FuzzReader(f *testing.F) {
	f.Add(uint64(0), uint64(0), uint64(0), uint64(0), false)
	f.Add(uint64(layout.DirInstrumentsAt/8), uint64(1<<63), uint64(layout.RingHeaderBytes/8), uint64(250), true)
	f.Fuzz(func(t *testing.T, at, v, ringAt, ringV uint64, headersStay bool) {
		dir := damagedFolder(t, func(directory, ring []byte) ([]byte, []byte) {
			d, r := wordsOf(directory), wordsOf(ring)
			if i := at % uint64(len(d)); !headersStay || i >= 512 {
				d[i] = v
			}
			if i := ringAt % uint64(len(r)); !headersStay || i >= 5 {
				r[i] = ringV
				if i >= layout.RingHeaderBytes/8 && i%8 == 0 {
					r[layout.RingPublished/8] = ringV >> 8
				}
			}
			return directory, ring
		})
		r, err := reader.Open(dir)
		if err != nil {
			return
		}
		defer r.Close()
		var m reader.Message
		for range 10 {
			if r.Ring(0).Next(&m) {
				d := m.Depth()
				for i := range d.Levels {
					m.Level(i)
				}
				m.Bar()
			}
		}
		r.Ring(0).Join()
		r.Ring(0).Next(&m)
		var x reader.Image
		for in := range r.Instruments() {
			r.Image(in.ID, &x)
			_, _, _, _ = in.Type.String(), in.State.String(), x.Reason.String(), in.Symbol
		}
		_, _, _ = r.Alive(), r.Instance(), r.LeftOut()
	})
}

// Which users may read is said by the modes, whatever the umask; nobody but the
// owner may take the lock.
func TestReadersByMode(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		readers      Readers
		folder, file os.FileMode
	}{{ReadersOwner, 0o700, 0o600}, {ReadersGroup, 0o750, 0o640}, {ReadersAll, 0o755, 0o644}} {
		w := small(t, Options{Readers: x.readers})
		entries, err := os.ReadDir(w.Dir())
		if err != nil || len(entries) != 3 {
			t.Fatalf("%v %v", entries, err)
		}
		for _, name := range []string{"", layout.DirectoryName, ringName(w.Epoch(), 0), lockName} {
			want := x.file
			switch name {
			case "":
				want = x.folder
			case lockName:
				want = 0o600
			}
			if info, err := os.Stat(filepath.Join(w.Dir(), name)); err != nil || info.Mode().Perm() != want {
				t.Errorf("readers %d: %q has mode %04o, not %04o", x.readers, name, info.Mode().Perm(), want)
			}
		}
	}
}

// A user who may read it as one of the folder's group reads it, and one who is
// not does not.
func TestGroupReads(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	const user, group = 54321, 54322
	dir := folder(t)
	if err := errors.Join(os.Mkdir(dir, 0o750), os.Chown(dir, 0, group), os.Chmod(dir, 0o750|os.ModeSetgid), os.Chmod(filepath.Dir(dir), 0o755)); err != nil {
		t.Skip(err) // a container that has no such group
	}
	small(t, Options{Dir: dir, Readers: ReadersGroup})
	read := func(groups ...uint32) error {
		c := exec.Command("cat", filepath.Join(dir, layout.DirectoryName))
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user, Groups: groups}}
		return c.Run()
	}
	if err := read(group); err != nil {
		t.Errorf("one of the group: %v", err)
	}
	if err := read(); err == nil {
		t.Error("one who is not of the group reads")
	}
}

// A name can be guessed and be there before us: what others made, or may change,
// is refused and left alone, and so says who only looks.
func TestCreateRefusesWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	f := func(prepare func(dir string) error, want string) {
		t.Helper()
		dir := folder(t)
		if err := prepare(dir); err != nil {
			t.Fatal(err)
		}
		o := Options{Dir: dir, RingBytes: 1, Instruments: 8}
		_, looked := Look(o)
		_, created := Create(o)
		for _, err := range []error{looked, created} {
			if !errors.Is(err, vfs.ErrNotOwn) || !strings.Contains(err.Error(), "shm.dir: ") || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v", want, err)
			}
		}
	}
	f(func(dir string) error { return errors.Join(os.Mkdir(dir, 0o777), os.Chmod(dir, 0o777)) }, "may be written by other users")
	f(func(dir string) error {
		return errors.Join(os.Mkdir(dir+"-other", 0o700), os.Symlink(dir+"-other", dir))
	}, "symbolic link")
	for _, name := range []string{lockName, layout.DirectoryName} {
		f(func(dir string) error {
			file := filepath.Join(dir, name)
			return errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(file, make([]byte, 1<<16), 0o600), os.Chmod(file, 0o666))
		}, "may be written by other users")
		f(func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(dir+"-victim", make([]byte, 1<<16), 0o600), os.Symlink(dir+"-victim", filepath.Join(dir, name)))
		}, "symbolic link")
	}
}

// Who looks is told what a start would be, and changes nothing.
func TestLook(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	o := Options{Dir: dir, RingBytes: 1, Instruments: 8}
	if free, err := Look(o); err != nil || free < o.Bytes() {
		t.Errorf("%d free, %v", free, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("looking made the folder: %v", err)
	}
	large := o
	large.Rings, large.RingBytes = 256, 1<<40
	if _, err := Look(large); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "make shm.ring or shm.instruments smaller") {
		t.Errorf("too large: %v", err)
	}
	small(t, o)
	if _, err := Look(o); err != nil {
		t.Errorf("while a writer runs: %v", err)
	}
	if runtime.GOOS == "linux" && !inMemory(t.TempDir()) {
		if _, err := Look(Options{Dir: filepath.Join(t.TempDir(), "x", "y")}); err == nil || !strings.Contains(err.Error(), "not on a file system in memory") {
			t.Errorf("on a disk: %v", err)
		}
	}
}
