package feeds

import (
	"tickproc/internal/stat"
	"tickproc/tick"
)

// LineLatency is what a line measures of its packets, by class. The line's
// goroutine counts, any may read.
type LineLatency struct {
	// Decode is the receive time → the packets are visible in their ring: decoding,
	// and what the frames of the same read wait for one another.
	Decode [tick.ClassCount]stat.Latency
	// OneWay is the venue's time → ours, by the clock of each; below zero where
	// they differ by more than it takes.
	OneWay [tick.ClassCount]stat.Signed
	// Socket is the kernel's receive stamp → the frame is complete here. Empty
	// without kernel stamps.
	Socket stat.Latency
}

// NewLineLatency returns one whose pages are mapped.
func NewLineLatency() *LineLatency {
	l := &LineLatency{}
	for c := range l.Decode {
		l.Decode[c].Touch()
		l.OneWay[c].Touch()
	}
	l.Socket.Touch()
	return l
}

// runsMax bounds what is remembered between two flushes: a burst of more frames
// is published in parts.
const runsMax = 1024

// run is packets of one class and one frame that were written and are not
// visible yet.
type run struct {
	receive, exchange int64
	n                 uint32
	class             tick.Class
	oneWay            bool
}

// latencyNotes are the runs of an Output. owner: the line's goroutine.
type latencyNotes struct {
	into *LineLatency // nil = nothing is measured
	now  func() int64
	runs []run
}

// note remembers a packet.
//
// hot: per packet, 0 allocs.
func (l *latencyNotes) note(h *tick.Header) {
	class := h.Kind.Class()
	if class == tick.ClassNone {
		return
	}
	if i := len(l.runs) - 1; i >= 0 {
		if r := &l.runs[i]; r.receive == h.ReceiveNanos && r.exchange == h.ExchangeNanos && r.class == class {
			r.n++
			return
		}
	}
	l.runs = append(l.runs, run{receive: h.ReceiveNanos, exchange: h.ExchangeNanos, n: 1, class: class,
		// What is told on subscribing or by REST is of the past.
		oneWay: h.ExchangeNanos != 0 && h.Flags&(tick.FlagBackfill|tick.FlagFetched) == 0 && h.Kind != tick.KindSnapshot})
}

func (l *latencyNotes) full() bool { return len(l.runs) == cap(l.runs) }

// published counts what was remembered and is visible now, by one look at the
// clock.
//
// hot: per read, 0 allocs.
func (l *latencyNotes) published() {
	if len(l.runs) == 0 {
		return
	}
	now := l.now()
	for i := range l.runs {
		r := &l.runs[i]
		l.into.Decode[r.class].ObserveAlone(now-r.receive, uint64(r.n))
		if r.oneWay {
			l.into.OneWay[r.class].ObserveAlone(r.receive-r.exchange, uint64(r.n))
		}
	}
	l.runs = l.runs[:0]
}
