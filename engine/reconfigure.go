package engine

import (
	"tickproc/indicators"
	"tickproc/tick"
)

// Learn tells the shard what configuration a record of the log names. A shard
// that was taught any must know all that come; one that was taught none keeps
// its own, as a replay under other options wants it. Any goroutine may call it.
func (s *Shard) Learn(hash [32]byte, options Options) {
	options.EnsureDefaults()
	s.learning.Lock()
	defer s.learning.Unlock()
	if s.configs == nil {
		s.configs = map[[32]byte]Options{}
	}
	s.configs[hash] = options
}

func (s *Shard) configure(record *tick.Config) {
	// It is the first record of a process, or feeds were begun anew: nobody answers
	// what was asked of those before.
	s.SaveAll()
	for _, in := range s.instruments {
		if in != nil {
			in.restartBackfills()
			s.hasten(in)
		}
	}
	s.learning.Lock()
	taught := s.configs != nil
	options, known := s.configs[record.Hash]
	s.learning.Unlock()
	if !taught {
		return
	}
	if !known {
		panic("BUG: a configuration that the shard was not taught")
	}
	s.Reconfigure(options)
}

// Reconfigure makes other options live, at logical now. What they leave as it
// is goes on: above all bars and windows of an unchanged configuration. Those
// that are no longer wanted end, and what is open of them is written as Finish
// does; new ones begin, and are not complete before an interval that was seen
// from its start.
//
// A snapshot that is open is written to its end first, all at once.
func (s *Shard) Reconfigure(options Options) {
	options.EnsureDefaults()
	s.SaveAll()
	was := s.options
	if was.Nbbo && !options.Nbbo {
		s.disband()
	}
	for _, in := range s.instruments {
		if in != nil {
			in.endSamples(&was, &options)
		}
	}
	s.options = options
	for _, in := range s.instruments {
		if in != nil {
			in.reconfigure(&was)
		}
	}
	if options.Nbbo && !was.Nbbo {
		for _, in := range s.instruments {
			if in != nil {
				s.join(in)
			}
		}
	}
	s.eachGroup(func(g *consolidated) {
		if g.pendingAt != never {
			g.pendingAt = g.writtenAt + int64(options.NbboEvery)
		}
		g.fire()
	})
	for _, in := range s.instruments {
		if in != nil {
			in.key = in.deadline()
			s.due.fix(in)
			s.settle(in)
		}
	}
}

// disband ends all groups: nothing may look as if it still stood.
func (s *Shard) disband() {
	s.eachGroup(func(g *consolidated) {
		g.finish()
		if g.begun && g.shown.venues > 0 {
			g.write(&best{})
		}
	})
	for _, in := range s.instruments {
		if in != nil {
			in.group, in.contribution = nil, contribution{}
		}
	}
	s.groups, s.groupList = nil, nil
}

// eachGroup calls do with every group, by the id of the first member: in the
// list they lie as they came, or as they were loaded.
func (s *Shard) eachGroup(do func(g *consolidated)) {
	for _, in := range s.instruments {
		if in != nil && in.leads() {
			do(in.group)
		}
	}
}

// endSamples writes the sample that waits for a boundary of the old options.
func (in *instrument) endSamples(was, options *Options) {
	if was.BookEvery != options.BookEvery || was.BookDepth != options.BookDepth || was.BookOnChange != options.BookOnChange {
		in.flushSample()
	}
}

func (in *instrument) reconfigure(was *Options) {
	o := &in.shard.options
	in.idle = false
	if !in.disabled {
		in.reconfigureIndicators(was)
	}
	in.sample.reconfigure(o)
	if in.silenceAt != never {
		in.silenceAt += int64(o.Silence - was.Silence)
	}
	if in.quote.aheadSince != 0 {
		in.quote.staleNanos = int64(o.Stale)
	}
	in.sync.Hold = int64(o.LineHold)
	if o.LineHold != was.LineHold && in.lineDue != never {
		in.scheduleLines()
	}
}

func (x *sampler) reconfigure(o *Options) {
	x.every, x.grace = int64(o.BookEvery), int64(o.BookGrace)
	if x.depth != o.BookDepth {
		x.depth, x.lastBids = o.BookDepth, 0
		x.top, x.last = make([]tick.Level, 2*x.depth), make([]tick.Level, 0, 2*x.depth)
	}
}

// reconfigureIndicators keeps the bars and windows that are wanted still, ends
// the others and begins new ones.
func (in *instrument) reconfigureIndicators(was *Options) {
	o := &in.shard.options
	if !in.def.Channels.Has(tick.ChannelTrades) {
		return
	}
	old := in.settledIndicators()
	kept := make([]bool, len(old))
	var now []indicators.Indicator
	begin := func(x indicators.Indicator) {
		x.Begin(max(in.venueNow(), in.channels[tick.ChannelTrades.Index()].lastTs) + 1)
		now = append(now, x)
	}
	sameWaits := o.Grace == was.Grace && o.Lateness == was.Lateness
	for _, interval := range o.Intervals {
		i := 0
		for i < len(was.Intervals) && (kept[i] || was.Intervals[i] != interval || !sameWaits || o.Carry != was.Carry) {
			i++
		}
		if i == len(was.Intervals) {
			begin(in.newBars(interval, in.valuesContracts()))
			continue
		}
		kept[i] = true
		now = append(now, old[i])
	}
	for n := range o.Windows {
		spec := o.window(n)
		i := 0
		for ; i < len(was.Windows); i++ {
			if other := was.window(i); !kept[len(was.Intervals)+i] && other.Span == spec.Span && other.Step == spec.Step && sameWaits {
				break
			}
		}
		if i == len(was.Windows) {
			begin(spec.New(&in.coverage))
			continue
		}
		i += len(was.Intervals)
		kept[i] = true
		now = append(now, old[i])
	}
	out := in.prepareOut()
	for i, x := range old {
		if !kept[i] {
			x.Finish(out)
		}
	}
	in.shard.rows = out.Rows
	in.indicators = now
	in.scheduleIndicators()
}
