package book

import (
	"bufio"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tickproc/internal/testdata"
	"tickproc/tick"
)

// frames returns the text frames, and the REST bodies whose URL contains rest,
// of a recorded session.
func frames(t testing.TB, name, rest string) (out []string) {
	t.Helper()
	file, err := os.Open(filepath.Join(testdata.Dir(t), "captures", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zip, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewReaderSize(zip, 1<<20); ; {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		_, line, _ = strings.Cut(strings.TrimSuffix(line, "\n"), " ") // the time
		tag, payload, _ := strings.Cut(line, " ")
		if tag == "rest" {
			var url string
			url, payload, _ = strings.Cut(payload, " ")
			if rest == "" || !strings.Contains(url, rest) {
				continue
			}
		} else if tag != "text" {
			continue
		}
		out = append(out, payload)
	}
}

// wireLevel is a level as the venue wrote it.
type wireLevel struct{ price, size string }

// wireBook is one message about one book.
type wireBook struct {
	symbol     string
	snapshot   bool
	bids, asks []wireLevel
	checksum   uint32
	prev, last uint64
}

// scale is the decimal places that all numbers of a symbol need.
type scale struct{ price, size uint8 }

// scales finds each symbol's, as a catalog or observation would.
func scales(t testing.TB, messages []wireBook) map[string]scale {
	t.Helper()
	out := map[string]scale{}
	for _, m := range messages {
		s := out[m.symbol]
		for _, list := range [][]wireLevel{m.bids, m.asks} {
			for _, l := range list {
				s.price, s.size = max(s.price, digitsOf(t, l.price)), max(s.size, digitsOf(t, l.size))
			}
		}
		out[m.symbol] = s
	}
	return out
}

func digitsOf(t testing.TB, text string) uint8 {
	t.Helper()
	n, err := tick.ParseNumber([]byte(text))
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return n.Digits
}

// packet makes the packet of a message at a scale.
func (m *wireBook) packet(t testing.TB, s scale) []tick.Unit {
	t.Helper()
	list := func(in []wireLevel) []tick.Level {
		out := make([]tick.Level, len(in))
		for i, l := range in {
			price, err := tick.ParseScaled([]byte(l.price), s.price)
			size, errSize := tick.ParseScaled([]byte(l.size), s.size)
			if err != nil || errSize != nil {
				t.Fatalf("%s %v: %v %v", m.symbol, l, err, errSize)
			}
			out[i] = tick.Level{Price: price, Size: size}
		}
		return out
	}
	kind := tick.KindDepth
	if m.snapshot {
		kind = tick.KindSnapshot
	}
	p := depthPacket(kind, list(m.bids), list(m.asks))
	d := p[0].Depth()
	d.LastID, d.PrevID, d.Checksum = m.last, m.prev, m.checksum
	return p
}
