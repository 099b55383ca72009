package bench

import "tickproc/tick"

// channelBatch is how many messages a sample of throughput has.
const channelBatch = 4096

func channelFloors() []Measurement {
	return []Measurement{
		{Name: "floor/channel/hop", What: "one message through a Go channel to a goroutine that waits, one way", Unit: "hop", Cores: 2, Run: func(r *Run, s *Sample) error {
			there, back := make(chan tick.Unit), make(chan tick.Unit)
			go func() {
				for u := range there {
					back <- u
				}
				close(back)
			}()
			r.Batches(s, Work{Batch: 2, Do: func(n int) int {
				for range n / 2 {
					there <- tick.Unit{}
					<-back
				}
				return n
			}})
			close(there)
			<-back
			return nil
		}},
		{Name: "floor/channel/many", What: "messages of 64 bytes through a Go channel of 1,024, as many as go", Unit: "message", Cores: 2, Run: func(r *Run, s *Sample) error {
			messages, stop := make(chan tick.Unit, 1024), make(chan struct{})
			done := make(chan struct{})
			go func() {
				defer close(done)
				for u := (tick.Unit{}); ; u[0]++ {
					select {
					case messages <- u:
					case <-stop:
						return
					}
				}
			}()
			s.NoAllocs = true
			r.Batches(s, Work{Batch: channelBatch, Do: func(n int) int {
				for range n {
					u := <-messages
					kept += u[0]
				}
				return n
			}})
			close(stop)
			<-done
			return nil
		}},
	}
}
