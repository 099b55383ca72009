package feeds

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

// Whatever the pieces in which the source gives its bytes, and however it
// ends, reading ahead gives the same bytes and the same end.
func TestReadAhead(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken disk")
	f := func(size int, wrap func(io.Reader) io.Reader, want error) {
		t.Helper()
		source := make([]byte, size)
		for i := range source {
			source[i] = byte(rand.Uint32())
		}
		a := newReadAhead(wrap(bytes.NewReader(source)))
		defer a.Close()
		got, err := io.ReadAll(a)
		if !bytes.Equal(got, source) || err != want {
			t.Errorf("%d bytes: have %d, %v; want error %v", size, len(got), err, want)
		}
		if n, err := a.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%d bytes: behind the end: %d, %v", size, n, err)
		}
	}
	whole := func(r io.Reader) io.Reader { return r }
	for _, size := range []int{0, 1, readAheadBytes - 1, readAheadBytes, readAheadBytes + 1, 10*readAheadBytes + 17} {
		f(size, whole, nil)
		f(size, iotest.HalfReader, nil)
		f(size, iotest.DataErrReader, nil)
		f(size, func(r io.Reader) io.Reader { return io.MultiReader(r, iotest.ErrReader(broken)) }, broken)
	}
	f(1000, iotest.OneByteReader, nil)
}

// After Close nobody touches the source any more: the race detector would see
// it, and a goroutine that did not end would hang the test.
func TestReadAheadEndsEarly(t *testing.T) {
	t.Parallel()
	for _, read := range []int{0, 1, 3 * readAheadBytes} {
		source := &counting{}
		a := newReadAhead(source)
		if _, err := io.ReadFull(a, make([]byte, read)); err != nil {
			t.Fatal(err)
		}
		a.Close()
		if most := int64(read + (readAheadChunks+1)*readAheadBytes); source.read > most {
			t.Errorf("after %d bytes it had read %d", read, source.read)
		}
	}
}

// counting is an endless source.
type counting struct{ read int64 }

func (c *counting) Read(p []byte) (int, error) {
	c.read += int64(len(p))
	return len(p), nil
}

// A capture that is read ahead has the same records, also where it ends in the
// middle of its compression.
func TestCaptureReadAhead(t *testing.T) {
	t.Parallel()
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	for range 20_000 {
		io.WriteString(z, "1723161255030314667 text {\"stream\":\"btcusdt@trade\"}\n5 binary AAEC\n")
	}
	z.Close()
	f := func(data []byte) {
		t.Helper()
		var have [2][]string
		var truncated [2]bool
		for i := range have {
			r, err := NewCaptureReader(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if i == 1 {
				r.ReadAhead()
				r.ReadAhead() // once is enough
			}
			for record, err := r.Next(); err != io.EOF; record, err = r.Next() {
				if err != nil {
					t.Fatal(err)
				}
				have[i] = append(have[i], string(record.Payload))
			}
			truncated[i] = r.Truncated
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if strings.Join(have[0], "\n") != strings.Join(have[1], "\n") || truncated[0] != truncated[1] {
			t.Errorf("%d bytes: %d records and truncated %v, read ahead %d and %v", len(data), len(have[0]), truncated[0], len(have[1]), truncated[1])
		}
	}
	f(zipped.Bytes())
	f(zipped.Bytes()[:zipped.Len()/2])
	f(zipped.Bytes()[:12])
	f([]byte("5 text plain\n"))
}
