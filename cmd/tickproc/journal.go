package main

import (
	"bufio"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tickproc/pipeline"
	"tickproc/tick"
)

func journalCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "journal", Short: "Look at the logs of a data_dir", Args: knownCommand,
		Long: `Look at the logs and snapshots of a data_dir, also while a process writes them.
Only gc changes anything.`,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.AddCommand(journalListCommand(), journalCatCommand(), journalFsckCommand(), journalGCCommand())
	return cmd
}

// journalFlags are those that name a log.
func journalFlags(c *cobra.Command) (open func() (*pipeline.JournalTool, error)) {
	path := c.Flags().StringP("config", "c", "", "configuration file that says where data_dir is")
	dir := c.Flags().String("data-dir", "", "the folder itself")
	return func() (*pipeline.JournalTool, error) {
		config := pipeline.DefaultConfig()
		if *path != "" {
			var err error
			if config, err = loadConfig(*path); err != nil {
				return nil, err
			}
		}
		if *dir != "" {
			config.DataDir = *dir
		}
		return pipeline.NewJournalTool(config)
	}
}

func journalListCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "ls", Short: "List the segments of every shard", Args: args(cobra.NoArgs),
		Example: "  tickproc journal ls -c tickproc.yaml"}
	open := journalFlags(cmd)
	asJSON := cmd.Flags().Bool("json", false, "one JSON object a segment")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		tool, err := open()
		if err != nil {
			return err
		}
		return tool.List(c.OutOrStdout(), *asJSON)
	}
	return cmd
}

func journalCatCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "cat", Short: "Print the packets of the log", Args: args(cobra.NoArgs),
		Long: `Print the packets of the log, a line each, shard by shard. Prices and sizes are at
the scale of the definition until the log tells another one.`,
		Example: `  tickproc journal cat -c tickproc.yaml --venue okx --symbol BTC-USDT --kind trade,gap
  tickproc journal cat --data-dir ./data --from 2026-01-02T15:04:05Z --json`}
	open := journalFlags(cmd)
	flags := cmd.Flags()
	asJSON := flags.Bool("json", false, "one JSON object a packet")
	venue := flags.String("venue", "", "of this venue alone")
	symbol := flags.String("symbol", "", "of this symbol alone")
	kinds := flags.StringSlice("kind", nil, "of these kinds alone: "+strings.Join(tick.KindNames(), ", "))
	from := flags.String("from", "", "first receive time, RFC 3339")
	to := flags.String("to", "", "end, exclusive")
	shard := flags.Int("shard", -1, "of this shard alone")
	cmd.RegisterFlagCompletionFunc("kind", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return tick.KindNames(), cobra.ShellCompDirectiveNoFileComp
	})
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		filter := pipeline.CatFilter{Venue: *venue, Symbol: *symbol, Shard: *shard}
		for _, name := range *kinds {
			k := tick.KindOfName(name)
			if k == tick.KindInvalid {
				return errUsage{fmt.Errorf("--kind %q: must be of %s", name, strings.Join(tick.KindNames(), ", "))}
			}
			filter.Kinds = append(filter.Kinds, k)
		}
		var err error
		if filter.From, err = momentFlag("from", *from); err != nil {
			return err
		}
		if filter.To, err = momentFlag("to", *to); err != nil {
			return err
		}
		tool, err := open()
		if err != nil {
			return err
		}
		out := bufio.NewWriter(c.OutOrStdout())
		defer out.Flush()
		return tool.Cat(out, filter, *asJSON)
	}
	return cmd
}

// momentFlag reads a flag's time; "" is the zero time.
func momentFlag(name, text string) (t time.Time, err error) {
	if text == "" {
		return t, nil
	}
	if t, err = time.Parse(time.RFC3339Nano, text); err != nil {
		return t, errUsage{fmt.Errorf("--%s %q: write it like 2026-01-02T15:04:05Z", name, text)}
	}
	return t, nil
}

func journalFsckCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "fsck", Short: "Read all of the log and of the snapshots, and say what is damaged", Args: args(cobra.NoArgs),
		Long:    `Read every byte of logs and snapshots. Exits 1 when something is damaged.`,
		Example: "  tickproc journal fsck -c tickproc.yaml"}
	open := journalFlags(cmd)
	asJSON := cmd.Flags().Bool("json", false, "one JSON object a shard and a snapshot")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		tool, err := open()
		if err != nil {
			return err
		}
		return tool.Fsck(c.OutOrStdout(), *asJSON)
	}
	return cmd
}

func journalGCCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "gc", Short: "Remove what no kept snapshot needs", Args: args(cobra.NoArgs),
		Long: `Remove the segments that no kept snapshot needs, whatever journal: keep and
keep_for would still keep. No process may run on the data_dir.`,
		Example: "  tickproc journal gc -c tickproc.yaml"}
	open := journalFlags(cmd)
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		tool, err := open()
		if err != nil {
			return err
		}
		return tool.GC(c.OutOrStdout())
	}
	return cmd
}
