package shm

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"tickproc/tick"
	"tickproc/writer/shm/layout"
	"tickproc/writer/shm/reader"
)

// language is a way to read the shared memory.
type language struct {
	name    string
	command []string // before --words DIR or --images DIR
}

// languages are those of this machine.
func languages(t *testing.T, flags ...string) (all []language) {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	here = filepath.Dir(here)
	if cc, err := exec.LookPath("cc"); err == nil {
		program := filepath.Join(t.TempDir(), "shmcat")
		arguments := append([]string{"-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, filepath.Join(here, "c", "shmcat.c")}, flags...)
		if out, err := exec.Command(cc, arguments...).CombinedOutput(); err != nil {
			t.Fatalf("the C reader does not compile: %v\n%s", err, out)
		}
		all = append(all, language{"C", []string{program}})
	} else {
		t.Log("there is no C compiler: the C reader is not tested")
	}
	if python, err := exec.LookPath("python3"); err == nil {
		all = append(all, language{"Python", []string{python, "-B", filepath.Join(here, "python", "tickproc_shm.py")}})
	} else {
		t.Log("there is no python3: the Python reader is not tested")
	}
	return all
}

func (l language) run(t *testing.T, more ...string) *process {
	t.Helper()
	arguments := append(slices.Clone(l.command[1:]), more...)
	return run(t, nil, l.command[0], arguments...)
}

// someRows makes a row of any kind.
func someRows(r *rand.Rand, n uint64) []tick.Unit {
	kinds := []tick.Kind{tick.RowTrade, tick.RowQuote, tick.RowBar, tick.RowWindow, tick.RowGap, tick.RowFunding, tick.RowOpenInterest,
		tick.RowLiquidation, tick.RowStatus, tick.RowNbbo, tick.RowValidity, tick.RowDepth, tick.RowDepth}
	kind := kinds[r.IntN(len(kinds))]
	if kind == tick.RowDepth {
		return someDepth(n, r.IntN(2000))
	}
	rows, _ := tick.NewRow(nil, kind)
	for i := range rows {
		for w := range rows[i] {
			rows[i][w] = r.Uint64()
		}
	}
	h := rows[0].RowHeader()
	h.Kind, h.Instrument, h.Source = kind, uint32(n%5), tick.TimeReceive
	return rows
}

// Each language reads what the Go reader reads, word for word, and images alike;
// in other processes, from before the first message to the end of the writer.
func TestLanguagesAgree(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	w := small(t, Options{RingBytes: 32 << 20, Rings: 2})
	var others []*process
	all := languages(t)
	for _, l := range all {
		others = append(others, l.run(t, "--words", w.Dir()))
	}
	others = append(others, myself(t, "words", w.Dir()))
	for _, p := range others {
		await(t, "a reader follows", func() bool { return strings.Contains(p.stderr.String(), "following") })
	}
	from := open(t, w.Dir())
	in := btc()
	w.Ring(1).Rows(catalogOf(t, in))
	bids, asks := sides([]tick.Level{{Price: 5, Size: 1}, {Price: 4, Size: 2}}, []tick.Level{{Price: 7, Size: 9}})
	w.Ring(1).Image(&Standing{Instrument: in.ID, Valid: true, LastID: 99}, bids, asks)
	w.Ring(1).End()
	for n := range uint64(2000) {
		ring := w.Ring(int(n % 2))
		ring.Rows(someRows(random, n))
		ring.End()
	}
	want := fmt.Sprintf("binance-spot BTCUSDT valid position=%d last_id=99 bids=2 asks=1 5x1 4x2 | 7x9\n", 1)
	for _, l := range all {
		if p := l.run(t, "--images", w.Dir()); p.wait() != 0 || p.stdout.String() != want {
			t.Errorf("%s prints the images as %q (%s), want %q", l.name, p.stdout.String(), p.stderr.String(), want)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	lines := make([][]string, 2)
	var m reader.Message
	for i := range lines {
		for from.Ring(i).Next(&m) {
			if m.Lost > 0 {
				t.Fatal("the ring is too small for this test")
			}
			lines[i] = append(lines[i], wordsLine(i, &m))
		}
	}
	for i, p := range others {
		if code := p.wait(); code != 0 {
			t.Errorf("reader %d ends with %d: %s", i, code, p.stderr.String())
		}
		have := strings.Split(strings.TrimSpace(p.stdout.String()), "\n")
		for ring := range lines {
			of := slices.DeleteFunc(slices.Clone(have), func(line string) bool { return !strings.HasPrefix(line, fmt.Sprint(ring, " ")) })
			if !slices.Equal(of, lines[ring]) {
				t.Errorf("reader %d reads %d messages of ring %d, want %d", i, len(of), ring, len(lines[ring]))
			}
		}
	}
}

// Readers that are overtaken again and again print nothing that was not published.
func TestLanguagesAreOvertaken(t *testing.T) {
	t.Parallel()
	w := small(t, Options{})
	all := languages(t)
	var others []*process
	for _, l := range all {
		others = append(others, l.run(t, "--words", w.Dir()))
	}
	for i, p := range others {
		await(t, all[i].name+" follows", func() bool { return strings.Contains(p.stderr.String(), "following") })
	}
	published := map[string]bool{}
	from := open(t, w.Dir()).Ring(0)
	var m reader.Message
	n := uint64(0)
	publish := func() {
		for range 200 {
			n++
			if n%3 == 0 {
				w.Ring(0).Rows(someDepth(n, int(n%700)))
			} else {
				w.Ring(0).Rows(trade(uint32(n%5), n))
			}
			w.Ring(0).End()
			for from.Next(&m) {
				published[wordsLine(0, &m)] = true
			}
		}
	}
	for i, p := range others {
		await(t, all[i].name+" loses some", func() bool {
			publish()
			return strings.Contains(p.stderr.String(), "lost")
		})
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for from.Next(&m) {
		published[wordsLine(0, &m)] = true
	}
	for i, p := range others {
		if code := p.wait(); code != 0 {
			t.Errorf("%s ends with %d: %s", all[i].name, code, p.stderr.String())
		}
		lines := strings.Split(strings.TrimSpace(p.stdout.String()), "\n")
		for _, line := range lines {
			if !published[line] {
				t.Fatalf("%s prints what was never published: %.200s", all[i].name, line)
			}
		}
		if len(lines) < 10 {
			t.Errorf("%s printed only %d", all[i].name, len(lines))
		}
	}
}

// Damaged files are refused with words, by every language; what is damaged behind
// the headers is read without harm.
func TestLanguagesOfDamage(t *testing.T) {
	t.Parallel()
	all := languages(t, "-fsanitize=address,undefined", "-g")
	for what, edit := range damages() {
		dir := damagedFolder(t, edit)
		_, err := reader.Open(dir)
		if err == nil {
			t.Errorf("%s: opened", what)
		}
		for _, l := range all {
			p := l.run(t, "--images", dir)
			if code := p.wait(); code != 3 || strings.Contains(p.stderr.String(), "Traceback") || strings.Contains(p.stderr.String(), "ERROR") {
				t.Errorf("%s, %s: exit %d: %s", what, l.name, code, p.stderr.String())
			}
		}
	}
	// Nonsense in images and definitions.
	random := seeded(t)
	for range 10 {
		dir := damagedFolder(t, func(directory, ring []byte) ([]byte, []byte) {
			for i := layout.DirHeaderBytes + 4096; i < len(directory); i++ {
				directory[i] = byte(random.Uint32())
			}
			directory[layout.DirInstruments] = 8
			return directory, ring
		})
		for _, l := range all {
			p := l.run(t, "--images", dir)
			if code := p.wait(); code != 0 {
				t.Errorf("nonsense, %s: exit %d: %s", l.name, code, p.stderr.String())
			}
		}
	}
}

// damages are those that Open must notice.
func damages() map[string]func(directory, ring []byte) ([]byte, []byte) {
	type edit = func(directory, ring []byte) ([]byte, []byte)
	inDirectory := func(at int, b ...byte) edit {
		return func(directory, ring []byte) ([]byte, []byte) {
			copy(directory[at:], b)
			return directory, ring
		}
	}
	inRing := func(at int, b ...byte) edit {
		return func(directory, ring []byte) ([]byte, []byte) {
			copy(ring[at:], b)
			return directory, ring
		}
	}
	ones := slices.Repeat([]byte{255}, 8)
	return map[string]edit{
		"another magic":            inDirectory(0, 'x'),
		"another version":          inDirectory(layout.DirVersion, 2),
		"no rings":                 inDirectory(layout.DirRingCount, 0, 0, 0, 0),
		"many rings":               inDirectory(layout.DirRingCount, 255, 255),
		"many levels":              inDirectory(layout.DirLevels, 51),
		"no instruments":           inDirectory(layout.DirCapacity, 0, 0, 0, 0),
		"many instruments":         inDirectory(layout.DirCapacity, 255, 255, 0, 0),
		"instruments elsewhere":    inDirectory(layout.DirInstrumentsAt, ones...),
		"images elsewhere":         inDirectory(layout.DirImagesAt, ones...),
		"images at an odd place":   inDirectory(layout.DirImagesAt, 1),
		"rings elsewhere":          inDirectory(layout.DirRingsAt, ones...),
		"another image size":       inDirectory(layout.DirImageSize, 8),
		"another file size":        inDirectory(layout.DirFileSize, 8),
		"a ring without a name":    inDirectory(layout.DirHeaderBytes, 0),
		"a ring above":             inDirectory(layout.DirHeaderBytes, '.', '.', '/', 'x', 0),
		"a ring that is not there": inDirectory(layout.DirHeaderBytes, 'x', 0),
		"stopped":                  inDirectory(layout.DirState, layout.StateStopped),
		"replaced":                 inDirectory(layout.DirState, layout.StateReplaced),
		"a ring's magic":           inRing(0, 'x'),
		"a ring's version":         inRing(layout.RingVersion, 9),
		"a ring's epoch":           inRing(layout.RingEpoch, 1, 2, 3),
		"a ring's number":          inRing(layout.RingShard, 1),
		"a ring's slots":           inRing(layout.RingSlots, 1, 4),
		"a ring's many slots":      inRing(layout.RingSlots, 0, 8),
		"a short ring":             func(d, r []byte) ([]byte, []byte) { return d, r[:len(r)-64] },
		"a ring without slots":     func(d, r []byte) ([]byte, []byte) { return d, r[:100] },
		"a short directory":        func(d, r []byte) ([]byte, []byte) { return d[:len(d)-8], r },
		"half a header":            func(d, r []byte) ([]byte, []byte) { return d[:100], r },
		"an odd directory":         func(d, r []byte) ([]byte, []byte) { return d[:len(d)-1], r },
		"an empty directory":       func(_, r []byte) ([]byte, []byte) { return nil, r },
		"an empty ring":            func(d, _ []byte) ([]byte, []byte) { return d, nil },
	}
}

// damagedFolder is a writer's folder, of files that were changed.
func damagedFolder(t testing.TB, edit func(directory, ring []byte) ([]byte, []byte)) string {
	t.Helper()
	w := small(t, Options{Levels: 3})
	in := btc()
	w.Ring(0).Rows(catalogOf(t, in))
	w.Ring(0).End()
	dir := t.TempDir()
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(w.Dir(), name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	name := ringName(w.Epoch(), 0)
	directory, ring := edit(read(layout.DirectoryName), read(name))
	for name, b := range map[string][]byte{layout.DirectoryName: directory, name: ring} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
