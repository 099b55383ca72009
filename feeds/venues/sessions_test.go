package venues_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tickproc/feeds"
	"tickproc/feeds/sim"
	"tickproc/ringbuf"
	"tickproc/tick"
)

// rig is a feed of a simulated venue and a reader of its rings, in a bubble.
type rig struct {
	*client // the exchange and the instruments; it has no sockets of its own
	feed    *feeds.Feed
	rings   []*ringbuf.Ring // by line
	streams map[stream]*streamState
	stop    func()
}

// stream is one channel of one instrument.
type stream struct {
	instrument uint32
	channel    tick.Channels
}

// streamState is what a shard would know of a stream.
type streamState struct {
	lines   map[uint16]bool // that deliver it
	data    int
	downs   map[tick.Reason]int
	unknown int // packets of data while no line was up
	bare    map[tick.Reason]int
}

// start runs a feed of three instruments, after faults are armed.
func (m *market) start(t *testing.T, faults ...sim.Fault) *rig {
	t.Helper()
	c := newClient(t, m, clientOptions{symbols: 3, before: 200 * time.Millisecond, Options: sim.Options{Rate: 3, Levels: 20}})
	r := &rig{client: c, streams: map[stream]*streamState{}}
	for _, f := range faults {
		c.inject(f)
	}
	routes, line := &feeds.Routes{}, uint16(0)
	for _, in := range c.instruments {
		routes.Set(in.ID, 0)
	}
	o := feeds.Options{Adapter: m.adapter, Subscriptions: c.subscriptions(), WSURL: "ws://" + m.name, RESTURL: "http://" + m.name,
		Logger: c.log.logger(), Canary: c.canary, Dial: c.listener.dial,
		NextLine: func() uint16 { line++; return line - 1 },
		NewOutput: func(feeds.LineInfo) *feeds.Output {
			ring := ringbuf.New(1 << 14)
			r.rings = append(r.rings, ring)
			return feeds.NewOutput([]*ringbuf.Ring{ring}, routes, feeds.OutputOptions{})
		}}
	feed, err := feeds.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.feed = feed
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); feed.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		for {
			select {
			case <-done:
				r.poll()
				return
			default:
				time.Sleep(100 * time.Millisecond)
				r.poll()
			}
		}
	})
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Logf("log:\n%.6000s", c.log)
		}
	})
	return r
}

// after moves both clocks on and takes what comes.
func (r *rig) after(d time.Duration) {
	const step = 200 * time.Millisecond
	for end := r.now.Add(d); r.now.Before(end); {
		time.Sleep(step)
		r.now = r.now.Add(step)
		r.exchange.Step(r.now)
		synctest.Wait()
		r.poll()
	}
}

// poll takes what is in the rings.
func (r *rig) poll() {
	for _, ring := range r.rings {
		for p := ring.Poll(); p != nil; p = ring.Poll() {
			for len(p) > 0 {
				n := tick.PacketUnits(&p[0])
				r.note(p)
				ring.Release(n)
				p = p[n:]
			}
		}
	}
}

func (r *rig) at(s stream) *streamState {
	if r.streams[s] == nil {
		r.streams[s] = &streamState{lines: map[uint16]bool{}, downs: map[tick.Reason]int{}, bare: map[tick.Reason]int{}}
	}
	return r.streams[s]
}

func (r *rig) note(p []tick.Unit) {
	h := p[0].Header()
	switch h.Kind {
	case tick.KindUp:
		r.at(stream{h.Instrument, p[0].Event().Channel}).lines[h.Line] = true
	case tick.KindDown:
		s := r.at(stream{h.Instrument, p[0].Event().Channel})
		had := len(s.lines) > 0
		delete(s.lines, h.Line)
		reason := p[0].Event().Reason
		s.downs[reason]++
		if had && len(s.lines) == 0 {
			s.bare[reason]++
		}
	default:
		if channel := h.Kind.Channel(); channel != 0 {
			s := r.at(stream{h.Instrument, channel})
			if s.data++; !s.lines[h.Line] && h.Line != r.restLine() {
				s.unknown++
			}
		}
	}
}

// restLine is the line of the REST worker, whose answers have no ups.
func (r *rig) restLine() uint16 {
	for _, s := range r.feed.Stats() {
		if s.Name == "rest" {
			return s.Line
		}
	}
	return 0
}

