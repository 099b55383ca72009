package simulation

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"time"

	"tickproc/feeds/sim"
	"tickproc/feeds/venues"
	"tickproc/internal/vfs/simdisk"
	"tickproc/pipeline"
	"tickproc/tick"
)

const clockOffsetMax = 200 * time.Millisecond

// newWorld builds it.
func newWorld(o Options) (*world, error) {
	w := &world{o: o, said: map[string]int{}, since: map[symbolOf]int64{}, listens: map[channelOf]*listening{}, quiet: slog.New(slog.DiscardHandler)}
	if o.Trace != nil {
		w.quiet = slog.New(slog.NewTextHandler(traceWriter{w}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	setup := stream(o.Seed, "setup")
	w.now = time.Date(2026, 3, 14, 11, 59, 30, 0, time.UTC).UnixNano() + setup.Int64N(int64(time.Hour))
	w.began = w.now
	w.schedule, w.network, w.kills, w.chance = stream(o.Seed, "schedule"), stream(o.Seed, "network"), stream(o.Seed, "kills"), stream(o.Seed, "chance")
	w.database = newDatabase(&w.loop, stream(o.Seed, "database"))
	w.disk = simdisk.New(stream(o.Seed, "disk"), simdisk.Faults{})
	w.disk.Now = func() int64 { return w.now }
	w.memory = newMemory(1)
	if err := w.makeVenues(setup); err != nil {
		return nil, err
	}
	w.mutate()
	return w, nil
}

// makeVenues draws venues, their instruments and the configuration.
func (w *world) makeVenues(r *rand.Rand) error {
	names := venues.Names()
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	c := new(pipeline.Config)
	c.DataDir = dataDir
	c.Bars.Intervals = []pipeline.Duration{pipeline.Duration(time.Second), pipeline.Duration(5 * time.Second)}
	c.Windows.VWAP = []pipeline.VWAP{{Span: pipeline.Duration(10 * time.Second), Step: pipeline.Duration(time.Second)}}
	c.Shards = pipeline.AutoCount(1 + r.IntN(shardsMax))
	c.Journal.Memory = 64 << 10 << (2 * r.IntN(2))
	c.Journal.Segment, c.Journal.Reserve = c.Journal.Memory, c.Journal.Memory/2
	c.Journal.Keep, c.Journal.KeepFor = 2*c.Journal.Memory, pipeline.Duration(time.Hour)
	w.batch = int(c.Journal.Memory) / tick.UnitSize / 8
	c.Rings.Units = 1 << 10
	c.QuestDB.FlushRows = 100 + r.IntN(400)
	// A life is of seconds: at the default few batches would be cut by its end.
	c.QuestDB.FlushInterval = pipeline.Duration(100 * time.Millisecond)
	c.QuestDB.RequestTimeout = pipeline.Duration(2 * time.Second)
	if r.IntN(2) == 0 {
		c.Spool.Max = 64 << 20
	}
	w.offset = time.Duration(r.Int64N(int64(2*clockOffsetMax))) - clockOffsetMax
	o := sim.Options{Seed: w.o.Seed, Rate: 4 + 10*r.Float64(), Levels: 20 + r.IntN(20), History: 1 << 14,
		ClockOffset: w.offset}
	for _, name := range names[:1+r.IntN(2)] {
		dialect := venues.Dialect(name)
		symbols := dialect.DefaultSymbols()
		symbols = symbols[:min(len(symbols)-1, 1+r.IntN(2))]
		f := pipeline.Feed{Venue: name, Channels: []string{"trades", "quotes", "depth"}}
		if r.IntN(6) == 0 {
			f.Channels = []string{"trades", "depth"}
		}
		if r.IntN(8) == 0 {
			f.Channels = []string{pipeline.AllChannels}
		}
		if r.IntN(5) == 0 {
			f.Lines = 2
		}
		if r.IntN(6) == 0 {
			f.SocketLife = pipeline.Duration(between(r, 12*time.Second, 20*time.Second)) // sooner, and no budget of requests would do
		}
		for _, s := range symbols {
			f.Symbols = append(f.Symbols, s.Name)
		}
		c.Feeds = append(c.Feeds, f)
		w.venues = append(w.venues, name)
		o.Venues = append(o.Venues, sim.Venue{Name: name, Dialect: dialect, Symbols: symbols})
	}
	c.EnsureDefaults()
	w.config = c
	var err error
	w.exchange, err = sim.New(o)
	if err != nil {
		return err
	}
	w.catalogs = map[string][]tick.Instrument{}
	for _, name := range w.venues {
		if w.catalogs[name], err = w.catalog(name); err != nil {
			return err
		}
	}
	return nil
}

// catalog is what a venue lists.
func (w *world) catalog(venue string) ([]tick.Instrument, error) {
	adapter, _ := venues.New(venue)
	var all []tick.Instrument
	for _, request := range adapter.CatalogRequests() {
		u, err := url.Parse(request.URL)
		if err != nil {
			return nil, err
		}
		status, _, body, _, err := w.exchange.Get(venue, u)
		if err != nil || status != 200 {
			return nil, fmt.Errorf("%s: no catalog: %d %v", venue, status, err)
		}
		some, err := adapter.ParseCatalog(body)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}
