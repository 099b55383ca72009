package pipeline

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"tickproc/feeds"
)

// busySymbol is the traffic of one of the busiest instruments (BTCUSDT on a
// calm day, recorded sessions of August 2024), in messages a second. An
// estimate for disk space has to assume busy symbols.
var busySymbol = struct{ trades, quotes float64 }{trades: 60, quotes: 190}

// rowBytes is the sum of a row's column widths in QuestDB (time, long and
// double 8, symbol 4, boolean 1, a trade's id with its index 26) at a book
// depth of 10. QuestDB allocates columns by the page: small partitions take more.
var rowBytes = map[string]float64{"trades": 71, "quotes": 77, "book": 370, "bars": 141, "windows": 62}

// Check prints what a valid configuration means: itself with all defaults,
// the sockets it would open, and what it would write.
func Check(w io.Writer, c *Config) error {
	fmt.Fprintf(w, "# effective configuration\n%s\n", c.Effective())
	fmt.Fprintln(w, "# sockets")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VENUE\tSOCKET\tSYMBOLS\tSTREAMS\tREQUESTS\tURL")
	symbols := 0
	for i := range c.Feeds {
		f := &c.Feeds[i]
		symbols += len(f.Symbols)
		if err := checkFeed(table, f); err != nil {
			return err
		}
	}
	table.Flush()
	fmt.Fprintf(w, "\n# rows, if every symbol were as busy as the busiest (%.0f trades and %.0f quotes a second); most are not\n", busySymbol.trades, busySymbol.quotes)
	fmt.Fprintln(table, "TABLE\tROWS/S\tGB/DAY\t")
	estimate := c.estimate(symbols)
	for _, name := range []string{"trades", "quotes", "book", "bars", "windows"} {
		rate := estimate[name]
		fmt.Fprintf(table, "%s\t%.1f\t%.2f\t\n", name, rate, rate*rowBytes[name]*86400/1e9)
	}
	return table.Flush()
}

// checkFeed prints the sockets of a feed, by the symbols as they are written:
// no catalog is fetched.
func checkFeed(w io.Writer, f *Feed) error {
	adapter, ok := adapterOf(f.Venue)
	if !ok {
		panic("BUG: a checked configuration names an unknown venue")
	}
	var subscriptions []feeds.Subscription
	for i, symbol := range f.Symbols {
		in := adapter.Instrument(symbol)
		in.ID, in.Channels = uint32(i), f.channels()
		subscriptions = append(subscriptions, feeds.Subscription{Instrument: &in, Channels: in.Channels})
	}
	for _, c := range adapter.Plan(subscriptions) {
		url, err := feeds.OverrideURL(c.URL, f.WSURL)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInput, err)
		}
		names, streams := map[string]bool{}, 0
		count := func(all []feeds.Subscription) {
			for _, s := range all {
				names[s.Instrument.Symbol] = true
				for _, name := range f.Channels {
					if s.Channels.Has((&Feed{Channels: []string{name}}).channels()) {
						streams++
					}
				}
			}
		}
		count(c.Streams)
		count(c.Subscriptions)
		requests := len(c.Greetings) + len(adapter.Subscribe(&c, c.Subscriptions, len(c.Greetings)))
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\n", f.Venue, c.Name, len(names), streams, requests, url)
	}
	rest := 0
	for i := range subscriptions {
		if r, ok := adapter.SnapshotRequest(subscriptions[i].Instrument); ok {
			rest += r.Weight
		}
	}
	if p := adapter.Profile(); rest > 0 && p.WeightPerMinute > 0 {
		fmt.Fprintf(w, "%s\trest\t%d\t\t\tsnapshots of all books take %d of %d weight a minute: %s at least\n", f.Venue, len(f.Symbols),
			rest, p.WeightPerMinute, (time.Duration(rest) * time.Minute / time.Duration(p.WeightPerMinute)).Round(100*time.Millisecond))
	}
	return nil
}

// estimate is rows a second by table, at the most.
func (c *Config) estimate(symbols int) map[string]float64 {
	n := float64(symbols)
	rates := map[string]float64{"trades": n * busySymbol.trades, "quotes": n * busySymbol.quotes, "book": n / c.Book.Every.Std().Seconds()}
	for _, interval := range c.Bars.Intervals {
		rates["bars"] += n / interval.Std().Seconds()
	}
	for _, w := range c.Windows.VWAP {
		rates["windows"] += n / w.Step.Std().Seconds()
	}
	if c.Windows.Session == "utc-day" {
		rates["windows"] += n
	}
	return rates
}