// planned are the streams that sockets carry.
func (r *rig) planned() (all []stream) {
	for _, in := range r.instruments {
		for _, w := range r.adapter.Plan(r.subscriptions()) {
			for _, s := range w.Subscriptions {
				if s.Instrument.ID != in.ID {
					continue
				}
				for _, channel := range tick.AllChannels {
					if s.Channels.Has(channel) && r.has(in, channel) {
						all = append(all, stream{in.ID, channel})
					}
				}
			}
		}
	}
	return all
}

// awaitUp runs until all planned streams but the excepted are up, and then
// until those of them that speak all the time have spoken.
func (r *rig) awaitUp(within time.Duration, except func(stream) bool) {
	r.t.Helper()
	lacks := func() *stream {
		for _, s := range r.planned() {
			x := r.at(s)
			steady := s.channel&(tick.ChannelTrades|tick.ChannelQuotes|tick.ChannelDepth) != 0
			if (except == nil || !except(s)) && (len(x.lines) == 0 || steady && x.data == 0) {
				return &s
			}
		}
		return nil
	}
	for end := r.now.Add(within); lacks() != nil; {
		if r.now.After(end) {
			s := lacks()
			r.t.Fatalf("%s %s is not up after %v, or silent: %+v", r.instruments[s.instrument].Symbol, s.channel, within, r.at(*s))
		}
		r.after(time.Second)
	}
}

// forget makes awaitUp ask for new data.
func (r *rig) forget() {
	for _, s := range r.streams {
		s.data = 0
	}
}

// sums of the sockets' lines.
func (r *rig) sums() (connects, dials, refused, faults uint64) {
	for _, s := range r.feed.Stats() {
		connects += s.Connects.Load()
		dials += s.DialFailures.Load()
		refused += s.Refused.Load()
		for i := range s.Faults {
			faults += s.Faults[i].Load()
		}
	}
	return connects, dials, refused, faults
}

// sound holds what must be so after every trouble.
func (r *rig) sound() {
	r.t.Helper()
	if _, _, _, faults := r.sums(); faults != 0 {
		r.t.Errorf("%d frames could not be used", faults)
	}
	for s, x := range r.streams {
		if x.unknown != 0 {
			r.t.Errorf("%s %s: %d packets while the stream was not up", r.instruments[s.instrument].Symbol, s.channel, x.unknown)
		}
	}
	if n := r.exchange.Stats()[0].FastClients; n != 0 {
		r.t.Errorf("the venue's limit of messages was broken %d times", n)
	}
	if n := r.exchange.Stats()[0].RefusedClients; n != 0 {
		r.t.Errorf("the venue's limit of handshakes was broken %d times", n)
	}
}

func (r *rig) sockets0() uint64 { return uint64(len(r.adapter.Plan(r.subscriptions()))) }

// A subscription that is refused, of a symbol that is said not to exist, or one
// too many for now: its streams are down for that reason, the log says so, the
// others go on, it is asked for again ever more rarely, and it comes up when the
// venue relents.
func TestRefusedSubscriptions(t *testing.T) {
	everyVenue(t, func(t *testing.T, m *market) {
		for _, kind := range []sim.FaultKind{sim.FaultRefuse, sim.FaultUnknown, sim.FaultRateLimit} {
			inBubble(t, func(t *testing.T) {
				r := m.start(t, sim.Fault{Kind: kind, Symbol: m.symbols(1)[0].Name, Channel: tick.ChannelDepth, Count: 5})
				isBad := func(s stream) bool { return s.instrument == 0 }
				r.awaitUp(time.Minute, isBad)
				r.after(10 * time.Second)
				bad := r.at(stream{0, tick.ChannelDepth})
				connects, dials, refused, _ := r.sums()
				silent := kind == sim.FaultUnknown && m.profile.TakesUnknown
				if silent {
					if len(bad.lines) != 1 || bad.data != 0 {
						t.Errorf("%s: %+v: want it up and silent, as the venue takes symbols that it has not", kind, bad)
					}
				} else if len(bad.lines) != 0 || bad.downs[tick.ReasonRefused] == 0 || refused == 0 || r.log.lines("the venue refused a subscription") == 0 {
					t.Errorf("%s: %+v, %d refused: want it down, counted and logged", kind, bad, refused)
				}
				if connects != r.sockets0() || dials != 0 {
					t.Errorf("%s: %d connects, %d failed, for %d sockets", kind, connects, dials, r.sockets0())
				}
				if !silent {
					r.forget()
					r.awaitUp(time.Hour, nil)
					connects, dials, refused, _ = r.sums()
					if refused > 12 || connects > r.sockets0()+1 || dials != 0 {
						t.Errorf("%s: a storm: %d refusals, %d connects, %d failed", kind, refused, connects, dials)
					}
				}
				r.stop()
				r.sound()
			})
		}
	})
}

