package engine

import "tickproc/tick"

// AppendRestart appends the packets that say what a restart means: every line
// of the process before is gone, so that each channel is down on each of its
// lines from the last good message on, and lines begin at the scale of the
// definition again, because their numbers are now those of other connections.
//
// The caller has applied the log's tail and a clock step to now (receive time
// of this process, in ns); it logs these packets like all others and applies
// them. Gaps that are open already keep their start; the commands that come of
// them are nobody's any more.
func (s *Shard) AppendRestart(dst []tick.Unit, now int64) []tick.Unit {
	for _, in := range s.instruments {
		if in == nil {
			continue
		}
		h := tick.Header{Kind: tick.KindDown, Instrument: in.def.ID, ReceiveNanos: now}
		for i, c := range tick.AllChannels {
			lines := in.firsts[i].lines
			// The leader last, or each book that stands by would take its turn.
			for _, leader := range [2]bool{false, true} {
				for _, l := range lines {
					if h.Line = l.line; leader == (c == tick.ChannelDepth && l.line == in.leader) {
						dst = tick.AppendEvent(dst, h, c, tick.ReasonRestart)
					}
				}
			}
		}
		for _, l := range in.lines {
			h.Line = l.line
			dst = tick.AppendRescale(dst, h, in.def.PriceDigits, in.def.SizeDigits)
		}
	}
	return dst
}
