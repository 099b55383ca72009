package pipeline

import (
	"context"
	"errors"
	"slices"

	"tickproc/engine"
	"tickproc/journal"
	"tickproc/ringbuf"
	"tickproc/tick"
)

// reshard runs one shard again. The log gives the order and all that is no
// frame's; each frame's packets are those that are decoded now, at the place of
// the first that was logged. A frame of which nothing was logged goes ahead of
// the first packet that was received after it.
// owner: one goroutine.
type reshard struct {
	of     *reprocess
	number int
	log    *journal.View
	at     uint64 // position of the batch in which the period begins …
	skip   int    // … behind so many units
	logged map[lineRun]*loggedLine
	frames chan []frame // by receive time
	period period
	driver *engine.Driver // what is made now
	was    *engine.Shard  // what was made: the packets as they were logged

	run     int64                    // the process whose packets are at hand
	pulled  int64                    // frames received before are here
	ended   bool                     // no more will come
	pending map[lineRun]*pendingLine // frames that wait for their place
	extra   []frame                  // of which nothing was logged, by receive time
	// asked are the epochs of the books that were asked for last, by instrument.
	asked, askedBefore map[uint32]uint64

	settler               settler
	now, before           rowDigest
	replaced, kept, added uint64
	err                   error
}

type pendingLine struct {
	queue   []frame
	ordinal uint64 // of the frame at hand
	keep    bool   // it is not captured: its packets stand
}

// begin brings both shards to the beginning of the period.
func (x *reshard) begin(ctx context.Context) error {
	if err := x.driver.Introduce(); err != nil {
		return err
	}
	apply := func(packets []tick.Unit) {
		x.driver.Recover(packets, 0, false)
		x.was.Apply(packets)
		x.was.TakeRows()
		x.was.TakeCommands()
	}
	p := x.period
	err := x.log.Read(x.at, func(position uint64, batch []tick.Unit) error {
		ahead, _ := p.cut(batch)
		apply(ahead)
		if p.begun || p.over {
			x.at, x.skip = position, len(ahead)
			return errPeriodOver
		}
		return ctx.Err()
	})
	apply(tickAt(p.from - 1)) // what was due by then is of before
	if errors.Is(err, errPeriodOver) {
		err = nil
	} else {
		x.at = x.log.End
	}
	x.period.begun = true
	return err
}

// slowCapture is how much later than in the log a frame may stand in a capture:
// its line may have been recording something else at that moment.
const slowCapture = int64(1e9)

func (x *reshard) runPeriod(ctx context.Context) error {
	defer func() {
		for range x.frames { // else who decodes would wait
		}
	}()
	first := true
	err := x.log.Read(x.at, func(_ uint64, batch []tick.Unit) error {
		if first {
			batch, first = batch[x.skip:], false
		}
		_, in := x.period.cut(batch)
		for len(in) > 0 {
			n := tick.PacketUnits(&in[0])
			x.packet(in[:n:n], in[n:])
			in = in[n:]
		}
		if x.period.over {
			return errPeriodOver
		}
		return ctx.Err()
	})
	if !errors.Is(err, errPeriodOver) {
		return err // at the logs' end what is captured beyond was not logged yet
	}
	x.insert(x.period.to)
	x.make(tickAt(x.period.to - 1))
	x.made(tickAt(x.period.to - 1))
	return nil
}

// packet takes one packet of the log, and those behind it in its batch.
func (x *reshard) packet(p, behind []tick.Unit) {
	h := p[0].Header()
	if run := x.of.runOf(h.ReceiveNanos); run != x.run {
		x.change(run)
	}
	x.insert(h.ReceiveNanos)
	same := x.asked[h.Instrument] == x.askedBefore[h.Instrument]
	x.made(p)
	key := lineRun{x.run, h.Line}
	if x.run == 0 || !ofFrame(h) {
		x.make(p)
		return
	}
	l := x.line(key)
	if l.ordinal == h.Ordinal {
		if l.keep {
			x.make(p)
		}
		return
	}
	l.ordinal = h.Ordinal
	f, there := x.frame(l, h)
	if l.keep = !there; l.keep {
		x.kept++
		x.make(p)
		return
	}
	x.replaced++
	for i := 0; i < len(x.extra); { // of the same line, and earlier
		if e := x.extra[i]; e.key == key && e.ordinal < h.Ordinal {
			x.extra = slices.Delete(x.extra, i, i+1)
			x.add(e)
			continue
		}
		i++
	}
	x.stamp(f.units, h, x.epoch(p, behind, same))
	x.makeKnown(f.units)
}

// stamp gives a frame's packets the time and the epoch of the logged ones.
func (x *reshard) stamp(packets []tick.Unit, h *tick.Header, epoch uint64) {
	for ; len(packets) > 0; packets = packets[tick.PacketUnits(&packets[0]):] {
		to := packets[0].Header()
		to.ReceiveNanos, to.Ordinal = h.ReceiveNanos, h.Ordinal
		if epoch != 0 && to.Kind == tick.KindSnapshot {
			packets[0].Depth().PrevID = epoch
		}
	}
}

