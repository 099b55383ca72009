// Package spool keeps batches of encoded rows until a database has them, and
// for a while longer.
//
//	Put ─► memory ─► segments on disk, one series a table ─► Next ─► sender ─► Done
//	         │           └─► synced in groups: memory is free       (acked position)
//	         └─ no directory, or the disk fails: bounded, oldest gives way
//
// Every table has one stream of records. A record's offset in it is absolute
// and is never used again, over all runs. A segment is a file that holds a part
// of the stream; it ends where the next one begins, whatever else lies in it.
// Up to the acked position the database has everything. What it acknowledged is
// kept for a horizon, so that it can be sent again when the database turns out
// to have lost it; sending twice is harmless, because the tables have keys.
//
// Put never waits for a disk: one goroutine writes, one syncs, and senders read
// for themselves. A record's memory is its own until it is durable, so that a
// failed fsync costs nothing: the file is given up and what was not known to be
// durable is written again to a new one.
//
// Memory: Put takes its payload over, and Buffer gives such memory back to the
// caller. A Batch belongs to the sender until Done or Abandon.
package spool

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"tickproc/internal/clock"
	"tickproc/internal/stat"
	"tickproc/internal/vfs"
)

// Options of a Spool.
type Options struct {
	// Dir holds the spool; it is created. "" = memory alone.
	Dir string
	// FS is the disk; default the machine's.
	FS vfs.FS
	// Tables are the streams, by the index that the calls take.
	Tables []string
	// Once are tables no row of which has a later version: any of what is kept of them
	// may be sent again by itself.
	Once []int
	// DropOrder says who gives way first, as indices of Tables.
	DropOrder []int
	// MemoryBytes bounds the payloads in memory. Without a disk, or while it
	// fails, what is beyond is lost.
	MemoryBytes int64
	// MaxBytes bounds the segments on disk; beyond, first what is acknowledged
	// goes, then the oldest rows of the first table in DropOrder that has some.
	// Default 50 GB.
	MaxBytes int64
	// FreeBytes is the room that stays free on the disk for others; default the
	// smaller of 1 GB and a twentieth of the disk, negative = none. Below it the
	// spool behaves as at MaxBytes.
	FreeBytes int64
	// Space says how much of the disk is free, and how large it is; default by
	// asking the system.
	Space func() (free, size int64, err error)
	// SegmentBytes is when a new file begins; default 64 MiB, less where
	// MaxBytes is small.
	SegmentBytes int64
	// What is acknowledged is kept for Horizon (default 1 h) and up to
	// HorizonBytes (default 10 GB), whichever is less.
	Horizon      time.Duration
	HorizonBytes int64
	// SyncInterval is how old unsynced records get; default 1 s.
	SyncInterval time.Duration
	// Logger; default slog.Default().
	Logger *slog.Logger
	// Now is the wall clock in ns; default the process clock.
	Now func() int64
	// Identity names a new spool; default random.
	Identity func() uint64
}

// DefaultSyncInterval is how often acked positions are written down, at least.
const DefaultSyncInterval = time.Second

func (o *Options) ensureDefaults() {
	fill := func(x *int64, value int64) {
		if *x == 0 {
			*x = value
		}
	}
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if o.Space == nil {
		o.Space = func() (free, size int64, err error) { return vfs.Space(o.Dir) }
	}
	fill(&o.MemoryBytes, 512<<20)
	fill(&o.MaxBytes, 50e9)
	fill(&o.HorizonBytes, 10e9)
	// With two segments a table, a limit can always make room by whole files.
	fill(&o.SegmentBytes, max(min(64<<20, o.MaxBytes/int64(4*max(len(o.Tables), 1))), 4<<10))
	if o.Horizon == 0 {
		o.Horizon = time.Hour
	}
	if o.SyncInterval == 0 {
		o.SyncInterval = DefaultSyncInterval
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = clock.Nanos
	}
	if o.Identity == nil {
		o.Identity = func() uint64 {
			var text [8]byte
			_, _ = rand.Read(text[:]) // never fails
			return binary.LittleEndian.Uint64(text[:])
		}
	}
}

