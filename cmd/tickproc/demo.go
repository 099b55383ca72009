package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"tickproc/pipeline"
)

func demoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "demo", Short: "The whole product on this machine, offline", Args: args(cobra.NoArgs),
		Long: `Start a QuestDB of its own, simulated exchanges that speak the real wire formats
over real sockets, and the whole pipeline between them. Ctrl-C stops everything
that it started. With --for it ends by itself, compares QuestDB with what the
simulator knows to be true, and exits 0, 1 on a difference, 3 without QuestDB.`,
		Example: "  tickproc demo\n  tickproc demo --for 20s",
	}
	flags := cmd.Flags()
	duration := flags.Duration("for", 0, "end after this long and compare with the simulator's truth")
	url := flags.String("questdb", "", "use a running QuestDB at this address instead of starting one")
	dir := flags.String("dir", "", "folder for QuestDB's data (default: a temporary one, removed at the end)")
	seed := flags.Uint64("seed", 1, "seed of the simulated market")
	faults := flags.Bool("faults", true, "let the exchanges lose, repeat and reorder messages and drop connections")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		if *duration < 0 || (*duration > 0 && *duration < 2*time.Second) {
			return errUsage{fmt.Errorf("--for %s: must be at least 2s", *duration)}
		}
		out := int(os.Stdout.Fd())
		size := func() (columns, lines int) {
			columns, lines, _ = term.GetSize(out) // 0 where unknown: no limits
			return columns, lines
		}
		return pipeline.Demo(c.Context(), pipeline.DemoOptions{Out: os.Stdout, Terminal: term.IsTerminal(out), Size: size,
			For: *duration, QuestDB: *url, Dir: *dir, Seed: *seed, Faults: *faults})
	}
	return cmd
}

func simCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "sim", Short: "The simulated exchanges alone", Args: args(cobra.NoArgs),
		Long: `Serve simulated exchanges on loopback and print, as a configuration for "run",
how to connect to them.`,
		Example: "  tickproc sim > sim.yaml & tickproc run -c sim.yaml",
	}
	flags := cmd.Flags()
	seed := flags.Uint64("seed", 1, "seed of the simulated market")
	faults := flags.Bool("faults", false, "lose, repeat and reorder messages and drop connections")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		return pipeline.Sim(c.Context(), c.OutOrStdout(), *seed, *faults)
	}
	return cmd
}
