package engine

import "tickproc/tick"

// LineKnown is what a shard knows of one line and one instrument.
type LineKnown struct {
	// PriceDigits and SizeDigits are the scale that the line uses: that of the
	// definition until it says another.
	PriceDigits, SizeDigits uint8
	// Channels are those that the line delivers.
	Channels tick.Channels
}

// LineKnown says what is known of a line, for whoever decodes its frames once
// more from some place on; false where the shard does not have the instrument.
func (s *Shard) LineKnown(line uint16, instrument uint32) (known LineKnown, there bool) {
	if int(instrument) >= len(s.instruments) || s.instruments[instrument] == nil {
		return known, false
	}
	in := s.instruments[instrument]
	known.PriceDigits, known.SizeDigits = in.def.PriceDigits, in.def.SizeDigits
	if i := in.lineIndex(line); i >= 0 {
		known.PriceDigits, known.SizeDigits = in.lines[i].priceDigits, in.lines[i].sizeDigits
	}
	for i, c := range tick.AllChannels {
		if in.firsts[i].place(line) >= 0 {
			known.Channels |= c
		}
	}
	return known, true
}
