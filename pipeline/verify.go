package pipeline

import (
	"context"
	"io"
	"time"
)

// VerifyOptions say which bars to verify, and where.
type VerifyOptions struct {
	Config   *Config   // of QuestDB alone
	From, To time.Time // of bar starts, To exclusive; zero = all
}

// Verify recomputes final, complete bars from trades in SQL, and prints how
// they compare.
func Verify(ctx context.Context, w io.Writer, o VerifyOptions) error { panic("x") }
