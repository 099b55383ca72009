package main

import (
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"tickproc/pipeline"
)

func snapshotCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "snapshot", Short: "Make the running service write its state down now", Args: args(cobra.NoArgs),
		Long: `Make the service that runs with this configuration write its state down now.
With --list, print the snapshots that are kept.`,
		Example: "  tickproc snapshot -c tickproc.yaml"}
	path := configFlag(cmd)
	list := cmd.Flags().Bool("list", false, "print the snapshots that are kept")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		config, err := loadConfig(*path)
		if err != nil {
			return err
		}
		if *list {
			tool, err := pipeline.NewJournalTool(config)
			if err != nil {
				return err
			}
			return tool.Snapshots(c.OutOrStdout())
		}
		return tell(c, config, "snapshot", nil)
	}
	return cmd
}

func reloadCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "reload", Short: "Make the running service load its configuration again", Args: args(cobra.NoArgs),
		Long: `Make the service that runs on this configuration's data_dir put the file into
force, as SIGHUP makes it load the file that it was started with. Feeds, bars,
windows, nbbo, limits, book.every and book.on_change may change; a feed whose
entry stays as it is sees no gap. A file that is faulty, or changes what is read
at the start only, changes nothing.`,
		Example: "  tickproc reload -c tickproc.yaml"}
	path := configFlag(cmd)
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		config, err := loadConfig(*path)
		if err != nil {
			return err
		}
		file, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		return tell(c, config, "reload", url.Values{"file": {file}})
	}
	return cmd
}

// tell gives a command to the service that runs with a configuration.
func tell(c *cobra.Command, config *pipeline.Config, command string, with url.Values) error {
	answer, err := pipeline.Tell(c.Context(), config, command, with)
	if err == nil {
		fmt.Fprintln(c.OutOrStdout(), answer)
	}
	return err
}

func resendCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "resend", Short: "Make the running service send rows to QuestDB again", Args: args(cobra.NoArgs),
		Long: `Make the service that runs with this configuration send again what QuestDB had
acknowledged, as far back as the spool keeps it: for a database that was brought
back from an older copy. Rows that are there stay as they are.`,
		Example: "  tickproc resend -c tickproc.yaml --since 2026-01-02T15:04:05Z"}
	path := configFlag(cmd)
	since := cmd.Flags().String("since", "", "when the oldest row was written, RFC 3339, or a time ago such as 30m (required)")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		config, err := loadConfig(*path)
		if err != nil {
			return err
		}
		from, err := sinceFlag(*since, time.Now())
		if err != nil {
			return err
		}
		return tell(c, config, "resend", url.Values{"since": {from.Format(time.RFC3339Nano)}})
	}
	return cmd
}

// sinceFlag reads a time, or a time ago.
func sinceFlag(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	if text == "" {
		return time.Time{}, errUsage{fmt.Errorf("since when? say --since 30m, or --since 2026-01-02T15:04:05Z")}
	}
	return momentFlag("since", text)
}
