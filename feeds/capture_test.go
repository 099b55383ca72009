package feeds

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"tickproc/internal/testdata"
)

// recordText is one line that says all of a record.
func recordText(r *Record) string {
	tag := [...]string{"open", "sent", "text", "binary", "rest", "close", "reststatus", "backfill"}[r.Tag]
	return fmt.Sprintf("%d %s #%d %d %s|%s", r.RecvNanos, tag, r.Ordinal, r.Code, r.URL, r.Payload)
}

func readAll(t testing.TB, src io.Reader) (r *CaptureReader, all []string) {
	t.Helper()
	r, err := NewCaptureReader(src)
	if err != nil {
		t.Fatal(err)
	}
	for {
		rec, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, recordText(rec))
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
	return r, all
}

func zipped(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.Bytes()
}

const sampleCapture = "# venue toy\n# line public-0\n# first_ordinal 7\n" +
	"100 open wss://h/p?a=b c\n" +
	"101 sent {\"a\": 1}\n" +
	"102 text {\"x y\": 2}\n" +
	"103 binary AAEC\n" +
	"104 text64 YQpi\n" +
	"# a remark\n" +
	"105 rest https://h/depth?a=b {\"z\": 3}\n" +
	"106 rest64 https://h/depth YQpi\n" +
	"107 reststatus 429 https://h/depth too many\n" +
	"108 reststatus 0 https://h/depth \n" +
	"109 text \n" +
	"# first_ordinal 50\n" +
	"110 text a\r\n" +
	"111 close disconnect\n"

var sampleRecords = []string{
	"100 open #0 0 wss://h/p?a=b c|",
	`101 sent #0 0 |{"a": 1}`,
	`102 text #7 0 |{"x y": 2}`,
	"103 binary #8 0 |\x00\x01\x02",
	"104 text #9 0 |a\nb",
	`105 rest #10 0 https://h/depth?a=b|{"z": 3}`,
	"106 rest #11 0 https://h/depth|a\nb",
	"107 reststatus #0 429 https://h/depth|too many",
	"108 reststatus #0 0 https://h/depth|",
	"109 text #12 0 |",
	"110 text #50 0 |a\r",
	"111 close #0 0 |disconnect",
}

func TestCaptureIsReadPlainAndZipped(t *testing.T) {
	for name, src := range map[string]io.Reader{
		"plain":     strings.NewReader(sampleCapture),
		"zipped":    bytes.NewReader(zipped(sampleCapture)),
		"no end":    bytes.NewReader(zipped(strings.TrimSuffix(sampleCapture, "\n"))),
		"two parts": io.MultiReader(bytes.NewReader(zipped(sampleCapture[:150])), bytes.NewReader(zipped(sampleCapture[150:]))),
	} {
		r, all := readAll(t, src)
		if r.Venue != "toy" || r.Line != "public-0" || r.Malformed != 0 || r.Truncated {
			t.Errorf("%s: %q %q %d %v", name, r.Venue, r.Line, r.Malformed, r.Truncated)
		}
		same(t, all, sampleRecords...)
	}
}

func TestVenueIsKnownBeforeTheFirstRecord(t *testing.T) {
	r, err := NewCaptureReader(strings.NewReader(sampleCapture))
	if err != nil || r.Venue != "toy" || r.Line != "public-0" {
		t.Errorf("%q %q %v", r.Venue, r.Line, err)
	}
}

// However a recorder was killed, what it had flushed is read, up to the last
// whole line.
func TestTruncatedCaptures(t *testing.T) {
	whole := sampleCapture
	for cut := range len(whole) {
		part := whole[:cut]
		lines := strings.Count(part, "\n")
		_, want := readAll(t, strings.NewReader(whole))
		r, got := readAll(t, strings.NewReader(part))
		if len(got) > lines || !slices.Equal(got, want[:len(got)]) {
			t.Fatalf("cut at %d: %q", cut, got)
		}
		if r.Truncated != (cut > 0 && part[cut-1] != '\n') {
			t.Fatalf("cut at %d: truncated %v", cut, r.Truncated)
		}
	}
	z := zipped(whole)
	for cut := range len(z) {
		r, got := readAll(t, bytes.NewReader(z[:cut]))
		if !slices.Equal(got, sampleRecords[:len(got)]) || r.Malformed > 0 {
			t.Fatalf("zip cut at %d: %q", cut, got)
		}
		if cut > 2 && !r.Truncated && len(got) < len(sampleRecords) {
			t.Fatalf("zip cut at %d: loss not told", cut)
		}
	}
}

func TestDamagedZipIsAnError(t *testing.T) {
	z := zipped(strings.Repeat(sampleCapture, 100))
	for i := 20; i < 40; i++ {
		z[i] ^= 0x55
	}
	r, err := NewCaptureReader(bytes.NewReader(z))
	for err == nil {
		_, err = r.Next()
	}
	if errors.Is(err, io.EOF) {
		t.Error("damage taken for the end")
	}
}

