package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"syscall"

	"tickproc/bench"
)

// recordings are the recorded sessions, each of one symbol.
var recordings = []struct{ venue, file string }{
	{"binance-spot", "binance-spot-btcusdt-20240808.gz"},
	{"binance-usdm", "binance-usdm-btcusdt-20240808.gz"},
	{"binance-coinm", "binance-coinm-btcusd_perp-20240808.gz"},
}

// sessionLines go round recorded sessions; a sample is the processor time of a
// lap, as in ours. Snapshots are left out: books are those of the deltas alone.
func sessionLines(data string) (all []bench.Measurement) {
	if data == "" {
		return nil
	}
	for _, recorded := range recordings {
		for i, x := range stacks() {
			all = append(all, against("session/recorded/"+recorded.venue, x.name, 0, func(r *bench.Run, s *bench.Sample) error {
				session, err := r.Recorded(filepath.Join(data, "captures", recorded.file), recorded.venue)
				if err != nil {
					return err
				}
				x := stacks()[i]
				if err := x.lap(session); err != nil { // books fill
					return fmt.Errorf("BUG: %s refuses a recorded frame: %w", x.name, err)
				}
				s.Batch = session.Frames
				r.Laps(func() {
					from := processorTime()
					x.lap(session)
					s.Add(processorTime()-from, session.Frames)
				})
				return nil
			}))
		}
	}
	return all
}

// lap takes all frames of a session.
func (x *stack) lap(session *bench.Session) error {
	for i := range session.Records {
		r := &session.Records[i]
		if r.URL != "" {
			continue
		}
		var err error
		switch head := r.Payload[:min(len(r.Payload), 64)]; {
		case bytes.Contains(head, []byte("@depth")):
			err = x.depth(r.Payload, true)
		case bytes.Contains(head, []byte("@trade")):
			err = x.trade(r.Payload, true)
		case bytes.Contains(head, []byte("@bookTicker")):
			err = x.quote(r.Payload)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// processorTime is that of all threads, in ns.
func processorTime() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic("BUG: getrusage: " + err.Error())
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