// Handshakes that are one too many are tried again, ever more rarely.
func TestHandshakesOneTooMany(t *testing.T) {
	everyVenue(t, func(t *testing.T, m *market) {
		inBubble(t, func(t *testing.T) {
			r := m.start(t, sim.Fault{Kind: sim.FaultHandshakeLimit, Count: 4})
			r.awaitUp(5*time.Minute, nil)
			connects, dials, _, _ := r.sums()
			if connects != r.sockets0() || dials != 4 || r.log.lines("cannot connect") == 0 {
				t.Errorf("%d connects, %d failed, for %d sockets, logged %d times", connects, dials, r.sockets0(), r.log.lines("cannot connect"))
			}
			r.stop()
			r.sound()
		})
	})
}

// The venue closes for two minutes: all streams are down for a reason, few
// handshakes are tried, and all is as before when it opens.
func TestMaintenance(t *testing.T) {
	everyVenue(t, func(t *testing.T, m *market) {
		inBubble(t, func(t *testing.T) {
			r := m.start(t)
			r.awaitUp(time.Minute, nil)
			r.inject(sim.Fault{Kind: sim.FaultMaintenance, For: 2 * time.Minute})
			r.after(2 * time.Minute)
			for _, s := range r.planned() {
				if x := r.at(s); len(x.lines) != 0 || len(x.downs) == 0 {
					t.Errorf("%s %s during maintenance: %+v", r.instruments[s.instrument].Symbol, s.channel, x)
				}
			}
			if _, dials, _, _ := r.sums(); dials == 0 || dials > 20*r.sockets0() {
				t.Errorf("%d handshakes of %d sockets in two minutes", dials, r.sockets0())
			}
			r.forget()
			r.awaitUp(3*time.Minute, nil)
			if connects, _, _, _ := r.sums(); connects > 3*r.sockets0() {
				t.Errorf("%d connects for %d sockets", connects, r.sockets0())
			}
			r.stop()
			r.sound()
		})
	})
}

// A restart of the venue's service ends the sockets, or lets them live and
// begins the counters anew; either way all streams go on, at once or by one new
// socket each.
func TestServiceRestart(t *testing.T) {
	everyVenue(t, func(t *testing.T, m *market) {
		inBubble(t, func(t *testing.T) {
			r := m.start(t)
			r.awaitUp(time.Minute, nil)
			r.inject(sim.Fault{Kind: sim.FaultRestart})
			r.after(400 * time.Millisecond)
			r.forget()
			r.awaitUp(2*time.Minute, nil)
			want := 2 * r.sockets0()
			if m.profile.RestartKeeps {
				want = r.sockets0()
			}
			if connects, dials, _, _ := r.sums(); connects != want || dials != 0 {
				t.Errorf("%d connects, %d failed, want %d", connects, dials, want)
			}
			r.stop()
			r.sound()
		})
	})
}

// Books survive a restart that lets the sockets live: what comes first is a
// whole book.
func TestBooksSurviveARestart(t *testing.T) {
	everyVenue(t, func(t *testing.T, m *market) {
		if !m.profile.RestartKeeps {
			t.Skip("sockets end with the service")
		}
		inBubble(t, func(t *testing.T) {
			c := newClient(t, m, clientOptions{symbols: 2, channels: tick.ChannelDepth, before: 200 * time.Millisecond, Options: sim.Options{Rate: 50}})
			c.connect()
			c.run(2 * time.Second)
			c.inject(sim.Fault{Kind: sim.FaultRestart})
			c.run(2 * time.Second)
			c.finish()
			if n := c.checkViews(); n < 20 || c.resyncs != 0 || !c.books[0].sync.IsValid() {
				t.Errorf("%d books, %d resyncs, valid %v", n, c.resyncs, c.books[0].sync.IsValid())
			}
		})
	})
}

