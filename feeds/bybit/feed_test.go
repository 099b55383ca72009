package bybit

import (
	"context"
	"runtime"
	"testing"
	"time"

	"tickproc/feeds"
	"tickproc/feeds/sim"
	"tickproc/ringbuf"
	"tickproc/tick"
)

// A feed over real sockets: a symbol that does not exist keeps the others out
// for no longer than it takes to halve the request; a book that lost a message
// is had anew on the socket, while everything else goes on.
func TestFeed(t *testing.T) {
	t.Parallel()
	for _, venue := range Venues() {
		t.Run(venue, func(t *testing.T) {
			t.Parallel()
			e := newExchange(t, venue, sim.Options{Levels: 40})
			if err := e.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			c := newClient(t, venue, e)
			nobody := c.adapter.Instrument("NOPEUSDT")
			nobody.ID = uint32(len(c.instruments))
			var subscriptions []feeds.Subscription
			routes := &feeds.Routes{}
			for _, in := range append(c.instruments[:2:2], &nobody) {
				subscriptions = append(subscriptions, feeds.Subscription{Instrument: in, Channels: c.adapter.Channels()})
				routes.Set(in.ID, 0)
			}
			var rings []*ringbuf.Ring
			feed, err := feeds.New(feeds.Options{Adapter: c.adapter, Subscriptions: subscriptions, WSURL: e.WSURL(venue), RESTURL: e.RESTURL(venue),
				NewOutput: func(feeds.LineInfo) *feeds.Output {
					ring := ringbuf.New(1 << 16)
					rings = append(rings, ring)
					return feeds.NewOutput([]*ringbuf.Ring{ring}, routes, feeds.OutputOptions{})
				}})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); feed.Run(ctx) }()
			defer func() { cancel(); <-done }()
			await := func(what string, so func() bool) {
				t.Helper()
				for deadline := time.Now().Add(30 * time.Second); !so(); runtime.Gosched() {
					for _, ring := range rings {
						for p := ring.Poll(); p != nil; p = ring.Poll() {
							c.take(p)
							ring.Release(len(p))
						}
					}
					if c.failed != nil {
						t.Fatal(c.failed)
					}
					if time.Now().After(deadline) {
						t.Fatalf("waited in vain until %s: up %v, %+v", what, c.up, c.books[0].Counts)
					}
				}
			}
			book := c.books[0]
			await("all channels of the two symbols are up", func() bool {
				return c.up[0] == c.adapter.Channels() && c.up[1] == c.adapter.Channels() && book.IsValid() && c.books[1].IsValid()
			})
			if c.up[nobody.ID] != 0 {
				t.Errorf("%v of a symbol that does not exist are up", c.up[nobody.ID])
			}
			for range 2 {
				snapshots := book.Counts.SnapshotsApplied
				if err := e.Inject(sim.Fault{Kind: sim.FaultDrop, Venue: venue, Symbol: c.instruments[0].Symbol, Channel: tick.ChannelDepth}); err != nil {
					t.Fatal(err)
				}
				await("the book is known to be broken", func() bool { return !book.IsValid() })
				epoch, owed := book.TakeResync()
				if !owed {
					t.Fatal("no resync is owed")
				}
				feed.Resync(0, epoch, 0)
				await("the book is valid again", func() bool { return book.IsValid() && book.Counts.SnapshotsApplied == snapshots+1 })
				applied := book.Counts.Applied
				await("it goes on", func() bool { return book.Counts.Applied > applied+5 })
			}
			e.Stop()
			c.compare(e)
			if lines := feed.Stats(); lines[0].Connects.Load() != 1 {
				t.Errorf("%d connects", lines[0].Connects.Load())
			}
		})
	}
}
