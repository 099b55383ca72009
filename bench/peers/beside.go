package main

import (
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"tickproc/bench"
	"tickproc/feeds/venues"
)

// Libraries of other languages are programs of their own (bench/peers/*/), which
// take the same recorded sessions from memory. Each prints a line a session, of
// what a pass over it took and did:
//
//	name version session frames µs,µs,… trades quotes books bid size ask size
//
// separated by tabs; µs are processor time of all threads a frame, "-" is what
// it does not tell. beside makes the table of them.

// ours is how a line of our own is named.
const ours = "tickproc"

// aims say by how much ours is meant to be faster.
var aims = map[string]float64{"barter-data": 3.5, "tardis-dev": 14, "cryptofeed": 14, "ccxt": 14, "nautilus_trader": 14}

// passed is what lines of one program and session tell.
type passed struct {
	name, version, session string
	frames                 int
	micros                 []float64
	did                    [3]string // trades, quotes, messages of depth
	top                    [4]string // bid, size, ask, size
}

// readPassed reads lines; those of one name and session, of several rounds, are
// put together, in the order of first coming.
func readPassed(r io.Reader) (all []*passed, err error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	for n, line := range strings.Split(strings.TrimRight(string(text), "\n"), "\n") {
		if line == "" {
			continue
		}
		fields := strings.Split(line, "\t")
		if len(fields) != 12 {
			return nil, fmt.Errorf("line %d has %d fields, want 12: %q", n+1, len(fields), line)
		}
		x := &passed{name: fields[0], version: fields[1], session: fields[2], did: [3]string(fields[5:8]), top: [4]string(fields[8:12])}
		if x.frames, err = strconv.Atoi(fields[3]); err != nil {
			return nil, fmt.Errorf("line %d: frames: %w", n+1, err)
		}
		for _, one := range strings.Split(fields[4], ",") {
			micros, err := strconv.ParseFloat(one, 64)
			if err != nil || micros <= 0 {
				return nil, fmt.Errorf("line %d: %q is no time of a pass", n+1, one)
			}
			x.micros = append(x.micros, micros)
		}
		if i := slices.IndexFunc(all, func(y *passed) bool { return y.name == x.name && y.session == x.session }); i >= 0 {
			all[i].micros = append(all[i].micros, x.micros...)
			continue
		}
		all = append(all, x)
	}
	return all, nil
}

