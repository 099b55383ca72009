package main

import (
	"os"

	"github.com/spf13/cobra"

	"tickproc/ops"
	"tickproc/pipeline"
)

func deadLetterCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "deadletter", Short: "Look at rows that QuestDB refused, and send them again", Args: knownCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	list := &cobra.Command{Use: "ls", Short: "Print the rows that QuestDB refused", Args: args(cobra.NoArgs),
		Example: "  tickproc deadletter ls -c tickproc.yaml"}
	listPath := configFlag(list)
	asJSON := list.Flags().Bool("json", false, "one JSON object a row")
	list.RunE = func(c *cobra.Command, _ []string) error {
		config, err := loadConfig(*listPath)
		if err != nil {
			return err
		}
		return pipeline.ListDeadLetters(c.OutOrStdout(), config, *asJSON)
	}
	replay := &cobra.Command{Use: "replay", Short: "Send them again", Args: args(cobra.NoArgs),
		Long: `Send the rows that QuestDB refused again, after what was wrong was put right.
What it takes leaves the file; what it refuses again stays, and the exit code is 1.
A better row that stands is not replaced.`,
		Example: "  tickproc deadletter replay -c tickproc.yaml --table trades"}
	replayPath := configFlag(replay)
	table := replay.Flags().String("table", "", "of this table alone")
	replay.RunE = func(c *cobra.Command, _ []string) error {
		config, err := loadConfig(*replayPath)
		if err != nil {
			return err
		}
		logger, err := ops.NewLogger(os.Stderr, config.Log.Format, "warn")
		if err != nil {
			return errUsage{err}
		}
		return pipeline.ReplayDeadLetters(c.Context(), c.OutOrStdout(), config, *table, logger)
	}
	cmd.AddCommand(list, replay)
	return cmd
}
