package wire

import (
	"encoding/binary"

	"tickproc/feeds"
	"tickproc/internal/jsonscan"
)

// Alike reads messages that differ from one before in digits alone: they are of
// the same kind and instrument, and each value is as long as it was. So digits are
// at known places, and all else is compared as it lies, 64 bytes at once:
//
//	{"stream":"ethusdt@trade","data":{"e":"trade","E":1723161255343,"s":"ETHUSDT","t":3735683259,"p":"2683.63000000",…
//	╰────────────────────── compared ──────────────────────╯╰digits╯╰─── compared ───╯╰digits╯╰──╯╰──╯ ╰╯╰── compared …
//
// Of long numbers the first digits are compared, too: those before the last eight
// change once a day in times and ids. Of messages with levels this holds up to the
// first of them. Messages are learnt when they are read in full, so that one like
// them means the same. The zero Alike knows none.
type Alike struct {
	known  [alikeMax]*alike
	missed [alikeMax]uint32 // messages that found another in their place
}

const (
	// alikeMax bounds the messages that are known, of about one kB each.
	alikeMax = 64
	// alikePatience is how many messages must find another in their place before one
	// is read in full to be learnt, which costs as much as ten that are not.
	alikePatience = 256
)

// alike is a message that is known.
type alike struct {
	entry       *feeds.Entry
	additions   int   // to the table, up to then
	price, size uint8 // the scale at which it was read
	tag         uint32
	name        uint64 // eight bytes from where a stream's name begins
	length      int    // up to the first level; 0: it is none

	// What stands between the levels of both sides, and behind them; behind.size is 0
	// where there are none.
	between, behind span

	chunks    [alikeChunks]chunk
	values    [alikeValues]number // those that are wanted, then those that are not
	constants [alikeValues]constant

	chunkCount, wantedCount, valueCount, constantCount int
}

const (
	alikeChunks = 4
	alikeValues = 10
)

// chunk is a part of the text, and which bits of it are compared. The last one
// ends with the text.
type chunk struct {
	text, mask [chunkSize / 8]uint64
	at         uint8
}

const chunkSize = 64

// number is a value with digits that are not compared.
type number struct {
	places jsonscan.Places
	at     uint8 // of the nine bytes that Places look at
	field  uint8
}

// constant is a value that is compared.
type constant struct {
	n     int64
	field uint8
}

// span is up to eight bytes of text that end where a word does.
type span struct {
	word, mask uint64
	size       int
}

func spanOf(t []byte, from, to int) (s span, ok bool) {
	if s.size = to - from; s.size < 1 || s.size > 8 || to < 8 {
		return s, false
	}
	s.mask = ^uint64(0) << (8 * (8 - s.size))
	s.word = binary.LittleEndian.Uint64(t[to-8:]) & s.mask
	return s, true
}

// at reports whether s stands at i.
func (s *span) at(t []byte, i int) bool {
	end := i + s.size
	return end >= 8 && end <= len(t) && (binary.LittleEndian.Uint64(t[end-8:end])^s.word)&s.mask == 0
}

// MatchAlike reads the frame, which has no levels, into Numbers if it is like one
// that is known, and returns what the decoder wanted to know of that. due reports
// that it is not, and should be read in full to be learnt.
//
// hot: per frame, 0 allocs.
func (f *Frame) MatchAlike(a *Alike) (tag uint32, due, ok bool) {
	t := f.Scan.Text()
	if len(t) < chunkSize || len(t) > alikeChunks*chunkSize {
		return 0, false, false
	}
	name, p := nameIn(t), place(t)
	x, y := a.known[p], a.known[p^1]
	if x != nil && x.name == name && x.length == len(t) && x.behind.size == 0 && f.alike(x, t) {
		return x.tag, false, true
	}
	if y != nil && y.name == name && y.length == len(t) && y.behind.size == 0 && f.alike(y, t) {
		return y.tag, false, true
	}
	a.missed[p]++
	return 0, x == nil || y == nil || a.missed[p]%alikePatience == 0, false
}

