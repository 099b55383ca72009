package pipeline

import (
	"errors"
	"fmt"
	"time"

	"tickproc/engine"
	"tickproc/tick"
	"tickproc/writer"
)

// assemble makes a system of so many shards that is kept by d.
func (d *durable) assemble(o RunOptions, sink writer.Sink, shards int) *system {
	config := *o.Config
	config.Shards = AutoCount(shards)
	s := newSystem(&config, o.Logger, sink)
	s.reload.current = o.Config // what the file says
	s.durable = d
	return s
}

// resize goes on with another number of shards than the logs have:
//
//	old shards, recovered ─► same logical now ─► every instrument to its new shard ─► new logs, snapshot ─► old logs go
//
// Until the snapshot counts, the old logs do: a kill leaves one or the other. The
// old system has been recovered and has not run; it has ended when resize
// returns another.
func (d *durable) resize(old *system, o RunOptions, sink writer.Sink, count int) (*system, error) {
	started := time.Now()
	fail := func(s *system, err error) (*system, error) {
		s.endWriting()
		return nil, errors.Join(fmt.Errorf("the number of shards cannot change from %d to %d, shards: %d goes on as before: %w", len(old.drivers), count, len(old.drivers), err), d.close())
	}
	if err := d.align(); err != nil {
		return fail(old, err)
	}
	var shards []*engine.Shard
	for _, driver := range old.drivers {
		shards = append(shards, driver.Shard)
	}
	shards, err := engine.Redistribute(shards, count, func(in *tick.Instrument) int { return shardOf(in.Underlying, count) })
	if err != nil {
		return fail(old, err)
	}
	configs, err := d.dir.allOptions()
	if err != nil {
		return fail(old, err)
	}
	// What the old shards said goes ahead of what the new ones say.
	old.endWriting()
	s := d.assemble(o, sink, count)
	s.startWriting()
	before := d.run.Shards
	d.system, d.run.Shards = s, count
	for i, driver := range s.drivers {
		driver.Shard, s.compared[i] = shards[i], shards[i].CountLines(comparedLines)
		for hash, options := range configs {
			driver.Shard.Learn(hash, options)
		}
		if err := driver.Introduce(); err != nil {
			return fail(s, err)
		}
	}
	d.snapshots = newSnapshots(d)
	d.stopDraining()
	if err := d.newGeneration(); err != nil {
		return fail(s, err)
	}
	d.drive()
	d.logger.Info("the number of shards has changed", "from", before, "to", count, "took", time.Since(started).Round(time.Millisecond).String())
	return s, nil
}

// align brings all shards to the logical now of the furthest: what moves together
// must stand together. Their channels are down by then, so that no bar can close
// as if nothing had been missed.
func (d *durable) align() error {
	now := int64(0)
	for _, driver := range d.system.drivers {
		now = max(now, driver.Shard.Now())
	}
	for i, driver := range d.system.drivers {
		if !driver.Record(tickAt(now)) {
			return d.logClosed(i)
		}
	}
	return nil
}
