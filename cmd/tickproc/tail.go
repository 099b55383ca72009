package main

import (
	"strings"

	"github.com/spf13/cobra"

	"tickproc/pipeline"
	"tickproc/writer/shm/layout"
)

func tailCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "tail", Short: "Print what a running service sees, from its shared memory", Args: args(cobra.NoArgs),
		Long: `Print the messages that a running service shows to other processes of this
machine, a line each, as they come: trades, quotes, changes of books and of their
validity, bars, windows, gaps and what else there is. The service needs "shm: on"
in its configuration; it neither sees nor waits for who reads.

What was overwritten before it could be read, restarts and the end of the service
are told on standard error.

Exit codes: 0 stopped, or the service stopped in order; 2 usage, no shared memory
in the configuration, another version; 3 the service does not run.`,
		Example: `  tickproc tail -c tickproc.yaml
  tickproc tail -c tickproc.yaml --instrument BTCUSDT --kind trades,bars --json
  tickproc tail --dir /dev/shm/tickproc-0123456789abcdef-shm --images`,
	}
	path := cmd.Flags().StringP("config", "c", "", "configuration file that says where it is (default: that of an empty one)")
	o := pipeline.TailOptions{}
	flags := cmd.Flags()
	flags.StringVar(&o.Dir, "dir", "", "the folder itself, as the service logs it at its start")
	flags.StringSliceVar(&o.Instruments, "instrument", nil, "of these alone: SYMBOL, VENUE or VENUE:SYMBOL")
	flags.StringSliceVar(&o.Kinds, "kind", nil, "of these alone: "+strings.Join(layout.KindNames(), ", "))
	flags.BoolVar(&o.Images, "images", false, "print how each instrument stands now, and end")
	flags.BoolVar(&o.JSON, "json", false, "one JSON object a message")
	flags.IntVar(&o.Count, "count", 0, "end after so many messages")
	cmd.RegisterFlagCompletionFunc("kind", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return layout.KindNames(), cobra.ShellCompDirectiveNoFileComp
	})
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		if *path != "" {
			var err error
			if o.Config, err = loadConfig(*path); err != nil {
				return err
			}
		}
		o.Notes = c.ErrOrStderr()
		return pipeline.Tail(c.Context(), c.OutOrStdout(), o)
	}
	return cmd
}
