package engine

import (
	"slices"

	"tickproc/internal/state"
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
// everything is, once it has come as far as those that ended.
type firstArrival struct {
	// While a line is alone all that counts is here.
	lone struct {
		is   bool
		told bool // something since
		line uint16
		own  arrival // of its newest message
	}
	lines  []arrivalLine // that are up, in the order in which they came up
	newest arrival       // of what was news
	// aloneTs is the channel's last event time when the line that is left became
	// the only one; 0 where nothing of before is in doubt.
	aloneTs int64
	// overtook is what may come late, ahead of the first message of a line that
	// came up and was faster.
	overtook overtaken
	behind   bool   // the last line has not come as far as one that ended
	leads    *leads // nil while one line is up
}

// arrivalLine is the standing of one line.
type arrivalLine struct {
	line uint16
	// soundAt is the receive time from which the line, with those before it that
	// ended, has all that another loses.
	soundAt int64
	// Were it dead since its last message, all would still be had up to here; see
	// vouch.go. While it is the only line they are 0, unless something is in doubt.
	provedAt int64 // receive time
	provedTs int64 // event time
	newest   arrival
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
	place := 0
	if !f.alone(line) {
		place = f.prove(line)
	}
	if f.alone(line) {
		f.hear(key)
		return true
	}
	x := &f.lines[place]
	back, first := key < x.newest.key, x.newest.n == 0
	a := x.newest.arrive(key)
	// Where a line goes back the venue began anew, and waiting for the old keys
	// would be for ever.
	if !back && !f.newest.before(a) {
		return false
	}
	if first && f.newest.n != 0 {
		f.overtook.begin(f.newest, a)
	}
	f.newest, f.behind = a, false
	f.settle()
	return true
}

// alone reports whether all that counts is this line.
func (f *firstArrival) alone(line uint16) bool { return f.lone.is && f.lone.line == line }

// hear takes a message of the line that is alone.
func (f *firstArrival) hear(key int64) {
	f.lone.told = true
	if a := &f.lone.own; key == a.key {
		a.n++
	} else {
		a.key, a.n = key, 1
	}
}

// settle lets a line be alone, if it is.
func (f *firstArrival) settle() {
	if len(f.lines) == 1 && !f.behind && !f.lone.is {
		f.lone.is, f.lone.told, f.lone.line, f.lone.own = true, false, f.lines[0].line, f.lines[0].newest
	}
}

// unsettle ends that.
func (f *firstArrival) unsettle() {
	if f.lone.is {
		f.lone.is, f.lines[0].newest = false, f.lone.own
		if f.lone.told {
			f.newest = f.lone.own
		}
	}
}

func (a *arrival) arrive(key int64) arrival {
	if key == a.key {
		a.n++
	} else {
		*a = arrival{key, 1}
	}
	return *a
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
	f.unsettle()
	f.lines = append(f.lines, arrivalLine{line: line, soundAt: soundAt})
	f.behind = false
	f.settle()
	f.compareAnew()
	return true
}

// down notes that the line ended, and reports whether it had been up.
func (f *firstArrival) down(line uint16) bool {
	i := f.place(line)
	if i >= 0 {
		f.unsettle()
		f.lines = slices.Delete(f.lines, i, i+1)
		// Without times there is no telling.
		f.behind = len(f.lines) == 1 && f.newest.key != 0 && f.lines[0].newest.before(f.newest)
		f.settle()
		f.compareAnew()
	}
	return i >= 0
}

// sound reports whether a line other than this one was whole early enough to
// have what this one lost from a receive time on.
func (f *firstArrival) sound(line uint16, since int64) bool {
	for i := range f.lines {
		if x := &f.lines[i]; x.line != line && x.soundAt <= since {
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

// linesMax bounds the lines of one channel that loading takes for possible.
const linesMax = 254

// code codes the standing of the lines. Who brought what first is compared
// anew: nothing depends on it.
func (f *firstArrival) code(c *state.Coder) {
	c.NameLines(len(f.lines), func(i int) uint16 { return f.lines[i].line })
	c.Bools(&f.lone.is, &f.lone.told, &f.behind)
	if !c.Hashing() {
		c.Uint16(&f.lone.line) // it is the one that is there
	}
	f.newest.code(c)
	f.lone.own.code(c)
	if !c.Before(2) {
		c.Int64(&f.aloneTs)
		f.overtook.code(c)
	}
	n := c.Len(len(f.lines), 2+8+16, linesMax)
	if c.Loading() {
		f.lines = make([]arrivalLine, n)
	}
	for i := range f.lines {
		x := &f.lines[i]
		c.Line(&x.line)
		c.Int64(&x.soundAt)
		if !c.Before(2) {
			c.Int64s(&x.provedAt, &x.provedTs)
		}
		x.newest.code(c)
		for j := range i {
			c.Require(x.line != f.lines[j].line, "a line that is there twice")
		}
	}
	if c.Loading() {
		c.Require(!f.lone.is || len(f.lines) == 1 && f.lines[0].line == f.lone.line, "a line that is not alone")
		f.compareAnew()
	}
}

func (a *arrival) code(c *state.Coder) {
	c.Int64(&a.key)
	c.Uint64(&a.n)
}

// isUp reports whether any line delivers a channel.
func (in *instrument) isUp(which tick.Channels) bool { return len(in.firsts[which.Index()].lines) > 0 }

// isNews reports whether a message without an id is no copy of what another
// line brought.
//
// hot: per message, 0 allocs.
func (in *instrument) isNews(which tick.Channels, h *tick.Header, ts int64) bool {
	f := &in.firsts[which.Index()]
	news := f.accept(h.Line, ts)
	f.proves(h.Line, ts, h.ReceiveNanos)
	if f.overtook.is {
		news = in.overtaken(which, f, h, ts, news)
	}
	if news {
		return true
	}
	in.counts.Copies++
	return false
}
