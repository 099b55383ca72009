package questdb

import "tickproc/internal/stat"

// Stats are the sink's counters; any goroutine may read them.
type Stats struct {
	Tables [tableCount]TableStats // in the order of TableNames

	WaitingBytes stat.Gauge // encoded and not yet acknowledged
	// OldestNanos is when the oldest row that still waits was written; 0 = none waits.
	OldestNanos        stat.Gauge
	DeadLettersDropped stat.Counter // refused rows that the dead-letter file did not take
}

// TableStats are one table's. Rows that were accepted, recovered or resent end
// as acked, quarantined, lost, outranked, or undelivered when the sink was closed.
type TableStats struct {
	Refused   stat.Counter // rows that were no rows: bad time or text; not accepted
	Accepted  stat.Counter
	Recovered stat.Counter // rows that an earlier run left in the spool
	Resent    stat.Counter // rows that had been acked and wait again

	Acked       stat.Counter // rows QuestDB committed
	Quarantined stat.Counter // rows QuestDB refused
	Lost        stat.Counter // rows dropped because there was no room, or read back damaged
	Damaged     stat.Counter // places in the spool where rows of unknown number cannot be read back
	Outranked   stat.Counter // rows left out because a better one of their key stands

	Retried   stat.Counter // rows that were posted again
	Batches   stat.Counter // acknowledged posts
	PostNanos stat.Histogram
	// AckFirst and AckLast are the receive time → QuestDB's acknowledgement, each
	// row of a batch counted as its earliest and as its latest: between the two lies
	// what the rows took. Not of rows that the spool gave back from the disk or that
	// are sent again.
	AckFirst, AckLast stat.Latency
	Unreachable       stat.Counter // posts without an answer
	Refusals          stat.Counter // answers 400
	Busy              stat.Counter // answers 429 and 5xx
	Denied            stat.Counter // answers that a change of configuration must cure: 401, 403, 404 …
	SchemaFails       stat.Counter // checks of the table that failed
}
