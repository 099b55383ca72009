package pipeline

import (
	"log/slog"
	"sync"
	"time"

	"tickproc/engine"
	"tickproc/feeds"
	"tickproc/internal/clock"
	"tickproc/ringbuf"
	"tickproc/tick"
)

const (
	// statusEvery is how often the shards' images are read.
	statusEvery = 100 * time.Millisecond
	// healthEvery is how often each line gets a row in feed_health.
	healthEvery = 5 * time.Second
	// offsetWarn is a difference of clocks beyond which latencies and lateness
	// mean little.
	offsetWarn = 500 * time.Millisecond
	// offsetWarnEvery bounds how often that is said, a venue.
	offsetWarnEvery = 10 * time.Minute
)

// status keeps the newest image of every instrument, for metrics, for health
// rows and for people.
type status struct {
	system   *system
	readers  []*ringbuf.BroadcastReader
	message  []tick.Unit
	warned   map[string]int64
	silence  silence
	oddities oddities

	mu     sync.Mutex // guards images: scrapes and screens read them, rarely
	images []engine.Image
}

func newStatus(s *system) *status {
	x := &status{system: s, message: make([]tick.Unit, engine.ImageUnits), warned: map[string]int64{}}
	for _, d := range s.drivers {
		x.readers = append(x.readers, d.Images.Reader())
	}
	return x
}

// run follows the images until stop is closed, and writes health rows.
func (x *status) run(stop <-chan struct{}) {
	images, health := time.NewTicker(statusEvery), time.NewTicker(healthEvery)
	defer images.Stop()
	defer health.Stop()
	for {
		select {
		case <-stop:
			x.read()
			x.writeHealth()
			return
		case <-images.C:
			x.read()
		case <-health.C:
			x.system.clock.look()
			x.system.latency.turn(clock.Nanos())
			x.warnClocks()
			x.silence.look(x.lines(), x.system.venueCanaries(), clock.Nanos())
			x.oddities.look(x.imagesByVenue(), x.lines(), x.system.venueCanaries(), clock.Nanos())
			x.writeHealth()
		}
	}
}

func (x *status) read() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range x.readers {
		for {
			ok, _ := r.Next(x.message)
			if !ok {
				break
			}
			image := engine.ImageOf(x.message)
			for int(image.Instrument) >= len(x.images) {
				x.images = append(x.images, engine.Image{})
			}
			x.images[image.Instrument] = *image
		}
	}
}

// image returns the newest image of an instrument; zero before the first.
func (x *status) image(instrument uint32) engine.Image {
	x.mu.Lock()
	defer x.mu.Unlock()
	if int(instrument) >= len(x.images) {
		return engine.Image{}
	}
	return x.images[instrument]
}

// imagesByVenue returns the newest images of instruments with a book.
func (x *status) imagesByVenue() map[string][]engine.Image {
	instruments := x.system.carried()
	x.mu.Lock()
	defer x.mu.Unlock()
	all := map[string][]engine.Image{}
	for _, in := range instruments {
		if int(in.ID) < len(x.images) && in.Channels.Has(tick.ChannelDepth) {
			all[in.Venue] = append(all[in.Venue], x.images[in.ID])
		}
	}
	return all
}

// offset is the venue's clock minus ours: that of its instrument with the
// newest packet.
func (x *status) offset(f *venueFeed) int64 {
	carriers := x.system.carriers()
	x.mu.Lock()
	defer x.mu.Unlock()
	var newest engine.Image
	for id := range min(len(x.images), len(carriers)) {
		if carriers[id] == f && x.images[id].ReceiveNanos >= newest.ReceiveNanos {
			newest = x.images[id]
		}
	}
	return newest.OffsetNanos
}

// lines are those of all feeds, as they are now.
func (x *status) lines() (all []watched) {
	for _, f := range x.system.venueFeeds() {
		for _, line := range f.feed.Stats() {
			all = append(all, watched{f.venue, line})
		}
	}
	return all
}

func (x *status) warnClocks() {
	now := clock.Nanos()
	for _, f := range x.system.venueFeeds() {
		offset := time.Duration(x.offset(f))
		if offset.Abs() < offsetWarn || now-x.warned[f.venue] < int64(offsetWarnEvery) {
			continue
		}
		x.warned[f.venue] = now
		x.system.logger.Warn("clocks differ: check this machine's time service", slog.String("venue", f.venue),
			slog.Duration("venue_ahead_by", offset))
	}
}

// writeHealth writes a row for every line. The rows have a ring of their own,
// because a ring has one producer.
func (x *status) writeHealth() {
	ring, now := x.system.health, clock.Nanos()
	for _, f := range x.system.venueFeeds() {
		offset := x.offset(f)
		for _, line := range f.feed.Stats() {
			rows, u := tick.NewRow(nil, tick.RowHealth)
			fillHealth(u.HealthRow(), f.venue, line, offset, now)
			x.system.compared.fill(u.HealthRow(), line.Line)
			ring.Write(rows) // a full ring means that the writer stands still: it has worse to report
		}
	}
	ring.Publish()
}

func fillHealth(r *tick.HealthRow, venue string, line *feeds.LineStats, offset, now int64) {
	r.TsNanos, r.ReceiveNanos, r.Source = now, now, tick.TimeReceive
	copy(r.VenueText[:], venue)
	copy(r.LineText[:], line.Name)
	r.Frames, r.Bytes, r.DecodeErrors = line.Frames.Load(), line.Bytes.Load(), decodeErrors(line)
	r.Reconnects = line.Connects.Load()
	if r.Reconnects > 0 {
		r.Reconnects-- // the first is no reconnect
	}
	if last := line.LastFrameNanos.Load(); last != 0 {
		r.AgeNanos = now - last
	}
	r.OffsetNanos = offset
	r.KernelStamped = line.Received.Load() == int64(feeds.ReceivedKernel)
	state, _ := line.State()
	r.Up = state == feeds.LineUp
}

func decodeErrors(line *feeds.LineStats) (n uint64) {
	for i := range line.Faults {
		n += line.Faults[i].Load()
	}
	return n
}
