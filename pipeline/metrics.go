package pipeline

import (
	"fmt"
	"strconv"
	"sync"

	"tickproc/engine"
	"tickproc/feeds"
	"tickproc/internal/clock"
	"tickproc/internal/stat"
	"tickproc/ops"
	"tickproc/tick"
	"tickproc/writer/questdb"
)

// shown is what of a growing system has its metrics.
type shown struct {
	registry *ops.Registry

	mu          sync.Mutex // one registration at a time
	lines       map[*feeds.LineStats]bool
	inputs      map[*venueFeed]int // of its rings, by line
	instruments map[uint32]bool
	feeds       map[*venueFeed]bool
	canaries    map[string]bool
}

// register shows every number of the pipeline under its metric name.
func (s *system) register(r *ops.Registry, database *questdb.Sink) {
	s.mu.Lock()
	s.shown = &shown{registry: r, lines: map[*feeds.LineStats]bool{}, inputs: map[*venueFeed]int{}, instruments: map[uint32]bool{},
		feeds: map[*venueFeed]bool{}, canaries: map[string]bool{}}
	s.mu.Unlock()
	s.registerGrown()
	for i, d := range s.drivers {
		labels := map[string]string{"shard": strconv.Itoa(i)}
		r.Gauge("tickproc_shard_unpinned", "1 where the shard's thread was refused its core.", labels, &d.Stats.Unpinned)
		r.Counter("tickproc_shard_packets_total", "Packets applied.", labels, &d.Stats.Packets)
		r.Counter("tickproc_shard_batches_total", "Batches applied.", labels, &d.Stats.Batches)
		r.Counter("tickproc_shard_ticks_total", "Ticks, where a deadline came without a packet.", labels, &d.Stats.Ticks)
		r.CounterFunc("tickproc_shard_rows_blocked_seconds_total", "Time that a shard waited for room in its row ring.", labels, nanos(&d.Stats.RowsBlockedNanos))
		r.GaugeFunc("tickproc_row_ring_high_water_units", "The most units that ever waited in a shard's row ring.", labels, func() float64 { return float64(d.Rows.HighWater()) })
	}
	s.latency.database(database)
	s.latency.register(r)
	s.clock.register(r)
	r.GCPauses("tickproc_gc_pause_seconds")
	if s.durable != nil {
		s.durable.register(r)
	}
	if s.shared != nil {
		s.registerShared(r)
	}
	if database != nil {
		registerQuestDB(r, database)
		r.GaugeFunc("tickproc_questdb_other_writers", "Other processes that write our tables now.", nil, func() float64 {
			if s.watch == nil {
				return 0 // nobody looks
			}
			return float64(s.watch.Others())
		})
	}
}

// labels name a feed. A venue may have several, whose lines have equal names.
func (f *venueFeed) labels() map[string]string {
	return map[string]string{"venue": f.venue, "feed": strconv.Itoa(f.number)}
}

// labelled is labels and more, in pairs.
func (f *venueFeed) labelled(more ...string) map[string]string {
	labels := f.labels()
	for i := 0; i < len(more); i += 2 {
		labels[more[i]] = more[i+1]
	}
	return labels
}

// registerGrown shows the numbers of lines, rings and instruments that came
// since the last call.
func (s *system) registerGrown() {
	s.mu.Lock()
	x := s.shown
	s.mu.Unlock()
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for venue, canary := range s.venueCanaries() {
		if !x.canaries[venue] {
			x.canaries[venue] = true
			registerCanary(x.registry, venue, canary)
		}
	}
	for _, f := range s.venueFeeds() {
		if !x.feeds[f] {
			x.feeds[f] = true
			s.registerFeed(x.registry, f)
		}
		for _, line := range f.feed.Stats() {
			if !x.lines[line] {
				x.lines[line] = true
				registerLine(x.registry, f, line)
				if f.config.LineCount() > 1 {
					s.registerCompared(x.registry, f, line)
				}
			}
		}
		inputs := f.rings()
		for _, in := range inputs[x.inputs[f]:] {
			registerRings(x.registry, f, in)
		}
		x.inputs[f] = len(inputs)
	}
	for _, in := range s.carried() {
		if !x.instruments[in.ID] {
			x.instruments[in.ID] = true
			s.registerInstrument(x.registry, in)
		}
	}
}

