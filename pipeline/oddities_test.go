package pipeline

import (
	"strings"
	"testing"
	"time"

	"tickproc/engine"
	"tickproc/feeds"
)

// Checksums that went away are told once a venue; ids that stopped following
// each other once half of the books keep breaking while no socket is lost.
func TestOddities(t *testing.T) {
	t.Parallel()
	log := &logText{}
	canaries := map[string]*feeds.Canary{"one": feeds.NewCanary(textLogger(log)), "two": feeds.NewCanary(textLogger(log))}
	x := &oddities{}
	line := &feeds.LineStats{}
	lines := []watched{{"one", line}}
	minute := int64(0)
	look := func(one ...engine.Image) {
		minute++
		for i := range one {
			one[i].Instrument = uint32(i)
		}
		x.look(map[string][]engine.Image{"one": one}, lines, canaries, minute*int64(time.Minute))
	}
	signs := func(kind feeds.CanaryKind) uint64 { return canaries["one"].Signs[kind].Load() }

	look(engine.Image{ChecksumAbsent: true}, engine.Image{ChecksumAbsent: true})
	look(engine.Image{ChecksumAbsent: true}, engine.Image{ChecksumConstant: true})
	if signs(feeds.CanaryChecksum) != 2 || !log.has("always 0") || !log.has("always the same") {
		t.Errorf("%d signs:\n%s", signs(feeds.CanaryChecksum), log)
	}

	look(engine.Image{Resyncs: 1}, engine.Image{Resyncs: 1}, engine.Image{Resyncs: 1})
	look(engine.Image{Resyncs: 3}, engine.Image{Resyncs: 3}, engine.Image{Resyncs: 3}) // two each: an accident
	look(engine.Image{Resyncs: 9}, engine.Image{Resyncs: 3}, engine.Image{Resyncs: 3}) // one of three
	line.Lost.Add(1)
	look(engine.Image{Resyncs: 20}, engine.Image{Resyncs: 20}, engine.Image{Resyncs: 20}) // a socket was lost
	if n := signs(feeds.CanarySequence); n != 0 {
		t.Fatalf("%d false alarms:\n%s", n, log)
	}
	for range 3 {
		look(engine.Image{Resyncs: 20 + uint64(10*minute)}, engine.Image{Resyncs: 20 + uint64(10*minute)}, engine.Image{Resyncs: 20})
	}
	if n := signs(feeds.CanarySequence); n != 1 || strings.Count(log.String(), "again and again") != 1 {
		t.Errorf("told %d times:\n%s", n, log)
	}
}
