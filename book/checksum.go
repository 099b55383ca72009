package book

import (
	"bytes"
	"hash/crc32"

	"tickproc/internal/digits"
	"tickproc/tick"
)

// shortestDigits in a rule asks for numbers without trailing zeros.
const shortestDigits = 255

// Checksum computes the venue's checksum from the book's scaled integers, in
// the venue's text form.
//
// Kraken: top 10 asks, then bids, each price and size without the point and
// leading zeros, concatenated. OKX: top 25 bid:size:ask:size…, interleaved,
// joined by colons.
//
// hot: per message of venues that have one, 0 allocs.
func Checksum(b *Book, rule tick.SyncRule, priceDigits, sizeDigits uint8) uint32 {
	out := b.text[:0]
	depth := int(rule.ChecksumDepth)
	switch rule.Checksum {
	case tick.ChecksumKraken:
		for _, side := range []*Side{&b.Asks, &b.Bids} {
			walk := side.Walk()
			for range min(depth, side.Len()) {
				l, _ := walk.Next()
				out = appendBare(out, l.Price, priceDigits, rule.ChecksumPriceDigits)
				out = appendBare(out, l.Size, sizeDigits, rule.ChecksumSizeDigits)
			}
		}
	case tick.ChecksumOKX:
		bids, asks := b.Bids.Walk(), b.Asks.Walk()
		for range depth {
			for _, walk := range []*Walk{&bids, &asks} {
				if l, some := walk.Next(); some {
					out = append(appendText(out, l.Price, priceDigits, rule.ChecksumPriceDigits), ':')
					out = append(appendText(out, l.Size, sizeDigits, rule.ChecksumSizeDigits), ':')
				}
			}
		}
		out = bytes.TrimSuffix(out, []byte{':'})
	default:
		panic("BUG: checksum of a venue without one")
	}
	b.text = out
	return crc32.ChecksumIEEE(out)
}

// atWire returns v, which has digits, with the wire's.
func atWire(v int64, digits, wire uint8) (int64, uint8) {
	switch {
	case wire == shortestDigits:
		for digits > 0 && v%10 == 0 {
			v, digits = v/10, digits-1
		}
		return v, digits
	case wire < digits:
		return v / tick.Pow10(digits-wire), wire
	}
	return v * tick.Pow10(wire-digits), wire
}

// appendText writes v with the wire's digits.
func appendText(dst []byte, v int64, digits, wire uint8) []byte {
	v, digits = atWire(v, digits, wire)
	return tick.AppendScaled(dst, v, digits)
}

// appendBare writes v without point and leading zeros, which leaves nothing of 0.
func appendBare(dst []byte, v int64, places, wire uint8) []byte {
	if v, _ = atWire(v, places, wire); v == 0 {
		return dst
	}
	return digits.AppendInt(dst, v)
}
