package feeds

import (
	"tickproc/internal/stat"
	"tickproc/tick"
)

// LineState says what a line is doing.
type LineState uint8

const (
	LineConnecting LineState = iota // not connected: dialling, or waiting to
	LineUp                          // connected
	LineDown                        // lost; LineStats.Reason says why
	LineStopped                     // Run has ended
	LineIdle                        // the bridge, while nobody needs it
)

func (s LineState) String() string {
	return [...]string{"connecting", "up", "down", "stopped", "idle"}[s]
}

// LineStats are the numbers of one line. Any goroutine may read them.
type LineStats struct {
	Line uint16
	Name string // the connection's, or "rest"

	Frames         stat.Counter             // frames or REST bodies read
	Bytes          stat.Counter             // their bytes, inflated
	Faults         [FaultCount]stat.Counter // by Fault
	LastFrameNanos stat.Gauge               // receive time of the last frame, 0 = none

	// Unpinned is 1 where the reading thread has not the core that it was to have.
	Unpinned stat.Gauge
	// Received says whose clock the last frame's receive time is of, a ReceiveSource.
	Received stat.Gauge
	// KernelStamps: the kernel is asked for its stamps.
	KernelStamps bool
	Stamps       StampStats

	// Of connections.
	Connects     stat.Counter // sockets opened
	DialFailures stat.Counter
	Lost         stat.Counter // sockets that ended, for any reason but a stop
	Refused      stat.Counter // subscription requests that the venue refused
	FrameGaps    stat.Counter // jumps in the venue's count of a socket's frames
	Streams      []StreamStats

	// Of the REST worker.
	Requests  stat.Counter
	Retries   stat.Counter // requests that follow a failed one about the same instrument
	Throttled stat.Counter // answers 429 and 418
	Failures  stat.Counter // all other answers without a usable snapshot, and none at all
	// Backfills counts the gaps whose trades were asked for, BackfillsWhole those
	// of which the venue gave all that it has.
	Backfills, BackfillsWhole stat.Counter

	Output *OutputStats
	// Recorded and RecordDropped count lines of the capture; zero without a recorder.
	Recorder *LineRecorderStats

	state stat.Gauge // LineState<<8 | tick.Reason
}

// ReceiveSource says who stamped a frame.
type ReceiveSource uint8

const (
	ReceivedUser   ReceiveSource = iota // this process, when the frame was complete
	ReceivedKernel                      // the kernel, when its last bytes arrived
)

func (s ReceiveSource) String() string { return [...]string{"user", "kernel"}[s] }

// StreamStats are the numbers of one stream of a connection.
type StreamStats struct {
	Instrument uint32
	Symbol     string
	Channel    tick.Channels // exactly one
	LastNanos  stat.Gauge    // receive time of its last packet, 0 = none
	Up         stat.Gauge    // 1 while the venue delivers it
	UpNanos    stat.Gauge    // when it was last found to
	// Of the present socket: receive time of its first packet (0 = none), and, where
	// the venue numbers messages the same on every socket, the id that its first
	// follows and that of its last.
	FirstNanos, JoinID, LastID stat.Gauge
}

// State returns what the line does, and why if it is down.
func (s *LineStats) State() (LineState, tick.Reason) {
	v := s.state.Load()
	return LineState(v >> 8), tick.Reason(v)
}

func (s *LineStats) setState(state LineState, reason tick.Reason) {
	s.state.Set(int64(state)<<8 | int64(reason))
}
