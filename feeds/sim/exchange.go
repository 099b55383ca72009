// Package sim is a simulated exchange: a seeded market that speaks venues' own
// wire formats over real websockets and HTTP, with faults on demand, and that
// knows the truth.
//
//	            ┌ instrument: book, orders, trades, mark price ┐
//	Step(now) ─►│ instrument                                   ├─► event ─► truth (every trade, images of the book)
//	            └ instrument: quiet ───────────────────────────┘     │
//	                                     stream: window, counter ◄───┘
//	                                          ▼ dialect renders once
//	   client ◄─ writer goroutine ◄─ queue ◄─ faults ◄─ dialect wraps, numbers
//	   client ─► reader goroutine ─► dialect: subscribe …, pings; pongs
//	   client ─► HTTP ─► dialect: depth snapshot, catalog
//
// The market is a function of the seed and of the times of the steps: no clock,
// and nothing that clients or faults of delivery do, changes it (the faults
// that are the market's do: quiet, stale-depth, halt). It knows no venue: a
// Dialect, which stands in the venue's own folder, says how one speaks.
package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"tickproc/internal/clock"
)

// Options say what is simulated. The zero value is useful.
type Options struct {
	// Seed of the markets and of the faults.
	Seed uint64
	// Venues to simulate.
	Venues []Venue
	// Rate of market events (orders that arrive, leave, or trade) a second and
	// symbol; default 50. About four of five become a message.
	Rate float64
	// Levels a side that the book hovers around, beside 40 cold ones; default 300.
	Levels int
	// Tick is how often a started exchange moves its markets; default 5 ms.
	Tick time.Duration
	// ClockOffset is how far the venues' clocks are ahead of ours.
	ClockOffset time.Duration
	// PathPrefix stands before the venues' own paths: "/lab".
	PathPrefix string
	// PingEvery replaces the venues' own interval of pings. Short pings make
	// Trade.Delivered sure sooner.
	PingEvery time.Duration
	// ClientQueue bounds the frames that wait for a client; a client that lets
	// more wait is cut off. Default 16384.
	ClientQueue int
	// Compression accepts permessage-deflate from clients that offer it.
	Compression bool
	// History bounds what the truth keeps for a symbol of trades, of quotes and
	// of book images (400 bytes each); default 32768 of each.
	History int
	// Faults that strike by themselves; default none.
	Faults Faults
}

// Venue is one simulated exchange.
type Venue struct {
	Name    string   // "binance-spot"
	Dialect Dialect  // how it speaks
	Address string   // "127.0.0.1:7001"; default a free port of 127.0.0.1
	Symbols []Symbol // default Dialect.DefaultSymbols
	// DepthEvery is the distance of depth messages; default the venue's usual,
	// whatever speed a stream's name asks for.
	DepthEvery time.Duration
	// AgeMax is when connections are ended in any case; default the venue's rule.
	AgeMax time.Duration
}

// EnsureDefaults fills what is zero.
func (o *Options) EnsureDefaults() {
	o.Venues = slices.Clone(o.Venues)
	for i := range o.Venues {
		v := &o.Venues[i]
		if v.Address == "" {
			v.Address = "127.0.0.1:0"
		}
		if len(v.Symbols) == 0 && v.Dialect != nil {
			v.Symbols = v.Dialect.DefaultSymbols()
		}
	}
	set := func(x *int, value int) {
		if *x == 0 {
			*x = value
		}
	}
	set(&o.Levels, 300)
	set(&o.ClientQueue, 16384)
	set(&o.History, 32768)
	if o.Rate == 0 {
		o.Rate = 50
	}
	if o.Tick == 0 {
		o.Tick = 5 * time.Millisecond
	}
}

