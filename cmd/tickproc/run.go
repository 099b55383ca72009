package main

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"tickproc/ops"
	"tickproc/pipeline"
)

func configFlag(c *cobra.Command) *string {
	path := c.Flags().StringP("config", "c", "", "configuration file (required)")
	c.RegisterFlagCompletionFunc("config", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
	})
	return path
}

func loadConfig(path string) (*pipeline.Config, error) {
	if path == "" {
		return nil, errUsage{errors.New("which configuration? say -c FILE (see --help)")}
	}
	config, err := pipeline.Load(path, pipeline.Host{Venues: pipeline.Venues()})
	if err != nil {
		return nil, errUsage{err}
	}
	return config, nil
}

func runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "run", Short: "Run the service", Args: args(cobra.NoArgs),
		Long: `Run the service until SIGINT or SIGTERM, then deliver what was accepted (30 s at
most) and exit: 0 if everything was delivered, 3 if not. SIGHUP loads the
configuration again, see reload.`,
		Example: "  tickproc run -c tickproc.yaml",
	}
	path := configFlag(cmd)
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		config, err := loadConfig(*path)
		if err != nil {
			return err
		}
		logger, err := ops.NewLogger(os.Stderr, config.Log.Format, config.Log.Level)
		if err != nil {
			return errUsage{err}
		}
		hangups := make(chan os.Signal, 1) // one that waits stands for all
		signal.Notify(hangups, syscall.SIGHUP)
		defer signal.Stop(hangups)
		return pipeline.Run(c.Context(), pipeline.RunOptions{Config: config, Logger: logger, Version: versionText(), Path: *path, Reload: hangups})
	}
	return cmd
}

func recordCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "record", Short: "Record raw frames to capture files, without a database", Args: args(cobra.NoArgs),
		Long: `Open the configured feeds and write every frame to capture files: one a
connection and one for REST, compressed and rotated, as "replay" reads them.
Books are kept too, so that the snapshots they need are in the capture.`,
		Example: "  tickproc record -c tickproc.yaml --dir captures",
	}
	path := configFlag(cmd)
	dir := cmd.Flags().String("dir", "", "folder for the capture files (default: record.dir of the configuration, else data_dir/captures)")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		config, err := loadConfig(*path)
		if err != nil {
			return err
		}
		if *dir != "" {
			config.Record.Dir = *dir
		}
		logger, err := ops.NewLogger(os.Stderr, config.Log.Format, config.Log.Level)
		if err != nil {
			return errUsage{err}
		}
		return pipeline.RecordOnly(c.Context(), pipeline.RunOptions{Config: config, Logger: logger, Version: versionText()})
	}
	return cmd
}

func checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check", Short: "Validate a configuration and show what it means", Args: args(cobra.NoArgs),
		Long: `Validate a configuration without connecting to anything, and print it with all
defaults (secrets masked), the sockets it would open, and what it would write.
With --catalog the venues are asked for their instruments: names are verified,
and patterns shown with what they match.

Exit codes: 0 valid; 1 a venue does not know a symbol; 2 not valid; 3 a venue's
catalog could not be had.`,
		Example: "  tickproc check -c tickproc.yaml\n  tickproc check -c tickproc.yaml --catalog",
	}
	path := configFlag(cmd)
	catalog := cmd.Flags().Bool("catalog", false, "ask the venues for their instruments now")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		config, err := loadConfig(*path)
		if err != nil {
			return err
		}
		logger, err := ops.NewLogger(os.Stderr, config.Log.Format, "error") // an attempt that fails is no matter yet
		if err != nil {
			return errUsage{err}
		}
		return pipeline.Check(c.Context(), c.OutOrStdout(), pipeline.CheckOptions{Config: config, Catalog: *catalog, Logger: logger})
	}
	return cmd
}
