package pipeline

import (
	"fmt"

	"tickproc/engine"
	"tickproc/journal"
	"tickproc/tick"
)

// checkOptions refuses a start whose logs name a configuration that cannot be
// read. One that they do not name is nobody's trouble: a warning.
func (d *durable) checkOptions() error {
	// A damaged one that is the configuration of now is written again.
	if err := d.dir.keepOptions(d.config.engineOptions()); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	all, unread, err := d.dir.readOptions()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	if len(unread) == 0 {
		return nil // the logs are not read twice for nothing
	}
	for i := range d.run.Shards {
		from := uint64(0)
		if d.newest != nil {
			at, _ := d.newest.Manifest.Log(i)
			from = at.Position
		}
		log, err := journal.Inspect(d.logOptions(i, from))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInput, err)
		}
		if err := d.dir.knowsOptions(i, log, from, all); err != nil {
			return err
		}
	}
	for _, fault := range unread {
		d.logger.Warn("a kept configuration cannot be read; nothing that this start reads needs it: bring it back from a copy, or remove it once no log of its time is kept", "error", fault)
	}
	return nil
}

// knowsOptions is an error if a shard's log names, from a position on, what is
// not among the configurations.
func (d *dataDir) knowsOptions(shard int, log *journal.View, from uint64, all map[optionsHash]engine.Options) error {
	return log.Read(from, func(_ uint64, batch []tick.Unit) error { return d.knowsNamed(shard, batch, all) })
}

// knowsNamed is an error if a batch of a shard's log names what is not among the
// configurations.
func (d *dataDir) knowsNamed(shard int, batch []tick.Unit, all map[optionsHash]engine.Options) error {
	for ; len(batch) > 0; batch = batch[tick.PacketUnits(&batch[0]):] {
		if batch[0].KindOf() != tick.KindConfig {
			continue
		}
		h := optionsHash(batch[0].Config().Hash)
		if _, known := all[h]; !known {
			return fmt.Errorf("%w: %s is damaged or missing, and the log of shard %d names it: bring it back from a copy, or %s",
				ErrInput, d.join("options", h.String()+".json"), shard, beginAnew)
		}
	}
	return nil
}