// Validate returns every fault of filled options at once.
func (o *Options) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("simulated exchange: "+format, args...))
		}
	}
	check(o.Rate > 0 && o.Rate <= 1e6, "rate %v: want events a second between 0 and 1000000", o.Rate)
	check(o.Levels >= 20 && o.Levels <= 5000, "levels %d: want 20 to 5000", o.Levels)
	check(o.Tick >= 100*time.Microsecond, "tick %v: want at least 100µs", o.Tick)
	check(o.ClientQueue > 0 && o.History > 0, "client queue %d, history %d: want more than 0", o.ClientQueue, o.History)
	check(o.PingEvery >= 0, "ping interval %v: want none or more than 0", o.PingEvery)
	check(o.PathPrefix == "" || strings.HasPrefix(o.PathPrefix, "/") && !strings.HasSuffix(o.PathPrefix, "/"),
		"path prefix %q: want a form like /lab", o.PathPrefix)
	check(len(o.Venues) > 0, "no venues: name at least one")
	seen := map[string]bool{}
	for _, v := range o.Venues {
		check(!seen[v.Name], "venue %s is named twice", v.Name)
		seen[v.Name] = true
		check(v.Dialect != nil, "%s: no dialect: nothing says how the venue speaks", v.Name)
		check(v.DepthEvery >= 0 && v.AgeMax >= 0, "%s: depth interval %v, age %v: want more than 0", v.Name, v.DepthEvery, v.AgeMax)
		for _, s := range v.Symbols {
			check(s.Rate >= 0, "%s %s: rate %v: want a factor, not negative", v.Name, s.Name, s.Rate)
		}
	}
	for k, rate := range o.Faults {
		check(k > 0 && k < faultKindEnd, "unknown fault kind %d", k)
		check(rate >= 0, "fault %s: rate %v: want none or more than 0", k, rate)
	}
	return errors.Join(errs...)
}

// Exchange is all simulated venues. Its methods may be called from anywhere.
type Exchange struct {
	options   Options
	markets   []*Market
	listeners []net.Listener
	servers   []*http.Server
	stopOnce  sync.Once
	stopped   chan struct{}  // closed: no more steps
	tickers   sync.WaitGroup // one goroutine a venue
	serving   sync.WaitGroup // one goroutine a listener
}

// New builds the markets. It starts nothing.
func New(o Options) (*Exchange, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	e := &Exchange{options: o, stopped: make(chan struct{})}
	var errs []error
	for _, vo := range e.options.Venues {
		v, err := newMarket(&e.options, vo)
		if err != nil {
			errs = append(errs, fmt.Errorf("simulated exchange: %w", err))
			continue
		}
		e.markets = append(e.markets, v)
	}
	return e, errors.Join(errs...)
}

// Listen opens the venues' addresses and serves clients; time stands still
// until Step, or Start, moves it.
func (e *Exchange) Listen() error {
	for i, v := range e.markets {
		l, err := net.Listen("tcp", e.options.Venues[i].Address)
		if err != nil {
			e.Close()
			return fmt.Errorf("simulated %s: %w: choose a free address", v.name, err)
		}
		e.listeners = append(e.listeners, l)
		server := &http.Server{Handler: e.handler(v), ReadHeaderTimeout: 10 * time.Second,
			ErrorLog: log.New(io.Discard, "", 0)} // clients that break off are no news here
		e.servers = append(e.servers, server)
		e.serving.Add(1)
		go func() {
			defer e.serving.Done()
			server.Serve(corkedListener{l}) // returns when Close closes it
		}()
	}
	return nil
}

