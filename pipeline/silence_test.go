package pipeline

import (
	"strings"
	"testing"
	"time"

	"tickproc/feeds"
	"tickproc/tick"
)

// A stream that is up and delivers nothing, while its channel delivers for
// others and its instrument on other channels, is told of once.
func TestSilentStreams(t *testing.T) {
	t.Parallel()
	log := &logText{}
	canaries := map[string]*feeds.Canary{"v": feeds.NewCanary(textLogger(log)), "w": feeds.NewCanary(textLogger(log))}
	line := &feeds.LineStats{Name: "public-0"}
	for id, symbol := range []string{"A", "B", "C"} {
		for _, channel := range []tick.Channels{tick.ChannelTrades, tick.ChannelQuotes, tick.ChannelDepth, tick.ChannelLiquidations} {
			line.Streams = append(line.Streams, feeds.StreamStats{Instrument: uint32(id), Symbol: symbol, Channel: channel})
		}
	}
	other := &feeds.LineStats{Name: "public-0", Streams: []feeds.StreamStats{
		{Symbol: "A", Channel: tick.ChannelTrades}, {Symbol: "A", Channel: tick.ChannelDepth}}}
	lines := []watched{{"v", line}, {"w", other}}
	stream := func(symbol string, channel tick.Channels) *feeds.StreamStats {
		for i := range line.Streams {
			if st := &line.Streams[i]; st.Symbol == symbol && st.Channel == channel {
				return st
			}
		}
		t.Fatal(symbol)
		return nil
	}
	var x silence
	now := int64(time.Hour)
	for i := range line.Streams {
		line.Streams[i].Up.Set(1)
	}
	for i := range other.Streams {
		other.Streams[i].Up.Set(1)
	}
	// wait lets time pass, in which those streams deliver.
	wait := func(d time.Duration, deliver ...*feeds.StreamStats) {
		for range d / (10 * time.Second) {
			now += int64(10 * time.Second)
			for _, st := range deliver {
				st.LastNanos.Set(now)
			}
			x.look(lines, canaries, now)
		}
	}
	// A has everything; B has quotes and no depth; C is not traded at all; on the
	// other venue depth delivers for nobody.
	alive := []*feeds.StreamStats{stream("A", tick.ChannelTrades), stream("A", tick.ChannelQuotes), stream("A", tick.ChannelDepth),
		stream("B", tick.ChannelQuotes), &other.Streams[0]}
	wait(50*time.Second, alive...)
	if log.String() != "" {
		t.Errorf("too early: %s", log)
	}
	wait(40*time.Second, alive...)
	wait(5*time.Minute, alive...)
	if have := log.String(); strings.Count(have, "\n") != 1 || !strings.Contains(have, `sign=silent_stream name="public-0 B depth"`) {
		t.Errorf("%s", have)
	}
	wait(15*time.Minute, alive...)
	if have := log.String(); strings.Count(have, "\n") != 2 || !strings.Contains(have, `name="public-0 B trades"`) {
		t.Errorf("trades may be rare, but not for ever: %s", have)
	}
	if canaries["v"].Signs[feeds.CanarySilent].Load() != 2 || canaries["w"].Signs[feeds.CanarySilent].Load() != 0 {
		t.Error("the canaries counted otherwise")
	}

	// A new socket gets its time again.
	c := stream("C", tick.ChannelDepth)
	c.Up.Set(0)
	wait(10*time.Second, alive...)
	c.Up.Set(1)
	wait(60*time.Second, append(alive, stream("C", tick.ChannelQuotes))...)
	if have := log.String(); strings.Contains(have, "C depth") {
		t.Errorf("%s", have)
	}
	wait(20*time.Second, append(alive, stream("C", tick.ChannelQuotes))...)
	if have := log.String(); !strings.Contains(have, "C depth") {
		t.Errorf("%s", have)
	}
}
