// Command peers measures stacks of other libraries on the frames of bench, by
// its runner and beside its lines, and prints one table.
//
//	bench: frames, ops, runner, our lines ─┐
//	books.go, frames.go, rings.go ─────────┴─► one run, in turns ─► markdown
//
// It is a module of its own, so that peers never enter the product's
// dependencies. run.sh runs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"tickproc/bench"
)

// kept is where results go that nobody reads.
var kept int64

// against is a line of a peer beside one of ours, which is its floor: the ratio
// says how many times as long the peer takes. least 0 = nothing is meant.
func against(ours, peer string, least float64, run func(*bench.Run, *bench.Sample) error) bench.Measurement {
	m := bench.Measurement{Name: ours + "/" + peer, What: peer, Floor: ours, Run: run}
	if least > 0 {
		m.Aim = bench.Aim{Text: fmt.Sprintf("≥ %g ×", least), Met: func(line *bench.Result, _ func(string) *bench.Result) bool { return line.Ratio >= least }}
	}
	return m
}

// lines are the peers', and ours that they stand beside.
func lines() (all []bench.Measurement) {
	peers := slices.Concat(frameLines(), bookLines(), ringLines())
	wanted := map[string]bool{"ring/many": true, "ring/hop": true}
	for _, p := range peers {
		wanted[p.Floor] = true
	}
	for grown := true; grown; {
		grown = false
		for _, m := range bench.All("") {
			if wanted[m.Name] && m.Floor != "" && !wanted[m.Floor] {
				wanted[m.Floor], grown = true, true
			}
		}
	}
	for _, m := range bench.All("") {
		if !wanted[m.Name] {
			continue
		}
		all = append(all, m)
		for _, p := range peers {
			if p.Floor == m.Name {
				p.Unit = m.Unit
				all = append(all, p)
			}
		}
	}
	return all
}

func main() {
	only := flag.String("only", "", "only lines whose name matches this regular expression")
	lineTime := flag.Duration("time", time.Second, "time for a line, over all rounds")
	rounds := flag.Int("rounds", 5, "how often to go over all lines")
	asJSON := flag.Bool("json", false, "print JSON")
	data := flag.String("data", "", "folder with captures/ of recorded sessions, for --passes")
	passes := flag.Int("passes", 0, "only go that often over recorded sessions, and print what beside.go reads")
	withStacks := flag.Bool("stacks", true, "with --passes, the stacks of Go libraries, too")
	sessions := flag.Bool("beside", false, "only print the table of such lines from the standard input")
	flag.Parse()
	if *passes > 0 || *sessions {
		err := error(nil)
		if *sessions {
			var all []*passed
			if all, err = readPassed(os.Stdin); err == nil {
				fmt.Print(beside(all))
			}
		} else {
			err = tellPasses(os.Stdout, *data, *passes, *withStacks)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "peers:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	o := bench.Options{Measurements: lines(), Time: *lineTime, Rounds: *rounds, Version: "bench/peers"}
	if *only != "" {
		o.Only = regexp.MustCompile(*only)
	}
	report, err := bench.Do(ctx, o)
	if err == nil && *asJSON {
		err = report.WriteJSON(os.Stdout)
	} else if err == nil {
		fmt.Print(table(report))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// table is the report side by side: our line, then each peer's.
func table(r *bench.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%sPeers: %s.\n", r.Machine.String(), strings.Join(versions(), ", "))
	for _, warning := range r.Warnings {
		fmt.Fprintf(&b, "WARNING: %s\n", warning)
	}
	b.WriteString("\n| line | of | p50 | p99 | allocations | times ours | aim | |\n|---|---|---:|---:|---:|---:|---|---|\n")
	names := map[string]bool{}
	for i := range r.Lines {
		names[r.Lines[i].Name] = true
	}
	for i := range r.Lines {
		line := &r.Lines[i]
		peer := names[line.Floor] && strings.HasPrefix(line.Name, line.Floor+"/")
		name, ratio, aim := "**"+line.Name+"**, tickproc", "1", ""
		switch {
		case strings.HasPrefix(line.Name, "floor/channel"):
			name, ratio = line.Name, ""
			// It is the floor of ours, so that its own ratio is told the other way.
			for j := range r.Lines {
				if ours := &r.Lines[j]; ours.Floor == line.Name && ours.Ratio > 0 {
					ratio, aim = fmt.Sprintf("%.1f", 1/ours.Ratio), ours.Aim+" | "+met(ours)
				}
			}
		case strings.HasPrefix(line.Name, "floor/"):
			name, ratio = line.Name, ""
		case peer:
			name, ratio = strings.TrimPrefix(line.Name, line.Floor+"/"), fmt.Sprintf("%.1f", line.Ratio)
		}
		if aim == "" {
			aim = " | "
			if peer {
				aim = line.Aim + " | " + met(line)
			}
		}
		if line.Samples == 0 {
			fmt.Fprintf(&b, "| %s | %s | | | | | %s |\n", name, line.Skipped, aim)
			continue
		}
		allocs := ""
		if line.Allocs != nil {
			allocs = fmt.Sprintf("%.3g", *line.Allocs)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", name, line.Unit, nanos(line.P50), nanos(line.P99), allocs, ratio, aim)
	}
	return b.String()
}

func met(line *bench.Result) string {
	switch {
	case line.Met == nil:
		return ""
	case *line.Met:
		return "met"
	}
	return "NOT MET"
}

func nanos(ns float64) string {
	switch {
	case ns < 100:
		return fmt.Sprintf("%.1f ns", ns)
	case ns < 10_000:
		return fmt.Sprintf("%.0f ns", ns)
	}
	return fmt.Sprintf("%.1f µs", ns/1000)
}

// versions of the peers in this binary.
func versions() (all []string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	for _, m := range info.Deps {
		switch m.Path {
		case "github.com/emirpasic/gods", "github.com/tidwall/btree", "github.com/bytedance/sonic", "github.com/valyala/fastjson", "github.com/puzpuzpuz/xsync/v4", "github.com/shopspring/decimal":
			all = append(all, m.Path+" "+m.Version)
		}
	}
	return all
}
