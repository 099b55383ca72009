package feeds

import (
	"context"
	"fmt"
	"sync"

	"tickproc/tick"
)

// This file stands in until the feed itself can grow: it runs what is added as
// feeds of their own. Its author replaces it; the contract is that of the
// comments of Add and Announce.

// growth is what was added to a feed after New.
type growth struct {
	options Options // of New, with its defaults

	mu       sync.Mutex
	children []*Feed
	stats    []*LineStats // of the children's connections
	ctx      context.Context
	running  sync.WaitGroup
}

// Add opens sockets for more subscriptions, whose instruments are new to the
// feed; Options.NewOutput is called for the new lines, on the caller's
// goroutine. Before Run they are opened by it, a feed without subscriptions is
// none yet. Lines are numbered on from the feed's last, and no two of its lines
// share a name. On an error nothing was added.
func (f *Feed) Add(subscriptions []Subscription) error {
	g := &f.growth
	g.mu.Lock()
	defer g.mu.Unlock()
	o := g.options
	o.Adapter = renamed{o.Adapter, fmt.Sprintf("+%d", len(g.children)+1)}
	o.Subscriptions, o.Recorder = subscriptions, nil
	o.FirstLine += uint16(len(f.stats))
	for _, c := range g.children {
		o.FirstLine += uint16(len(c.stats))
	}
	child, err := New(o)
	if err != nil {
		return err
	}
	g.children = append(g.children, child)
	g.stats = append(g.stats, child.stats[:len(child.connections)]...)
	if g.ctx != nil {
		g.running.Go(func() { child.Run(g.ctx) })
	}
	return nil
}

// Announce writes catalog and status packets of the feed's instruments to
// their shards, by the REST line, which stamps them. Any goroutine may call it.
func (f *Feed) Announce(units []tick.Unit) {
	f.rest.mu.Lock()
	f.rest.announced = append(f.rest.announced, units...)
	f.rest.mu.Unlock()
	select {
	case f.rest.arrived <- struct{}{}:
	default:
	}
}

func (f *Feed) runAdded(ctx context.Context) {
	g := &f.growth
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ctx = ctx
	for _, child := range g.children {
		g.running.Go(func() { child.Run(ctx) })
	}
}

// child returns the added feed of an instrument, nil if it is the feed's own.
func (f *Feed) child(instrument uint32) *Feed {
	f.growth.mu.Lock()
	defer f.growth.mu.Unlock()
	for _, c := range f.growth.children {
		if c.rest.instruments[instrument] != nil {
			return c
		}
	}
	return nil
}

// renamed tells the connections of an added part from the first ones.
type renamed struct {
	Adapter
	suffix string
}

func (r renamed) Plan(subscriptions []Subscription) []Connection {
	plan := r.Adapter.Plan(subscriptions)
	for i := range plan {
		plan[i].Name += r.suffix
	}
	return plan
}
