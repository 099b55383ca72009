package bench

import (
	"context"
	"errors"
	"fmt"

	"tickproc/internal/stat"
	"tickproc/pipeline"
)

// readableFrames are sent at a time, one when the one before has arrived.
const readableFrames = 100

// readableLines are the way of a frame from when the kernel had it, by its own
// stamp, to the ring, and a read of the same bytes in turns with it. What was
// meant to be sent meanwhile is not asked here; socket/ring does.
func readableLines() (all []Measurement) {
	for _, busy := range []bool{false, true} {
		by, how, aim := "netpoll", "by who sleeps until there is something", beyondFloor(5000)
		if busy {
			by, how, aim = "busy", "by who asks again and again, on a core of its own", beyondFloor(3000)
			aim.Cores = 3
		}
		floor, line := "floor/readable/"+by, "readable/"+by
		t := new(turns)
		all = append(all,
			Measurement{Name: floor, What: "200 bytes over loopback, from the kernel's stamp until read " + how, Unit: "frame", Cores: 2, Run: t.measure(floor, func(r *Run, t *turns) error {
				unstamped := uint64(0)
				var failed error
				r.until(r.Time, func() {
					o := pipeline.SocketPathOptions{Rounds: 1, Frames: readableFrames, Busy: busy}
					if len(r.Cores) > 0 {
						o.Core = r.Cores[len(r.Cores)-1]
					}
					got, err := pipeline.MeasureSocketPath(r.ctx, o)
					if err != nil {
						failed = errors.Join(failed, err)
						return
					}
					t.found[floor] = appendQuantiles(t.found[floor], &got.Bare)
					t.found[line] = appendQuantiles(t.found[line], &got.Packet)
					unstamped += got.Unstamped
				})
				switch {
				case failed != nil && !errors.Is(failed, context.Canceled):
					return failed
				case len(t.found[floor]) == 0 || len(t.found[line]) == 0:
					return errors.New("the kernel does not say when it received something")
				case unstamped > 0:
					t.notes[line] = fmt.Sprintf("in the last round the kernel stamped %d frames too late: they are not counted", unstamped)
				}
				return nil
			})},
			Measurement{Name: line, What: "the same through a plain websocket and our connection: read, decoded, in the ring", Unit: "frame", Floor: floor, Aim: aim, Cores: 2, Run: t.take(line)})
	}
	return all
}

// appendQuantiles appends as many values as b has, each at most 1/32 larger than
// it was.
func appendQuantiles(all []int64, b *stat.Buckets) []int64 {
	n := b.Count()
	for i := range n {
		all = append(all, b.Quantile((float64(i)+0.5)/float64(n)))
	}
	return all
}
