package feeds

import (
	"strconv"

	"tickproc/tick"
)

// Endpoint is an address that serves some of a venue's channels.
type Endpoint struct {
	Name     string // of its sockets: Name-0, Name-1 …
	URL      string
	Channels tick.Channels
}

// Spread plans the sockets of subscriptions, endpoint by endpoint. All
// channels of an instrument that an endpoint serves share a socket, so that
// its trades, quotes and depth are seen and lost together. streams says how
// many streams on the wire a subscription takes.
//
// As many sockets as the profile allows are opened before one gets more than
// InstrumentsPerSocket instruments, and all get equally many, so that the loss
// of any one hurts as few as can be.
func Spread(endpoints []Endpoint, p Profile, subscriptions []Subscription, streams func(Subscription) int) []Connection {
	var plan []Connection
	for _, e := range endpoints {
		var wanted []Subscription
		total, largest := 0, 1
		for _, s := range subscriptions {
			if s.Channels &= e.Channels; s.Channels != 0 {
				n := streams(s)
				wanted, total, largest = append(wanted, s), total+n, max(largest, n)
			}
		}
		if len(wanted) == 0 {
			continue
		}
		sockets := socketsFor(p, len(wanted), total, largest)
		for i := range sockets {
			part := wanted[i*len(wanted)/sockets : (i+1)*len(wanted)/sockets]
			plan = append(plan, Connection{Name: e.Name + "-" + strconv.Itoa(i), URL: e.URL, Subscriptions: part})
		}
	}
	return plan
}

// socketsFor is how many sockets serve so many instruments and streams, of
// which an instrument has at most largest.
func socketsFor(p Profile, instruments, streams, largest int) int {
	n := 1
	if p.InstrumentsPerSocket > 0 {
		n = (instruments + p.InstrumentsPerSocket - 1) / p.InstrumentsPerSocket
	}
	if p.SocketsMax > 0 {
		n = min(n, p.SocketsMax)
	}
	if p.StreamsPerSocket > 0 {
		// By the largest: an instrument is not torn over two sockets.
		fit := max(1, p.StreamsPerSocket/largest)
		n = max(n, (instruments+fit-1)/fit)
	}
	return min(n, instruments)
}
