package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"tickproc/engine"
	"tickproc/internal/clock"
	"tickproc/internal/stat"
	"tickproc/ops"
	"tickproc/tick"
	"tickproc/writer/questdb"
)

// lastRows is a sink that remembers each instrument's newest one-second bar,
// and each group's consolidated best bid and offer.
type lastRows struct {
	mu   sync.Mutex // the screen reads, twice a second
	bars []tick.BarRow
	nbbo []tick.NbboRow // in the order in which the groups were first written
}

// Write takes rows and keeps the newest among them.
func (x *lastRows) Write(rows []tick.Unit) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for ; len(rows) > 0; rows = rows[tick.PacketUnits(&rows[0]):] {
		switch rows[0].KindOf() {
		case tick.RowBar:
			r := rows[0].BarRow()
			for int(r.Instrument) >= len(x.bars) {
				x.bars = append(x.bars, tick.BarRow{})
			}
			if r.IntervalNanos == int64(time.Second) && r.TsNanos >= x.bars[r.Instrument].TsNanos {
				x.bars[r.Instrument] = *r
			}
		case tick.RowNbbo:
			r := rows[0].NbboRow()
			i := slices.IndexFunc(x.nbbo, func(have tick.NbboRow) bool { return have.Instrument == r.Instrument })
			if i < 0 {
				i = len(x.nbbo)
				x.nbbo = append(x.nbbo, tick.NbboRow{})
			}
			x.nbbo[i] = *r
		}
	}
}

// Idle and Close have nothing to do.
func (x *lastRows) Idle(int64) {}

func (x *lastRows) Close(context.Context) error { return nil }

func (x *lastRows) text(instrument uint32) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	if int(instrument) >= len(x.bars) || x.bars[instrument].TsNanos == 0 {
		return "-"
	}
	r := &x.bars[instrument]
	price := func(v int64) string { return short(v, r.PriceDigits) }
	return fmt.Sprintf("%s %s %s %s %s", price(r.Open), price(r.High), price(r.Low), price(r.Close), r.Volume.Decimal(r.SizeDigits))
}

// consolidated shows the groups of a base asset.
func (x *lastRows) consolidated(base string, instrument func(id uint32) *tick.Instrument) (lines []ops.NbboLine) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range x.nbbo {
		r := &x.nbbo[i]
		of := instrument(r.Instrument)
		if of.Base != base {
			continue
		}
		line := ops.NbboLine{Pair: of.Base + "-" + of.Quote, Type: of.Type.String(), Venues: int(r.Venues), Crossed: r.Flags&tick.RowCrossed != 0}
		if r.BidSize > 0 {
			line.Bid, line.BidVenue = short(r.Bid, r.BidDigits), instrument(r.BidInstrument).Venue
		}
		if r.AskSize > 0 {
			line.Ask, line.AskVenue = short(r.Ask, r.AskDigits), instrument(r.AskInstrument).Venue
		}
		lines = append(lines, line)
	}
	slices.SortFunc(lines, func(a, b ops.NbboLine) int {
		return cmp.Or(cmp.Compare(a.Pair, b.Pair), cmp.Compare(b.Type, a.Type))
	})
	return lines
}

// viewer makes views of a running system; rates and latencies are those since
// the view before.
type viewer struct {
	system   *system
	last     *lastRows
	database *questdb.Sink
	at       int64
	messages map[uint32]uint64 // by instrument
	stages   []*stageSince
}

// stageSince is a histogram's growth since it was last looked at.
type stageSince struct {
	name string
	from []*stat.Histogram // of all tables
	seen [stat.HistogramBuckets]uint64
}

