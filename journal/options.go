package journal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"tickproc/internal/clock"
	"tickproc/internal/vfs"
)

// Policy says what Open does about damage in the middle of a log.
type Policy uint8

const (
	// Refuse: Open fails and changes nothing.
	Refuse Policy = iota
	// Skip: Open reports the damage and reads on behind it.
	Skip
)

// Options say where a log is and what it may take. The zero value of each field
// but Dir is its default.
type Options struct {
	Dir   string // where segments lie; may be shared by shards
	Shard int    // 0 … 65535

	// RingBytes is the size of the part in memory: what may be appended while
	// the disk stands still. A power of two of at least 4096; default 16 MiB.
	RingBytes int64
	// RingDir is where the part in memory lies, on tmpfs. Default: a folder in
	// /dev/shm named after Dir. Without a tmpfs there the ring lies on disk.
	RingDir string
	// RingOnDisk puts the ring into an ordinary file in Dir, which costs at
	// least two system calls a batch.
	RingOnDisk bool

	// SegmentBytes is the size of a segment file, allocated ahead; default 64 MiB.
	SegmentBytes int64
	// ReserveBytes is the size of the file that becomes the last segment when
	// the disk is full; default 8 MiB.
	ReserveBytes int64

	SyncEvery time.Duration // what a power cut may take; default 20 ms
	// RetryEvery is how often a full or failing disk is tried again; default 1 s.
	RetryEvery time.Duration

	// Segments that no kept snapshot needs (Retain) are removed when all
	// together are larger than RetainBytes or they are older than RetainAge.
	// Both zero: at once.
	RetainBytes int64
	RetainAge   time.Duration

	OnDamage Policy
	// Expect is the log that the caller has something of, a snapshot: Open changes
	// nothing of another one, and returns an error that wraps ErrAnotherLog. 0:
	// whatever is there.
	Expect Identity
	// From is the position that recovery will read from, that of the snapshot:
	// Open does not look at older segments. 0: it looks at all.
	From uint64

	FS     vfs.FS // default the machine's
	Memory Memory // default by RingDir and RingOnDisk
	// Now gives the time in ns since the epoch; default internal/clock.
	Now func() int64
	// NewIdentity names a new log; default random.
	NewIdentity func() Identity
	// OnState is told each change of state, on the drainer's goroutine.
	OnState func(Status)
}

// smallestRing is one page: fewer units than one could not take a batch worth
// the name.
const smallestRing = 4096

// EnsureDefaults fills what is zero.
func (o *Options) EnsureDefaults() {
	if o.RingBytes == 0 {
		o.RingBytes = 16 << 20
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 64 << 20
	}
	if o.ReserveBytes == 0 {
		o.ReserveBytes = 8 << 20
	}
	if o.SyncEvery == 0 {
		o.SyncEvery = 20 * time.Millisecond
	}
	if o.RetryEvery == 0 {
		o.RetryEvery = time.Second
	}
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if o.Now == nil {
		o.Now = clock.Nanos
	}
	if o.NewIdentity == nil {
		o.NewIdentity = randomIdentity
	}
}

// Validate returns every fault at once. Call it after EnsureDefaults.
func (o *Options) Validate() error {
	var all []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			all = append(all, fmt.Errorf("journal: "+format, args...))
		}
	}
	wrong(o.Dir == "", "a directory is needed")
	wrong(o.Shard < 0 || o.Shard > 1<<16-1, "shard %d is not in 0 … 65535", o.Shard)
	wrong(o.RingBytes < smallestRing || o.RingBytes&(o.RingBytes-1) != 0, "ring_bytes %d is not a power of two of at least %d", o.RingBytes, smallestRing)
	least := LeastSegment(o.RingBytes)
	wrong(o.SegmentBytes < least, "segment_bytes %d cannot hold a batch: at least %d", o.SegmentBytes, least)
	wrong(o.ReserveBytes < least, "reserve_bytes %d cannot hold a batch: at least %d", o.ReserveBytes, least)
	wrong(o.SegmentBytes%unitBytes != 0 || o.ReserveBytes%unitBytes != 0, "segment_bytes and reserve_bytes must be multiples of %d", unitBytes)
	wrong(o.SyncEvery < 0 || o.RetryEvery < 0, "sync_every and retry_every must not be negative")
	wrong(o.RetainBytes < 0 || o.RetainAge < 0, "retain_bytes and retain_age must not be negative")
	return errors.Join(all...)
}

// LeastSegment is how small segment and reserve may be beside a ring of so many
// bytes: they must hold its largest batch.
func LeastSegment(ringBytes int64) int64 {
	o := Options{RingBytes: ringBytes}
	return int64(o.maxBatch()+2) * unitBytes
}

// maxBatch is the largest batch in units: a quarter of the ring, so that one
// can be appended while the one before is on its way to the disk.
func (o *Options) maxBatch() int {
	return int(min(o.RingBytes/unitBytes/4, MaxBatchUnits))
}

func randomIdentity() Identity {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return Identity(binary.LittleEndian.Uint64(b[:]))
}
