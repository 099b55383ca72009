package journal

import (
	"math/rand/v2"
	"testing"

	"tickproc/internal/vfs/simdisk"
)

// What the fuzzer makes of a segment never panics, and every batch that is read
// is one that the log's identity and place vouch for: it is written back and
// read again.
func FuzzSegment(f *testing.F) {
	m, _ := smallLog(f, 5, 4096)
	file, err := m.disk.Open(m.lastSegment())
	must(f, err)
	data := make([]byte, 2048)
	file.ReadAt(data, 0)
	f.Add(data, uint64(0))
	f.Add(data[:777], uint64(15))
	f.Add([]byte{}, uint64(0))
	id := m.identity(f)
	f.Fuzz(func(t *testing.T, data []byte, first uint64) {
		if first > 1<<60 {
			return
		}
		d := simdisk.New(rand.New(rand.NewPCG(1, 1)), simdisk.Faults{})
		file, err := d.Create("/x")
		must(t, err)
		_, err = file.WriteAt(data, 0)
		must(t, err)
		s := segment{header: segmentHeader{first: first}}
		s.readHeader(file, 0)
		scanner := scanner{framer: framer{identity: id}}
		end := first
		found, err := scanner.scan(file, first, first, ^uint64(0), func(is frame, units []unit) error {
			if is.position < end || is.end != is.position+uint64(len(units)) || offsetOf(is.end, first) > int64(len(data)) {
				t.Fatalf("a batch %+v behind %d in %d bytes", is, end, len(data))
			}
			end = is.end
			packets, _, ok := walk(units[1:])
			if !ok || packets != is.packets {
				t.Fatalf("packets do not end where the batch does: %+v", is)
			}
			return nil
		})
		must(t, err)
		for _, r := range found.runs {
			if r.from >= r.to || r.batches == 0 {
				t.Fatalf("%+v", r)
			}
		}
	})
}

// A ring of any content never panics, and its frames lie in it.
func FuzzRing(f *testing.F) {
	m, _ := smallLog(f, 5, 4096)
	f.Add(append([]byte(nil), bytesOf(m.memory.rings[ringName(0)])...))
	f.Add(make([]byte, 8192))
	id := m.identity(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		units := make([]unit, len(data)/unitBytes)
		copy(bytesOf(units), data)
		r := readRing(units, 0, id)
		if r == nil {
			return
		}
		for i, is := range r.frames {
			if int(is.end-is.position) > len(r.units) || i > 0 && r.frames[i-1].position >= is.position {
				t.Fatalf("%+v", is)
			}
		}
	})
}

// A frame is of its log, its shard and its place: another of any is refused.
func TestAFrameKnowsItsPlace(t *testing.T) {
	t.Parallel()
	m, all := smallLog(t, 3, 4096)
	ring := m.memory.rings[ringName(0)][ringPage:]
	at := all[1].position
	units := ring[at : at+uint64(len(all[1].batch))+1]
	right := framer{identity: m.identity(t)}
	if n := right.claims(&units[0], at); n != len(units) {
		t.Fatalf("it takes %d units", n)
	}
	if is, ok := right.check(units); !ok || is.sequence != 2 || is.end != at+uint64(n(units)) {
		t.Errorf("%+v %v", is, ok)
	}
	if right.claims(&units[0], at+64) != 0 {
		t.Error("it is taken at another place")
	}
	shard := framer{identity: right.identity, shard: 1}
	if shard.claims(&units[0], at) != 0 {
		t.Error("it is taken for another shard's")
	}
	log := framer{identity: right.identity + 1}
	if _, ok := log.check(units); ok {
		t.Error("it is taken for another log's")
	}
	moved := append([]unit(nil), units...)
	moved[0][3] += 64
	if _, ok := right.check(moved); ok {
		t.Error("it is taken when it was moved")
	}
}

func n(units []unit) int { return len(units) }

func TestIdentityAsText(t *testing.T) {
	t.Parallel()
	id := Identity(0x0123456789abcdef)
	text, _ := id.MarshalText()
	var back Identity
	if err := back.UnmarshalText(text); err != nil || back != id || string(text) != "0123456789abcdef" {
		t.Errorf("%s became %s: %v", text, back, err)
	}
	if back.UnmarshalText([]byte("12")) == nil || back.UnmarshalText([]byte("0123456789abcdeg")) == nil {
		t.Error("nonsense is taken")
	}
}