func newViewer(s *system, last *lastRows, database *questdb.Sink) *viewer {
	v := &viewer{system: s, last: last, database: database, at: clock.Nanos(), messages: map[uint32]uint64{}}
	s.latency.database(database)
	v.stages = []*stageSince{{name: "writer: encode what one poll gave", from: []*stat.Histogram{&s.writer.Stats.SinkNanos}}}
	if database != nil {
		post := &stageSince{name: "QuestDB: one post"}
		for i := range database.Stats.Tables {
			post.from = append(post.from, &database.Stats.Tables[i].PostNanos)
		}
		v.stages = append(v.stages, post)
	}
	return v
}

func (v *viewer) view() *ops.View {
	now := clock.Nanos()
	seconds := float64(now-v.at) / 1e9
	v.at = now
	out := &ops.View{}
	for _, in := range v.system.carried() {
		image := v.system.status.image(in.ID)
		total := image.Depth + image.Quotes + image.Trades
		line := ops.InstrumentLine{Venue: in.Venue, Symbol: in.Symbol, PerSecond: float64(total-v.messages[in.ID]) / seconds,
			Book: bookState(&image), Bid: priceText(&image, image.Bid), Ask: priceText(&image, image.Ask),
			LastBar: v.last.text(in.ID), Lag: -time.Duration(image.OffsetNanos), Gaps: image.Gaps}
		v.messages[in.ID] = total
		out.Instruments = append(out.Instruments, line)
	}
	out.Nbbo = v.last.consolidated("BTC", v.system.instrument)
	for _, s := range v.stages {
		out.Stages = append(out.Stages, s.line())
	}
	out.Latencies, out.LatenciesOfAll = v.system.latency.linesOf()
	if len(out.Latencies) > 0 {
		out.Clock = v.system.clock.text()
	}
	return out
}

func bookState(x *engine.Image) string {
	if x.Valid {
		return "valid"
	}
	return x.Reason.String()
}

func priceText(x *engine.Image, l tick.Level) string {
	if l.Size == 0 {
		return "-"
	}
	return short(l.Price, x.PriceDigits)
}

// short is a price without the zeros that end it beyond two places.
func short(price int64, digits uint8) string {
	for ; digits > 2 && price%10 == 0; digits-- {
		price /= 10
	}
	return tick.FormatScaled(price, digits)
}

func (s *stageSince) line() ops.StageLine {
	var now [stat.HistogramBuckets]uint64
	for _, h := range s.from {
		buckets, _ := h.Snapshot()
		for i := range now {
			now[i] += buckets[i]
		}
	}
	grown := now
	var n uint64
	for i := range grown {
		grown[i] -= s.seen[i]
		n += grown[i]
	}
	s.seen = now
	return ops.StageLine{Name: s.name, Count: n, P50: time.Duration(stat.Quantile(&grown, 0.5)),
		P99: time.Duration(stat.Quantile(&grown, 0.99)), Max: time.Duration(stat.Quantile(&grown, 1))}
}

// rows lists the rows by table.
func (d *demo) rows() string {
	counts := map[string]int{}
	if d.database != nil {
		for i, table := range questdb.TableNames() {
			counts[table] = int(d.database.Stats.Tables[i].Acked.Load())
		}
		return counted(counts) + " (committed by QuestDB)"
	}
	for kind, table := range map[tick.Kind]string{tick.RowTrade: "trades", tick.RowQuote: "quotes", tick.RowBook: "book",
		tick.RowBar: "bars", tick.RowWindow: "windows", tick.RowGap: "gaps", tick.RowFunding: "funding", tick.RowOpenInterest: "open_interest",
		tick.RowLiquidation: "liquidations", tick.RowStatus: "status", tick.RowNbbo: "nbbo"} {
		counts[table] = int(d.memory.Rows(kind))
	}
	return counted(counts) + " (in memory)"
}

// counted prints counts by name.
func counted(counts map[string]int) string {
	var names []string
	for name, n := range counts {
		if n > 0 {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	if len(names) == 0 {
		return "none"
	}
	parts := slices.Clone(names)
	for i, name := range names {
		parts[i] = fmt.Sprintf("%s %d", name, counts[name])
	}
	return strings.Join(parts, ", ")
}
