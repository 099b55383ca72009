package spool

import (
	"bytes"
	"reflect"
	"testing"
)

func sample(offset int64) (head, []byte) {
	payload := []byte("trades,venue=v,symbol=s price=1 1\n")
	h := head{identity: 7, offset: offset, rows: 1, payloadBytes: len(payload), oldestNanos: 5, name: "trades",
		marks: []ShardMark{{3, Mark{1, 1 << 40}}, {65535, Mark{2, 9}}}, meta: []byte("about it")}
	h.bytes = headLength(h.name, h.marks, h.meta)
	h.payloadSum = payloadSum(h.identity, h.offset, payload)
	return h, payload
}

func TestRecordComesBack(t *testing.T) {
	t.Parallel()
	want, payload := sample(1 << 50)
	b := append(appendHead([]byte("before"), &want), payload...)[6:]
	got, err := readHead(b)
	if err != nil || !reflect.DeepEqual(got, want) || got.end() != want.offset+int64(len(b)) {
		t.Errorf("%+v, %v", got, err)
	}
	// In another place, or of another spool, the payload is not good.
	if payloadSum(7, 1<<50+1, payload) == want.payloadSum || payloadSum(8, 1<<50, payload) == want.payloadSum {
		t.Error("the sum does not cover the place")
	}
}

// No bit of a head can change unseen, and none of a payload.
func TestEveryBitOfARecordCounts(t *testing.T) {
	t.Parallel()
	h, payload := sample(99)
	b := append(appendHead(nil, &h), payload...)
	for i := range 8 * len(b) {
		b[i/8] ^= 1 << (i % 8)
		got, err := readHead(b)
		switch {
		case i/8 < h.bytes && err == nil:
			t.Fatalf("bit %d of the head changed unseen", i)
		case i/8 >= h.bytes && (err != nil || payloadSum(7, 99, b[got.bytes:]) == got.payloadSum):
			t.Fatalf("bit %d of the payload changed unseen", i)
		}
		b[i/8] ^= 1 << (i % 8)
	}
}

// Whatever the bytes are, reading ends, and what is read is what was written.
func FuzzReadHead(f *testing.F) {
	h, payload := sample(4096)
	whole := append(appendHead(nil, &h), payload...)
	f.Add(whole)
	f.Add(whole[:headBytes])
	f.Add(whole[:20])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHead(b)
		if err != nil {
			return
		}
		if again := appendHead(nil, &h); !bytes.Equal(again, b[:h.bytes]) {
			t.Errorf("%x is read as %x", b[:h.bytes], again)
		}
	})
}

// A directory's other files may hold anything.
func FuzzReadSlot(f *testing.F) {
	f.Add(bytes.Repeat([]byte{0}, 64))
	f.Add(append(slotMagic[:], bytes.Repeat([]byte{1}, 60)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < slotOverhead {
			return
		}
		if content, _, ok := readSlot(b, 7); ok && len(content) > len(b)-slotOverhead {
			t.Error("longer than it can be")
		}
	})
}
