package questdb

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// complaints bound a log: of each key the first, then one every
// complaintEvery with the number of those withheld. All senders share one,
// because what ails the database ails all its tables.
type complaints struct {
	mu   sync.Mutex
	keys map[string]*complaint
}

type complaint struct {
	last     int64
	withheld int
}

const complaintEvery = int64(10 * time.Second)

func (c *complaints) log(to *slog.Logger, level slog.Level, now int64, key, message string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.keys[key]
	if before == nil {
		before = &complaint{last: now - complaintEvery}
		c.keys[key] = before
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
