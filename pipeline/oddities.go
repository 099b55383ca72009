package pipeline

import (
	"fmt"
	"time"

	"tickproc/engine"
	"tickproc/feeds"
)

// oddities notices what the shards see of a protocol that changes: checksums
// that say nothing any more, and ids that no longer follow each other.
// owner: the status goroutine.
type oddities struct {
	since   int64             // when the present minute began
	resyncs map[uint32]uint64 // at that time, by instrument
	lost    map[string]uint64 // sockets lost until then, by venue
}

const (
	oddEvery = int64(time.Minute)
	// A book that had to be had anew so often in a minute, without the loss of a
	// socket, is no accident; where half of a venue's books are so it is the venue.
	oddResyncs = 3
)

// look tells each venue's canary.
func (x *oddities) look(images map[string][]engine.Image, lines []watched, canaries map[string]*feeds.Canary, now int64) {
	for venue, all := range images {
		for i := range all {
			switch {
			case all[i].ChecksumAbsent:
				canaries[venue].Report(feeds.CanaryChecksum, venue+": always 0")
			case all[i].ChecksumConstant:
				canaries[venue].Report(feeds.CanaryChecksum, venue+": always the same")
			}
		}
	}
	if now-x.since < oddEvery {
		return
	}
	lost := map[string]uint64{}
	for _, w := range lines {
		lost[w.venue] += w.line.Lost.Load()
	}
	resyncs := map[uint32]uint64{}
	for venue, all := range images {
		breaking := 0
		for i := range all {
			id := all[i].Instrument
			resyncs[id] = all[i].Resyncs
			if before, known := x.resyncs[id]; known && all[i].Resyncs-before >= oddResyncs {
				breaking++
			}
		}
		if breaking > 0 && 2*breaking >= len(all) && lost[venue] == x.lost[venue] {
			canaries[venue].Report(feeds.CanarySequence, fmt.Sprintf("%s: books break again and again on sockets that are up", venue))
		}
	}
	x.since, x.resyncs, x.lost = now, resyncs, lost
}
