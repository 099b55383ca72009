package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"tickproc/feeds"
	"tickproc/internal/stat"
	"tickproc/tick"
)

// listing keeps the instruments of one feed in step with the venue's catalog:
//
//	catalog, volumes ─► what is new ─► an id, a shard, more sockets
//	                 └► what changed or went ─► packets by the feed's REST line
//
// owner: the goroutine that starts the system, then that of run.
type listing struct {
	system   *system
	feed     *venueFeed
	config   *Feed
	grown    chan *Feed // its configuration with more symbols; run takes it
	adapter  feeds.Adapter
	recorder *feeds.Recorder
	logger   *slog.Logger

	carried []*carried
	at      map[string]*carried // carried, by symbol in upper case
	size    int                 // instruments of the last catalog that was believed; 0 = there was none
	matched bool                // the patterns have chosen once
	told    map[remark]bool

	// What was told at run time.
	listings, delistings, changes stat.Counter
}

// carried is an instrument of a feed, as it was last announced.
type carried struct {
	tick.Instrument
	byPattern bool
	missing   int  // refreshes in a row whose catalog lacks it
	gone      bool // it was announced as delisted
}

const (
	// missingMax is how many catalogs in a row must lack an instrument before it
	// counts as gone: venues have served catalogs with holes.
	missingMax = 2
	// retryMin is the first wait after a catalog that could not be had.
	retryMin = 5 * time.Second
)

func newListing(s *system, f *venueFeed, adapter feeds.Adapter, recorder *feeds.Recorder) *listing {
	return &listing{system: s, feed: f, config: f.config, grown: make(chan *Feed, 1), adapter: adapter, recorder: recorder,
		logger: s.logger.With("venue", f.venue), at: map[string]*carried{}, told: map[remark]bool{}}
}

// news is what a venue told of its instruments.
type news struct {
	catalog []tick.Instrument  // empty = could not be had
	volumes map[string]float64 // nil = could not be had, or is not needed
	err     error              // why anything could not be had
}

// fetch asks the venue.
func (l *listing) fetch(ctx context.Context) (n news) {
	o := feeds.CatalogOptions{Deadline: l.config.CatalogTimeout.Std(), Logger: l.system.logger, Recorder: l.recorder}
	return fetchNews(ctx, l.adapter, l.config, o)
}

func fetchNews(ctx context.Context, adapter feeds.Adapter, f *Feed, o feeds.CatalogOptions) (n news) {
	n.catalog, n.err = feeds.FetchCatalog(ctx, adapter, f.RESTURL, o)
	switch {
	case n.err != nil:
	case len(n.catalog) == 0:
		n.err = fmt.Errorf("%s: the catalog is empty", f.Venue)
	case f.TopByVolume > 0:
		n.volumes, n.err = feeds.FetchVolumes(ctx, adapter, f.RESTURL, o)
	}
	return n
}

// begin chooses what the feed carries from the start, and says what it waits for.
func (l *listing) begin(n news) []feeds.Subscription {
	switch {
	case len(n.catalog) > 0 && n.err != nil:
		l.logger.Warn("the venue's volumes could not be had: top_by_volume waits for them", "error", n.err)
	case n.err != nil:
		l.logger.Warn("going on without the venue's catalog: scales follow the digits that are observed, and patterns wait", "error", n.err)
	}
	l.size = len(n.catalog)
	chosen, remarks := l.choose(n)
	l.remark(remarks)
	if l.size == 0 && l.adapter.Profile().ChecksumAlone && slices.ContainsFunc(chosen, func(c carried) bool { return c.Channels.Has(tick.ChannelDepth) }) {
		// What is carried once keeps its rule.
		l.feed.wait(fmt.Sprintf("without the venue's catalog a lost message of depth would go unnoticed: its symbols wait for it: %v", n.err))
		chosen = nil
	}
	if len(chosen) == 0 && l.feed.waits() == "" {
		l.logger.Error("no symbol of this feed is known to the venue: looking again at each refresh", "refresh", l.config.CatalogRefresh.String())
	}
	return l.take(chosen)
}

// run looks at the catalog again and again until ctx ends.
func (l *listing) run(ctx context.Context) {
	if len(l.adapter.CatalogRequests()) == 0 {
		l.runWithoutCatalog(ctx)
		return
	}
	every := l.config.CatalogRefresh.Std()
	retry := min(retryMin, every)
	wait := every
	if l.size == 0 || l.feed.waits() != "" {
		wait = retry
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case l.config = <-l.grown:
		case <-timer.C:
		}
		l.feed.feed.AwaitRelease(ctx)
		wait = every
		if n := l.fetch(ctx); ctx.Err() != nil {
			return
		} else if !l.refresh(n) {
			wait = retry
			retry = min(2*retry, every)
		} else {
			retry = min(retryMin, every)
		}
		timer.Reset(wait)
	}
}

