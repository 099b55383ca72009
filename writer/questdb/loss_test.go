package questdb

import (
	"fmt"
	"slices"
	"testing"

	"tickproc/tick"
	"tickproc/writer/spool"
)

// Of rows that cannot be read nobody knows whose they were. Every instrument that
// may have such rows misses them: from its last ones before to its first ones
// behind, or as long as anybody's there.
func TestUnknownLossesAreEverybodys(t *testing.T) {
	t.Parallel()
	s := idleSink(t, "double")
	known := func(symbol string, channels tick.Channels) instrument {
		return instrument{Instrument: tick.Instrument{Venue: "v", Symbol: symbol, Channels: channels}, known: true}
	}
	instruments := []instrument{{}, known("busy", tick.ChannelTrades|tick.ChannelQuotes), known("quiet", tick.ChannelTrades), known("no trades", tick.ChannelQuotes)}
	f := func(name string, table int, before, after []span, want ...string) {
		t.Run(name, func(t *testing.T) {
			l := newLosses()
			meta := func(spans []span) []byte {
				if spans == nil {
					return nil
				}
				return encodeSpans(nil, spans)
			}
			l.noteUnknown(spool.Loss{Table: table, Rows: -1, Damaged: true, Before: meta(before), After: meta(after)}, 0, 1)
			if l.none() {
				t.Error("nothing is due")
			}
			l.spread(s.lanes[:], instruments)
			var got []string
			l.take(func(key lossKey, x loss) {
				got = append(got, fmt.Sprint(key.symbol, " ", x.from, " ", x.to, " ", x.rows))
			})
			if !slices.Equal(got, want) || !l.none() {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	before, after := []span{{"v", "busy", 2, 10, 20}, {"v", "gone", 1, 8, 8}}, []span{{"v", "busy", 3, 30, 40}}
	f("between two", tableTrades, before, after, "busy 20 30 -1", "gone 8 40 -1", "quiet 8 40 -1")
	f("at the end", tableTrades, before, nil, "busy 20 20 -1", "gone 8 20 -1", "quiet 8 20 -1")
	f("at the beginning", tableTrades, nil, after, "busy 30 30 -1", "quiet 30 40 -1")
	f("alone", tableTrades, nil, nil)
	f("of another channel", tableQuotes, nil, after, "busy 30 30 -1", "no trades 30 40 -1")
	f("of none", tableInstruments, before, after)
}