// A stream that is acknowledged and never speaks hurts no other.
func TestSilentStream(t *testing.T) {
	everyVenue(t, func(t *testing.T, m *market) {
		inBubble(t, func(t *testing.T) {
			r := m.start(t, sim.Fault{Kind: sim.FaultSilent, Symbol: m.symbols(1)[0].Name, Channel: tick.ChannelTrades})
			isBad := func(s stream) bool { return s == stream{0, tick.ChannelTrades} }
			r.awaitUp(time.Minute, isBad)
			r.after(5 * time.Minute)
			r.forget()
			r.awaitUp(time.Minute, isBad)
			if connects, dials, _, _ := r.sums(); connects > r.sockets0()+2 || dials != 0 {
				t.Errorf("a storm: %d connects, %d failed, for %d sockets", connects, dials, r.sockets0())
			}
			r.stop()
			r.sound()
		})
	})
}

// The venue ends all connections within a minute. Where it announces it, a
// second connection stands in, so that at no moment a stream has no line that
// delivers it; where it does not, new sockets follow at once.
func TestPlannedEnd(t *testing.T) {
	everyVenue(t, func(t *testing.T, m *market) {
		inBubble(t, func(t *testing.T) {
			r := m.start(t)
			r.awaitUp(time.Minute, nil)
			r.after(5 * time.Second)
			r.inject(sim.Fault{Kind: sim.FaultShutdown, For: time.Minute})
			r.after(2 * time.Minute)
			r.forget()
			r.awaitUp(time.Minute, nil)
			announced := false
			for s, x := range r.streams {
				announced = announced || x.downs[tick.ReasonReconnect] > 0
				if n := x.bare[tick.ReasonReconnect]; n != 0 {
					t.Errorf("%s %s: an announced end, and no line delivered %d times", r.instruments[s.instrument].Symbol, s.channel, n)
				}
			}
			if connects, dials, _, _ := r.sums(); connects > 3*r.sockets0() || dials != 0 {
				t.Errorf("%d connects, %d failed, for %d sockets", connects, dials, r.sockets0())
			}
			t.Logf("the venue announces its end: %v", announced)
			r.stop()
			r.sound()
		})
	})
}

// What the venue says before it ends a connection, or closes for a while, is
// understood as that.
func TestAnnouncementsAreUnderstood(t *testing.T) {
	everyVenue(t, func(t *testing.T, m *market) {
		for _, kind := range []sim.FaultKind{sim.FaultShutdown, sim.FaultMaintenance} {
			inBubble(t, func(t *testing.T) {
				c := newClient(t, m, clientOptions{before: 200 * time.Millisecond, Options: sim.Options{Rate: 20, Levels: 20}})
				c.connect()
				c.run(time.Second)
				c.keep = true
				from := len(c.frames)
				c.inject(sim.Fault{Kind: kind, For: time.Minute})
				c.settle() // without a step of the market: what comes is the announcement
				for _, f := range c.frames[from:] {
					if k := f.notice.Kind; f.err != nil || k != feeds.NoticeReconnect && k != feeds.NoticeMaintenance {
						t.Errorf("%s: %s is read as %+v, %v", kind, f.text, f.notice, f.err)
					}
				}
				t.Logf("%s: %d announcements on %d sockets", kind, len(c.frames)-from, len(c.sockets))
			})
		}
	})
}

// What was unsubscribed is silent from then on.
func TestUnsubscribedStreamsEnd(t *testing.T) {
	everyVenue(t, func(t *testing.T, m *market) {
		inBubble(t, func(t *testing.T) {
			c := newClient(t, m, clientOptions{before: 200 * time.Millisecond, Options: sim.Options{Rate: 50, Levels: 20}})
			c.connect()
			c.run(time.Second)
			before := len(c.packets)
			c.keep = true
			for _, s := range c.sockets {
				c.say(s, c.adapter.Unsubscribe(&s.plan, s.plan.Subscriptions, len(s.asked)))
			}
			c.settle()
			after := len(c.packets)
			c.run(2 * time.Second)
			if before < 5 || len(c.packets) != after {
				t.Errorf("%d packets before, %d of streams that were unsubscribed", before, len(c.packets)-after)
			}
		})
	})
}
