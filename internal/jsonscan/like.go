package jsonscan

import "encoding/binary"

// Like is how the last decimal of a kind was written, and the text around it.
// The next is most likely written so too, and then nothing in it need be found:
//
//	[ " 6 1 8 3 7 . 6 3 0 0 0 0 0 0 " , "
//	╰─╯ ╰────────────╯ ╰───────────────╯
//	text digits that count, and a point   zeros, and text
//
// All but the digits that count is compared, as three words. What differs is
// read by the function Fixed, and is what the next one is expected to be like.
type Like struct {
	first, second, last             uint64 // bytes 0 to 7, 8 to 15, and the last eight
	firstMask, secondMask, lastMask uint64 // which of them are compared
	places                          Places
	placesAt, lastAt, size          uint8
	asked                           uint8 // decimal places that were asked for, and 1; 0 = for none
}

// Window is what a Like looks at: 16 bytes before its text, and what that may be.
type Window [windowBefore + windowFrom]byte

const (
	windowBefore = 16
	windowFrom   = 24
)

// For makes l one for numbers at such places: of others it forgets.
func (l *Like) For(places uint8) {
	if int(l.asked) != int(places)+1 {
		l.forget(places)
	}
}

// forget makes l like no text: its digits would be NULs.
func (l *Like) forget(places uint8) {
	*l = Like{asked: places + 1, firstMask: ^uint64(0), places: Places{low: ^uint64(0)}, placesAt: 8}
}

// WindowAt returns what to look at where the text is at i; nil if t is too short.
func WindowAt(t []byte, i int) *Window {
	if i < windowBefore || i > len(t)-windowFrom {
		return nil
	}
	return (*Window)(t[i-windowBefore : i+windowFrom])
}

// Differs is 0 where all that is no digit that counts is as it was.
func (l *Like) Differs(w *Window) uint64 {
	text := w[windowBefore:]
	at := int(l.lastAt & 15)
	return (binary.LittleEndian.Uint64(text)^l.first)&l.firstMask | (binary.LittleEndian.Uint64(text[8:])^l.second)&l.secondMask |
		(binary.LittleEndian.Uint64(text[at:at+8])^l.last)&l.lastMask
}

// Digits are the last eight that count, if NonDigits finds nothing else in them.
func (l *Like) Digits(w *Window) uint64 {
	from, at := w[windowBefore-8:], int(l.placesAt&15)
	return l.places.Digits(binary.LittleEndian.Uint64(from[at:at+8]), binary.LittleEndian.Uint64(from[at+1:at+9]))
}

// Number is what digits are at the places that were asked for.
func (l *Like) Number(digits uint64) int64 { return l.places.Number(digits) }

// Size is the length of the text in bytes.
func (l *Like) Size() int { return int(l.size) }

// Learn takes the text from i to next, in which a good number stands from from
// to to, its closing quote included. It returns what it takes.
func (l *Like) Learn(t []byte, i, from, to, next int) {
	places := l.asked - 1
	if i < 0 || from < i || i > len(t)-windowFrom || from > len(t)-8 || places > placesFast {
		return
	}
	point := from + int(digitBits(binary.LittleEndian.Uint64(t[from:from+8])^'0'*ones)/8)
	// Whole numbers have lengths that follow no pattern.
	if point >= to-1 {
		l.forget(places)
		return
	}
	l.learn((*[windowFrom]byte)(t[i:i+windowFrom]), from-i, point-i, to-i, next-i)
}

func (l *Like) learn(t *[windowFrom]byte, from, point, to, size int) {
	places := l.asked - 1
	l.forget(places)
	if point >= len(t) || t[point] != '.' || size >= len(t) {
		return
	}
	count := min(int(places), to-1-(point+1))
	if point+count > 15 {
		return
	}
	free := min(point-from, 8-count) // digits before the point that are not text
	mask := func(at int) uint64 {
		return firstBytes(size-at) &^ (firstBytes(point-at) &^ firstBytes(point-free-at)) &^ (firstBytes(point+1+count-at) &^ firstBytes(point+1-at))
	}
	l.lastAt = uint8(max(size-8, 0))
	l.firstMask, l.secondMask, l.lastMask = mask(0), mask(8), mask(int(l.lastAt))
	l.first = binary.LittleEndian.Uint64(t[:]) & l.firstMask
	l.second = binary.LittleEndian.Uint64(t[8:]) & l.secondMask
	l.last = binary.LittleEndian.Uint64(t[l.lastAt&15:]) & l.lastMask
	l.placesAt, l.size = uint8(point+count), uint8(size)
	l.places = PlacesOf(t[from:point], free, count, int(places)-count)
}

// firstBytes masks the first n bytes of a word.
func firstBytes(n int) uint64 { return 1<<(8*uint(max(n, 0))) - 1 }
