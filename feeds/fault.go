package feeds

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Fault names what can be wrong with what a venue sends. Each is counted.
type Fault uint8

const (
	FaultMalformed      Fault = iota // not what the venue documents
	FaultUnknownMessage              // well-formed, of a kind we do not know
	FaultUnknownSymbol               // data about a symbol nobody subscribed
	FaultRange                       // a number that no usable scale holds
	FaultOversized                   // a frame or body beyond the limit
	FaultCount          = 5
)

var faultNames = [FaultCount]string{"malformed", "unknown_message", "unknown_symbol", "range", "oversized"}

func (f Fault) String() string { return faultNames[f] }

// errOversized says that a frame or body exceeded its limit.
var errOversized = errors.New("larger than the limit")

// faultOf classifies an error of Decode or DecodeREST. Errors without a
// sentinel count as malformed: they come from reading the bytes.
func faultOf(err error) Fault {
	switch {
	case errors.Is(err, errOversized):
		return FaultOversized
	case errors.Is(err, ErrUnknownMessage):
		return FaultUnknownMessage
	case errors.Is(err, ErrUnknownSymbol):
		return FaultUnknownSymbol
	case errors.Is(err, ErrNumberRange):
		return FaultRange
	}
	return FaultMalformed
}

// logEvery bounds how often a line logs one kind of trouble.
const logEvery = int64(10 * time.Second)

// trouble logs a line's recurring troubles at a bounded rate: a venue that
// sends garbage must not fill the disk. Kinds below FaultCount are faults.
// owner: the line's goroutine.
type trouble struct {
	log        *slog.Logger
	last       [troubleCount]int64 // 0 = never
	suppressed [troubleCount]uint64
}

// Troubles beside the faults.
const (
	troubleDial = FaultCount + iota
	troubleLost
	troubleRefused
	troubleREST
	troubleThrottled
	troubleGap
	troubleMaintenance
	troubleCount
)

// warn logs unless the same kind was logged less than logEvery ago.
func (t *trouble) warn(kind int, now int64, message string, args ...any) {
	if t.last[kind] != 0 && now-t.last[kind] < logEvery {
		t.suppressed[kind]++
		return
	}
	if n := t.suppressed[kind]; n > 0 {
		args = append(args, "suppressed", n)
	}
	t.last[kind], t.suppressed[kind] = now, 0
	t.log.Warn(message, args...)
}

// excerpt is the head of a frame for a log line.
func excerpt(b []byte) string {
	const limit = 200
	if len(b) > limit {
		return fmt.Sprintf("%.*q… (%d bytes)", limit, b[:limit], len(b))
	}
	return fmt.Sprintf("%q", b)
}
