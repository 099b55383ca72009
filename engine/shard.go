// Package engine turns packets into books, bars, windows and rows.
//
// A Shard is a pure function of the packets it is given: it reads no clock,
// no random number and no map order, so that live, replay and recovery agree
// byte for byte. A Driver gives it packets from rings, in receive order, and
// carries away what it says.
//
//	rings ─► Driver: merge by receive time ─► log ─► Shard.Apply ─► rows, resync commands, images
//
// All state of an instrument belongs to the goroutine of its shard.
package engine

import (
	"math"
	"sync"

	"tickproc/internal/invariants"
	"tickproc/tick"
)

// Shard owns a set of instruments.
// owner: one goroutine.
type Shard struct {
	options     Options
	instruments []*instrument // by id; nil where another shard owns it
	due         deadlines
	now         int64 // logical now: the largest receive time applied
	rows        []tick.Unit
	commands    []tick.Unit
	dirty       []*instrument // changed since the last TakeImages
	scratch     []tick.Unit   // a packet brought to a finer scale
	follows     bool          // a Follower is told
	touched     []*instrument // changed since it was told last
	levels      []tick.Level  // scratch of tellWhole
	lineStats   []LineStats   // by line; nil where lines are not compared
	uncounted   LineStats     // of lines beyond
	count       int           // of instruments
	groups      map[groupKey]*consolidated
	groupList   []*consolidated // in the order in which they began
	saving      saving
	learning    sync.Mutex // guards configs; taken at a configuration's record only
	configs     map[[32]byte]Options
}

// Definitions are those of its instruments, by id.
func (s *Shard) Definitions() (all []tick.Instrument) {
	for _, in := range s.instruments {
		if in != nil {
			all = append(all, in.def)
		}
	}
	return all
}

// Options are those that are live, with what was filled in.
func (s *Shard) Options() Options { return s.options }

// NewShard returns an empty shard.
func NewShard(options Options) *Shard {
	options.EnsureDefaults()
	return &Shard{options: options}
}

// Apply takes whole packets in order and returns how many. What they cause
// waits for TakeRows and TakeCommands.
//
// hot: per batch, 0 allocs after warm-up.
func (s *Shard) Apply(batch []tick.Unit) (packets int) {
	for at := 0; at < len(batch); packets++ {
		n := tick.PacketUnits(&batch[at])
		if n == 0 {
			panic("BUG: packet of an unknown kind reached a shard")
		}
		s.apply(batch[at : at+n])
		at += n
	}
	if s.saving.open {
		s.SaveSome()
	}
	return packets
}

func (s *Shard) apply(p []tick.Unit) {
	h := p[0].Header()
	if h.Kind >= tick.KindCatalog && s.applyToShard(p) {
		return
	}
	if len(s.due) > 0 && s.due[0].key <= h.ReceiveNanos {
		s.fire(h.ReceiveNanos)
	}
	s.now = max(s.now, h.ReceiveNanos)
	var in *instrument
	if id := int(h.Instrument); id < len(s.instruments) {
		in = s.instruments[id]
	}
	if in == nil {
		panic("BUG: packet before the catalog record of its instrument")
	}
	if s.saving.open {
		s.keep(in)
	}
	ordinary := in.idle && (!in.coarser || in.fine.is(h.Line))
	switch {
	case ordinary && h.Kind == tick.KindTrade && in.takeOrdinary(p[0].Trade()):
		s.note(in) // a group hears of no trades
		return
	case ordinary && h.Kind == tick.KindQuote:
		if ordinary = !in.onQuote(p); !ordinary {
			in.command()
		}
	case ordinary && h.Kind == tick.KindDepth:
		if ordinary = in.takeOrdinaryDepth(p); !ordinary {
			in.command()
		}
	default:
		ordinary = false
		in.apply(p)
	}
	if in.group != nil && in.consolidate(h) {
		ordinary = false // it may be due earlier
	}
	if ordinary {
		s.note(in)
	} else {
		s.settle(in)
	}
}

// applyToShard takes a packet that is not about one instrument that is known,
// and reports whether it is such.
func (s *Shard) applyToShard(p []tick.Unit) bool {
	switch h := p[0].Header(); h.Kind {
	case tick.KindClockStep:
		s.stepClock(p[0].ClockStep())
	case tick.KindBarrier:
		s.barrier(p[0].Barrier().Number)
	case tick.KindConfig:
		s.configure(p[0].Config())
	case tick.KindTick:
		s.advance(h.ReceiveNanos)
	case tick.KindCatalog:
		s.advance(h.ReceiveNanos)
		s.introduce(h, p[0].Catalog().Definition())
	default:
		return false
	}
	return true
}