// Start listens, and moves the markets by the wall clock until Stop, Close or
// the end of ctx.
func (e *Exchange) Start(ctx context.Context) error {
	if err := e.Listen(); err != nil {
		return err
	}
	for _, v := range e.markets {
		v.step(clock.Nanos())
		e.tickers.Add(1)
		go func() {
			defer e.tickers.Done()
			ticker := time.NewTicker(e.options.Tick)
			defer ticker.Stop()
			for {
				select {
				case <-ticker.C:
					v.step(clock.Nanos())
				case <-e.stopped:
					return
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	return nil
}

// Run starts, waits for the end of ctx, and closes.
func (e *Exchange) Run(ctx context.Context) error {
	if err := e.Start(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	e.Close()
	return nil
}

// Step moves all venues to now: everything due by then happens, in the order
// of time within a venue. The first step only sets the clock. What lasts
// (faults, pings) begins and ends at steps: step often.
func (e *Exchange) Step(now time.Time) {
	for _, v := range e.markets {
		v.step(now.UnixNano())
	}
}

// Stop ends the generation of events; connections stay open and silent.
func (e *Exchange) Stop() {
	e.stopOnce.Do(func() { close(e.stopped) })
	e.tickers.Wait()
}

// Drain stops, ends all faults, sends what they held back and one last trade,
// quote and depth message of each symbol, and waits until every client has
// answered a ping that came after all of it: then the truth stands still.
// Clients that do not answer within ctx are named in the error.
func (e *Exchange) Drain(ctx context.Context) error {
	e.Stop()
	for _, v := range e.markets {
		v.finish()
	}
	var errs []error
	for _, v := range e.markets {
		errs = append(errs, v.confirm(ctx))
	}
	return errors.Join(errs...)
}

// confirm pings every client and waits for the pongs.
func (v *Market) confirm(ctx context.Context) error {
	v.mu.Lock()
	asked := map[*Conn]uint64{}
	for _, c := range slices.Clone(v.conns) {
		if c.sink == nil && !c.halfOpen {
			v.ping(c)
			asked[c] = c.pings
		}
	}
	for {
		for c, ping := range asked {
			if c.ended || c.pongs >= ping {
				delete(asked, c)
			}
		}
		waiting, changed := len(asked), v.changed
		v.mu.Unlock()
		if waiting == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("simulated %s: %d of its clients did not answer the last ping: %w", v.name, waiting, ctx.Err())
		}
		v.mu.Lock()
	}
}

// Close stops, closes every connection with a close frame, and frees the
// addresses. What clients had not confirmed is doubtful in the truth.
func (e *Exchange) Close() {
	e.Stop()
	for _, s := range e.servers {
		s.Close() // listeners and plain HTTP; websockets are ours
	}
	e.serving.Wait()
	for _, v := range e.markets {
		v.close()
	}
}

// close ends all clients and waits for their goroutines; those that take too
// long to read their last frames are cut off.
func (v *Market) close() {
	v.mu.Lock()
	v.closed = true
	clients := slices.Clone(v.conns)
	for _, c := range clients {
		v.end(c, frameClose)
	}
	v.mu.Unlock()
	force := time.AfterFunc(2*lingerWithin, func() {
		for _, c := range clients {
			if c.socket != nil {
				c.socket.connection.Close()
			}
		}
	})
	v.serving.Wait()
	force.Stop()
}

// WSURL returns the websocket address of a venue, "ws://127.0.0.1:7001", with
// the path prefix; "" before Listen, and for a venue that is not simulated.
func (e *Exchange) WSURL(venue string) string { return e.url("ws://", venue) }

// RESTURL is WSURL for HTTP.
func (e *Exchange) RESTURL(venue string) string { return e.url("http://", venue) }

func (e *Exchange) url(scheme, venue string) string {
	for i, v := range e.markets {
		if v.name == venue && i < len(e.listeners) {
			return scheme + e.listeners[i].Addr().String() + e.options.PathPrefix
		}
	}
	return ""
}

func (e *Exchange) market(name string) (*Market, error) {
	for _, v := range e.markets {
		if v.name == name {
			return v, nil
		}
	}
	return nil, fmt.Errorf("simulated exchange: venue %q is not simulated", name)
}

// Inject makes something go wrong: faults of messages and of REST wait for
// the next that match, all others strike now.
func (e *Exchange) Inject(f Fault) error {
	v, err := e.market(f.Venue)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.inject(f)
}

// Tap subscribes streams without a socket: sink gets each frame, under the
// venue's lock and valid until it returns, and nil when a fault ends the
// connection. Message and connection faults befall it like any client.
func (e *Exchange) Tap(venue string, streams []string, sink func(frame []byte)) error {
	v, err := e.market(venue)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	c := &Conn{Mode: v.profile.TapMode, sink: sink}
	v.join(c)
	c.begin(streams)
	return nil
}

// Truth returns what happened to every instrument, in the order of Options.
func (e *Exchange) Truth() []Truth {
	var out []Truth
	for _, v := range e.markets {
		v.mu.Lock()
		for _, in := range v.instruments {
			out = append(out, in.truthNow())
		}
		v.mu.Unlock()
	}
	return out
}

// FaultLog returns the faults that struck, venue by venue in the order of time.
func (e *Exchange) FaultLog() []FaultRecord {
	var out []FaultRecord
	for _, v := range e.markets {
		v.mu.Lock()
		out = append(out, v.faults.records...)
		v.mu.Unlock()
	}
	return out
}

// Stats are counts of a venue.
type Stats struct {
	Venue       string
	Events      uint64 // messages that the market made
	Frames      uint64 // data and answers written to clients
	Bytes       uint64 // of these
	Requests    uint64 // REST
	Connections uint64 // websockets accepted
	SlowClients uint64 // cut off because their queue was full
	FastClients uint64 // messages beyond the venue's limit
	// RefusedClients counts handshakes beyond the venue's limit.
	RefusedClients uint64
	Faults         uint64 // that struck
	Clients        int    // connected now
}

// Stats returns the venues' counts, in the order of Options.
func (e *Exchange) Stats() []Stats {
	var out []Stats
	for _, v := range e.markets {
		v.mu.Lock()
		s := v.stats
		s.Venue, s.Clients = v.name, len(v.conns)
		for _, n := range v.faults.counts {
			s.Faults += n
		}
		v.mu.Unlock()
		out = append(out, s)
	}
	return out
}