// registerFeed shows what a feed has beside its lines.
func (s *system) registerFeed(r *ops.Registry, f *venueFeed) {
	labels := f.labels()
	r.GaugeFunc("tickproc_clock_offset_seconds", "The venue's clock minus ours, estimated.", labels,
		func() float64 { return float64(s.status.offset(f)) / 1e9 })
	r.Counter("tickproc_listings_total", "Instruments that were listed while the service ran.", labels, &f.listing.listings)
	r.Counter("tickproc_delistings_total", "Instruments that went from the venue's catalog, or were said to.", labels, &f.listing.delistings)
	r.Counter("tickproc_catalog_changes_total", "Instruments that changed in the venue's catalog: state, steps, contract, expiry.", labels, &f.listing.changes)
}

func registerCanary(r *ops.Registry, venue string, canary *feeds.Canary) {
	for i := range canary.Signs {
		r.Counter("tickproc_protocol_signs_total", "Signs that the venue changes its protocol.",
			map[string]string{"venue": venue, "sign": feeds.CanaryKind(i).String()}, &canary.Signs[i])
	}
}

// registerCompared shows how a redundant line stands against the other.
func (s *system) registerCompared(r *ops.Registry, f *venueFeed, line *feeds.LineStats) {
	labels, number := f.labelled("line", line.Name), line.Line
	counter := func(name, help string, of func() uint64) {
		r.CounterFunc(name, help, labels, func() float64 { return float64(of()) })
	}
	counter("tickproc_line_first_total", "Messages that a redundant line brought before the other.", func() uint64 { n, _, _ := s.compared.of(number); return n })
	counter("tickproc_line_second_total", "Messages that it brought after the other.", func() uint64 { _, n, _ := s.compared.of(number); return n })
	counter("tickproc_line_missed_total", "Messages that the other brought and it never did.", func() uint64 { _, _, n := s.compared.of(number); return n })
	r.GaugeFunc("tickproc_line_lead_seconds", "Median time by which what it brought first came before the other's copy.", labels,
		func() float64 { return float64(s.compared.lead(number)) / 1e9 })
}

func registerRings(r *ops.Registry, f *venueFeed, in lineRings) {
	for shard, ring := range in.rings {
		if ring == nil {
			continue
		}
		labels := f.labelled("line", in.name, "shard", strconv.Itoa(shard))
		r.GaugeFunc("tickproc_ring_units", "Units of 64 bytes that wait in a ring.", labels, func() float64 { return float64(ring.Len()) })
		r.GaugeFunc("tickproc_ring_high_water_units", "The most units that ever waited in a ring.", labels, func() float64 { return float64(ring.HighWater()) })
	}
}

func nanos(c *stat.Counter) func() float64 { return func() float64 { return float64(c.Load()) / 1e9 } }

