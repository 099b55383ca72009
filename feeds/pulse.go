package feeds

import "time"

const (
	// pulseFrames is how many frames of market data make a past to judge by.
	pulseFrames = 100
	// pulseFloor is the least pause of market data that ends a socket.
	pulseFloor = 10 * time.Second
	// pulseCap bounds what false alarms teach.
	pulseCap = 10 * time.Minute
	// pulseFactor times the longest pause that ended by itself is no alarm.
	pulseFactor = 3
)

// pulse judges by a line's past how long its market data may pause before the
// socket is thought dead, though the venue still answers pings: a socket that
// lost its subscriptions is silent for ever, and nothing else tells.
// owner: the connection's reading goroutine.
type pulse struct {
	frames   int   // of market data, up to pulseFrames
	longest  int64 // pause that data ended
	patience int64
}

// beat notes that data came after a pause.
func (p *pulse) beat(pause int64) {
	p.frames = min(p.frames+1, pulseFrames)
	p.longest = max(p.longest, pause)
	p.patience = max(p.patience, int64(pulseFloor))
}

// ended notes that a socket was given up for want of data, or ended otherwise.
// What is quiet by nature is disturbed less and less.
func (p *pulse) ended(quiet bool) {
	if quiet {
		p.patience = min(2*p.patience, int64(pulseCap))
	} else {
		p.patience = max(p.patience/2, int64(pulseFloor))
	}
}

// limit is how long data may pause, in ns; 0 = for ever, while
// too little is known.
func (p *pulse) limit() int64 {
	if p.frames < pulseFrames {
		return 0
	}
	return max(p.patience, min(pulseFactor*p.longest, int64(pulseCap)))
}
