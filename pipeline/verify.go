package pipeline

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"tickproc/writer/questdb"
)

// VerifyOptions say which bars to verify, and where.
type VerifyOptions struct {
	Config   *Config   // its QuestDB alone counts
	From, To time.Time // of bar starts, To exclusive; zero = all
}

// Verify recomputes final, complete bars from trades in SQL, and prints how
// they compare.
func Verify(ctx context.Context, w io.Writer, o VerifyOptions) error {
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