func registerLine(r *ops.Registry, f *venueFeed, line *feeds.LineStats) {
	labels := f.labelled("line", line.Name)
	r.Counter("tickproc_feed_frames_total", "Frames and REST answers read.", labels, &line.Frames)
	r.Counter("tickproc_feed_bytes_total", "Their bytes, inflated.", labels, &line.Bytes)
	for i := range line.Faults {
		r.Counter("tickproc_feed_faults_total", "Frames that were not used, by fault.",
			f.labelled("line", line.Name, "fault", feeds.Fault(i).String()), &line.Faults[i])
	}
	r.Counter("tickproc_feed_connects_total", "Sockets opened.", labels, &line.Connects)
	r.Counter("tickproc_feed_lost_total", "Sockets that ended other than by our stop.", labels, &line.Lost)
	r.Counter("tickproc_feed_dial_failures_total", "Connects that failed.", labels, &line.DialFailures)
	r.Counter("tickproc_feed_refused_total", "Subscriptions that the venue refused.", labels, &line.Refused)
	r.Gauge("tickproc_feed_unpinned", "1 where the reading thread was refused its core.", labels, &line.Unpinned)
	r.Counter("tickproc_feed_frame_gaps_total", "Jumps in the venue's count of a socket's frames.", labels, &line.FrameGaps)
	if line.KernelStamps {
		const help = "Frames by what became of the kernel's receive stamp: it is theirs, the reader came too late for it, it cannot be, there was none."
		for outcome, c := range map[string]*stat.Counter{"used": &line.Stamps.Kernel, "late": &line.Stamps.Late, "strange": &line.Stamps.Strange, "none": &line.Stamps.None} {
			r.Counter("tickproc_feed_kernel_stamps_total", help, f.labelled("line", line.Name, "outcome", outcome), c)
		}
	}
	r.Counter("tickproc_rest_requests_total", "REST requests.", labels, &line.Requests)
	r.Counter("tickproc_rest_retries_total", "REST requests that follow a failed one.", labels, &line.Retries)
	r.Counter("tickproc_rest_throttled_total", "REST answers 429 and 418.", labels, &line.Throttled)
	r.Counter("tickproc_rest_failures_total", "REST requests without a usable answer.", labels, &line.Failures)
	r.Counter("tickproc_backfills_total", "Times that trades of a gap were asked for.", labels, &line.Backfills)
	r.Counter("tickproc_backfills_whole_total", "Those to which the venue gave all that was asked for.", labels, &line.BackfillsWhole)
	r.GaugeFunc("tickproc_feed_up", "1 while the line is connected.", labels, func() float64 {
		if state, _ := line.State(); state == feeds.LineUp {
			return 1
		}
		return 0
	})
	r.CounterFunc("tickproc_ring_blocked_seconds_total", "Time that the line waited for room in a ring.", labels, nanos(&line.Output.BlockedNanos))
	r.Counter("tickproc_ring_dropped_depth_total", "Depth messages dropped because a ring stayed full.", labels, &line.Output.DroppedDepth)
	r.Counter("tickproc_ring_dropped_quotes_total", "Quotes dropped because a ring stayed full.", labels, &line.Output.DroppedQuotes)
	if line.Recorder != nil {
		r.Counter("tickproc_record_lines_total", "Lines of the capture that were taken.", labels, &line.Recorder.Lines)
		r.Counter("tickproc_record_dropped_total", "Lines of the capture that are missing: the disk was too slow, or full.", labels, &line.Recorder.Dropped)
	}
	for i := range line.Streams {
		st := &line.Streams[i]
		r.GaugeFunc("tickproc_stream_age_seconds", "Time since the stream's last frame; -1 before the first.",
			f.labelled("line", line.Name, "symbol", st.Symbol, "channel", st.Channel.String()), func() float64 {
				if last := st.LastNanos.Load(); last != 0 {
					return float64(clock.Nanos()-last) / 1e9
				}
				return -1
			})
	}
}

