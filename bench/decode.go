package bench

import (
	"encoding/json"
	"fmt"

	"tickproc/tick"
)

// decodedFrames are those whose decoding is a line: all market data of Binance,
// trades and depth of the other families, and of one venue each form that its
// quotes have.
var decodedFrames = []struct {
	venue   string
	channel tick.Channels
}{
	{"binance-spot", tick.ChannelTrades}, {"binance-spot", tick.ChannelQuotes}, {"binance-spot", tick.ChannelDepth},
	{"binance-usdm", tick.ChannelTrades}, {"binance-usdm", tick.ChannelQuotes}, {"binance-usdm", tick.ChannelDepth},
	{"binance-coinm", tick.ChannelTrades}, {"binance-coinm", tick.ChannelQuotes}, {"binance-coinm", tick.ChannelDepth},
	{"bybit-spot", tick.ChannelTrades}, {"bybit-linear", tick.ChannelTrades}, {"bybit-linear", tick.ChannelQuotes}, {"bybit-linear", tick.ChannelDepth},
	{"coinbase", tick.ChannelTrades}, {"coinbase", tick.ChannelQuotes}, {"coinbase", tick.ChannelDepth},
	{"kraken", tick.ChannelTrades}, {"kraken", tick.ChannelQuotes}, {"kraken", tick.ChannelDepth},
	{"okx", tick.ChannelTrades}, {"okx", tick.ChannelQuotes}, {"okx", tick.ChannelDepth},
}

// decodeLines are, of each kind of frame, the copying of its bytes, which is the
// least that can be done with them, our decoder, and encoding/json.
func decodeLines() (all []Measurement) {
	for _, d := range decodedFrames {
		name := d.channel.String() + "/" + d.venue
		all = append(all,
			Measurement{Name: "floor/copy/" + name, What: "copying a frame", Unit: "frame", Run: func(r *Run, s *Sample) error {
				f, err := r.Frames(d.venue, d.channel)
				if err != nil {
					return err
				}
				s.Frames = f.String()
				to, next := make([]byte, 1<<16), 0
				r.Batches(s, Work{Do: func(n int) int {
					for range n {
						copy(to, f.Records[next].Payload)
						if next++; next == len(f.Records) {
							next = 0
						}
					}
					return n
				}})
				return nil
			}},
			Measurement{Name: "decode/" + name, What: "frame in memory → packets", Unit: "frame", Floor: "floor/copy/" + name, Run: func(r *Run, s *Sample) error {
				f, err := r.Frames(d.venue, d.channel)
				if err != nil {
					return err
				}
				l, next := f.Session.settled(), 0
				r.Batches(s, Work{Do: func(n int) int {
					for range n {
						kept += uint64(len(l.Decode(&f.Records[next])))
						if next++; next == len(f.Records) {
							next = 0
						}
					}
					return n
				}})
				return nil
			}},
		)
		if d.venue == "binance-spot" {
			all = append(all, Measurement{Name: "json/" + name, What: "the same by encoding/json into a struct, numbers left as text", Unit: "frame", Floor: "decode/" + name,
				Run: func(r *Run, s *Sample) error {
					f, err := r.Frames(d.venue, d.channel)
					if err != nil {
						return err
					}
					next, failed := 0, error(nil)
					r.Batches(s, Work{Do: func(n int) int {
						for range n {
							if err := json.Unmarshal(f.Records[next].Payload, newJSON(d.channel)); err != nil {
								failed = err
							}
							if next++; next == len(f.Records) {
								next = 0
							}
						}
						return n
					}})
					if failed != nil {
						return fmt.Errorf("BUG: encoding/json refuses a generated frame: %w", failed)
					}
					return nil
				}})
		}
	}
	return all
}
