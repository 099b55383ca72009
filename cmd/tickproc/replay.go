package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"tickproc/ops"
	"tickproc/pipeline"
)

func replayCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "replay [FILE…]", Short: "Run captures, or the logs of a data_dir, through the same pipeline",
		Long: `Run capture files through the same pipeline as "run". Several files are one
session, merged by receive time. The result depends on the captures alone.

With --from-journal the logs of a data_dir are run instead, from their beginning
or from the snapshot before --from, under the configurations that were live: the
rows are those that the service wrote. It may run beside the service, and changes
nothing in the data_dir. In QuestDB a later or better row stays.`,
		Example: `  tickproc replay --json session.gz
  tickproc replay --sink questdb --questdb http://127.0.0.1:9000 session.gz
  tickproc replay --from-journal -c tickproc.yaml --from 2026-01-02T15:00:00Z --to 2026-01-02T16:00:00Z --sink questdb`,
	}
	flags := cmd.Flags()
	venue := flags.String("venue", "", "venue of the files (default: what each file says)")
	speed := flags.String("speed", "max", "max, or a multiple of real time such as 1x or 10x")
	sink := flags.String("sink", "none", "none or questdb")
	url := flags.String("questdb", "http://127.0.0.1:9000", "address of QuestDB")
	config := flags.StringP("config", "c", "", "take bars, windows, book, limits and questdb from this configuration")
	asJSON := flags.Bool("json", false, "print one JSON object, and nothing else, on standard output")
	fromJournal := flags.Bool("from-journal", false, "replay the logs of the data_dir")
	dataDir := flags.String("data-dir", "", "with --from-journal: the folder (default: that of the configuration)")
	from := flags.String("from", "", "with --from-journal: first receive time, RFC 3339 (default: as far back as the logs reach)")
	to := flags.String("to", "", "with --from-journal: end, exclusive (default: all)")
	choices := func(names ...string) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return names, cobra.ShellCompDirectiveNoFileComp
		}
	}
	cmd.RegisterFlagCompletionFunc("venue", choices(pipeline.Venues()...))
	cmd.RegisterFlagCompletionFunc("sink", choices("none", "questdb"))
	cmd.RegisterFlagCompletionFunc("speed", choices("max", "1x", "10x"))
	cmd.RunE = func(c *cobra.Command, files []string) error {
		if err := replayFlags(c, *fromJournal, len(files)); err != nil {
			return err
		}
		factor, err := parseSpeed(*speed)
		if err != nil {
			return errUsage{err}
		}
		if *sink != "none" && *sink != "questdb" {
			return errUsage{fmt.Errorf("--sink %q: must be none or questdb", *sink)}
		}
		logger, err := ops.NewLogger(os.Stderr, "auto", "warn")
		if err != nil {
			return err
		}
		options := pipeline.ReplayOptions{Files: files, Venue: *venue, Speed: factor, Logger: logger}
		options.Config = pipeline.DefaultConfig()
		if *config != "" {
			if options.Config, err = loadConfig(*config); err != nil {
				return err
			}
		}
		if *sink == "questdb" {
			options.ToQuestDB = true
			if *config == "" || c.Flags().Changed("questdb") {
				options.Config.QuestDB.URL = *url
			}
		}
		if term.IsTerminal(int(os.Stderr.Fd())) {
			options.Progress = func(done float64) { fmt.Fprintf(os.Stderr, "\r%s", bar(done)) }
		}
		var report *pipeline.ReplayReport
		if *fromJournal {
			j := pipeline.JournalReplayOptions{Config: options.Config, ToQuestDB: options.ToQuestDB, Logger: logger, Progress: options.Progress}
			if *dataDir != "" {
				j.Config.DataDir = *dataDir
			}
			if j.From, j.To, err = periodFlags(*from, *to); err != nil {
				return err
			}
			report, err = pipeline.ReplayJournal(c.Context(), j)
		} else {
			report, err = pipeline.Replay(c.Context(), options)
		}
		if options.Progress != nil {
			fmt.Fprint(os.Stderr, "\r\x1b[K")
		}
		if report != nil {
			if e := printReport(c, report, *asJSON); e != nil {
				return e
			}
		}
		return err
	}
	return cmd
}

