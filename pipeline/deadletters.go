package pipeline

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"tickproc/writer/questdb"
)

// ListDeadLetters prints the rows that QuestDB refused, oldest first.
func ListDeadLetters(out io.Writer, c *Config, asJSON bool) error {
	if err := dataDirThere(c); err != nil {
		return err
	}
	letters, unreadable, err := questdb.DeadLetters(c.DataDir)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	for _, l := range letters {
		if asJSON {
			err = printJSON(out, l)
		} else {
			_, err = fmt.Fprintf(out, "%s %s: %s\n    %s\n", l.Time, l.Table, l.Reason, l.Line)
		}
		if err != nil {
			return err
		}
	}
	if !asJSON {
		fmt.Fprintf(out, "%d rows\n", len(letters))
		if unreadable > 0 {
			fmt.Fprintf(out, "%d lines are no rows\n", unreadable)
		}
	}
	return nil
}

// ReplayDeadLetters sends rows that QuestDB refused again, those of one table or,
// with "", all. The error is ErrDifference if some were refused again.
func ReplayDeadLetters(ctx context.Context, out io.Writer, c *Config, table string, logger *slog.Logger) error {
	if err := dataDirThere(c); err != nil {
		return err
	}
	o := c.questDBOptions()
	o.Logger, o.DeadLetterDir = logger, c.DataDir
	r, err := questdb.ReplayDeadLetters(ctx, o, func(d questdb.DeadLetter) bool { return table == "" || d.Table == table })
	fmt.Fprintf(out, "sent %d, outranked by better rows %d, refused again %d\n", r.Sent, r.Outranked, r.Refused)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrDependency, err)
	case r.Refused > 0:
		return fmt.Errorf("%d rows were refused again: %w", r.Refused, ErrDifference)
	}
	return nil
}
