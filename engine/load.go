package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"slices"
	"unsafe"

	"tickproc/internal/state"
	"tickproc/tick"
)

// LoadShard makes a shard of the items of a snapshot, each read before the next
// is asked for. It goes on exactly as the one that wrote it, from behind the
// barrier, under the options that were live then: Options tells them, and
// Reconfigure changes them once the log's tail was applied. Totals begin at 0.
//
// Whatever the bytes, it neither panics nor takes much more memory than they
// do: an error wraps state.ErrDamaged, and recovery takes an older snapshot.
func LoadShard(items iter.Seq[[]byte]) (*Shard, error) {
	var l loader
	for p := range items {
		if err := l.item(p); err != nil {
			return nil, fmt.Errorf("item %d of a snapshot: %w", l.items, err)
		}
		l.items++
	}
	if err := l.end(); err != nil {
		return nil, fmt.Errorf("snapshot of %d items: %w", l.items, err)
	}
	return l.shard, nil
}

// loader has what is loaded so far.
type loader struct {
	shard               *Shard
	items               int
	instruments, groups int // that must come
	members             [][]byte
	c                   state.Coder
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", state.ErrDamaged, fmt.Sprintf(format, args...))
}

func (l *loader) item(p []byte) error {
	if len(p) == 0 {
		return damaged("it is empty")
	}
	kind, p := p[0], p[1:]
	switch {
	case (kind == itemShard) != (l.shard == nil):
		return damaged("the shard's own item must be the first")
	case kind == itemShard:
		return l.loadShard(p)
	case kind == itemInstrument:
		return l.loadInstrument(p)
	case kind == itemGroup:
		l.members = append(l.members, slices.Clone(p)) // until all instruments are there
		return nil
	}
	return damaged("kind %d", kind)
}

func (l *loader) loadShard(p []byte) error {
	if len(p) < 6 {
		return damaged("it ends too early")
	}
	version := binary.LittleEndian.Uint16(p)
	if version == 0 || version > itemVersion {
		return fmt.Errorf("%w: format %d, this build reads up to %d: start the build that wrote it, or from the log", state.ErrDamaged, version, itemVersion)
	}
	if binary.LittleEndian.Uint32(p[2:]) != crc32.ChecksumIEEE(p[6:]) {
		return damaged("its checksum differs")
	}
	c, s, slots := &l.c, &Shard{}, uint32(0)
	c.Format = version
	c.Load(p[6:])
	l.instruments, l.groups = s.code(c, &slots, 0, 0)
	if err := errors.Join(c.End(), s.options.validate()); err != nil {
		return err
	}
	s.instruments = make([]*instrument, slots)
	l.shard = s
	return nil
}

func (l *loader) loadInstrument(p []byte) error {
	c, s := &l.c, l.shard
	var head [tick.CatalogUnits]tick.Unit
	c.Load(p)
	state.Plain(c, head[:])
	if c.Err() != nil {
		return c.Err()
	}
	def, err := definition(&head)
	if err != nil {
		return err
	}
	if int(def.ID) >= len(s.instruments) || s.instruments[def.ID] != nil {
		return damaged("instrument %d is there twice, or beyond the last", def.ID)
	}
	in := newInstrument(s, def)
	in.code(c)
	in.checkLines(c)
	c.Require(in.priceDigits >= def.PriceDigits && in.sizeDigits >= def.SizeDigits, "a scale below the first")
	if err := c.End(); err != nil {
		return fmt.Errorf("%s %s: %w", def.Venue, def.Symbol, err)
	}
	s.instruments[def.ID] = in
	s.count++
	return nil
}

