package indicators

// begun is the event time before which an indicator saw no trades, because it
// was configured in mid-stream: what the instrument's coverage cannot say, as
// other indicators were there before. Rows that reach back behind it are not
// complete.
type begun struct{ begunAt int64 }

// Begin implements Indicator.
func (b *begun) Begin(at int64) { b.begunAt = at }

// sawFrom reports that every trade from start on could be seen.
func (b *begun) sawFrom(start int64) bool { return start >= b.begunAt }
