package engine

import "tickproc/tick"

// AppendRestart appends the packets that say what a restart means: every line
// of the process before is gone, so that each channel is down on each of its
// lines from the last good message on, and lines begin at the scale of the
// definition again, because their numbers are now those of other connections.
// Gaps that are open already keep their start.
//
// The caller has applied the log's tail. It logs these packets like all others
// and applies them, before any that was received since; the commands that come
// of them are nobody's any more. now is its clock, in ns.
//
// They are of the old logical now. Were time moved first, bars would close and
// be called complete before it is known that they are not. And the time between
// is no step of our clock, for the venues' clocks went on as well: it passes with
// the next packet or tick. Only a clock that is behind the log was stepped.
func (s *Shard) AppendRestart(dst []tick.Unit, now int64) []tick.Unit {
	for _, in := range s.instruments {
		if in == nil {
			continue
		}
		h := tick.Header{Kind: tick.KindDown, Instrument: in.def.ID, ReceiveNanos: s.now}
		for i, c := range tick.AllChannels {
			lines := in.firsts[i].lines
			if len(lines) == 0 && in.def.Channels.Has(c) && !in.gone.Has(c) && !in.channels[i].gap.open && !in.disabled {
				// Fetched trades had closed the gap of a channel that was still down.
				h.Line = 0
				dst = tick.AppendEvent(dst, h, c, tick.ReasonRestart)
			}
			// The leader last, or each book that stands by would take its turn.
			for _, leader := range [2]bool{false, true} {
				for _, l := range lines {
					if h.Line = l.line; leader == (c == tick.ChannelDepth && l.line == in.leader) {
						dst = tick.AppendEvent(dst, h, c, tick.ReasonRestart)
						if len(lines) > 1 || in.firsts[i].aloneTs != 0 {
							// What the sockets knew of their life went with them.
							dst[len(dst)-1].Event().HeardNanos = max(l.provedAt, 1)
						}
					}
				}
			}
		}
		for _, l := range in.lines {
			h.Line = l.line
			dst = tick.AppendRescale(dst, h, in.def.PriceDigits, in.def.SizeDigits)
		}
	}
	if now < s.now {
		var p []tick.Unit
		dst, p = tick.AppendUnits(dst, 1)
		*p[0].ClockStep() = tick.ClockStep{Header: tick.Header{Kind: tick.KindClockStep, ReceiveNanos: now}, FromNanos: s.now}
	}
	return dst
}
