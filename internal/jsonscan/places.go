package jsonscan

// Places are where the digits of a number are that is written as another was: up
// to eight, with a point among them or none. Those before them are known.
//
//	9 1 2 3 4 5 . 6 7      what Digits is given
//	╰─────────────╯        of this word, those before the point
//	  ╰─────────────╯      of this one, those behind it
type Places struct {
	behind uint64 // digits from the point on, in the word that ends with them
	low    uint64 // which of the last eight digits are there
	times  uint64 // for decimal places that are not written
	base   uint64 // what the digits before the last eight are worth
}

// PlacesOf returns those of a number with some digits before the point, of which
// the last ones are free to be others, and a count of digits behind it, of which
// more are wanted. Free and count are up to eight together.
func PlacesOf(whole []byte, free, count, more int) (p Places) {
	p.behind, p.low, p.times = ^firstBytes(8-count), ^firstBytes(8-count-free), pow10[more]
	for _, c := range whole[:len(whole)-free] {
		p.base = p.base*10 + uint64(c-'0')
	}
	p.base *= pow10[free+count] * p.times
	return p
}

// Digits are those of a number, if NonDigits finds nothing else in them. Behind is
// the word that ends with the last one behind the point, or with what follows a
// whole number, before the word that begins a byte earlier.
func (p *Places) Digits(before, behind uint64) uint64 {
	return (before ^ (before^behind)&p.behind ^ '0'*ones) & p.low
}

// NonDigits is 0 where all of Digits are such.
func NonDigits(digits uint64) uint64 { return nonDigits(digits) }

// NonDigits2 is NonDigits of two numbers.
func NonDigits2(a, b uint64) uint64 { return (a + 0x76*ones | a | (b + 0x76*ones) | b) & highs }

// Number is what digits are at the decimal places that are wanted.
func (p *Places) Number(digits uint64) int64 { return int64(eightDigits(digits)*p.times + p.base) }