// runWithoutCatalog serves a venue that tells nothing of its instruments.
func (l *listing) runWithoutCatalog(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case l.config = <-l.grown:
		}
		chosen, remarks := l.choose(news{})
		l.remark(remarks)
		if len(chosen) > 0 {
			l.add(chosen)
		}
	}
}

// refresh takes what the venue tells now; false if it could not be used, or
// not all of it.
func (l *listing) refresh(n news) bool {
	switch {
	case len(n.catalog) == 0:
		l.logger.Warn("the venue's catalog could not be had again: nothing changes", "error", n.err)
		return false
	case 2*len(n.catalog) < l.size:
		l.logger.Warn("the venue's catalog is suspiciously small: nothing changes", "instruments", len(n.catalog), "before", l.size)
		return false
	case n.err != nil:
		l.logger.Warn("the venue's volumes could not be had: top_by_volume adds nothing now", "error", n.err)
	}
	l.size = len(n.catalog)
	if changes := l.compare(n.catalog); len(changes) > 0 {
		l.feed.feed.Announce(changes)
	}
	chosen, remarks := l.choose(n)
	l.remark(remarks)
	if len(chosen) > 0 {
		l.add(chosen)
	}
	return n.err == nil
}

// add opens sockets for instruments that are new.
func (l *listing) add(chosen []carried) {
	for i := range chosen {
		in := &chosen[i]
		l.logger.Info("listed", "symbol", in.Symbol, "type", in.Type.String(), "state", in.State.String(),
			"tick", in.Tick.String(), "lot", in.Lot.String())
	}
	subscriptions := l.take(chosen)
	if err := l.feed.feed.Add(subscriptions); err != nil {
		// Their ids are spent; that they are gone keeps readiness from waiting for
		// them, and a restart tries again.
		l.logger.Error("cannot subscribe what was listed: restart to try again", "symbols", len(chosen), "error", err)
		for _, s := range subscriptions {
			l.at[strings.ToUpper(s.Instrument.Symbol)].gone = true
			l.system.setState(s.Instrument.ID, tick.StateDelisted)
		}
		return
	}
	l.listings.Add(uint64(len(chosen)))
	l.system.registerGrown()
}

// take gives instruments their ids and shards.
func (l *listing) take(chosen []carried) []feeds.Subscription {
	var subscriptions []feeds.Subscription
	for i := range chosen {
		c := &chosen[i]
		in := l.system.addInstrument(c.Instrument, l.feed)
		c.ID = in.ID
		l.carried = append(l.carried, c)
		l.at[strings.ToUpper(c.Symbol)] = c
		subscriptions = append(subscriptions, feeds.Subscription{Instrument: in, Channels: in.Channels})
	}
	return subscriptions
}

// choose returns what the feed should carry and does not yet, and what its
// user should know of the choice.
func (l *listing) choose(n news) (chosen []carried, remarks []remark) {
	found, remarks := l.config.byName(n.catalog, l.adapter.Instrument)
	for _, in := range found {
		if l.at[strings.ToUpper(in.Symbol)] == nil {
			chosen = append(chosen, carried{Instrument: in})
		}
	}
	more, others := l.choosePatterns(n)
	chosen, remarks = append(chosen, more...), append(remarks, others...)
	chosen, others = l.fit(chosen)
	return chosen, append(remarks, others...)
}

func (l *listing) choosePatterns(n news) (chosen []carried, remarks []remark) {
	if len(l.config.patterns()) == 0 {
		if len(n.catalog) > 0 {
			l.feed.wait("")
		}
		return nil, nil
	}
	top := l.config.TopByVolume
	if len(n.catalog) == 0 || top > 0 && n.volumes == nil {
		if !l.matched {
			l.feed.wait(fmt.Sprintf("the patterns of symbols wait for the venue's catalog: %v", n.err))
		}
		return nil, nil
	}
	l.feed.wait("")
	found, remarks := l.config.byPattern(n.catalog, func(symbol string) bool { return l.system.claimed(symbol, l.feed) })
	room := symbolsMax
	if top > 0 {
		found = byVolume(found, n.volumes)
		found = found[:min(top, len(found))]
		if room = top; l.matched {
			room = topRoom(top)
		}
	}
	l.matched = true
	for _, c := range l.carried {
		if c.byPattern && !c.gone {
			room--
		}
	}
	for _, in := range found {
		if l.at[strings.ToUpper(in.Symbol)] != nil {
			continue
		}
		if room <= 0 {
			if top == 0 {
				remarks = append(remarks, remark{text: fmt.Sprintf("patterns match more than %d symbols: the rest is left out", symbolsMax), symbol: in.Symbol, hint: "use exclude or type"})
			}
			break
		}
		room--
		chosen = append(chosen, carried{Instrument: in, byPattern: true})
	}
	return chosen, remarks
}