// epoch is that of the book in a frame whose packets begin with p; 0 if there is
// none, or if it answers what is asked no more: then it is taken whenever the book
// is not valid, as one of a capture is.
func (x *reshard) epoch(p, behind []tick.Unit, same bool) uint64 {
	h := p[0].Header()
	if chain := x.of.chains[lineRun{x.run, h.Line}]; !same || chain == nil || chain.line != restLine {
		return 0
	}
	for {
		other := p[0].Header()
		if other.Line != h.Line || other.Ordinal != h.Ordinal {
			return 0
		}
		if other.Kind == tick.KindSnapshot {
			return p[0].Depth().PrevID
		}
		if len(behind) == 0 {
			return 0
		}
		p, behind = behind, behind[tick.PacketUnits(&behind[0]):]
	}
}

// change turns to the packets of another process. What was captured of the one
// before and did not reach its log stays unseen, as its gaps say.
func (x *reshard) change(run int64) {
	x.run = run
	for key := range x.pending {
		if key.run < run {
			delete(x.pending, key)
		}
	}
	x.extra = slices.DeleteFunc(x.extra, func(f frame) bool { return f.key.run < run })
}

func (x *reshard) line(key lineRun) *pendingLine {
	if x.pending[key] == nil {
		x.pending[key] = &pendingLine{}
	}
	return x.pending[key]
}

// pull takes further frames; false if there are none.
func (x *reshard) pull() bool {
	if x.ended {
		return false
	}
	chunk, ok := <-x.frames
	if !ok {
		x.ended = true
		return false
	}
	for _, f := range chunk {
		x.pulled = f.received
		switch {
		case f.key.run < x.run:
		case x.logged[f.key].has(f.ordinal):
			l := x.line(f.key)
			l.queue = append(l.queue, f)
		case len(f.units) > 0:
			x.extra = append(x.extra, f)
		}
	}
	return true
}

// frame finds the frame of a logged packet; false if it was not captured.
func (x *reshard) frame(l *pendingLine, h *tick.Header) (frame, bool) {
	for {
		for len(l.queue) > 0 && l.queue[0].ordinal < h.Ordinal {
			l.queue = l.queue[1:]
		}
		switch {
		case len(l.queue) > 0 && l.queue[0].ordinal == h.Ordinal:
			f := l.queue[0]
			l.queue = l.queue[1:]
			return f, true
		case len(l.queue) > 0, x.pulled > h.ReceiveNanos+slowCapture, !x.pull():
			return frame{}, false
		}
	}
}

// insert applies the frames of which nothing was logged and that were received
// before a time, none ahead of an earlier one of its line.
func (x *reshard) insert(before int64) {
	if x.run == 0 {
		return
	}
	for x.pulled < before && x.pull() {
	}
	for i := 0; i < len(x.extra) && x.extra[i].received < before; {
		f := x.extra[i]
		if l := x.pending[f.key]; f.key.run != x.run || l != nil && len(l.queue) > 0 && l.queue[0].ordinal < f.ordinal {
			i++
			continue
		}
		x.extra = slices.Delete(x.extra, i, i+1)
		x.add(f)
	}
}

func (x *reshard) add(f frame) {
	x.added++
	x.stamp(f.units, &tick.Header{ReceiveNanos: f.received, Ordinal: f.ordinal}, 0)
	x.makeKnown(f.units)
}

// makeKnown applies what a frame says of instruments that are defined by now.
func (x *reshard) makeKnown(packets []tick.Unit) {
	for len(packets) > 0 {
		n := tick.PacketUnits(&packets[0])
		if _, known := x.driver.Shard.LineKnown(0, packets[0].Header().Instrument); known {
			x.make(packets[:n:n])
		}
		packets = packets[n:]
	}
}

// made applies packets as they were logged to the shard as it was.
func (x *reshard) made(packets []tick.Unit) {
	x.was.Apply(packets)
	for rows := x.was.TakeRows(); len(rows) > 0; {
		n := tick.PacketUnits(&rows[0])
		x.before.add(rows[:n])
		rows = rows[n:]
	}
	note(x.askedBefore, x.was.TakeCommands())
}

// make applies packets to the shard as it is made now.
func (x *reshard) make(packets []tick.Unit) {
	shard := x.driver.Shard
	shard.Apply(packets)
	for rows := shard.TakeRows(); len(rows) > 0; {
		n := tick.PacketUnits(&rows[0])
		x.now.add(rows[:n])
		if !x.settler.hold(rows[:n], shard.Now()) {
			x.write(rows[:n])
		}
		rows = rows[n:]
	}
	note(x.asked, shard.TakeCommands())
	o := shard.Options()
	x.settler.release(shard.Now()-int64(2*o.Lateness+o.Grace), x.write)
}

func (x *reshard) write(row []tick.Unit) {
	var backoff ringbuf.Backoff
	for !x.driver.Rows.Write(row) {
		x.driver.Rows.Publish()
		backoff.Pause()
	}
	x.driver.Rows.Publish()
}

func note(asked map[uint32]uint64, commands []tick.Unit) {
	for ; len(commands) > 0; commands = commands[tick.PacketUnits(&commands[0]):] {
		if commands[0].KindOf() == tick.CmdResync {
			asked[commands[0].RowHeader().Instrument] = commands[0].Resync().Epoch
		}
	}
}