// printReport prints what came of a replay, for people or as one JSON object.
func printReport(c *cobra.Command, report interface{ Print(io.Writer) }, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(c.OutOrStdout()).Encode(report)
	}
	report.Print(c.OutOrStdout())
	return nil
}

// replayFlags refuses flags that are of the other kind of replay.
func replayFlags(c *cobra.Command, fromJournal bool, files int) error {
	others, kind := []string{"data-dir", "from", "to"}, "add --from-journal, or leave it out"
	if fromJournal {
		others, kind = []string{"venue", "speed"}, "it is of captures: leave it out"
	}
	switch {
	case fromJournal && files > 0:
		return errUsage{errors.New("--from-journal replays the logs of a data_dir: leave the files out")}
	case !fromJournal && files == 0:
		return errUsage{errors.New("which captures? name files, or say --from-journal (see tickproc replay --help)")}
	}
	for _, name := range others {
		if c.Flags().Changed(name) {
			return errUsage{fmt.Errorf("--%s: %s", name, kind)}
		}
	}
	return nil
}

// periodFlags reads --from and --to.
func periodFlags(from, to string) (begin, end time.Time, err error) {
	if begin, err = momentFlag("from", from); err != nil {
		return begin, end, err
	}
	if end, err = momentFlag("to", to); err != nil {
		return begin, end, err
	}
	if !begin.IsZero() && !end.IsZero() && !begin.Before(end) {
		return begin, end, errUsage{fmt.Errorf("--from %s is not before --to %s: there is nothing in between", from, to)}
	}
	return begin, end, nil
}

// parseSpeed reads "max" as 0 and "Nx" as N.
func parseSpeed(s string) (float64, error) {
	if s == "max" {
		return 0, nil
	}
	n, err := strconv.ParseFloat(strings.TrimSuffix(s, "x"), 64)
	if err != nil || !strings.HasSuffix(s, "x") || !(n > 0) || n > 1e6 {
		return 0, fmt.Errorf("--speed %q: must be max, or a multiple of real time such as 1x or 10x", s)
	}
	return n, nil
}

func bar(done float64) string {
	const width = 40
	n := int(done * width)
	return fmt.Sprintf("[%s%s] %3.0f %%", strings.Repeat("#", n), strings.Repeat(".", width-n), done*100)
}

func verifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "verify", Short: "Compare QuestDB's bars with its trades, and its tables with the spool", Args: args(cobra.NoArgs),
		Long: `Recompute every final, complete bar from the trades table in SQL, compare, and
print a table.

With -c or --data-dir, also look whether QuestDB still has what it acknowledged
and the spool keeps (spool: keep, keep_for), by table and hour: by count and
sums, and where these differ row by row. The service may run meanwhile. That
says nothing of rows that left the spool, or wait in it, nor of columns that are
not summed. "resend" brings back what is missing.

Exits 1 when a bar differs or a row is missing.`,
		Example: `  tickproc verify -c tickproc.yaml
  tickproc verify --from 2026-01-02T00:00:00Z --to 2026-01-03T00:00:00Z`,
	}
	flags := cmd.Flags()
	url := flags.String("questdb", "http://127.0.0.1:9000", "address of QuestDB")
	from := flags.String("from", "", "first time of a row, of bars their start, RFC 3339 (default: all)")
	to := flags.String("to", "", "end, exclusive (default: all)")
	config := flags.StringP("config", "c", "", "take the address and credentials of QuestDB, and data_dir, from this configuration")
	dir := flags.String("data-dir", "", "folder of the spool to compare with")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		options := pipeline.VerifyOptions{Config: pipeline.DefaultConfig()}
		var err error
		if *config != "" {
			if options.Config, err = loadConfig(*config); err != nil {
				return err
			}
			options.DataDir = options.Config.DataDir
		}
		if *dir != "" {
			options.DataDir = *dir
			if _, err := os.Stat(filepath.Join(*dir, "spool")); err != nil {
				return errUsage{fmt.Errorf("--data-dir %s has no spool: give the data_dir of a service (%w)", *dir, err)}
			}
		}
		if *config == "" || c.Flags().Changed("questdb") {
			options.Config.QuestDB.URL = *url
		}
		if options.From, err = momentFlag("from", *from); err != nil {
			return err
		}
		if options.To, err = momentFlag("to", *to); err != nil {
			return err
		}
		return pipeline.Verify(c.Context(), c.OutOrStdout(), options)
	}
	return cmd
}
