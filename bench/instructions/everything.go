//go:build !older

package main

import (
	"strings"
	"time"

	"tickproc/engine"
	"tickproc/ringbuf"
)

func everythingFits(session string) bool {
	return strings.HasPrefix(session, "session/") || strings.HasPrefix(session, "recorded/")
}

// everything is what a running service does with a frame before rows leave:
// decoder, ring, driver and its clock, log, shard with the consolidated quotes,
// rows in their ring. 16 frames are published at a time.
func everything(f *file) (*stage, error) {
	d, err := f.packets()
	if err != nil {
		return nil, err
	}
	l, opening, err := f.open()
	if err != nil {
		return nil, err
	}
	m, err := openLog()
	if err != nil {
		return nil, err
	}
	o := options()
	o.Nbbo, o.Backfill = true, true
	now, input := int64(0), ringbuf.New(ringUnits)
	driver := &engine.Driver{Shard: engine.NewShard(o), Inputs: []*ringbuf.Ring{input}, Waker: ringbuf.NewWaker(ringbuf.Auto),
		Rows: ringbuf.New(1 << 16), Commands: ringbuf.New(1 << 12), Images: ringbuf.NewBroadcast(1<<12, engine.ImageUnits), Log: m.log.Append, Epoch: 1,
		// The frames are of another day: the clock is read, and their time told.
		Now: func() int64 { kept += uint64(time.Now().UnixNano()); return now }}
	driver.Begin()
	apply := func() {
		input.Publish()
		for input.Len() > 0 {
			driver.Step()
		}
	}
	write(input, opening)
	apply()
	s := &stage{frames: len(f.Records), levels: d.levels}
	s.do = func(i int) {
		if packets := l.decode(i); len(packets) > 0 {
			write(input, packets)
			now = packets[0].Header().ReceiveNanos
		}
		if i%publishEvery == publishEvery-1 {
			apply()
		}
	}
	s.between = func() {
		for _, ring := range []*ringbuf.Ring{driver.Rows, driver.Commands} {
			for units := ring.Poll(); len(units) > 0; units = ring.Poll() {
				ring.Release(len(units))
			}
		}
		m.rest()
	}
	s.end = func() error {
		apply()
		if err := m.stop(); err != nil {
			return err
		}
		return stands(driver.Shard)
	}
	return s, nil
}
