package indicators

import (
	"encoding/binary"
	"errors"

	"tickproc/tick"
)

// errState: the bytes are no state of this indicator. Recovery then takes an
// older snapshot or starts empty.
var errState = errors.New("state is damaged or of another configuration")

func appendInt(dst []byte, v int64) []byte { return binary.LittleEndian.AppendUint64(dst, uint64(v)) }

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendUint32(dst []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(dst, v) }

func appendInt128(dst []byte, v tick.Int128) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(dst, v.Lo), uint64(v.Hi))
}

func appendSums(dst []byte, s *sums) []byte {
	return binary.LittleEndian.AppendUint64(appendInt128(appendInt128(dst, s.volume), s.notional), s.trades)
}

// stateReader reads what the appenders wrote. Behind the end it gives zeros
// and remembers that it failed, so that callers check once.
type stateReader struct {
	src    []byte
	failed bool
}

func (r *stateReader) take(n int) []byte {
	if len(r.src) < n {
		r.failed = true
		r.src = nil
		return nil
	}
	p := r.src[:n]
	r.src = r.src[n:]
	return p
}

func (r *stateReader) uint() uint64 {
	if p := r.take(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

func (r *stateReader) int() int64 { return int64(r.uint()) }

func (r *stateReader) uint32() uint32 {
	if p := r.take(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

func (r *stateReader) bool() bool {
	p := r.take(1)
	r.require(p != nil && p[0] <= 1)
	return p != nil && p[0] == 1
}

func (r *stateReader) int128() tick.Int128 {
	lo := r.uint()
	return tick.Int128{Lo: lo, Hi: r.int()}
}

func (r *stateReader) sums() sums {
	return sums{volume: r.int128(), notional: r.int128(), trades: r.uint()}
}

// count reads a number of records of size bytes each. More than the bytes hold
// is damage, seen before anything is built from it.
func (r *stateReader) count(size int) int {
	n := r.uint()
	r.require(n <= uint64(len(r.src)/size))
	if r.failed {
		return 0
	}
	return int(n)
}

func (r *stateReader) require(ok bool) { r.failed = r.failed || !ok }
