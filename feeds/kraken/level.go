package kraken

import "tickproc/internal/jsonscan"

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
		from := s.At()
		s.Move(d.levels(s.Text(), from))
		if t, at := s.Text(), s.At(); at > from && t[at-1] == '}' {
			continue
		}
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

// levels reads the levels from i on that are written as level says, one after the
// other with nothing but a comma between. It returns the place behind the last, or
// that of the first which is written otherwise.
//
// hot: per level, 0 allocs.
func (d *decoder) levels(t []byte, i int) int {
	priceDigits, sizeDigits := d.Scale()
	for {
		price, size, next := plainLevel(t, i, priceDigits, sizeDigits)
		// A price of 0 is refused where errors are made.
		if next < 0 || price == 0 {
			return i
		}
		d.Depth.Add(price, size)
		if i = next; i >= len(t) || t[i] != ',' {
			return i
		}
		i++
	}
}

// plainLevel reads the level at i, in the venue's own spelling, and returns the
// place behind it; -1 where the text is spelled otherwise or is finer than the
// digits.
func plainLevel(t []byte, i int, priceDigits, sizeDigits uint8) (price, size int64, next int) {
	// {"price":78871.5,"qty":0.01266503}
	if i < 0 || i > len(t)-9 || string(t[i:i+8]) != `{"price"` || t[i+8] != ':' {
		return 0, 0, -1
	}
	price, i = jsonscan.Bare(t, i+9, priceDigits)
	if i < 0 || i > len(t)-7 {
		return 0, 0, -1
	}
	if w := (*[7]byte)(t[i : i+7]); string(w[:4]) != `,"qt` || string(w[4:6]) != `y"` || w[6] != ':' {
		return 0, 0, -1
	}
	size, i = jsonscan.Bare(t, i+7, sizeDigits)
	if i < 0 || i >= len(t) || t[i] != '}' {
		return 0, 0, -1
	}
	return price, size, i + 1
}