// MatchAlikeLevels is MatchAlike for a frame with levels, which it reads into Depth.
//
// hot: per frame, 0 allocs.
func (f *Frame) MatchAlikeLevels(a *Alike) (tag uint32, due, ok bool) {
	t := f.Scan.Text()
	if len(t) < chunkSize {
		return 0, false, false
	}
	name, p, free := nameIn(t), levelsPlace(t), false
	for _, p := range [...]uint{p, p ^ 1} {
		x := a.known[p]
		if x == nil {
			free = true
			continue
		}
		if x.name != name || x.length > len(t) || x.behind.size == 0 || !f.alike(x, t[:x.length]) {
			continue
		}
		f.Depth.Begin(f.Out, len(t)-x.length)
		i := f.plainSide(t, x.length)
		if i < 0 || !x.between.at(t, i) {
			return 0, false, false
		}
		f.Depth.Asks()
		i = f.plainSide(t, i+x.between.size)
		return x.tag, false, i >= 0 && x.behind.at(t, i) && i+x.behind.size == len(t)
	}
	a.missed[p]++
	return 0, free || a.missed[p]%alikePatience == 0, false
}

// nameIn is the eight bytes from where a stream's name begins, at most venues.
func nameIn(t []byte) uint64 { return binary.LittleEndian.Uint64(t[11:19]) }

// place is where a message like t would be known, or else at its neighbour. It
// depends on the length, on the beginning of the stream's name, and on where digits
// end and begin in what is likely about the last values: digits have a bit that the
// signs between do not have.
func place(t []byte) uint {
	const bit = 0x1010101010101010
	signs := (*[32]byte)(t[len(t)-48 : len(t)-16])
	w := binary.LittleEndian.Uint64(signs[:])&bit | binary.LittleEndian.Uint64(signs[8:])&bit<<1 |
		binary.LittleEndian.Uint64(signs[16:])&bit<<2 | binary.LittleEndian.Uint64(signs[24:])&bit<<3
	return uint((w+nameIn(t)+uint64(len(t)))*0x9e3779b97f4a7c15>>32) % alikeMax
}

// levelsPlace is place for a message with levels.
func levelsPlace(t []byte) uint {
	return uint(nameIn(t)*0x9e3779b97f4a7c15>>32) % alikeMax
}

// alike reads the numbers of t, up to the first level, and sets the instrument and
// its scale; false where it is not like x.
func (f *Frame) alike(x *alike, t []byte) bool {
	if x.entry.PriceDigits != x.price || x.entry.SizeDigits != x.size || x.additions != f.table.Additions() {
		return false
	}
	for k := range x.chunks[:x.chunkCount] {
		c := &x.chunks[k]
		at := int(c.at)
		if at > len(t)-chunkSize {
			return false
		}
		w := (*[chunkSize]byte)(t[at : at+chunkSize])
		if (binary.LittleEndian.Uint64(w[0:])^c.text[0])&c.mask[0]|(binary.LittleEndian.Uint64(w[8:])^c.text[1])&c.mask[1]|
			(binary.LittleEndian.Uint64(w[16:])^c.text[2])&c.mask[2]|(binary.LittleEndian.Uint64(w[24:])^c.text[3])&c.mask[3]|
			(binary.LittleEndian.Uint64(w[32:])^c.text[4])&c.mask[4]|(binary.LittleEndian.Uint64(w[40:])^c.text[5])&c.mask[5]|
			(binary.LittleEndian.Uint64(w[48:])^c.text[6])&c.mask[6]|(binary.LittleEndian.Uint64(w[56:])^c.text[7])&c.mask[7] != 0 {
			return false
		}
	}
	strange := uint64(0)
	for k := range x.values[:x.valueCount] {
		n := &x.values[k]
		at := int(n.at)
		if at > len(t)-9 {
			return false
		}
		w := (*[9]byte)(t[at : at+9])
		digits := n.places.Digits(binary.LittleEndian.Uint64(w[:8]), binary.LittleEndian.Uint64(w[1:]))
		strange |= jsonscan.NonDigits(digits)
		if k < x.wantedCount {
			f.Numbers[n.field%FieldsMax] = n.places.Number(digits)
		}
	}
	for k := range x.constants[:x.constantCount] {
		f.Numbers[x.constants[k].field%FieldsMax] = x.constants[k].n
	}
	f.entry, f.price, f.size = x.entry, x.price, x.size
	return strange == 0
}