// Record is a batch on its way in.
type Record struct {
	Payload     []byte // whole lines
	Rows        int
	OldestNanos int64       // when its first row was written
	Marks       []ShardMark // up to where the shards' rows of this table are in it or before it
	Meta        []byte      // the caller's; comes back with a Loss
	// FirstNanos and LastNanos are the earliest and latest receive time among its
	// rows, 0 = of none. They are not on disk.
	FirstNanos, LastNanos int64
}

// Loss is rows that will never be sent.
type Loss struct {
	Table int
	// Rows is how many; -1 = unknown, because what stood there cannot be read.
	Rows int
	// Meta is the record's. Of unknown rows there are those of the records
	// before and after them, where they are known.
	Meta, Before, After []byte
	// Damaged: the disk did not give back what was written. Else there was no room.
	Damaged bool
	// From is where damaged rows lay: Told is owed for it, unless Again.
	From int64
	// Again: they had been taken before this run or were acknowledged already.
	Again bool
}

// Stats are the spool's numbers; any goroutine may read them.
type Stats struct {
	DiskBytes    stat.Gauge // of segments
	KeptBytes    stat.Gauge // of them, of segments that are acknowledged
	MemoryBytes  stat.Gauge // of payloads in memory
	Permille     stat.Gauge // of MaxBytes that are taken by what is not acknowledged
	Down         stat.Gauge // tables whose rows cannot be written to the disk now
	Syncs        stat.Counter
	SyncNanos    stat.Histogram
	SyncFails    stat.Counter
	WriteFails   stat.Counter
	ReadFails    stat.Counter
	Unprotected  stat.Counter // records whose memory was taken before they were durable
	Unkept       stat.Counter // times at which acknowledged rows ceased to be kept before they were old
	DamagedBytes stat.Counter // that could not be read back
	TornBytes    stat.Counter // cut off behind the last good record at the start
}

// Spool is a durable queue of records a table.
type Spool struct {
	Stats Stats

	o        Options
	identity uint64
	work     chan struct{} // wakes the goroutine that writes
	syncs    chan struct{} // and the one that syncs
	moved    chan struct{} // tells a waiting Close that a batch was done

	ackMu     sync.Mutex // one writes acks at a time; taken before mu
	mu        sync.Mutex // everything below; never held during I/O
	lanes     []*lane
	memBytes  int64
	diskBytes int64
	unsynced  int64 // bytes written since the last sync began
	seq       uint64
	answered  uint64
	spare     [][]byte
	losses    []Loss
	requests  []request
	garbage   []vfs.File // to be closed by the goroutine that syncs
	unlink    []string   // files to be removed by the goroutine that writes
	down      error      // the last error of the disk
	alarm     int        // tenths of the limit that were reported

	// owner: the goroutine that syncs
	acks, marks *slots
	marked      map[uint16]Mark // what marks holds
	// recovered is what Marks returns.
	recovered map[uint16]Mark
	freed     int64 // when Space was asked
	// owner: the goroutine that writes
	unkeptToldNanos int64

	cancel  context.CancelFunc
	running sync.WaitGroup
}

// lane is one table's stream. Its records are, in order: acknowledged ones that
// are kept, those that wait on disk, those that wait in memory alone.
type lane struct {
	name   string
	index  int
	segs   []*segment // in order; those that are removed are taken out first
	active *segment   // the one that grows; nil = the next record begins one
	// written is where the next record will lie, synced up to where the stream
	// is durable, cursor the acked position.
	written, synced, cursor int64
	resendEnd               int64 // before it, batches are Again
	// floor is where the first record may lie that is sent again.
	floor int64
	// untold are offsets of what is lost while no durable row says so: on the disk
	// the acked position stays before them.
	untold []int64
	once   bool // Options.Once
	// mem is the end of the stream: memWritten records that are on disk too, then
	// those that are not.
	mem         []*record
	memWritten  int
	writing     bool  // mem[memWritten] is being written
	failed      bool  // a sync failed: what is not durable is to be written again
	releasedEnd int64 // up to where memory was taken before it was durable
	hold        int   // segments may not be removed
	down        bool  // the disk does not take records: they are sent from memory
	retryNanos  int64 // when the disk is tried again
	flight      *Batch
	rows        int   // that wait
	bytes       int64 // of their payloads
	ioFails     int   // reads that failed in a row, at the cursor
	lastMeta    []byte
	note        []byte
	wake        chan struct{}
	reader      reader // owner: the lane's sender
	unmarked    bool   // control marks do not hold for it
	marks       []ShardMark
}