// definition reads a catalog packet that may be damaged.
func definition(p *[tick.CatalogUnits]tick.Unit) (tick.Instrument, error) {
	packet := p[0].Catalog()
	for _, truth := range []*bool{&packet.Inverse, &packet.Sync.QuoteIDs, &packet.Sync.MayCross, &packet.Sync.QuotesLag} {
		if *(*byte)(unsafe.Pointer(truth)) > 1 {
			return tick.Instrument{}, damaged("a definition with a truth that is neither")
		}
	}
	def := packet.Definition()
	rule := &def.Sync
	if def.Type > tick.TypeOption || def.TradeIDs > tick.TradeIDUUID || def.State > tick.StateDelisted || def.Channels >= 1<<tick.ChannelCount ||
		rule.Snapshot > tick.SnapshotEvery || rule.Sequence > tick.SequenceCounter || rule.Checksum > tick.ChecksumOKX ||
		def.PriceDigits > tick.MaxDigits || def.SizeDigits > tick.MaxDigits || def.Tick.Digits > tick.MaxDigits || def.Lot.Digits > tick.MaxDigits ||
		def.ContractSize.Digits > tick.MaxDigits {
		return def, damaged("a definition that cannot be")
	}
	return def, nil
}

// checkLines requires that all that knows of an instrument's depth lines knows
// the same ones.
func (in *instrument) checkLines(c *state.Coder) {
	lines := in.depthLines()
	shared := in.sync.SharedLines()
	ok := len(shared) == 0 && (len(lines) < 2 || !in.merges) || in.merges && len(shared) == len(lines)
	has := func(line uint16) bool { return in.firsts[depthIndex].place(line) >= 0 }
	for _, line := range shared {
		ok = ok && has(line)
	}
	switch {
	case !in.standsBy() || len(lines) == 0:
		ok = ok && len(in.standbys) == 0
	default:
		ok = ok && has(in.leader) && len(in.standbys) == len(lines)-1
		for i, x := range in.standbys {
			ok = ok && has(x.line) && x.line != in.leader && len(x.sync.SharedLines()) == 0
			for _, y := range in.standbys[:i] {
				ok = ok && x.line != y.line
			}
		}
	}
	c.Require(ok, "lines of depth that do not fit together")
}

// end puts together what the items told.
func (l *loader) end() error {
	s := l.shard
	switch {
	case s == nil:
		return damaged("the shard's own item is missing")
	case s.count != l.instruments || len(l.members) != l.groups:
		return damaged("%d instruments of %d, %d groups of %d", s.count, l.instruments, len(l.members), l.groups)
	}
	for _, p := range l.members {
		g := &consolidated{shard: s}
		l.c.Load(p)
		g.codeMembers(&l.c, s)
		if err := l.c.End(); err != nil {
			return err
		}
		s.addGroup(g)
	}
	for _, in := range s.instruments {
		if in == nil {
			continue
		}
		if _, some := s.groupOf(in); some != (in.group != nil) {
			return damaged("%s %s: not in its group", in.def.Venue, in.def.Symbol)
		}
	}
	// Keys are told by the deadlines: see instrument.code.
	for _, in := range s.instruments {
		if in != nil {
			in.key = in.deadline()
			s.due.push(in)
			in.dirty = true
			s.dirty = append(s.dirty, in)
		}
	}
	return nil
}

// codeMembers codes a group, its members and what they bring to it.
func (g *consolidated) codeMembers(c *state.Coder, s *Shard) {
	n := c.Len(len(g.members), 4, len(s.instruments))
	for i := range n {
		id := uint32(0)
		if !c.Loading() {
			id = g.members[i].def.ID
		}
		if c.Uint32(&id); !c.Loading() {
			continue
		}
		if int(id) >= len(s.instruments) || s.instruments[id] == nil || s.instruments[id].group != nil {
			c.Fail("a group of instruments that are not there, or elsewhere")
			return
		}
		in := s.instruments[id]
		in.group = g
		g.members = append(g.members, in)
		key, some := s.groupOf(in)
		first, _ := s.groupOf(g.members[0])
		c.Require(some && key == first && s.groups[key] == nil, "a group of instruments that do not belong together")
	}
	c.Require(n > 0, "a group of nobody")
	g.code(c)
	inside := func(place int) bool { return place >= 0 && place < n }
	c.Require(inside(g.shown.bidder) && inside(g.shown.asker) && g.shown.venues >= 0 && g.shown.venues <= n, "a best offer of nobody")
	for _, in := range g.members {
		in.contribution.code(c)
	}
}
