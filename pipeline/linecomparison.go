package pipeline

import (
	"tickproc/engine"
	"tickproc/internal/stat"
	"tickproc/tick"
)

// comparedLines bounds the lines that shards compare: a line of a higher number
// is no worse, only not shown.
const comparedLines = 2048

// lineComparison is how redundant lines stand against each other: what each shard
// counted, by line number.
type lineComparison [][]engine.LineStats

// of sums what the shards counted of a line.
func (c lineComparison) of(line uint16) (first, second, missed uint64) {
	for _, shard := range c {
		if int(line) < len(shard) {
			x := &shard[line]
			first, second, missed = first+x.First.Load(), second+x.Second.Load(), missed+x.Missed.Load()
		}
	}
	return first, second, missed
}

// lead is the median time by which what the line brought first came before the
// other's copy, in ns; 0 if it never did.
func (c lineComparison) lead(line uint16) int64 {
	var sum [stat.HistogramBuckets]uint64
	for _, shard := range c {
		if int(line) < len(shard) {
			buckets, _ := shard[line].Lead.Snapshot()
			for i, n := range buckets {
				sum[i] += n
			}
		}
	}
	return stat.Quantile(&sum, 0.5)
}

// fill writes it into a health row.
func (c lineComparison) fill(r *tick.HealthRow, line uint16) {
	r.First, r.Second, r.Missed = c.of(line)
	r.LeadNanos = c.lead(line)
}

// comparedLines is how many the system's shards compare.
func (s *system) comparedLines() int {
	if s.hand != nil {
		return 64 // few, and soon over
	}
	return comparedLines
}