// record is a batch in memory.
type record struct {
	Record
	seq         uint64
	offset, end int64
	fixed       bool // it has its offset already: it is written a second time
	lent        int  // batches that use its memory
	gone        bool // from mem
}

const (
	spareMax       = 16       // buffers kept for reuse
	unsyncedMax    = 64 << 20 // bytes after which the next sync does not wait
	downRetryNanos = int64(time.Second)
	// unkeptTellNanos is how often it is told that acknowledged rows are freed.
	unkeptTellNanos = int64(time.Minute)
	freeBytesMax    = int64(1e9)
	noteMax         = 64
)

// Open opens a spool and finds out what is in it. It starts no goroutine.
func Open(o Options) (*Spool, error) {
	o.ensureDefaults()
	s := &Spool{o: o, work: make(chan struct{}, 1), syncs: make(chan struct{}, 1), moved: make(chan struct{}, 1), cancel: func() {}}
	for i, name := range o.Tables {
		s.lanes = append(s.lanes, &lane{name: name, index: i, wake: make(chan struct{}, 1), down: o.Dir == "", once: slices.Contains(o.Once, i)})
	}
	if o.Dir == "" {
		return s, nil
	}
	if err := vfs.MakeDir(o.FS, o.Dir); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	if s.o.FreeBytes == 0 {
		s.o.FreeBytes = freeBytesMax
		if _, size, err := s.o.Space(); err == nil {
			s.o.FreeBytes = min(freeBytesMax, size/20)
		}
	}
	if err := s.identify(); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	if err := s.recover(); err != nil {
		return nil, fmt.Errorf("spool %s: %w", o.Dir, err)
	}
	return s, nil
}

// identify reads the spool's identity, or makes one where nothing is yet.
func (s *Spool) identify() error {
	err := s.readIdentity()
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	name := filepath.Join(s.o.Dir, identityFile)
	entries, err := s.o.FS.List(s.o.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, _, ok := parseSegment(e.Name); ok {
			return fmt.Errorf("%s is missing beside segments: put it back, or move the directory away to begin a new spool", name)
		}
	}
	s.identity = s.o.Identity()
	text := binary.LittleEndian.AppendUint64(make([]byte, 0, 12), s.identity)
	text = binary.LittleEndian.AppendUint32(text, crc32.Checksum(text, castagnoli))
	return replaceFile(s.o.FS, name, text)
}

const identityFile = "identity"

// readIdentity wraps fs.ErrNotExist where there is none.
func (s *Spool) readIdentity() error {
	name := filepath.Join(s.o.Dir, identityFile)
	text, err := vfs.ReadFile(s.o.FS, name, 1<<10)
	if err != nil {
		return err
	}
	if len(text) != 12 || binary.LittleEndian.Uint32(text[8:]) != crc32.Checksum(text[:8], castagnoli) {
		return fmt.Errorf("%s is damaged: without it no segment can be trusted; move the directory away to begin a new spool", name)
	}
	s.identity = binary.LittleEndian.Uint64(text)
	return nil
}

// replaceFile makes content durable under a name.
func replaceFile(fsys vfs.FS, name string, content []byte) error {
	_ = fsys.Remove(name + ".new")
	f, err := fsys.Create(name + ".new")
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(name+".new", name); err != nil {
		return err
	}
	return fsys.SyncDir(dirOf(name))
}

func dirOf(name string) string { return filepath.Dir(name) }