func (x *passed) median() float64 {
	sorted := slices.Sorted(slices.Values(x.micros))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// agrees says what of x differs from ours: trades, and the best prices and sizes.
func (x *passed) agrees(we *passed) string {
	var differs []string
	if x.did[0] != we.did[0] {
		differs = append(differs, fmt.Sprintf("%s trades, not %s", x.did[0], we.did[0]))
	}
	for i, what := range []string{"bid", "bid size", "ask", "ask size"} {
		their, err := strconv.ParseFloat(x.top[i], 64)
		our, _ := strconv.ParseFloat(we.top[i], 64)
		if x.top[i] != "-" && (err != nil || math.Abs(their-our) > 1e-9*math.Abs(our)) {
			differs = append(differs, fmt.Sprintf("%s %s, not %s", what, x.top[i], we.top[i]))
		}
	}
	if differs == nil {
		return "yes"
	}
	return "NO: " + strings.Join(differs, "; ")
}

// beside is the table: a row a program, a column a session. Times are medians of
// passes, and aims are judged by them; beside their ratio stands that of the least
// passes, which others on the machine disturbed least.
func beside(all []*passed) string {
	var sessions, names []string
	at := map[[2]string]*passed{}
	for _, x := range all {
		if !slices.Contains(sessions, x.session) {
			sessions = append(sessions, x.session)
		}
		if !slices.Contains(names, x.name) {
			names = append(names, x.name)
		}
		at[[2]string{x.name, x.session}] = x
	}
	var b strings.Builder
	b.WriteString("| µs of processor time a frame |")
	for _, s := range sessions {
		fmt.Fprintf(&b, " %s |", s)
	}
	b.WriteString(" times ours | of the least passes | aim | | trades and best prices as ours |\n|---|")
	b.WriteString(strings.Repeat("---:|", len(sessions)+2) + "---|---|---|\n")
	for _, name := range names {
		version, micros, times, calm, agree, least := "", "", []string{}, []string{}, []string{}, math.Inf(1)
		for _, s := range sessions {
			x, we := at[[2]string{name, s}], at[[2]string{ours, s}]
			if x == nil {
				micros += " |"
				times, calm = append(times, "–"), append(calm, "–")
				continue
			}
			version = x.version
			micros += fmt.Sprintf(" %.2f |", x.median())
			if we == nil {
				times, calm = append(times, "–"), append(calm, "–")
				continue
			}
			ratio := x.median() / we.median()
			least = min(least, ratio)
			times = append(times, fmt.Sprintf("%.1f", ratio))
			calm = append(calm, fmt.Sprintf("%.1f", slices.Min(x.micros)/slices.Min(we.micros)))
			if a := x.agrees(we); !slices.Contains(agree, a) {
				agree = append(agree, a)
			}
		}
		aim, met := "", ""
		if wanted := aims[name]; wanted > 0 && !math.IsInf(least, 1) {
			aim, met = fmt.Sprintf("≥ %g", wanted), "met"
			if least < wanted {
				met = "NOT MET"
			}
		}
		ratio, label := strings.Join(times, ", "), strings.TrimSpace(name+" "+version)
		if name == ours {
			ratio, calm, agree, label = "1", []string{"1"}, nil, "**"+ours+"**, books, bars, windows, log"
		}
		fmt.Fprintf(&b, "| %s |%s %s | %s | %s | %s | %s |\n", label, micros, ratio, strings.Join(calm, ", "), aim, met, strings.Join(agree, "; "))
	}
	return b.String()
}

// tellPasses prints our own lines, and those of the Go stacks if wanted, of
// sessions in a folder: passes of each, after one that is not counted.
func tellPasses(w io.Writer, data string, passes int, withStacks bool) error {
	for _, recorded := range recordings {
		adapter, _ := venues.New(recorded.venue)
		session, err := bench.ReadSession(filepath.Join(data, "captures", recorded.file), adapter)
		if err != nil {
			return fmt.Errorf("%w: --data must name a folder with captures/%s", err, recorded.file)
		}
		var micros []string
		var last bench.Pass
		took := func(lap int, nanos int64) {
			if lap > 0 {
				micros = append(micros, strconv.FormatFloat(float64(nanos)/1000/float64(session.Frames), 'f', 4, 64))
			}
		}
		tell := func(name, version string, did, top []string) {
			fields := append([]string{name, version, recorded.venue, strconv.Itoa(session.Frames), strings.Join(micros, ",")}, append(did, top...)...)
			fmt.Fprintln(w, strings.Join(fields, "\t"))
			micros = nil
		}
		for lap := range passes + 1 {
			if last, err = session.Pass(); err != nil {
				return fmt.Errorf("%s: %w", recorded.venue, err)
			}
			took(lap, last.CPU.Nanoseconds())
		}
		number := func(scaled int64, digits uint8) string {
			return strconv.FormatFloat(float64(scaled)/math.Pow10(int(digits)), 'f', int(digits), 64)
		}
		count := strconv.Itoa
		tell(ours, "of this tree", []string{count(int(last.Trades)), count(int(last.Quotes)), count(int(last.Books))},
			[]string{number(last.Bid.Price, last.PriceDigits), number(last.Bid.Size, last.SizeDigits), number(last.Ask.Price, last.PriceDigits), number(last.Ask.Size, last.SizeDigits)})

		for i := range stacks() {
			if !withStacks {
				break
			}
			var x stack
			var did map[string]int
			for lap := range passes + 1 {
				x = stacks()[i]
				from := processorTime()
				if did, err = x.lap(session); err != nil {
					return fmt.Errorf("%s: %s refuses a recorded frame: %w", recorded.venue, x.name, err)
				}
				took(lap, processorTime()-from)
			}
			name := "Go: " + x.name
			if x.decode != nil {
				name += " + channel"
			}
			bid, ask := x.best()
			price := func(p float64) string { return strconv.FormatFloat(p, 'f', -1, 64) }
			tell(name, "", []string{count(did["trade"]), count(did["bookTicker"]), count(did["depth"])}, []string{price(bid), "-", price(ask), "-"})
		}
	}
	return nil
}
