package kraken

import (
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// side reads a list of levels: bids, then asks.
//
// hot: per level, 0 allocs.
func (d *decoder) side() {
	s := &d.Scan
	if d.sides == 1 {
		d.Depth.Asks()
	}
	d.sides++
	for more := s.Array(); more; more = s.Next(']') {
		price, size := d.level()
		if !d.ValidLevel(price, size) {
			return
		}
		d.Depth.Add(price, size)
	}
	if s.Failed() {
		d.Refuse("broken levels")
	}
}

// level reads {"price":78871.5,"qty":0.01266503}, in any spelling.
//
// hot: per level, 0 allocs.
func (d *decoder) level() (price, size int64) {
	s := &d.Scan
	priceDigits, sizeDigits := d.Scale()
	at := int32(s.At())
	if price, size, n := plainLevel(s.Bytes(jsonscan.Value{Start: at, End: int32(s.Size())}), priceDigits, sizeDigits); n > 0 {
		s.Seek(jsonscan.Value{Start: at + int32(n)})
		return price, size
	}
	var l struct{ price, size jsonscan.Value }
	for more := s.Object(); more; more = s.Next('}') {
		key := s.Key()
		into := &l.price
		switch string(key) {
		case "price":
		case "qty":
			into = &l.size
		default:
			if !s.Failed() {
				d.Strange("level", key)
			}
			s.Skip()
			continue
		}
		if into.Kind != jsonscan.Invalid {
			d.Refuse("a key stands twice")
		}
		*into = s.Value()
	}
	return d.Price(l.price), d.Size(l.size)
}

// plainLevel reads a level in the venue's own spelling and returns its length
// in bytes; 0 where the text is spelled otherwise or is finer than the digits.
func plainLevel(t []byte, priceDigits, sizeDigits uint8) (price, size int64, n int) {
	const head, middle = `{"price":`, `,"qty":`
	if len(t) < len(head) || string(t[:len(head)]) != head {
		return 0, 0, 0
	}
	price, i := plainNumber(t, len(head), priceDigits)
	if i == 0 || len(t)-i < len(middle) || string(t[i:i+len(middle)]) != middle {
		return 0, 0, 0
	}
	size, i = plainNumber(t, i+len(middle), sizeDigits)
	if i == 0 || i >= len(t) || t[i] != '}' {
		return 0, 0, 0
	}
	return price, size, i + 1
}

// placesFast and wholeFast bound what plainNumber reads: together they fit
// int64.
const (
	placesFast = 8
	wholeFast  = 10
)

// plainNumber reads the bare decimal at i as an integer with the given decimal
// places, and returns the index behind it; 0 where it is not plain, or finer.
func plainNumber(t []byte, i int, places uint8) (v int64, end int) {
	from := i
	for i < len(t) && t[i]-'0' <= 9 {
		v = v*10 + int64(t[i]-'0')
		if i++; i-from > wholeFast {
			return 0, 0
		}
	}
	if places > placesFast || i == from || t[from] == '0' && i > from+1 {
		return 0, 0
	}
	left := places
	if i < len(t) && t[i] == '.' {
		i++
		from = i
		for ; i < len(t) && t[i]-'0' <= 9; i++ {
			if left > 0 {
				v = v*10 + int64(t[i]-'0')
				left--
			} else if t[i] != '0' {
				return 0, 0
			}
		}
		if i == from {
			return 0, 0
		}
	}
	return v * tick.Pow10(left), i
}
