package feeds

import (
	"context"
	"time"

	"tickproc/tick"
)

// Make before break: ahead of a planned end of its socket a connection asks
// the feed's bridge to stand in for it.
//
//	connection ──────────────╴ planned end      ╶──────────────── new socket
//	bridge           ╶── same streams, synchronised ──────╴
//	                     └ covers: tells it to close  └ covered: closes
//
// Both deliver the same streams for a while, and the shards merge lines by the
// venue's ids, so that nothing is missing on either side of the change.

// bridge is the line that stands in, for one connection at a time.
type bridge struct {
	line  *connection
	asked chan *connection
}

const bridgeLineName = "bridge"

// bridgeQueue bounds the connections that wait for the bridge; others part
// without it.
const bridgeQueue = 256

func (f *Feed) newBridge(carried []*tick.Instrument) *bridge {
	return &bridge{line: f.newConnection(LineInfo{Name: bridgeLineName, Instruments: carried, Any: true}), asked: make(chan *connection, bridgeQueue)}
}

// ask wants the bridge for c; false if it is not to be had.
func (b *bridge) ask(c *connection) bool {
	if b == nil {
		return false
	}
	select {
	case b.asked <- c:
		return true
	default:
		return false
	}
}

// run stands in for one connection after the other until ctx ends.
func (b *bridge) run(ctx context.Context) {
	defer b.line.stats.setState(LineStopped, tick.ReasonStopped)
	defer b.line.out.Close()
	for {
		b.line.stats.setState(LineIdle, tick.ReasonNone)
		select {
		case <-ctx.Done():
			return
		case c := <-b.asked:
			once, done := b.line.hold.until(ctx)
			b.cover(once, c)
			done()
		}
	}
}

// cover stands in for c until its new socket delivers, or for as long as that
// may take. A bridge that fails is not tried again: c then parts as if there
// were none.
func (b *bridge) cover(ctx context.Context, c *connection) {
	for _, in := range carriedBy(c.plan) {
		if b.line.table.Known([]byte(in.Symbol)) == nil {
			b.line.table.Add(&Entry{Symbol: in.Symbol, ID: in.ID, PriceDigits: in.PriceDigits, SizeDigits: in.SizeDigits})
		}
	}
	b.line.carry(c.plan, c.url)
	b.line.handover = &handover{from: c, socket: c.stats.Connects.Load()}
	defer func() { b.line.handover = nil }()
	if b.line.connects.Wait(ctx) != nil {
		return
	}
	s, _, err := dialSocket(ctx, b.line.options, b.line.url, b.line.reading, b.line.out)
	if err != nil {
		b.line.stats.DialFailures.Add(1)
		b.line.trouble.warn(troubleDial, b.line.options.Now(), "cannot connect to stand in for another connection", "for", c.plan.Name, "error", err)
		return
	}
	reason, err := b.line.serve(ctx, s)
	if reason != tick.ReasonReconnect && !(ctx.Err() != nil && reason == endedBy(ctx)) {
		b.line.stats.Lost.Add(1)
		b.line.trouble.warn(troubleLost, b.line.options.Now(), "connection ended while it stood in for another", "for", c.plan.Name, "reason", reason.String(), "error", err)
	}
}

// handover is what a bridge is doing. owner: its talking goroutine.
type handover struct {
	from     *connection
	socket   uint64 // of from, when it asked, as a count of its sockets
	covering bool   // from was told to close
	since    int64  // when the bridge's socket was open
}

const (
	// handoverEvery is how often the two are compared.
	handoverEvery = 20 * time.Millisecond
	// handoverMax ends a stand-in that nobody relieves.
	handoverMax = 2 * time.Minute
	// quietCover is how long a stream must be quiet on both sockets to be taken
	// for quiet, rather than late on one.
	quietCover = 3 * time.Second
)

// step compares the bridge's streams with those it stands in for, and reports
// whether it may close.
func (h *handover) step(bridge *session, now int64, log func(message string, args ...any)) (done bool) {
	if h.since == 0 {
		h.since = now
	}
	from := h.from
	overlap := int64(from.options.Overlap)
	renewed := from.stats.Connects.Load() > h.socket
	if !h.covering && !renewed {
		if joined, quiet, ok := covers(bridge, from.session, now, overlap); ok {
			h.covering = true
			log("handover: the second connection delivers all streams", "of", from.plan.Name,
				"joined_by_id", joined, "quiet", quiet, "after", time.Duration(now-h.since).Round(time.Millisecond))
			select {
			case from.covered <- struct{}{}:
			default:
			}
		}
	}
	if renewed {
		if joined, quiet, ok := covers(from.session, bridge, now, overlap); ok {
			log("handover: complete, the new connection delivers all streams", "of", from.plan.Name, "joined_by_id", joined, "quiet", quiet,
				"after", time.Duration(now-h.since).Round(time.Millisecond))
			return true
		}
	}
	return now-h.since >= int64(handoverMax)
}

// covers reports whether all that y delivers comes by x as well, without a
// hole between what y delivered last and what x delivered first, and has for
// the overlap: where no ids tell a loss, a shard trusts a line only after some
// time. Both are sessions of the same plan; joined counts the streams where ids
// prove it. Only their statistics are read, so that any goroutine may call it.
func covers(x, y *session, now, overlap int64) (joined, quiet int, ok bool) {
	for i := range x.streams {
		sx, sy := x.streams[i].stats, y.streams[i].stats
		switch first := sx.FirstNanos.Load(); {
		case sy.Up.Load() == 0:
			// Nothing to take over.
		case sx.Up.Load() == 0, now-sx.UpNanos.Load() < overlap:
			return 0, 0, false
		case first == 0:
			up := sx.UpNanos.Load()
			if now-up < int64(quietCover) || sy.LastNanos.Load() > up {
				return 0, 0, false
			}
			quiet++
		case x.streams[i].hasIDs():
			if uint64(sy.LastID.Load()) < uint64(sx.JoinID.Load()) {
				return 0, 0, false
			}
			joined++
		case sy.LastNanos.Load() < first && now-first < int64(time.Second):
			return 0, 0, false
		}
	}
	return joined, quiet, true
}
