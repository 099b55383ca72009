package main

import (
	"bytes"
	"syscall"

	"tickproc/bench"
)

// recordings are the recorded sessions, each of one symbol.
var recordings = []struct{ venue, file string }{
	{"binance-spot", "binance-spot-btcusdt-20240808.gz"},
	{"binance-usdm", "binance-usdm-btcusdt-20240808.gz"},
	{"binance-coinm", "binance-coinm-btcusd_perp-20240808.gz"},
}

// lap takes all frames of a session: where a stack has two halves, on two
// goroutines with a channel between them. Snapshots are left out: books are those
// of the deltas alone. It returns how many frames were of each stream.
func (x *stack) lap(session *bench.Session) (took map[string]int, err error) {
	took = map[string]int{}
	messages, done := make(chan any, 1024), make(chan struct{})
	go func() {
		defer close(done)
		for m := range messages {
			x.take(m)
		}
	}()
	for i := range session.Records {
		r := &session.Records[i]
		stream := streamOf(r.Payload)
		switch {
		case r.URL != "" || stream == "":
			continue
		case x.decode != nil:
			var m any
			if m, err = x.decode(r.Payload, stream); err == nil {
				messages <- m
			}
		case stream == "depth":
			err = x.depth(r.Payload, true)
		case stream == "trade":
			err = x.trade(r.Payload, true)
		default:
			err = x.quote(r.Payload)
		}
		if err != nil {
			break
		}
		took[stream]++
	}
	close(messages)
	<-done
	return took, err
}

// streamOf is what a frame of a combined stream is about; "" for others.
func streamOf(frame []byte) string {
	head := frame[:min(len(frame), 64)]
	for _, stream := range []string{"depth", "trade", "bookTicker"} {
		if bytes.Contains(head, []byte("@"+stream)) {
			return stream
		}
	}
	return ""
}

// processorTime is that of all threads, in ns.
func processorTime() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic("BUG: getrusage: " + err.Error())
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
