package pipeline

import (
	"hash/fnv"
	"time"

	"tickproc/engine"
	"tickproc/feeds"
	"tickproc/indicators"
	"tickproc/ringbuf"
	"tickproc/tick"
	"tickproc/writer/questdb"
)

// DefaultConfig is the configuration of an empty file, without feeds.
func DefaultConfig() *Config {
	c := new(Config)
	c.EnsureDefaults()
	return c
}

// bookGrace is the least time that a sample of a book waits for the next
// message. A busy book never waits for it, and a quiet one is no other book in
// the meantime; but a timer that fires while messages are still on their way
// writes a row that a replay, to which they are in time, does not.
const bookGrace = 2 * time.Second

// engineOptions is what of a configuration decides a shard's output.
func (c *Config) engineOptions() engine.Options {
	o := engine.Options{
		Grace: c.Bars.Grace.Std(), Lateness: c.Bars.Lateness.Std(), Carry: c.Bars.Empty == "carry",
		BookEvery: c.Book.Every.Std(), BookGrace: max(bookGrace, c.Bars.Grace.Std()), BookOnChange: c.Book.OnChange, BookDepth: c.Book.Depth,
		Silence: c.Limits.Silence.Std(), Stale: c.Limits.Stale.Std(), ClockWindow: c.Limits.ClockWindow.Std(),
		Backfill: true, BackfillReach: c.Limits.BackfillReach.Std(), // a feed that fetches none says so
		LineHold: c.Limits.LineHold.Std(), Nbbo: c.NBBO.Enabled == On, NbboEvery: c.NBBO.Every.Std(), NbboStale: c.NBBO.Stale.Std(),
	}
	for _, interval := range c.Bars.Intervals {
		o.Intervals = append(o.Intervals, interval.Std())
	}
	for _, w := range c.Windows.VWAP {
		o.Windows = append(o.Windows, indicators.WindowSpec{Span: w.Span.Std(), Step: w.Step.Std()})
	}
	if c.Windows.Session == "utc-day" {
		o.Windows = append(o.Windows, indicators.WindowSpec{})
	}
	return o
}

// questDBOptions is what of a configuration concerns QuestDB.
func (c *Config) questDBOptions() questdb.Options {
	q := &c.QuestDB
	return questdb.Options{
		URL: q.URL, Credentials: c.credentials(),
		FlushRows: q.FlushRows, FlushInterval: q.FlushInterval.Std(), MaxBytes: int64(q.MaxMemory),
		RequestTimeout: q.RequestTimeout.Std(), Numbers: q.Numbers, Encoder: q.Encoder, Depth: c.Book.Depth,
	}
}

// spoolOptions is what of a configuration limits the spool.
func (c *Config) spoolOptions() questdb.SpoolOptions {
	return questdb.SpoolOptions{MaxBytes: int64(c.Spool.Max), FreeBytes: int64(c.Spool.MinFree), Horizon: c.Spool.KeepFor.Std(), HorizonBytes: int64(c.Spool.Keep)}
}

func (c *Config) credentials() questdb.Credentials {
	return questdb.Credentials{Token: string(c.QuestDB.Token), User: c.QuestDB.Username, Password: string(c.QuestDB.Password)}
}

// feedOptions is what of a feed's configuration concerns its connections.
// lineHold is how long a shard waits for another line.
func (f *Feed) feedOptions(lineHold time.Duration) feeds.Options {
	b := &f.Backfill
	o := feeds.Options{RESTURL: f.RESTURL, Life: f.SocketLife.Std(), Overlap: 2 * lineHold,
		Backfill: feeds.BackfillOptions{Off: b.Enabled == Off, MaxAge: b.MaxAge.Std(), MaxTrades: b.MaxTrades, Key: string(b.APIKey)}}
	o.Read = feeds.ReadOptions{Spin: f.Read.Spin.Std(), KernelStamps: f.RecvStamps == "kernel"}
	if f.Read.Mode == "busy" {
		for _, core := range f.Read.Cores {
			o.Read.Cores = append(o.Read.Cores, core.Number())
		}
	}
	for line := range f.LineCount() {
		o.Lines = append(o.Lines, f.wsURL(line))
	}
	return o
}

// wsURL is the address of a line, from 0; "" = the venue's own.
func (f *Feed) wsURL(line int) string {
	if len(f.WSURLs) > 0 {
		return f.WSURLs[line]
	}
	return f.WSURL
}

// channels is the set of channels of a feed; offered are those of the venue.
func (f *Feed) channels(offered tick.Channels) (set tick.Channels) {
	for _, name := range f.Channels {
		if name == AllChannels {
			return offered
		}
		set |= tick.ChannelOf(name)
	}
	return set
}

func (c *Config) waitPolicy() ringbuf.Policy {
	return map[string]ringbuf.Policy{"auto": ringbuf.Auto, "spin": ringbuf.Spin, "yield": ringbuf.Yield, "park": ringbuf.Park}[c.Wait]
}

// shardOf routes an underlying: all venues' instruments of it share a shard.
func shardOf(underlying string, shards int) int {
	h := fnv.New32a()
	h.Write([]byte(underlying))
	return int(h.Sum32() % uint32(shards))
}

// drainTime is how long a stop may take to deliver what was accepted.
const drainTime = 30 * time.Second
