package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"tickproc/ops"
	"tickproc/pipeline"
)

func reprocessCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "reprocess", Short: "Decode a period again from its raw frames", Args: args(cobra.NoArgs),
		Long: `Run a period of the logs again with what today's decoders make of the raw frames
that "record: on" kept beside them: after a decoder was mended. All else stays as
it was logged. It may run beside the service, and changes nothing in the data_dir.

Without --sink it says what would change. In QuestDB the rows take the place of
those of their keys; bars and windows only where they claim no less (complete,
final), and not where what follows the period may still correct them. Rows whose
key is made no more stay.`,
		Example: `  tickproc reprocess -c tickproc.yaml --from 2026-01-02T15:00:00Z --to 2026-01-02T16:00:00Z
  tickproc reprocess -c tickproc.yaml --from 2026-01-02T15:00:00Z --to 2026-01-02T16:00:00Z --sink questdb`,
	}
	path := configFlag(cmd)
	flags := cmd.Flags()
	from := flags.String("from", "", "first receive time, RFC 3339 (required)")
	to := flags.String("to", "", "end, exclusive (default: the end of the logs)")
	sink := flags.String("sink", "none", "none or questdb")
	url := flags.String("questdb", "", "address of QuestDB (default: that of the configuration)")
	asJSON := flags.Bool("json", false, "print one JSON object, and nothing else, on standard output")
	cmd.RegisterFlagCompletionFunc("sink", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"none", "questdb"}, cobra.ShellCompDirectiveNoFileComp
	})
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		config, err := loadConfig(*path)
		if err != nil {
			return err
		}
		o := pipeline.ReprocessOptions{Config: config, ToQuestDB: *sink == "questdb"}
		switch {
		case *sink != "none" && *sink != "questdb":
			return errUsage{fmt.Errorf("--sink %q: must be none or questdb", *sink)}
		case *from == "":
			return errUsage{errors.New("which period? say --from 2026-01-02T15:04:05Z, and --to unless it is to the end")}
		case *url != "":
			config.QuestDB.URL = *url
		}
		if o.From, o.To, err = periodFlags(*from, *to); err != nil {
			return err
		}
		if o.Logger, err = ops.NewLogger(os.Stderr, "auto", "warn"); err != nil {
			return err
		}
		report, err := pipeline.Reprocess(c.Context(), o)
		if report != nil {
			if e := printReport(c, report, *asJSON); e != nil {
				return e
			}
		}
		return err
	}
	return cmd
}