// Start starts the goroutines that write and that sync; Close ends them.
func (s *Spool) Start() {
	if s.o.Dir == "" {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.running.Go(func() { s.writeLoop(ctx) })
	s.running.Go(func() { s.syncLoop(ctx) })
}

// WriteNow and SyncNow do what the two goroutines do when they wake, for who
// does not use Start; SyncWanted reports, once, that the second should.
func (s *Spool) WriteNow() { s.writeRound() }
func (s *Spool) SyncNow()  { _ = s.syncRound() } // an error is reported, and answered by new files

func (s *Spool) SyncWanted() bool {
	select {
	case <-s.syncs:
		return true
	default:
		return false
	}
}

// Close writes and syncs what is left, with the acked positions. The senders
// must have ended. What the disk did not take, in rows by table, and what it
// has and is not sent yet, come back.
func (s *Spool) Close() (lost, left []int) {
	s.cancel()
	s.running.Wait()
	if s.o.Dir != "" {
		for range 3 { // a file that fails is replaced, once
			s.writeRound()
			if s.syncRound() == nil {
				_ = s.writeAcks() // a loss may be told now
				break
			}
		}
	}
	s.mu.Lock()
	requests := s.requests
	s.requests = nil
	s.mu.Unlock()
	for _, r := range requests {
		r.done(errClosed) // which may ask something of the spool
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lanes {
		memory := 0
		for _, r := range l.mem[l.memWritten:] {
			if !(r.fixed && r.end <= l.cursor) {
				memory += r.Rows
			}
		}
		if l.flight != nil && l.flight.memory > 0 {
			memory -= l.flight.rows - l.flight.Rows
		}
		lost, left = append(lost, memory), append(left, l.rows-memory)
		for _, g := range l.segs {
			if g.file != nil {
				_ = g.file.Close()
				g.file = nil
			}
		}
		l.active = nil
		l.reader.close()
	}
	for _, f := range s.garbage {
		_ = f.Close()
	}
	s.garbage = nil
	if s.acks != nil {
		s.acks.close()
		s.marks.close()
	}
	return lost, left
}

// Marks returns up to where each shard's rows were in the spool when it was
// opened, those of every table. Shards that are not in it have none.
func (s *Spool) Marks() map[uint16]Mark { return maps.Clone(s.recovered) }

// Durable reports that the spool has a directory.
func (s *Spool) Durable() bool { return s.o.Dir != "" }

// Down returns why the rows of some tables cannot be written to the disk now; nil
// where all can.
func (s *Spool) Down() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lanes {
		if l.down {
			return s.down // nil without a directory
		}
	}
	return nil
}

// TakeLosses returns the losses since the last call.
func (s *Spool) TakeLosses() []Loss {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.losses
	s.losses = nil
	return l
}

// State is what waits.
type State struct {
	Bytes       int64 // of payloads that wait, on disk and in memory
	OldestNanos int64 // of the batches that senders hold, or are next in memory; 0 = none
	Answered    uint64
	Empty       bool
}

// State returns what waits now.
func (s *Spool) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := State{Answered: s.answered, Empty: true}
	for _, l := range s.lanes {
		x.Bytes += l.bytes
		x.Empty = x.Empty && !l.waitsLocked()
		oldest := int64(0)
		switch {
		case l.flight != nil:
			oldest = l.flight.OldestNanos
		case l.cursor < l.written && (l.memWritten == 0 || l.mem[0].offset > l.cursor):
			if i := slices.IndexFunc(l.segs, func(g *segment) bool { return g.end > l.cursor }); i >= 0 {
				oldest = l.segs[i].oldest // or a little younger
			}
		case l.waitsLocked():
			if i := slices.IndexFunc(l.mem, func(r *record) bool { return r.end == 0 || r.end > l.cursor }); i >= 0 {
				oldest = l.mem[i].OldestNanos
			}
		}
		if oldest != 0 && (x.OldestNanos == 0 || oldest < x.OldestNanos) {
			x.OldestNanos = oldest
		}
	}
	return x
}

// Rows returns how many rows wait, by table.
func (s *Spool) Rows() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := make([]int, len(s.lanes))
	for i, l := range s.lanes {
		rows[i] = l.rows
	}
	return rows
}

func (l *lane) waitsLocked() bool {
	return l.flight != nil || l.cursor < l.written || l.memWritten < len(l.mem)
}

// Idle reports that nothing of the table waits.
func (s *Spool) Idle(table int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.lanes[table].waitsLocked()
}

// Moved tells that a batch was done.
func (s *Spool) Moved() <-chan struct{} { return s.moved }

// Wake tells the table's sender that a batch may be there.
func (s *Spool) Wake(table int) <-chan struct{} { return s.lanes[table].wake }

// Note is kept with the table's acked position, and comes back after a restart.
func (s *Spool) Note(table int) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lanes[table].note)
}

// SetNote replaces it; it has at most 64 bytes.
func (s *Spool) SetNote(table int, note []byte) {
	if len(note) > noteMax {
		panic("BUG: note too long")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lanes[table].note = slices.Clone(note)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
