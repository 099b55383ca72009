// Command tickproc turns exchange websocket feeds into order books, bars and
// windows in QuestDB.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"tickproc/pipeline"
)

// The exit codes, documented in the README.
const (
	exitOK         = 0
	exitDifference = 1 // a check or verification found a difference
	exitUsage      = 2 // usage or configuration
	exitDependency = 3 // a dependency was unreachable, or rows were not delivered
	exitInternal   = 4
)

func main() {
	// The first signal asks for a clean end; a second one gets the default action.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err := root().ExecuteContext(ctx)
	var faults pipeline.Errors
	switch {
	case errors.As(err, &faults) && term.IsTerminal(int(os.Stderr.Fd())):
		fmt.Fprint(os.Stderr, faults.Excerpts())
	case errors.As(err, &faults):
		fmt.Fprintln(os.Stderr, faults)
	case err != nil:
		fmt.Fprintln(os.Stderr, "tickproc:", err)
	}
	os.Exit(exitCode(err))
}

// errUsage marks what the command line got wrong.
type errUsage struct{ error }

func exitCode(err error) int {
	var usage errUsage
	var faults pipeline.Errors
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage), errors.As(err, &faults), errors.Is(err, pipeline.ErrInput):
		return exitUsage
	case errors.Is(err, pipeline.ErrDifference):
		return exitDifference
	case errors.Is(err, pipeline.ErrDependency):
		return exitDependency
	default:
		return exitInternal
	}
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tickproc",
		Short: "Exchange feeds in, order books, bars and VWAP in QuestDB out",
		Long: `tickproc keeps order books, bars and VWAP windows from exchange websocket feeds
and writes them to QuestDB. A book says whether it is valid, and every interval
that was not seen is a row.

Start with: tickproc demo

Exit codes: 0 ok; 1 a check found a difference; 2 usage or configuration;
3 a dependency is unreachable or rows were not delivered; 4 internal error.`,
		SilenceUsage: true, SilenceErrors: true,
		Args: knownCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return errUsage{fmt.Errorf("%w (see %s --help)", err, c.CommandPath())}
	})
	cmd.AddCommand(demoCommand(), runCommand(), checkCommand(), recordCommand(), replayCommand(), reprocessCommand(), verifyCommand(), simCommand(), benchCommand(), benchReaderCommand(),
		journalCommand(), snapshotCommand(), reloadCommand(), resendCommand(), tailCommand(), deadLetterCommand(), versionCommand())
	return cmd
}

// knownCommand refuses what names no command: the library's own refusal could
// not be told from an internal error.
func knownCommand(c *cobra.Command, given []string) error {
	if len(given) == 0 {
		return nil
	}
	hint := "see " + c.CommandPath() + " --help"
	c.SuggestionsMinimumDistance = 2
	if similar := c.SuggestionsFor(given[0]); len(similar) > 0 {
		hint = fmt.Sprintf("did you mean %q?", similar[0])
	}
	return errUsage{fmt.Errorf("unknown command %q; %s", given[0], hint)}
}

// args wraps cobra's argument checks, so that their errors exit as usage.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, given []string) error {
		if err := check(c, given); err != nil {
			return errUsage{fmt.Errorf("%w (see %s --help)", err, c.CommandPath())}
		}
		return nil
	}
}