// settle carries out what an instrument owes after it changed.
func (s *Shard) settle(in *instrument) {
	if key := in.deadline(); key < in.key {
		s.moveUp(in, key)
	}
	s.note(in)
}

// note notes that an instrument changed, and that its deadline came no earlier.
func (s *Shard) note(in *instrument) {
	if invariants.Enabled && in.deadline() < in.key {
		panic("BUG: a deadline came forward and nobody said so")
	}
	if !in.dirty {
		in.dirty = true
		s.dirty = append(s.dirty, in)
	}
	if s.follows {
		s.touch(in)
	}
}

// hasten brings an instrument's deadline forward where it must act earlier.
func (s *Shard) hasten(in *instrument) {
	if key := in.deadline(); key < in.key {
		s.moveUp(in, key)
	}
}

func (s *Shard) moveUp(in *instrument, key int64) {
	in.key = key
	s.due.fix(in)
}

// advance fires every deadline up to a receive time, in order, and makes it
// logical now.
func (s *Shard) advance(to int64) {
	if len(s.due) > 0 && s.due[0].key <= to {
		s.fire(to)
	}
	s.now = max(s.now, to)
}

// fire fires every deadline up to a receive time, in order.
func (s *Shard) fire(to int64) {
	for s.due[0].key <= to {
		in := s.due[0].in
		if key := in.deadline(); key > in.key {
			in.key = key // it had moved away
			s.due.fix(in)
			continue
		}
		s.now = max(s.now, in.key)
		if s.saving.open {
			s.keep(in)
		}
		in.fire()
		if in.group != nil {
			in.group.fire()
		}
		in.key = in.deadline()
		s.due.fix(in)
		s.settle(in)
	}
}

// NextDeadline is the receive time at which a Tick is due; MaxInt64 if none.
func (s *Shard) NextDeadline() int64 {
	if len(s.due) == 0 {
		return math.MaxInt64
	}
	return max(s.due[0].key, s.now)
}

// Now is logical now: the largest receive time applied, in ns.
func (s *Shard) Now() int64 { return s.now }

func (s *Shard) introduce(h *tick.Header, def tick.Instrument) {
	for int(def.ID) >= len(s.instruments) {
		s.instruments = append(s.instruments, nil)
	}
	if in := s.instruments[def.ID]; in != nil {
		in.idle = false
		if s.saving.open {
			s.keep(in)
		}
		in.redefine(h, &def)
		in.extend(def.Channels)
		if in.group != nil {
			in.consolidate(h)
		}
		s.settle(in)
		return
	}
	in := newInstrument(s, def)
	s.instruments[def.ID] = in
	s.count++
	in.savedAt = s.saving.epoch // a snapshot that is open is of before
	in.key = math.MaxInt64
	s.due.push(in)
	in.writeDefinition()
	in.begin(def.Channels)
	if def.State != tick.StateUnknown {
		in.writeStatus(h, tick.StateUnknown)
	}
	s.join(in)
	s.settle(in)
}

// stepClock sets logical now after the wall clock was stepped, or in the first
// record after a restart; what waits for a time keeps its distance from it.
func (s *Shard) stepClock(step *tick.ClockStep) {
	s.SaveAll() // it changes all of them
	by := step.ReceiveNanos - step.FromNanos
	s.now = step.ReceiveNanos
	for _, in := range s.instruments {
		if in != nil {
			in.idle = false
			in.stepClock(by)
			in.key = in.deadline()
			s.due.fix(in)
		}
	}
}

// Finish ends the input: what is still open is written as it stands.
func (s *Shard) Finish() {
	s.SaveAll()
	for _, in := range s.instruments {
		if in != nil {
			in.finish()
			if in.leads() {
				in.group.finish()
			}
		}
	}
}

// TakeRows returns the rows since the last call. They are valid until the
// next Apply.
func (s *Shard) TakeRows() []tick.Unit {
	rows := s.rows
	s.rows = s.rows[:0]
	return rows
}

// TakeCommands returns the commands since the last call, likewise.
func (s *Shard) TakeCommands() []tick.Unit {
	commands := s.commands
	s.commands = s.commands[:0]
	return commands
}
