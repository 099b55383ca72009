package engine

import (
	"encoding/binary"
	"hash/crc32"

	"tickproc/internal/state"
	"tickproc/tick"
)

// A barrier in the log asks for a snapshot of the state at its place. Packets
// go on: each instrument is written just before it changes for the first time,
// and beside that some after every batch.
//
//	log    … A B ▮ A C A …            ▮ barrier
//	sink       ▮ Begin, shard; A (before its packet); B, by the quota; C; End
//
// So nobody waits for more than the writing of one instrument and its group.
// Snapshots change neither rows nor state.

// SnapshotSink takes snapshots, on the shard's goroutine: what it does there, the
// market waits for.
type SnapshotSink interface {
	// Begin opens the snapshot of the state at barrier number, at logical now. One
	// that has not ended is abandoned: its missing pieces would all have to be
	// written at once, and the newer one is worth more.
	Begin(number uint64, now int64)
	// Buffer returns the memory that the next piece is appended to, behind what is
	// in it already: what is handed over need not be copied.
	Buffer() []byte
	// Item gives it back, grown where it was too small. Pieces come in whatever
	// order, but for the first.
	Item(p []byte)
	// End says that the snapshot is whole.
	End()
	// Room reports whether pieces are welcome that need not be written yet. Pieces
	// that must be come all the same. Where a driver runs the shard, a sink that
	// has room again wakes it.
	Room() bool
}

// SnapshotQuota is how many bytes are written after a batch beside what must be,
// unless the caller says otherwise: about 10 µs.
const SnapshotQuota = 32 << 10

// saving is the snapshot that is being written.
type saving struct {
	sink   SnapshotSink
	quota  int
	open   bool
	epoch  uint64 // of barriers so far; what bears it is written, or came later
	left   int    // instruments and groups that are not written yet
	cursor int    // instruments, then groups, before it are written
	coder  state.Coder
	units  []tick.Unit
}

// SnapshotTo makes the shard write a snapshot to sink at every barrier, and
// quota bytes of it after each batch, 0 for SnapshotQuota. Without a sink
// barriers do nothing. It is called while the shard stands still.
func (s *Shard) SnapshotTo(sink SnapshotSink, quota int) {
	if quota == 0 {
		quota = SnapshotQuota
	}
	s.saving.sink, s.saving.quota = sink, quota
}

// The first byte of an item says what it is of.
const (
	itemShard byte = 1 + iota
	itemInstrument
	itemGroup
)

// itemVersion is of the format of items: whatever is coded otherwise, in this
// package or below it, is another version.
const itemVersion uint16 = 2

// barrier makes everything unsaved.
func (s *Shard) barrier(number uint64) {
	x := &s.saving
	if x.sink == nil {
		return
	}
	x.epoch++
	x.open, x.cursor, x.left = true, 0, 1+s.count+len(s.groupList)
	x.sink.Begin(number, s.now)
	at := s.begin(itemShard)
	s.saveShard(&x.coder)
	s.hand(at)
}

// begin begins an item, and returns where.
func (s *Shard) begin(kind byte) (at int) {
	x := &s.saving
	x.coder.Save(x.sink.Buffer())
	at = len(x.coder.Bytes())
	state.Byte(&x.coder, &kind)
	return at
}

// saveShard writes what is of no instrument. It decides how much memory loading
// takes, and so carries a checksum of its own.
func (s *Shard) saveShard(c *state.Coder) {
	version, sum := itemVersion, uint32(0)
	c.Uint16(&version)
	at := len(c.Bytes())
	c.Uint32(&sum)
	slots := uint32(len(s.instruments))
	s.code(c, &slots, s.count, len(s.groupList))
	block := c.Bytes()[at:]
	binary.LittleEndian.PutUint32(block, crc32.ChecksumIEEE(block[4:]))
}

// code codes the shard's own state. slots is one more than the highest id.
func (s *Shard) code(c *state.Coder, slots *uint32, instruments, groups int) (instrumentsThere, groupsThere int) {
	s.options.code(c)
	c.Int64(&s.now)
	c.Uint32(slots)
	c.Int(&instruments)
	c.Int(&groups)
	return instruments, groups
}

// keep writes an instrument and its group as they are, before they change.
func (s *Shard) keep(in *instrument) {
	s.save(in)
	if in.group != nil {
		s.saveGroup(in.group)
	}
}

// save writes an instrument unless it is written, and returns how many bytes.
func (s *Shard) save(in *instrument) (bytes int) {
	x := &s.saving
	if in.savedAt == x.epoch || !x.open {
		return 0
	}
	in.savedAt = x.epoch
	at := s.begin(itemInstrument)
	in.saveDefinition(&x.coder)
	in.code(&x.coder)
	return s.hand(at)
}

// saveGroup does so for a group, with what its members bring to it.
func (s *Shard) saveGroup(g *consolidated) (bytes int) {
	x := &s.saving
	if g.savedAt == x.epoch || !x.open {
		return 0
	}
	g.savedAt = x.epoch
	at := s.begin(itemGroup)
	g.codeMembers(&x.coder, s)
	return s.hand(at)
}

// hand gives the sink an item that began at a place, and returns its size.
func (s *Shard) hand(at int) (bytes int) {
	x := &s.saving
	p := x.coder.Bytes()
	x.sink.Item(p)
	if x.left--; x.left == 0 {
		x.open = false
		x.sink.End()
	}
	return len(p) - at
}

// lookBytes is what looking at an instrument that is written counts of a quota:
// thousands of them in a row must not take long either.
const lookBytes = 256

// SaveSome writes some of an open snapshot, and reports whether it did: a
// driver that has nothing else to do calls it until it does not.
func (s *Shard) SaveSome() bool {
	if !s.savable() {
		return false
	}
	x := &s.saving
	for budget := x.quota; budget > 0 && x.open; x.cursor++ {
		budget -= lookBytes
		if i := x.cursor - len(s.instruments); i >= 0 {
			budget -= s.saveGroup(s.groupList[i])
		} else if in := s.instruments[x.cursor]; in != nil {
			budget -= s.save(in)
		}
	}
	return true
}

// savable reports whether SaveSome has something to do.
func (s *Shard) savable() bool { return s.saving.open && s.saving.sink.Room() }

// SaveAll writes all of an open snapshot: before a clean end.
func (s *Shard) SaveAll() {
	if !s.saving.open {
		return
	}
	for _, in := range s.instruments {
		if in != nil {
			s.save(in)
		}
	}
	for _, g := range s.groupList {
		s.saveGroup(g)
	}
}

// saveDefinition writes the definition as a catalog packet.
func (in *instrument) saveDefinition(c *state.Coder) {
	x := &in.shard.saving
	var err error
	if x.units, err = tick.AppendCatalog(x.units[:0], tick.Header{}, in.def); err != nil {
		panic("BUG: a catalog record did not fit its own size")
	}
	state.Plain(c, x.units)
}
