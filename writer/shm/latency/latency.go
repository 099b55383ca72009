// Package latency measures how long it takes until another process has read what
// was published, beside the least that it can take on the machine at that moment:
// a number in a cache line of its own, which the other process waits for.
//
//	this process:  stamp ─► line ─► wait for the answer ─► stamp ─► send ─► wait for the answer ─► …
//	the other one: spins on the line, reads the clock, answers; spins on the ring, reads the clock, answers; …
//
// The two take turns, message by message, so that whatever the machine does meets
// both alike. Each figure has one reading of the clock in it on either side. Both
// processes spin on a core of their own: a machine with other work on those cores
// measures that work.
package latency

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tickproc/writer/shm/layout"
	"tickproc/writer/shm/reader"
)

// Options of a measurement.
type Options struct {
	// Dir has the shared memory that send publishes into, ring 0 of it.
	Dir string
	// Messages that count; a tenth as many go before.
	Messages int
	// Within ends it earlier, once some have counted; 0 = never.
	Within time.Duration
	// Gap is spun between two.
	Gap time.Duration
	// Cores of this goroutine and of the other process; equal = not pinned.
	Core, OtherCore int
	// Other is the other process: a program that calls Child. What Child is given
	// is appended to its arguments.
	Other *exec.Cmd
}

// Result is in ns, from small to large.
type Result struct{ Line, Ring []int64 }

// page is what the two share beside the ring; words lie in lines of their own.
type page struct {
	_      [8]uint64
	stamp  uint64
	_      [15]uint64
	answer uint64
	_      [15]uint64
}

const pageName = "latency"

func mapPage(dir string, flags int) (*page, func(), error) {
	f, err := os.OpenFile(filepath.Join(dir, pageName), os.O_RDWR|flags, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	size := int(unsafe.Sizeof(page{}))
	if err := f.Truncate(int64(size)); err != nil {
		return nil, nil, err
	}
	memory, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, err
	}
	return (*page)(unsafe.Pointer(&memory[0])), func() { unix.Munmap(memory) }, nil
}

// errAlone: the other process says nothing.
var errAlone = errors.New("the other process does not answer")

// over is the stamp that ends it.
const over = ^uint64(0)

// patience is how long either waits for the other.
const patience = 20 * time.Second

// await spins until a word is another, and returns it; not once the other process
// has ended.
func await(word *uint64, was uint64, ended <-chan struct{}) (uint64, error) {
	var from time.Time
	for n := 1; ; n++ {
		if v := atomic.LoadUint64(word); v != was {
			return v, nil
		}
		if n%(1<<20) != 0 {
			continue
		}
		if from.IsZero() {
			from = time.Now()
		}
		select {
		case <-ended:
			return was, errAlone
		default:
		}
		if time.Since(from) > patience {
			return was, errAlone
		}
	}
}

// Now is what stamps are of: a clock that all processes share, in ns.
func Now() int64 { return time.Now().UnixNano() }

// Measure has send called for each message, with the time that it must bear as
// its receive time; another of its own is as good, if it begins later. It must
// publish exactly one trade or change of a book. What else comes with it is passed
// over.
func Measure(o Options, send func(stamp int64)) (r Result, err error) {
	p, unmap, err := mapPage(o.Dir, os.O_CREATE)
	if err != nil {
		return r, err
	}
	defer unmap()
	defer os.Remove(filepath.Join(o.Dir, pageName))
	atomic.StoreUint64(&p.stamp, 0)
	atomic.StoreUint64(&p.answer, 0)
	warmUp := o.Messages / 10
	core := -1
	if o.Core != o.OtherCore {
		core = o.OtherCore
	}
	o.Other.Args = append(o.Other.Args, o.Dir, fmt.Sprint(warmUp+o.Messages), fmt.Sprint(core))
	var out, complaint bytes.Buffer
	o.Other.Stdout, o.Other.Stderr = &out, &complaint
	if err := o.Other.Start(); err != nil {
		return r, err
	}
	ended := make(chan struct{})
	var exit error
	go func() {
		exit = o.Other.Wait()
		close(ended)
	}()
	defer func() {
		if err != nil {
			o.Other.Process.Kill()
			<-ended
			err = fmt.Errorf("%w (%v): %s", err, exit, complaint.String())
		}
	}()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if core >= 0 {
		defer pin(o.Core)()
	}
	answered, err := await(&p.answer, 0, ended) // it is ready
	end := Now() + int64(o.Within)
	for n := 0; err == nil && n < warmUp+o.Messages; n++ {
		if o.Within > 0 && n > warmUp+o.Messages/20 && Now() > end {
			atomic.StoreUint64(&p.stamp, over)
			break
		}
		spin(o.Gap)
		atomic.StoreUint64(&p.stamp, uint64(Now()))
		if answered, err = await(&p.answer, answered, ended); err != nil {
			break
		}
		spin(o.Gap)
		send(Now())
		answered, err = await(&p.answer, answered, ended)
	}
	if err != nil {
		return r, err
	}
	if <-ended; exit != nil {
		return r, fmt.Errorf("the other process: %w", exit)
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return r, err
	}
	for _, all := range []*[]int64{&r.Line, &r.Ring} {
		*all = (*all)[min(warmUp, len(*all)):]
		slices.Sort(*all)
	}
	return r, nil
}

func spin(d time.Duration) {
	for from := time.Now(); d > 0 && time.Since(from) < d; {
	}
}

// counts reports whether a message is of a packet, and not what a timer said.
func counts(m *reader.Message) bool {
	return m.Kind() == layout.KindTrade || m.Kind() == layout.KindDepth
}

// Child is the other process. It is given the last three arguments, and prints
// what Measure reads.
func Child(arguments []string) error {
	if len(arguments) != 3 {
		return errors.New("latency: DIR MESSAGES CORE")
	}
	var messages, core int
	if _, err := fmt.Sscan(arguments[1]+" "+arguments[2], &messages, &core); err != nil {
		return err
	}
	from, err := reader.Open(arguments[0])
	if err != nil {
		return err
	}
	defer from.Close()
	p, unmap, err := mapPage(arguments[0], 0)
	if err != nil {
		return err
	}
	defer unmap()
	runtime.LockOSThread()
	if core >= 0 {
		pin(core)
	}
	debug.SetGCPercent(-1)
	r := Result{Line: make([]int64, messages), Ring: make([]int64, messages)}
	clear(r.Line)
	clear(r.Ring)
	ring := from.Ring(0)
	var m reader.Message
	answer := uint64(1)
	atomic.StoreUint64(&p.answer, answer)
	last, stamp := int64(0), uint64(0)
	for n := range messages {
		if stamp, err = await(&p.stamp, stamp, nil); err != nil {
			return err
		}
		if stamp == over {
			r.Line, r.Ring = r.Line[:n], r.Ring[:n]
			break
		}
		r.Line[n] = Now() - int64(stamp)
		answer++
		atomic.StoreUint64(&p.answer, answer)
		for tries := 1; ; tries++ {
			if ring.Next(&m) && counts(&m) && m.ReceiveNanos() != last {
				break
			}
			if tries%(1<<22) == 0 && from.AliveAt(time.Now().Add(-patience)) != nil {
				return errAlone
			}
		}
		r.Ring[n] = Now() - m.ReceiveNanos()
		last = m.ReceiveNanos()
		answer++
		atomic.StoreUint64(&p.answer, answer)
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}
