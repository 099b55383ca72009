package pipeline

import (
	"strconv"

	"tickproc/ops"
	"tickproc/tick"
)

// register shows the logs' numbers.
func (d *durable) register(r *ops.Registry) {
	for i, log := range d.logs {
		labels, stats := map[string]string{"shard": strconv.Itoa(i)}, &log.Stats
		r.Counter("tickproc_log_batches_total", "Batches appended to the log.", labels, &stats.Batches)
		r.Counter("tickproc_log_waits_total", "Times that a shard waited for room in the log.", labels, &stats.Waits)
		r.Counter("tickproc_log_syncs_total", "Times that the log was made durable.", labels, &stats.Syncs)
		r.Counter("tickproc_log_given_up_total", "Segments of the log that were given up because the disk failed.", labels, &stats.GivenUp)
		r.GaugeFunc("tickproc_log_unsynced_bytes", "What a power loss would take.", labels,
			func() float64 { return float64(log.Appended()-log.Synced()) * tick.UnitSize })
		r.GaugeFunc("tickproc_log_state", "0 healthy, 1 behind, 2 full, 3 failed.", labels, func() float64 { return float64(log.Status().State) })
	}
}
