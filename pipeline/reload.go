package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"

	"tickproc/tick"
)

// reloading puts a changed configuration into force while the service runs:
//
//	file ─► checked ─► what needs a restart? ─► options on disk ─► feeds end, begin, grow ─► a record into every shard's log
//
// Up to the options on disk a fault changes nothing.
type reloading struct {
	mu      sync.Mutex      // one at a time
	ctx     context.Context // of run; nil while nothing runs
	current *Config         // in force
	running []*venueFeed    // by place in current.Feeds
	next    int             // number of the next feed
}

func (r *reloading) open(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ctx = ctx
}

// close waits for one that is under way, and lets no other begin.
func (r *reloading) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ctx = nil
}

// reloadOn loads the file again at every signal, until ctx ends.
func (s *system) reloadOn(ctx context.Context, signals <-chan os.Signal, path string) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
		}
		if _, err := s.reloadFile(path); err != nil {
			s.logger.Error("the configuration was not loaded, nothing changes", "file", path, "error", err)
		}
	}
}

// reloadFile puts a file into force and says what changed.
func (s *system) reloadFile(path string) (string, error) {
	config, text, err := loadFile(path, Host{Venues: Venues()})
	if err != nil {
		return "", err
	}
	answer, err := s.reloadConfig(config)
	if faults, ok := errors.AsType[Errors](err); ok {
		err = text.placed(faults)
	}
	return answer, err
}

// reloadConfig puts a checked configuration into force and says what changed.
func (s *system) reloadConfig(config *Config) (string, error) {
	r := &s.reload
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx == nil || r.ctx.Err() != nil {
		return "", errors.New("the service is starting or ending: try again")
	}
	if faults := needRestart(r.current, config); len(faults) > 0 {
		return "", faults
	}
	change := diffFeeds(r.current.Feeds, config.Feeds)
	begun, told := s.plan(r.ctx, config, change.begin)
	if r.ctx.Err() != nil {
		return "", errors.New("the service is ending")
	}
	options := config.engineOptions()
	hash := hashOptions(options)
	reconfigured := hash != hashOptions(s.engineOptions())
	if s.durable != nil {
		// A log must not name what is not on disk.
		if err := s.durable.dir.keepOptions(options); err != nil {
			return "", fmt.Errorf("data_dir: %w", err)
		}
	}
	for _, d := range s.drivers {
		d.Shard.Learn(hash, options)
	}
	s.mu.Lock()
	s.options = options
	s.mu.Unlock()

	s.endFeeds(change.end)
	s.take(config)
	running := make([]*venueFeed, len(config.Feeds))
	for place, was := range change.keep {
		running[place] = r.running[was]
		running[place].place.Store(int32(place))
	}
	for _, place := range change.grow {
		l := running[place].listing
		select { // the newest counts
		case <-l.grown:
		default:
		}
		l.grown <- &config.Feeds[place]
	}
	var faults []error
	for i, f := range begun {
		running[change.begin[i]] = f
		faults = append(faults, s.beginFeed(r.ctx, f, told[i]))
	}
	if reconfigured || len(change.end) > 0 {
		s.record(hash)
	}
	s.registerGrown()
	r.current, r.running = config, running
	answer := fmt.Sprintf("reloaded: feeds %d as they were, %d with more symbols, %d ended, %d begun; bars, windows, samples and limits %s",
		len(change.keep)-len(change.grow), len(change.grow), len(change.end), len(change.begin), map[bool]string{true: "changed", false: "as they were"}[reconfigured])
	s.logger.Info(answer)
	return answer, errors.Join(faults...)
}

// plan makes the feeds that begin, and asks their venues while the old ones
// still run: so a feed that changes is away for a moment only.
func (s *system) plan(ctx context.Context, config *Config, places []int) (begun []*venueFeed, told []news) {
	told = make([]news, len(places))
	var fetching sync.WaitGroup
	for i, place := range places {
		f := s.newFeed(&config.Feeds[place], place, s.reload.next)
		s.reload.next++
		begun = append(begun, f)
		fetching.Go(func() { told[i] = f.listing.fetch(ctx) })
	}
	fetching.Wait()
	return begun, told
}

