package pipeline

import (
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

// lastBars is a sink that remembers each instrument's newest one-second bar.
type lastBars struct {
	mu   sync.Mutex // the screen reads, twice a second
	bars []tick.BarRow
}

// Write takes rows and keeps the newest bar among them.
func (b *lastBars) Write(rows []tick.Unit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for ; len(rows) > 0; rows = rows[tick.PacketUnits(&rows[0]):] {
		if rows[0].KindOf() != tick.RowBar {
			continue
		}
		r := rows[0].BarRow()
		for int(r.Instrument) >= len(b.bars) {
			b.bars = append(b.bars, tick.BarRow{})
		}
		if r.IntervalNanos == int64(time.Second) && r.TsNanos >= b.bars[r.Instrument].TsNanos {
			b.bars[r.Instrument] = *r
		}
	}
}

// Idle and Close have nothing to do.
func (b *lastBars) Idle(int64) {}

func (b *lastBars) Close(context.Context) error { return nil }

func (b *lastBars) text(instrument uint32) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if int(instrument) >= len(b.bars) || b.bars[instrument].TsNanos == 0 {
		return "-"
	}
	r := &b.bars[instrument]
	price := func(v int64) string { return tick.FormatScaled(v, r.PriceDigits) }
	return fmt.Sprintf("%s %s %s %s %s", price(r.Open), price(r.High), price(r.Low), price(r.Close), r.Volume.Decimal(r.SizeDigits))
}

// viewer makes views of a running system; rates and latencies are those since
// the view before.
type viewer struct {
	system   *system
	bars     *lastBars
	database *questdb.Sink
	at       int64
	messages []uint64 // by instrument
	stages   []*stageSince
}

// stageSince is a histogram's growth since it was last looked at.
type stageSince struct {
	name string
	from []*stat.Histogram // of all shards or tables
	seen [stat.HistogramBuckets]uint64
}

func newViewer(s *system, bars *lastBars, database *questdb.Sink) *viewer {
	v := &viewer{system: s, bars: bars, database: database, at: clock.Nanos()}
	wait := &stageSince{name: "socket read to shard"}
	apply := &stageSince{name: "shard: book, bars, rows, a packet"}
	for _, d := range s.drivers {
		wait.from = append(wait.from, &d.Stats.Wait)
		apply.from = append(apply.from, &d.Stats.Apply)
	}
	v.stages = []*stageSince{wait, apply, {name: "writer: encode what one poll gave", from: []*stat.Histogram{&s.writer.Stats.SinkNanos}}}
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
	listed := v.system.listed()
	v.messages = append(v.messages, make([]uint64, len(listed)-len(v.messages))...)
	for _, in := range listed {
		image := v.system.status.image(in.ID)
		total := image.Depth + image.Quotes + image.Trades
		line := ops.InstrumentLine{Venue: in.Venue, Symbol: in.Symbol, PerSecond: float64(total-v.messages[in.ID]) / seconds,
			Book: bookState(&image), Bid: priceText(&image, image.Bid), Ask: priceText(&image, image.Ask),
			LastBar: v.bars.text(in.ID), Lag: -time.Duration(image.OffsetNanos), Gaps: image.Gaps}
		v.messages[in.ID] = total
		out.Instruments = append(out.Instruments, line)
	}
	for _, s := range v.stages {
		out.Stages = append(out.Stages, s.line())
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
	return tick.FormatScaled(l.Price, x.PriceDigits)
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
		tick.RowBar: "bars", tick.RowWindow: "windows", tick.RowGap: "gaps"} {
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
