package pipeline

import (
	"context"

	"tickproc/writer"
)

// RunInto is Run with another sink in QuestDB's place, which the caller closes.
func RunInto(ctx context.Context, o RunOptions, sink writer.Sink) error {
	return serve(ctx, o, sink, nil, nil)
}
