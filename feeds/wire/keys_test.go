package wire

import (
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

// keysBench reads messages of one instrument.
type keysBench struct {
	Frame
	message, element Message
	elements         []int64 // prices that were read
}

func (b *keysBench) Array(_ uint8, t []byte, i int) (next int) {
	return b.Elements(&b.element.Shape, t, i, func() bool {
		b.elements = append(b.elements, b.Numbers[2])
		return true
	})
}

func (b *keysBench) match(text string) bool {
	b.elements = b.elements[:0]
	b.Begin(nil, []byte(text), feeds.Stamp{})
	return b.MatchArrays(&b.message.Shape, b)
}

func newKeysBench() *keysBench {
	b := new(keysBench)
	table := feeds.NewTable(nil)
	table.Add(&feeds.Entry{Symbol: "BTC", PriceDigits: 1, SizeDigits: 3})
	b.Init("test", table)
	return b
}

// Values are found by their names, and read in the form in which they are written.
func TestKeysSayWhatDiffers(t *testing.T) {
	t.Parallel()
	b := newKeysBench()
	keys := Keys{"of.topic": {Form: FormTopic}, "data.n": {Form: FormDigits, Field: 1}, "data.p": {Form: FormPrice, Field: 2}, "data.q": {Form: FormSize, Field: 3},
		"at": {Form: FormTime, Field: 4}, "id": {Form: FormID, Field: 5}, "word": {Form: FormWord, Field: 7}, "sum": {Form: FormSigned, Field: 8}, "x": {Form: FormUnused}, "y": {Form: FormUnused},
		"z": {Form: FormUnused}, "w": {Form: FormUnused}, "s": {Form: FormSame}}
	const text = `{"of":{"topic":"book.50.BTC"},"data":[{"n":"123456789012","p":12.5,"q":"0.125"}],"at":"2026-08-24T22:21:57.11Z","id":"20f43950-d8dd-5b31-9112-a178eb6023af",` +
		`"word":"sell","sum":-5,"x":"any","y":1.5,"z":1723161255343,"w":true,"s":"BTC","n":7}`
	if !b.message.LearnKeys([]byte(text), keys) {
		t.Fatal("not learnt")
	}
	if !b.match(text) {
		t.Fatal("no match")
	}
	at, lo := int64(0), uint64(0x9112a178eb6023af)
	at, _ = ParseTime([]byte("2026-08-24T22:21:57.11Z"))
	for field, want := range map[int]int64{1: 123456789012, 2: 125, 3: 125, 4: at, 5: 0x20f43950d8dd5b31, 6: int64(lo), 7: Word("sell"), 8: -5} {
		if b.Numbers[field] != want {
			t.Errorf("field %d: %d, want %d", field, b.Numbers[field], want)
		}
		if !b.message.Has(uint8(field)) {
			t.Errorf("field %d: not had", field)
		}
	}
	if b.message.Has(9) {
		t.Error("a field that it has not")
	}
}

// What has no one meaning is not learnt: a field twice, numbers before the symbol
// that tells their scale, asks before bids, forms that a value has not.
func TestKeysRefuse(t *testing.T) {
	t.Parallel()
	keys := Keys{"s": {Form: FormSymbol}, "p": {Form: FormPrice, Field: 2}, "in.p": {Form: FormPrice, Field: 2}, "b": {Form: FormLevels, Field: 3}, "a": {Form: FormLevels, Field: 4},
		"u": {Form: FormUnused}, "n": {Form: FormDigits, Field: 5}, "all": {Form: FormArray, Field: 6}, "records": {Form: FormRecords, Field: 6}}
	f := func(text string, want bool) {
		t.Helper()
		if b := newKeysBench(); b.message.LearnKeys([]byte(text), keys) != want {
			t.Errorf("%s: learnt: %v", text, !want)
		}
	}
	f(`{"head":"","s":"BTC","p":"1.5","b":[],"a":[],"u":null}`, false)
	f(`{"head":"","s":"BTC","p":"1.5","b":[],"a":[],"u":false}`, true)
	f(`{"head":"","s":"BTC","in":{"p":"1.5"}}`, true)
	f(`{"head":"","s":"BTC","in":[{"p":"1.5"},{"p":"1.5"}]}`, false)
	f(`{"head":"","s":"BTC","p":"1.5","in":{"p":"1.5"}}`, false)
	f(`{"head":"","p":"1.5","s":"BTC"}`, false)
	f(`{"head":"","p":1.5,"s":"BTC"}`, false)
	f(`{"head":"","s":"BTC","a":[],"b":[]}`, false)
	f(`{"head":"","b":[],"a":[],"s":"BTC"}`, false)
	f(`{"head":"","s":"BTC","n":"05"}`, false)
	f(`{"head":"","s":"BTC","n":""}`, false)
	f(`{"head":"","s":"BTC","n":5.5}`, false)
	f(`{"head":"","s":"BTC","s":"BTC"}`, false)
	f(`{"head":"","all":[],"s":"BTC"}`, false)
	f(`{"head":"","records":[],"s":"BTC"}`, true)
}

// Elements have a shape of their own; the scale of those without a symbol is that
// of the message.
func TestElements(t *testing.T) {
	t.Parallel()
	f := func(text string, keys, elementKeys Keys, like map[string][]int64) {
		t.Helper()
		b := newKeysBench()
		if !b.message.LearnElements([]byte(text), keys, &b.element, elementKeys) {
			t.Fatalf("%s: not learnt", text)
		}
		for text, want := range like {
			if got := b.match(text); got != (want != nil) || got && len(b.elements) != len(want) {
				t.Errorf("%s: %v %v", text, got, b.elements)
			}
			for i, n := range want {
				if b.elements[i] != n {
					t.Errorf("%s: %v, want %v", text, b.elements, want)
				}
			}
		}
	}
	f(`{"head":"","of":"BTC","data":[{"p":"1.5"}]}`, Keys{"of": {Form: FormSymbol}, "data": {Form: FormArray, Field: 1}}, Keys{"p": {Form: FormPrice, Field: 2}}, map[string][]int64{
		`{"head":"","of":"BTC","data":[{"p":"2.5"},{"p":"3"}]}`: {25, 30}, `{"head":"","of":"BTC","data":[]}`: {}, `{"head":"","of":"BTC","data":[{"p":"2.5"},]}`: nil,
		`{"head":"","of":"BTC","data":[{"p":"2.5"} ]}`: nil, `{"head":"","of":"BTC","data":[{"p":"2.5"}{"p":"3"}]}`: nil, `{"head":"","of":"BTC","data":{}}`: nil,
		`{"head":"","of":"BTC","data":[{"q":"2.5"}]}`: nil, `{"head":"","of":"BTC","data":[{"p":"2.5"}`: nil, `{"head":"","of":"ETH","data":[{"p":"2.5"}]}`: nil})
	f(`{"head":"","data":[{"s":"BTC","p":1.5}]}`, Keys{"data": {Form: FormRecords, Field: 1}}, Keys{"s": {Form: FormSymbol}, "p": {Form: FormPrice, Field: 2}}, map[string][]int64{
		`{"head":"","data":[{"s":"BTC","p":2.5}]}`: {25}, `{"head":"","data":[{"s":"ETH","p":2.5}]}`: nil, `{"head":"","data":[{"s":"BTC","p":2.55}]}`: nil, `{"head":"","data":[{"s":"BTC","p":02.5}]}`: nil})
	b := newKeysBench()
	if b.message.LearnElements([]byte(`{"head":"","data":[{"p":1.5,"s":"BTC"}]}`), Keys{"data": {Form: FormRecords, Field: 1}}, &b.element, Keys{"s": {Form: FormSymbol}, "p": {Form: FormPrice, Field: 2}}) {
		t.Error("a number before the symbol that tells its scale was learnt")
	}
}

// A date is remembered, and another one learnt; what no int64 can hold, or is no
// date, is left to ParseTime's callers.
func TestDays(t *testing.T) {
	t.Parallel()
	var d day
	for _, text := range []string{"2026-08-24T22:21:57.110183Z", "2026-08-24T00:00:00Z", "2026-08-25T23:59:60Z", "2026-08-24T22:21:57.1Z", "2028-02-29T12:00:00Z", "1970-01-01T00:00:01Z", "1970-01-02T00:00:01Z",
		"2026-02-29T12:00:00Z", "1969-08-24T22:21:57Z", "2262-01-01T00:00:00Z", "2261-12-31T23:59:59.999999999Z", "2026-13-24T22:21:57Z", "2026-08-24 22:21:57Z", "2026-08-24T22:21:57", "2026-08-24T22:21:57+01:00", ""} {
		nanos, next := d.timeAt([]byte(text+`"`), 0)
		if want, ok := ParseTime([]byte(text)); next >= 0 && (!ok || nanos != want || next != len(text)+1) || next < 0 && ok && want > 2*86400e9 && text[len(text)-1] == 'Z' {
			t.Errorf("%s: %d to %d, want %d %v", text, nanos, next, want, ok)
		}
	}
}

// UUIDs are read as hex.Decode would, but for capitals, which are left to it.
func TestUUIDAt(t *testing.T) {
	t.Parallel()
	const good = `00000000-ffff-abcd-ef01-23456789abcd"`
	hi, lo, next := uuidAt([]byte("x"+good), 1)
	if uint64(hi) != 0x00000000ffffabcd || uint64(lo) != 0xef0123456789abcd || next != 1+len(good) {
		t.Errorf("%x %x %d", hi, lo, next)
	}
	for i := range len(good) {
		for c := range 256 {
			text := []byte(good)
			text[i] = byte(c)
			hex := c >= '0' && c <= '9' || c >= 'a' && c <= 'f'
			if _, _, next := uuidAt(text, 0); (next > 0) != (good[i] == byte(c) || hex && good[i] != '-' && good[i] != '"') {
				t.Fatalf("%s: %d", text, next)
			}
		}
	}
	if _, _, next := uuidAt([]byte(good[:36]), 0); next >= 0 {
		t.Error("one without an end")
	}
}

// Levels of four are as those of two, whatever their lengths do.
func TestFours(t *testing.T) {
	t.Parallel()
	b := newKeysBench()
	if !b.Known([]byte("BTC")) {
		t.Fatal("nobody")
	}
	const text = `["78722.3","0.387","0","10"],["78722","4","0","1"],["5.5","0","0","0"],["78722.9","0.1","0","123456"],["78722.9","0.125","0","2"],["78721.9","0.126","0","2"],["7.0","12345.678","0","2"],["78722.1","0.999","0","7"]`
	want := []tick.Level{{Price: 787223, Size: 387}, {Price: 787220, Size: 4000}, {Price: 55}, {Price: 787229, Size: 100}, {Price: 787229, Size: 125}, {Price: 787219, Size: 126}, {Price: 70, Size: 12345678}, {Price: 787221, Size: 999}}
	for _, ask := range []bool{false, true} {
		b.Depth.Begin(nil, 0)
		all, rounds := "[", 40 // more than there is room for at first
		for range rounds {
			all += text + ","
		}
		all = all[:len(all)-1] + "]"
		if next := b.Fours([]byte(all), 1, ask); next != len(all)-1 {
			t.Fatalf("read to %d of %d", next, len(all))
		}
		units := b.Depth.Finish(tick.Depth{})
		levels := tick.Levels(units)
		if head := units[0].Depth(); int(head.LevelCount) != rounds*len(want) || (head.Bids == 0) != ask {
			t.Fatalf("%+v", head)
		}
		for i, l := range levels {
			if l != want[i%len(want)] {
				t.Fatalf("level %d: %+v", i, l)
			}
		}
	}
	for _, text := range []string{`["0","1","0","1"]`, `["1","1","1","1"]`, `["1","1","0"]`, `["1","1","0",""]`, `["1","1","0","x"]`, `["1","1","0","1",5]`, `["1","1","0","1"`, `["1","1","0","1`, `[1,"1","0","1"]`, `["1.55","1","0","1"]`,
		`["1","0","1","0"]`, `["1","0"]`, `["1","-1","0","1"]`, `["","1","0","1"]`} {
		if _, next := b.Four([]byte(text+`,["2","3","0","1"]]`), 0); next >= 0 {
			t.Errorf("%s: taken", text)
		}
	}
}
