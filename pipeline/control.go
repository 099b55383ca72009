package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"tickproc/ops"
	"tickproc/writer/questdb"
)

const socketName = "control.sock"

// commands are what a running service does when it is told to.
func (s *system) commands(database *questdb.Sink) ops.Commands {
	return ops.Commands{
		"snapshot": func(ctx context.Context, _ url.Values) (string, error) {
			if s.durable == nil {
				return "", errors.New("journal: enabled is false, so that there are no snapshots")
			}
			number, err := s.durable.snapshots.now(ctx)
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("snapshot %d", number), nil
		},
		"reload": func(_ context.Context, args url.Values) (string, error) { return s.reloadFile(args.Get("file")) },
		"resend": func(_ context.Context, args url.Values) (string, error) {
			since, err := time.Parse(time.RFC3339Nano, args.Get("since"))
			if err != nil {
				return "", err
			}
			database.Resend(since)
			return "rows since " + since.UTC().Format(time.RFC3339) + " are sent again, as far as the spool keeps them", nil
		},
	}
}

// Tell gives a command to the service that runs on a configuration's data_dir,
// and returns its answer.
func Tell(ctx context.Context, c *Config, command string, args url.Values) (string, error) {
	dir := dataDir{path: c.DataDir, around: machine}
	answer, err := ops.Tell(ctx, dir.join(socketName), command, args)
	switch {
	case errors.Is(err, ops.ErrNoProcess):
		return "", fmt.Errorf("%w: %w: is the service running on this data_dir?", ErrDependency, err)
	case errors.Is(err, ops.ErrRefused):
		return "", fmt.Errorf("%w: %w", ErrInput, err)
	}
	return answer, err
}