func (s *system) endFeeds(places []int) {
	for _, was := range places {
		if f := s.reload.running[was]; f.end != nil {
			f.end()
		}
	}
	for _, was := range places {
		f := s.reload.running[was]
		if f.end != nil {
			<-f.ended
		}
		s.remove(f)
	}
}

// beginFeed starts a feed while the others run.
func (s *system) beginFeed(ctx context.Context, f *venueFeed, told news) error {
	l := f.listing
	if err := s.addFeed(f, l.adapter, l.begin(told), l.recorder); err != nil {
		for _, in := range f.rings() {
			for _, ring := range in.rings {
				if ring != nil {
					ring.Close() // else the shard waits for it for ever
				}
			}
		}
		s.remove(f)
		return err
	}
	f.begin(ctx)
	return nil
}

// record tells every shard, in its order among all packets, what it is
// configured to do from here on.
func (s *system) record(hash optionsHash) {
	for _, line := range s.records {
		var u tick.Unit
		*u.Config() = tick.Config{Header: tick.Header{Kind: tick.KindConfig}, Hash: hash}
		line.write(u)
	}
}

// feedChanges say what becomes of feeds, by their places.
type feedChanges struct {
	keep  map[int]int // the new place ─► the old one
	grow  []int       // new places of feeds that are kept and have more symbols
	end   []int       // old places
	begin []int       // new places
}

// diffFeeds recognises a feed by what it says: one whose entry stands in the new
// list, wherever, is left alone; one whose entry does but for symbols that were
// added grows. Any other change ends it and begins it anew.
func diffFeeds(before, after []Feed) feedChanges {
	c := feedChanges{keep: map[int]int{}}
	taken := make([]bool, len(before))
	match := func(same func(old, now *Feed) bool, kept func(place int)) {
		for place := range after {
			if _, done := c.keep[place]; done {
				continue
			}
			for was := range before {
				if !taken[was] && same(&before[was], &after[place]) {
					taken[was], c.keep[place] = true, was
					kept(place)
					break
				}
			}
		}
	}
	match(func(old, now *Feed) bool { return reflect.DeepEqual(old, now) }, func(int) {})
	match(grows, func(place int) { c.grow = append(c.grow, place) })
	for was := range before {
		if !taken[was] {
			c.end = append(c.end, was)
		}
	}
	for place := range after {
		if _, kept := c.keep[place]; !kept {
			c.begin = append(c.begin, place)
		}
	}
	return c
}

func grows(old, now *Feed) bool {
	for _, symbol := range old.Symbols {
		if !slices.Contains(now.Symbols, symbol) {
			return false
		}
	}
	same := *now
	same.Symbols = old.Symbols
	return reflect.DeepEqual(old, &same)
}

// reloadable are the keys, or the parents of keys, that may change while the
// service runs.
var reloadable = []string{"feeds", "bars", "windows", "book.every", "book.on_change", "limits", "nbbo"}

// needRestart names each key that differs and is read at the start only.
func needRestart(before, after *Config) (faults Errors) {
	var compare func(a, b reflect.Value, path string)
	compare = func(a, b reflect.Value, path string) {
		switch {
		case slices.Contains(reloadable, path) || reflect.DeepEqual(a.Interface(), b.Interface()):
		case a.Kind() == reflect.Struct:
			for i := range a.NumField() {
				compare(a.Field(i), b.Field(i), strings.TrimPrefix(path+"."+a.Type().Field(i).Tag.Get("yaml"), "."))
			}
		default:
			faults = append(faults, Fault{Path: path, Reason: "cannot change while the service runs", Remedy: "restart to change"})
		}
	}
	compare(reflect.ValueOf(before).Elem(), reflect.ValueOf(after).Elem(), "")
	return faults
}