// LearnAlike takes a message that was read in full and is good, with the parts
// that its Shape has, in the order of the text, and what the decoder wants to know
// of such a message. It does not take one that is long up to its levels, or has
// values of other forms.
func (f *Frame) LearnAlike(a *Alike, parts []Part, tag uint32) {
	t := f.Scan.Text()
	if len(t) < chunkSize {
		return
	}
	p := place(t)
	x := alike{entry: f.entry, additions: f.table.Additions(), price: f.price, size: f.size, tag: tag, name: nameIn(t), length: len(t)}
	if n := len(parts); n > 1 && parts[n-1].Form == FormLevels && parts[n-2].Form == FormLevels {
		var between, behind bool
		x.between, between = spanOf(t, int(parts[n-2].Value.End), int(parts[n-1].Value.Start))
		x.behind, behind = spanOf(t, int(parts[n-1].Value.End), len(t))
		if !between || !behind {
			return
		}
		p, x.length, parts = levelsPlace(t), int(parts[n-2].Value.Start), parts[:n-2]
	}
	if !x.learn(t[:x.length], parts) {
		// Its place is taken, or it would be due for ever.
		x.length = 0
	}
	a.put(p, &x)
}

// learn takes the text, up to the first level, and the values in it; false where
// one is of no form for this.
func (x *alike) learn(t []byte, parts []Part) bool {
	if len(t) < chunkSize || len(t) > alikeChunks*chunkSize {
		return false
	}
	var free [alikeChunks * chunkSize]bool // digits that are not compared
	for _, wanted := range []bool{true, false} {
		for _, p := range parts {
			if wanted != (p.Form == FormUnused) && !x.value(t, p, &free) {
				return false
			}
		}
		if wanted {
			x.wantedCount = x.valueCount
		}
	}
	for ; x.chunkCount*chunkSize < len(t); x.chunkCount++ {
		c := &x.chunks[x.chunkCount]
		at := min(x.chunkCount*chunkSize, len(t)-chunkSize)
		c.at = uint8(at)
		for i := range chunkSize {
			if !free[at+i] {
				c.text[i/8] |= uint64(t[at+i]) << (i % 8 * 8)
				c.mask[i/8] |= 0xff << (i % 8 * 8)
			}
		}
	}
	return true
}

// put makes x known at a place, or at its neighbour.
func (a *Alike) put(p uint, x *alike) {
	if a.known[p] != nil && (a.known[p^1] == nil || a.missed[p]/alikePatience%2 != 0) {
		p ^= 1
	}
	if a.known[p] == nil {
		a.known[p] = new(alike)
	}
	*a.known[p] = *x
}

// value takes a value; false where it is of no form for this.
func (x *alike) value(t []byte, p Part, free *[alikeChunks * chunkSize]bool) bool {
	from, to := int(p.Value.Start), int(p.Value.End)
	point, digits, count, more := to, 0, 0, 0 // digits that are not compared before the point, and behind it
	switch p.Form {
	case FormName, FormSymbol:
		return true
	case FormTruth:
		n, next := truth(t, from)
		if next != to || x.constantCount == alikeValues {
			return false
		}
		x.constants[x.constantCount] = constant{n, p.Field}
		x.constantCount++
		return true
	case FormDigits, FormUnused:
		// The first digit is compared, or there might be a zero before others.
		if digits = min(to-from-1, 8); p.Value.Kind != jsonscan.Uint {
			return false
		}
	case FormPrice, FormSize:
		places := x.size
		if p.Form == FormPrice {
			places = x.price
		}
		if _, next := jsonscan.Fixed(t, from, places); p.Value.Kind != jsonscan.String || next != to+1 {
			return false
		}
		for i := from; i < to; i++ {
			if t[i] == '.' {
				point, count = i, min(int(places), to-i-1)
			}
		}
		digits, more = min(point-from, 8-count), int(places)-count
	default:
		return false
	}
	at := point + count - 8
	if at < 0 || at > len(t)-9 || x.valueCount == alikeValues {
		return false
	}
	for i := range digits {
		free[point-1-i] = true
	}
	for i := range count {
		free[point+1+i] = true
	}
	x.values[x.valueCount] = number{jsonscan.PlacesOf(t[from:point], digits, count, more), uint8(at), p.Field}
	x.valueCount++
	return true
}