func (s *system) registerInstrument(r *ops.Registry, in *tick.Instrument) {
	labels := map[string]string{"venue": in.Venue, "symbol": in.Symbol}
	id := in.ID
	gauge := func(name, help string, of func(*engine.Image) float64) {
		r.GaugeFunc(name, help, labels, func() float64 {
			image := s.status.image(id)
			return of(&image)
		})
	}
	counter := func(name, help string, of func(*engine.Image) uint64) {
		r.CounterFunc(name, help, labels, func() float64 {
			image := s.status.image(id)
			return float64(of(&image))
		})
	}
	gauge("tickproc_book_valid", "1 while the book is the venue's book.", func(x *engine.Image) float64 {
		if x.Valid {
			return 1
		}
		return 0
	})
	counter("tickproc_trades_total", "Trades.", func(x *engine.Image) uint64 { return x.Trades })
	counter("tickproc_trades_late_total", "Trades too late for their bars.", func(x *engine.Image) uint64 { return x.LateTrades })
	counter("tickproc_trades_duplicate_total", "Trades that were seen before.", func(x *engine.Image) uint64 { return x.DuplicateTrades })
	counter("tickproc_quotes_total", "Quotes.", func(x *engine.Image) uint64 { return x.Quotes })
	counter("tickproc_depth_applied_total", "Depth messages applied.", func(x *engine.Image) uint64 { return x.Depth })
	counter("tickproc_gaps_total", "Intervals of a channel that were not seen.", func(x *engine.Image) uint64 { return x.Gaps })
	counter("tickproc_resyncs_total", "Books fetched anew.", func(x *engine.Image) uint64 { return x.Resyncs })
	counter("tickproc_top_agrees_total", "Comparisons with the venue's own quotes that agreed.", func(x *engine.Image) uint64 { return x.TopAgrees })
	counter("tickproc_top_differs_total", "Comparisons with the venue's own quotes that differed.", func(x *engine.Image) uint64 { return x.TopDiffers })
	counter("tickproc_times_outside_total", "Exchange times outside the clock window.", func(x *engine.Image) uint64 { return x.TimesOutside })
}

func registerQuestDB(r *ops.Registry, database *questdb.Sink) {
	stats := &database.Stats
	for i, table := range questdb.TableNames() {
		t := &stats.Tables[i]
		labels := map[string]string{"table": table}
		for _, c := range []struct {
			name, help string
			from       *stat.Counter
		}{
			{"accepted", "Rows taken for QuestDB.", &t.Accepted}, {"acked", "Rows that QuestDB committed.", &t.Acked},
			{"quarantined", "Rows that QuestDB refused, now dead letters.", &t.Quarantined},
			{"lost", "Rows dropped because the spool was full.", &t.Lost},
			{"outranked", "Rows left out because a better one of their key stands.", &t.Outranked},
			{"retried", "Rows posted again.", &t.Retried}, {"refused", "Rows that were no rows.", &t.Refused},
		} {
			r.Counter(fmt.Sprintf("tickproc_questdb_rows_%s_total", c.name), c.help, labels, c.from)
		}
		r.Counter("tickproc_questdb_unreachable_total", "Posts without an answer.", labels, &t.Unreachable)
		r.Counter("tickproc_questdb_busy_total", "Answers 429 and 5xx.", labels, &t.Busy)
		r.Histogram("tickproc_questdb_post_seconds", "Time of a post.", labels, &t.PostNanos)
	}
	spool := database.Spool()
	r.Gauge("tickproc_spool_disk_bytes", "The spool's files.", nil, &spool.DiskBytes)
	r.Gauge("tickproc_spool_kept_bytes", "Of them, what QuestDB has acknowledged.", nil, &spool.KeptBytes)
	r.GaugeFunc("tickproc_spool_full_ratio", "What waits for QuestDB, of spool: max.", nil, func() float64 { return float64(spool.Permille.Load()) / 1000 })
	r.Gauge("tickproc_spool_down_tables", "Tables whose rows cannot be written to the disk now.", nil, &spool.Down)
	r.Counter("tickproc_spool_sync_failures_total", "Times that the disk refused to make the spool durable.", nil, &spool.SyncFails)
	r.Counter("tickproc_spool_unkept_total", "Times that acknowledged rows ceased to be kept before they were old: for want of room, or because later ones went from memory.", nil, &spool.Unkept)
	r.Counter("tickproc_spool_damaged_bytes_total", "Bytes of the spool that could not be read back.", nil, &spool.DamagedBytes)
	r.Gauge("tickproc_questdb_waiting_bytes", "Encoded rows that wait for QuestDB.", nil, &stats.WaitingBytes)
	r.GaugeFunc("tickproc_questdb_lag_seconds", "Age of the oldest row that waits for QuestDB.", nil, func() float64 { return lagSeconds(stats) })
}

func lagSeconds(stats *questdb.Stats) float64 {
	if oldest := stats.OldestNanos.Load(); oldest != 0 {
		return float64(clock.Nanos()-oldest) / 1e9
	}
	return 0
}
