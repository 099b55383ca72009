package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"text/tabwriter"
	"time"

	"tickproc/writer/questdb"
	"tickproc/writer/spool"
)

// VerifyOptions say what to verify, and where.
type VerifyOptions struct {
	Config   *Config   // its QuestDB alone counts
	From, To time.Time // of ts, for bars their starts; To exclusive; zero = all
	// DataDir is where the spool is that is compared; "" = none is.
	DataDir string
}

// Verify recomputes final, complete bars from trades in SQL, and looks whether
// QuestDB has what the spool keeps, and prints how they compare. The error is
// ErrDifference where they do not.
func Verify(ctx context.Context, w io.Writer, o VerifyOptions) error {
	bars := verifyBars(ctx, w, o)
	if errors.Is(bars, ErrDependency) && !errors.Is(bars, questdb.ErrSQL) || o.DataDir == "" {
		return bars // it does not answer
	}
	return errors.Join(bars, verifySpool(ctx, w, o))
}

func verifyBars(ctx context.Context, w io.Writer, o VerifyOptions) error {
	report, err := questdb.Verify(ctx, questdb.VerifyOptions{URL: o.Config.QuestDB.URL, Credentials: o.Config.credentials(), From: o.From, To: o.To})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDependency, err)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VENUE\tSYMBOL\tINTERVAL\tBARS\tDIFFER\tEXCUSED")
	for _, row := range report.Rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\n", row.Venue, row.Symbol, row.Interval, row.Checked, row.Differing, row.Excused)
	}
	table.Flush()
	for _, row := range report.Rows {
		for _, example := range row.Examples {
			fmt.Fprintf(w, "%s %s %s: %s\n", row.Venue, row.Symbol, row.Interval, example)
		}
	}
	checked, differing, excused := report.Totals()
	fmt.Fprintf(w, "%d bars recomputed from their trades, %d differ", checked, differing)
	if excused > 0 {
		fmt.Fprintf(w, "; %d more lack trades that gaps says QuestDB did not get", excused)
	}
	fmt.Fprintln(w)
	if differing > 0 {
		return fmt.Errorf("bars and their trades: %w", ErrDifference)
	}
	return nil
}

// verifySpool compares what the spool keeps with what QuestDB has.
func verifySpool(ctx context.Context, w io.Writer, o VerifyOptions) error {
	dir := dataDir{path: o.DataDir, around: machine}
	r, err := questdb.Reconcile(ctx, questdb.ReconcileOptions{URL: o.Config.QuestDB.URL, Credentials: o.Config.credentials(), From: o.From, To: o.To,
		SpoolDir: dir.join("spool"), DeadLetterDir: o.DataDir})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fmt.Fprintf(w, "\nno spool in %s: nothing to compare with QuestDB\n", o.DataDir)
		return nil
	case errors.Is(err, spool.ErrUnreadable):
		return fmt.Errorf("%w: %w", ErrInput, err)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrDependency, err)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nTABLE\tHOUR\tKEPT\tMISSING\tOLDER\tEXCUSED")
	for _, h := range r.Hours {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\n", h.Table, h.Hour.Format("2006-01-02T15:04Z"), h.Kept, h.Missing, h.Older, h.Excused)
	}
	table.Flush()
	for _, h := range r.Hours {
		if h.Missing+h.Older == 0 {
			continue
		}
		for _, sum := range h.Sums {
			fmt.Fprintf(w, "%s %s: sum of %s is %v in the spool, %v in the table\n", h.Table, h.Hour.Format("2006-01-02T15:04Z"), sum.Column, sum.Kept, sum.Found)
		}
		for _, example := range h.Examples {
			fmt.Fprintf(w, "%s %s: %s\n", h.Table, h.Hour.Format("2006-01-02T15:04Z"), example)
		}
	}
	kept, missing, older, excused := r.Totals()
	fmt.Fprintf(w, "%d rows that the spool keeps and QuestDB acknowledged, compared by count and sums, else by key: %d missing, %d older than acknowledged", kept, missing, older)
	if excused > 0 {
		fmt.Fprintf(w, "; %d more were refused (dead letters) or are beyond a TTL", excused)
	}
	fmt.Fprintf(w, "\nnot compared: rows that the spool keeps no longer, %d that wait in it, columns without a sum\n", r.Waiting)
	if r.Unreadable > 0 {
		fmt.Fprintf(w, "%d bytes of the spool cannot be read: what was in them is not compared\n", r.Unreadable)
	}
	if len(r.Moving) > 0 {
		fmt.Fprintf(w, "%s: rows are being sent again now: verify once more when that is done\n", strings.Join(r.Moving, ", "))
	}
	if missing+older > 0 {
		fmt.Fprintln(w, "to send them again, while the service runs: tickproc resend -c FILE --since 24h")
		return fmt.Errorf("the spool and QuestDB: %w", ErrDifference)
	}
	return nil
}