// fit leaves out what cannot be carried, and gives the others their channels.
func (l *listing) fit(chosen []carried) (fitting []carried, remarks []remark) {
	for _, c := range chosen {
		c.Channels = l.config.channelsOf(l.adapter.Channels(), &c.Instrument)
		if l.size > 0 && l.adapter.Profile().ChecksumAlone && c.Sync.Checksum == tick.ChecksumNone && c.Channels.Has(tick.ChannelDepth) {
			c.Channels &^= tick.ChannelDepth
			remarks = append(remarks, remark{text: "the venue's catalog does not tell its numbers' precision, so that a lost message of depth would go unnoticed: depth is left out", symbol: c.Symbol})
		}
		if c.Channels == 0 {
			remarks = append(remarks, remark{text: "this symbol has none of the feed's channels: left out", symbol: c.Symbol, hint: "add trades, quotes or depth"})
			continue
		}
		if _, err := tick.AppendCatalog(nil, tick.Header{}, c.Instrument); err != nil {
			remarks = append(remarks, remark{text: "left out: " + err.Error(), symbol: c.Symbol})
			continue
		}
		fitting = append(fitting, c)
	}
	return fitting, remarks
}

// remark logs what was not said before.
func (l *listing) remark(remarks []remark) {
	for _, r := range remarks {
		if l.told[r] {
			continue
		}
		l.told[r] = true
		attributes := []any{"symbol", r.symbol}
		if r.state != tick.StateUnknown {
			attributes = append(attributes, "state", r.state.String())
		}
		if r.hint != "" {
			attributes = append(attributes, "hint", r.hint)
		}
		l.logger.Error(r.text, attributes...)
	}
}

// compare finds what of the carried instruments changed, and returns the
// packets that say so.
func (l *listing) compare(catalog []tick.Instrument) (changes []tick.Unit) {
	now := make(map[string]*tick.Instrument, len(catalog))
	for i := range catalog {
		now[strings.ToUpper(catalog[i].Symbol)] = &catalog[i]
	}
	for _, c := range l.carried {
		in := now[strings.ToUpper(c.Symbol)]
		if in == nil {
			c.missing++
		} else {
			c.missing = 0
		}
		switch {
		case in == nil && c.missing < missingMax, c.gone && (in == nil || in.State == tick.StateDelisted):
		case in == nil || in.State == tick.StateDelisted:
			changes = l.delist(c, in, changes)
		default:
			if what := c.update(in); what != "" {
				c.gone = false
				l.logger.Info("changed in the venue's catalog", "symbol", c.Symbol, "what", what)
				l.changes.Add(1)
				l.system.setState(c.ID, c.State)
				var err error
				if changes, err = tick.AppendCatalog(changes, tick.Header{}, c.Instrument); err != nil {
					panic("BUG: " + err.Error()) // its names fitted before
				}
			}
		}
	}
	return changes
}

func (l *listing) delist(c *carried, in *tick.Instrument, changes []tick.Unit) []tick.Unit {
	why := "the venue's catalog does not have it"
	if in != nil {
		why = "the venue says so"
	}
	c.gone, c.State = true, tick.StateDelisted
	l.logger.Info("delisted", "symbol", c.Symbol, "why", why)
	l.delistings.Add(1)
	l.system.setState(c.ID, c.State)
	changes, u := tick.AppendUnits(changes, 1)
	s := u[0].Status()
	s.Header, s.State = tick.Header{Kind: tick.KindStatus, Instrument: c.ID}, c.State
	return changes
}

// update takes over what may change while an instrument is carried, and says
// what did; the scale, the shard and the rules are those of its introduction.
func (c *carried) update(in *tick.Instrument) string {
	var what []string
	note := func(name string, before, after any) {
		what = append(what, fmt.Sprintf("%s %v → %v", name, before, after))
	}
	if c.State != in.State {
		note("state", c.State, in.State)
	}
	for _, n := range []struct {
		name   string
		before *tick.Number
		after  tick.Number
	}{{"tick", &c.Tick, in.Tick}, {"lot", &c.Lot, in.Lot}, {"contract_size", &c.ContractSize, in.ContractSize}} {
		if *n.before != n.after {
			note(n.name, *n.before, n.after)
			*n.before = n.after
		}
	}
	if c.ExpiryNanos != in.ExpiryNanos {
		day := func(ns int64) string {
			if ns == 0 {
				return "never"
			}
			return time.Unix(0, ns).UTC().Format(time.RFC3339)
		}
		note("expiry", day(c.ExpiryNanos), day(in.ExpiryNanos))
	}
	c.State, c.ExpiryNanos = in.State, in.ExpiryNanos
	return strings.Join(what, ", ")
}
