// Package shapetest holds a venue's decoder, as it reads by the shapes that it
// learnt, to what it says where it reads in full:
//
//	frames ─┬─► a decoder that learns ─► packets, notice, error ─┐
//	        └─► one that always forgets ─► likewise ─────────────┴─► equal?
//
// Only tests import it.
package shapetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

// One is a decoder with what the tests must know of its inside.
type One struct {
	Decoder feeds.Decoder
	Entries []*feeds.Entry
	// Forget takes away what shapes it learnt.
	Forget func()
	// ByShape reports whether it reads a frame by a shape.
	ByShape func(frame []byte) bool
}

// Twins read the same frames, one by shapes wherever it can, one never.
type Twins struct {
	t            testing.TB
	shaped, full One
	stamp        feeds.Stamp
}

// New makes twins.
func New(t testing.TB, stamp feeds.Stamp, one func() One) Twins {
	return Twins{t, one(), one(), stamp}
}

// Read holds that both say the same of a frame, to the letter, scales included.
func (w Twins) Read(frame []byte) {
	w.t.Helper()
	units, notice, err := w.shaped.Decoder.Decode(nil, frame, w.stamp)
	w.full.Forget()
	wantUnits, wantNotice, wantErr := w.full.Decoder.Decode(nil, frame, w.stamp)
	same := fmt.Sprint(err) == fmt.Sprint(wantErr) && notice == wantNotice && len(units) == len(wantUnits) &&
		(len(units) == 0 || reflect.DeepEqual(units, wantUnits))
	for i, e := range w.shaped.Entries {
		same = same && *e == *w.full.Entries[i]
	}
	if !same {
		w.t.Fatalf("%q\nby shape %v %+v\n%x\nin full  %v %+v\n%x", frame, err, notice, units, wantErr, wantNotice, wantUnits)
	}
}

// Story tells of one kind of frame: behind itself it is read by its shape, and so
// it is with the edits ("from → to", the first place counts) of same, not with
// those of other, nor with another end.
func Story(t *testing.T, stamp feeds.Stamp, one func() One, frame string, same, other []string) {
	t.Helper()
	// Each begins anew, for a frame that is read in full may be learnt from.
	f := func(text string, want bool) {
		t.Helper()
		w := New(t, stamp, one)
		w.Read([]byte(frame))
		if got := w.shaped.ByShape([]byte(text)); got != want {
			t.Errorf("%s: by its shape: %v", text, got)
		}
		w = New(t, stamp, one)
		w.Read([]byte(frame))
		w.Read([]byte(text))
		w.Read([]byte(frame))
	}
	edit := func(edit string) string {
		t.Helper()
		from, to, _ := strings.Cut(edit, " → ")
		if !strings.Contains(frame, from) {
			t.Fatalf("%s is not in %s", from, frame)
		}
		return strings.Replace(frame, from, to, 1)
	}
	f(frame, true)
	for _, e := range same {
		f(edit(e), true)
	}
	for _, e := range other {
		f(edit(e), false)
	}
	f(frame[:len(frame)-1], false)
	f(frame+" ", false)
	f(frame+"}", false)
}

// Damage reads frames of all kinds with a few bytes of them changed, by the seed.
func Damage(t *testing.T, stamp feeds.Stamp, one func(priceDigits, sizeDigits uint8) One, frames []string, seed uint64, rounds int) {
	r := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	for range rounds {
		priceDigits, sizeDigits := uint8(r.IntN(tick.MaxDigits+1)), uint8(r.IntN(tick.MaxDigits+1))
		w := New(t, stamp, func() One { return one(priceDigits, sizeDigits) })
		for range 4 {
			frame := []byte(frames[r.IntN(len(frames))])
			w.Read(frame)
			w.Read(damaged(r, frame))
			w.Read(frame)
		}
	}
}

// damaged is a frame with a few bytes changed.
func damaged(r *rand.Rand, frame []byte) []byte {
	const bytesOf = `0123456789.,:"[]{}-+eEtfn\ ZTz/`
	out := bytes.Clone(frame)
	for range 1 + r.IntN(3) {
		i := r.IntN(len(out))
		switch r.IntN(8) {
		case 0:
			out = append(out[:i], out[min(len(out), i+1+r.IntN(3)):]...)
		case 1:
			out = append(out[:i], append([]byte{bytesOf[r.IntN(len(bytesOf))]}, out[i:]...)...)
		case 2: // a piece of it stands twice
			end := min(len(out), i+1+r.IntN(60))
			out = append(out[:end], append(bytes.Clone(out[i:end]), out[end:]...)...)
		case 3:
			out[i] = bytesOf[r.IntN(len(bytesOf))]
		default: // another digit, so that most frames stay good
			for k := range len(out) {
				if c := &out[(i+k)%len(out)]; *c-'0' <= 9 {
					*c = byte('0' + r.IntN(10))
					break
				}
			}
		}
		if len(out) == 0 {
			return frame
		}
	}
	return out
}

// Fuzz is a fuzz target: whatever a frame says, it says the same by shape as in
// full, also where the scale grows in between.
func Fuzz(f *testing.F, stamp feeds.Stamp, one func(t *testing.T, venue, priceDigits, sizeDigits uint8) One, frames []string) {
	for i, frame := range frames {
		f.Add([]byte(frame), []byte(frame), []byte(frames[(i+1)%len(frames)]), uint8(i), uint8(2), uint8(5))
		f.Add([]byte(frame), []byte(strings.Replace(frame, "6", "7", 3)), []byte(strings.Replace(frame, "BTC", "ETH", 1)), uint8(i), uint8(8), uint8(0))
	}
	f.Fuzz(func(t *testing.T, first, second, third []byte, venue, priceDigits, sizeDigits uint8) {
		w := New(t, stamp, func() One { return one(t, venue, priceDigits%(tick.MaxDigits+1), sizeDigits%(tick.MaxDigits+1)) })
		for _, frame := range [][]byte{first, second, third, second, first} {
			w.Read(frame)
		}
	})
}
