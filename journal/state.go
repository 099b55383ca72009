package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
)

// State is how a log is doing.
type State uint8

const (
	// Healthy: what is appended reaches the disk.
	Healthy State = iota
	// Behind: more than half of the ring waits for the disk.
	Behind
	// Full: the disk is full. The reserve takes what is still appended.
	Full
	// Failed: the disk refuses for another reason; it is tried again.
	Failed
)

func (s State) String() string {
	switch s {
	case Healthy:
		return "healthy"
	case Behind:
		return "behind"
	case Full:
		return "full"
	case Failed:
		return "failed"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// Refuses reports that nothing should be appended that can be avoided. It is so
// until there is room for a reserve and a segment, the disk has taken something,
// and little waits for it: whoever stops for it does not stop and go.
func (s State) Refuses() bool { return s == Full || s == Failed }

// Status is a state and why.
type Status struct {
	State  State
	Reason string // empty when healthy
}

// Status returns the present state. Any goroutine may ask.
func (l *Log) Status() Status { return *l.status.Load() }

// tell publishes a state where it changed.
func (l *Log) tell(s Status) {
	if *l.status.Load() == s {
		return
	}
	l.status.Store(&s)
	if l.o.OnState != nil {
		l.o.OnState(s)
	}
}

// judge derives the state from what the drainer knows.
func (l *Log) judge() {
	d := &l.drainer
	waiting := l.appended.Load() - l.synced.Load()
	some, much := waiting > uint64(len(l.units))/4, waiting > uint64(len(l.units))/2
	before := l.Status().State
	switch {
	case d.cause != nil && !isFull(d.cause):
		l.tell(Status{Failed, plain(d.cause)})
	case d.cause != nil:
		l.tell(Status{Full, "the disk is full and so is the reserve, nothing more can be written: make room: " + plain(d.cause)})
	case d.full:
		l.tell(Status{Full, "the disk is full, the log writes its reserve: make room"})
	case before.Refuses() && (some || d.failed):
		l.tell(Status{before, "the disk works again, and has not yet taken what waits"})
	case much || some && before == Behind:
		l.tell(Status{Behind, "the disk takes less than is appended"})
	default:
		l.tell(Status{})
	}
}

// isFull: there is no room, which may come back.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// plain is an error without the name of the file, which is another one at each
// try: equal troubles are told once.
func plain(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Sprintf("%s in %s: %s", p.Op, filepath.Dir(p.Path), p.Err)
	}
	return err.Error()
}
