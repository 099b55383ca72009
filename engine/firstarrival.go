package engine

import (
	"encoding/binary"
	"slices"

	"tickproc/tick"
)

// firstArrival knows which lines deliver a channel of an instrument, and
// which of their messages are news:
//
//	line A  10:1  11:1        13:1          key:ordinal among equal keys of the line
//	line B        10:1  11:1  11:2  13:1
//	news    10:1  11:1        13:1          and 11:2, had it come before 13:1
//
// Keys rise along a line: exchange times in ns, or the venue's ids. A message
// is news if it lies behind all that was news before. While one line is up
// everything is.
type firstArrival struct {
	lines  []arrivalLine // that are up, in the order in which they came up
	newest arrival
	leads  *leads // nil while one line is up
}

// arrivalLine is the standing of one line.
type arrivalLine struct {
	line uint16
	// soundAt is the receive time from which the line has all that another loses.
	soundAt int64
	newest  arrival
}

// arrival is the place of a message.
type arrival struct {
	key int64
	n   uint64 // from 1
}

func (a arrival) before(b arrival) bool { return a.key < b.key || a.key == b.key && a.n < b.n }

// accept reports whether the message of a line is news. A line that delivers
// is up.
//
// hot: per message, 0 allocs.
func (f *firstArrival) accept(line uint16, key int64) bool {
	x := &f.lines[f.prove(line)]
	back := key < x.newest.key
	a := x.arrive(key)
	// Where a line goes back the venue began anew, and waiting for the old keys
	// would be for ever.
	if len(f.lines) > 1 && !back && !f.newest.before(a) {
		return false
	}
	f.newest = a
	return true
}

func (x *arrivalLine) arrive(key int64) arrival {
	if key == x.newest.key {
		x.newest.n++
	} else {
		x.newest = arrival{key, 1}
	}
	return x.newest
}

// prove returns the place of a line that delivers, and has it up.
func (f *firstArrival) prove(line uint16) int {
	if i := f.place(line); i >= 0 {
		return i
	}
	f.up(line, 0)
	return len(f.lines) - 1
}

// place of a line among those that are up, -1 if it is not.
func (f *firstArrival) place(line uint16) int {
	for i := range f.lines {
		if f.lines[i].line == line {
			return i
		}
	}
	return -1
}

// up notes that the line delivers, and reports whether that is new.
func (f *firstArrival) up(line uint16, soundAt int64) bool {
	if f.place(line) >= 0 {
		return false
	}
	f.lines = append(f.lines, arrivalLine{line: line, soundAt: soundAt})
	f.compareAnew()
	return true
}

// down notes that the line ended, and reports whether it had been up.
func (f *firstArrival) down(line uint16) bool {
	i := f.place(line)
	if i >= 0 {
		f.lines = slices.Delete(f.lines, i, i+1)
		f.compareAnew()
	}
	return i >= 0
}

// sound reports whether a line other than this one has been whole for long
// enough to have what this one lost.
func (f *firstArrival) sound(line uint16, now int64) bool {
	for i := range f.lines {
		if x := &f.lines[i]; x.line != line && x.soundAt <= now {
			return true
		}
	}
	return false
}

func (f *firstArrival) stepClock(by int64) {
	for i := range f.lines {
		f.lines[i].soundAt += by
	}
}

func (f *firstArrival) appendState(dst []byte) []byte {
	le := binary.LittleEndian
	put := func(a arrival) { dst = le.AppendUint64(le.AppendUint64(dst, uint64(a.key)), a.n) }
	put(f.newest)
	dst = append(dst, byte(len(f.lines)))
	for i := range f.lines {
		x := &f.lines[i]
		dst = le.AppendUint64(dst, uint64(x.soundAt)) // a line's number is a name: a capture gives others
		put(x.newest)
	}
	return dst
}

// isUp reports whether any line delivers a channel.
func (in *instrument) isUp(which tick.Channels) bool { return len(in.firsts[which.Index()].lines) > 0 }

// isNews reports whether a message without an id is no copy of what another
// line brought.
//
// hot: per message, 0 allocs.
func (in *instrument) isNews(which tick.Channels, line uint16, ts int64) bool {
	if in.firsts[which.Index()].accept(line, ts) {
		return true
	}
	in.counts.Copies++
	return false
}

// fills reports whether the other lines have what one loses of a channel now.
// Where ids tell every loss they need only be there.
func (in *instrument) fills(e *tick.ChannelEvent) bool {
	f := &in.firsts[e.Channel.Index()]
	idsTell := e.Channel == tick.ChannelTrades && in.ids.contiguous ||
		e.Channel == tick.ChannelDepth && in.def.Sync.Snapshot != tick.SnapshotInBand
	if idsTell {
		return f.sound(e.Line, never-1)
	}
	return f.sound(e.Line, in.shard.now)
}
