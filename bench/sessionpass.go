package bench

import (
	"fmt"
	"time"

	"tickproc/tick"
)

// Pass is what one pass over a session did that began with nothing, for who
// compares it with what others make of the same frames.
type Pass struct {
	CPU                   time.Duration // of all threads, from the first frame to the last row
	Trades, Quotes, Books uint64        // messages; of depth those that were applied
	Bid, Ask              tick.Level    // the best, at the scale of Digits
	PriceDigits           uint8
	SizeDigits            uint8
}

// Pass takes a session of one instrument through everything that a service does
// before rows leave: decoder, ring, driver, log, books, bars, windows, nbbo. As
// many frames at a time reach the driver as one read of a busy socket brings.
func (s *Session) Pass() (p Pass, err error) {
	l, opening := s.Open()
	service, err := newService(opening)
	if err != nil {
		return p, err
	}
	defer func() {
		if ended := service.end(); err == nil {
			err = ended
		}
	}()
	reach := func() {
		service.input.Publish()
		service.apply()
		service.carry()
	}
	from := cpuTime()
	for i := range s.Records {
		if packets := l.Decode(&s.Records[i]); len(packets) > 0 {
			send(service.input, packets)
			service.now = packets[0].Header().ReceiveNanos
		}
		if i%publishEvery == publishEvery-1 {
			reach()
		}
	}
	reach()
	p.CPU = cpuTime() - from
	reports := service.driver.Shard.Reports(1)
	if len(reports) != 1 {
		return p, fmt.Errorf("%d instruments in the session, want one", len(reports))
	}
	r := &reports[0]
	if err := stands(service.driver.Shard, r.Instrument.Channels); err != nil {
		return p, err
	}
	p.Trades, p.Quotes, p.Books = r.Counts.Trades, r.Counts.Quotes, r.Depth.Applied
	p.Bid, p.Ask, p.PriceDigits, p.SizeDigits = r.Bids[0], r.Asks[0], r.PriceDigits, r.SizeDigits
	return p, nil
}
