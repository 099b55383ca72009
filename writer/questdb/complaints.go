package questdb

import (
	"context"
	"log/slog"
	"time"
)

// complaints bound a log: of each message the first, then one every
// complaintEvery with the number of those withheld.
type complaints map[string]*complaint

type complaint struct {
	last     int64
	withheld int
}

const complaintEvery = int64(10 * time.Second)

func (c complaints) log(to *slog.Logger, level slog.Level, now int64, message string, args ...any) {
	before := c[message]
	if before == nil {
		before = &complaint{last: now - complaintEvery}
		c[message] = before
	}
	if now-before.last < complaintEvery {
		before.withheld++
		return
	}
	if before.withheld > 0 {
		args = append(args, "withheld", before.withheld)
	}
	*before = complaint{last: now}
	to.Log(context.Background(), level, message, args...)
}