func TestMalformedLinesAreCountedAndSkipped(t *testing.T) {
	bad := []string{"hello", "x text a", "12", "12text a", "12 ", "12 nothing a", "-5 text a", "99999999999999999999 text a",
		"5 open", "5 open ", "5 rest", "5 rest ", "5 binary *", "5 text64 a", "5 reststatus", "5 reststatus x y", "5 reststatus 200", "5 reststatus 200 ", " 5 text a"}
	for _, line := range bad {
		r, all := readAll(t, strings.NewReader("1 open u\n"+line+"\n\n3 close x\n"))
		if len(all) != 2 || r.Malformed != 1 || !strings.HasPrefix(r.FirstMalformed, "line 2: ") {
			t.Errorf("%q: %q, malformed %d: %s", line, all, r.Malformed, r.FirstMalformed)
		}
	}
	// A frame whose payload is damaged keeps its number.
	_, all := readAll(t, strings.NewReader("1 text a\n2 binary *\n3 text c\n"))
	same(t, all, "1 text #1 0 |a", "3 text #3 0 |c")
}

func TestLongLinesGrowTheBuffer(t *testing.T) {
	long := strings.Repeat("x", 3<<20)
	_, all := readAll(t, strings.NewReader("1 text a\n2 text "+long+"\n3 text b\n"))
	same(t, all, "1 text #1 0 |a", "2 text #2 0 |"+long, "3 text #3 0 |b")
}

func TestMergeIsByTimeThenFileThenPosition(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		type line struct {
			at   int64
			text string
		}
		var want []line
		var readers []*CaptureReader
		for f := range random.IntN(8) {
			var b strings.Builder
			at := int64(random.IntN(5))
			for n := range random.IntN(30) {
				fmt.Fprintf(&b, "%d text f%d-%d\n", at, f, n)
				want = append(want, line{at, fmt.Sprintf("f%d-%d", f, n)})
				at += int64(random.IntN(3))
			}
			r, err := NewCaptureReader(strings.NewReader(b.String()))
			if err != nil {
				t.Fatal(err)
			}
			readers = append(readers, r)
		}
		slices.SortStableFunc(want, func(a, b line) int { return int(a.at - b.at) })
		m := MergeCaptures(readers)
		for _, w := range want {
			rec, file, err := m.Next()
			if err != nil || string(rec.Payload) != w.text || !strings.HasPrefix(w.text, fmt.Sprintf("f%d-", file)) {
				t.Fatalf("%+v, file %d, %v; want %s", rec, file, err, w.text)
			}
		}
		for range 2 {
			if _, _, err := m.Next(); err != io.EOF {
				t.Fatal(err)
			}
		}
	}
}

func TestRecordedSessionsAreRead(t *testing.T) {
	dir := testdata.Dir(t)
	files, err := filepath.Glob(filepath.Join(dir, "captures", "*.gz"))
	if err != nil || len(files) == 0 {
		t.Fatal("no captures in ", dir)
	}
	for _, path := range files {
		r, err := OpenCapture(path)
		if err != nil {
			t.Fatal(err)
		}
		frames, last := 0, int64(0)
		for {
			rec, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(path, err)
			}
			if rec.RecvNanos < last {
				t.Fatalf("%s: times descend", path)
			}
			last = rec.RecvNanos
			if rec.Ordinal != 0 {
				frames++
			}
		}
		if r.Malformed != 0 || r.Truncated || frames == 0 {
			t.Errorf("%s: %d frames, malformed %d (%s), truncated %v", path, frames, r.Malformed, r.FirstMalformed, r.Truncated)
		}
		r.Close()
	}
}

func TestCaptureReadZeroAllocs(t *testing.T) {
	r, err := NewCaptureReader(strings.NewReader(strings.Repeat("1723161255030314667 text {\"stream\":\"btcusdt@trade\"}\n5 binary AAEC\n", 4000)))
	if err != nil {
		t.Fatal(err)
	}
	zeroAllocs(t, func() {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzCapture(f *testing.F) {
	f.Add([]byte(sampleCapture))
	f.Add(zipped(sampleCapture))
	f.Add(zipped(sampleCapture)[:60])
	f.Add([]byte("1 text"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := NewCaptureReader(bytes.NewReader(data))
		if err != nil {
			return
		}
		records := 0
		for {
			rec, err := r.Next()
			if err != nil {
				break
			}
			records++
			if rec.RecvNanos < 0 || (rec.Ordinal != 0) != (rec.Tag == TagText || rec.Tag == TagBinary || rec.Tag == TagREST) && !bytes.Contains(data, []byte("first_ordinal")) {
				t.Fatalf("%+v", rec)
			}
		}
		if !r.zipped && uint64(records)+r.Malformed > uint64(bytes.Count(data, []byte("\n"))) {
			t.Fatalf("%d records and %d malformed from too few lines", records, r.Malformed)
		}
	})
}

func BenchmarkCaptureReader(b *testing.B) {
	for _, name := range []string{"binance-spot-btcusdt-20240808", "binance-usdm-btcusdt-20240808"} {
		z, err := os.ReadFile(filepath.Join(testdata.Dir(b), "captures", name+".gz"))
		if err != nil {
			b.Fatal(err)
		}
		zr, _ := gzip.NewReader(bytes.NewReader(z))
		plain, _ := io.ReadAll(zr)
		for form, data := range map[string][]byte{"gzip": z, "plain": plain} {
			b.Run(name+"/"+form, func(b *testing.B) {
				b.SetBytes(int64(len(plain)))
				for b.Loop() {
					r, err := NewCaptureReader(bytes.NewReader(data))
					for err == nil {
						_, err = r.Next()
					}
				}
			})
		}
	}
}
