package bench

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"tickproc/feeds"
	"tickproc/feeds/sim"
	"tickproc/feeds/venues"
	"tickproc/tick"
)

// Recipe says what session to generate: a function of the recipe alone.
type Recipe struct {
	Venue    string
	Channels tick.Channels // 0 = trades, quotes and depth
	Frames   int           // of market data, at least
	Symbols  int           // how many of the venue's default symbols; 0 = all
	// Rate of market events a second and symbol; 0 = the venue's, see rateOf.
	Rate float64
}

// rates give generated depth frames about the levels of recorded ones: a mean
// of 36 on Binance's spot market each 100 ms, of 68 on USD-M each 50 ms, of 11
// on COIN-M each 10 ms (BTC, August 2024).
var rates = map[string]float64{"binance-spot": 480, "binance-usdm": 2300, "binance-coinm": 1500}

// tradeRates give streams of trades alone the pace of recorded ones: 28, 62 and
// 7 a second.
var tradeRates = map[string]float64{"binance-spot": 140, "binance-usdm": 310, "binance-coinm": 35}

const (
	defaultRate     = 200
	generatedLevels = 1000 // a side, and 40 cold ones
	generatedStep   = time.Millisecond
)

func (r *Recipe) ensureDefaults() {
	if r.Channels == 0 {
		r.Channels = tick.ChannelTrades | tick.ChannelQuotes | tick.ChannelDepth
	}
	if r.Rate == 0 {
		r.Rate = rates[r.Venue]
		if r.Channels == tick.ChannelTrades {
			r.Rate = tradeRates[r.Venue]
		}
	}
	if r.Rate == 0 {
		r.Rate = defaultRate
	}
}

// Generate makes a session of the simulated exchange, in virtual time and
// without a socket: catalog, subscriptions and snapshots are as the adapter
// asks for them.
func Generate(r Recipe) (*Session, error) {
	r.ensureDefaults()
	adapter, ok := venues.New(r.Venue)
	if !ok {
		return nil, fmt.Errorf("no venue %q", r.Venue)
	}
	dialect := venues.Dialect(r.Venue)
	symbols := dialect.DefaultSymbols()
	if r.Symbols > 0 {
		symbols = symbols[:min(r.Symbols, len(symbols))]
	}
	exchange, err := sim.New(sim.Options{Seed: 1, Rate: r.Rate, Levels: generatedLevels,
		Venues: []sim.Venue{{Name: r.Venue, Dialect: dialect, Symbols: symbols}}})
	if err != nil {
		return nil, err
	}
	g := generator{exchange: exchange, session: &Session{Name: r.Venue, Adapter: adapter}, now: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}
	exchange.Step(g.now)
	if err := g.subscribe(symbols, r.Channels); err != nil {
		return nil, fmt.Errorf("generating frames of %s: %w", r.Venue, err)
	}
	if err := g.run(r); err != nil {
		return nil, fmt.Errorf("generating frames of %s: %w", r.Venue, err)
	}
	return g.session, nil
}

type generator struct {
	exchange *sim.Exchange
	session  *Session
	now      time.Time
	clients  []*sim.Client
	pings    [][]byte // that wait for an answer, by client
	ended    bool
}

// step moves the market, and answers the venue's pings.
func (g *generator) step(by time.Duration) {
	g.now = g.now.Add(by)
	g.exchange.Step(g.now)
	for i, payload := range g.pings {
		if payload != nil {
			g.pings[i] = nil
			g.clients[i].Pong(payload)
		}
	}
}

func (g *generator) get(address string) (body []byte, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	status, _, body, _, err := g.exchange.Get(g.session.Adapter.Venue(), u)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s: status %d: %.200s", u.Path, status, body)
	}
	return body, err
}

// subscribe reads the catalog and opens the planned sockets.
func (g *generator) subscribe(symbols []sim.Symbol, channels tick.Channels) error {
	s := g.session
	var listed []tick.Instrument
	for _, r := range s.Adapter.CatalogRequests() {
		body, err := g.get(r.URL)
		if err != nil {
			return err
		}
		some, err := s.Adapter.ParseCatalog(body)
		if err != nil {
			return err
		}
		listed = append(listed, some...)
	}
	for _, symbol := range symbols {
		i := slices.IndexFunc(listed, func(in tick.Instrument) bool { return in.Symbol == symbol.Name })
		if i < 0 {
			return fmt.Errorf("the catalog lacks %s", symbol.Name)
		}
		in := listed[i]
		in.ID, in.Channels = uint32(len(s.subscriptions)), channels
		s.subscriptions = append(s.subscriptions, feeds.Subscription{Instrument: &in, Channels: channels})
	}
	s.sockets = s.Adapter.Plan(s.subscriptions)
	g.pings = make([][]byte, len(s.sockets))
	for i := range s.sockets {
		plan := &s.sockets[i]
		u, err := url.Parse(plan.URL)
		if err != nil {
			return err
		}
		client, status, err := g.exchange.Connect(s.Adapter.Venue(), u, func(m sim.Sent) { g.take(i, m) })
		if err != nil || client == nil {
			return fmt.Errorf("%s: status %d: %w", plan.URL, status, err)
		}
		g.clients = append(g.clients, client)
		requests := append(slices.Clone(plan.Greetings), s.Adapter.Subscribe(plan, plan.Subscriptions, len(plan.Greetings))...)
		for _, r := range requests {
			client.Say(r.Text)
			g.step(time.Second) // venues limit the messages of a client
		}
	}
	return nil
}

// take keeps a frame. It is called under the venue's lock.
func (g *generator) take(socket int, m sim.Sent) {
	switch m.Kind {
	case sim.SentText:
		g.session.add(g.now.UnixNano(), socket, "", m.Text)
	case sim.SentPing:
		g.pings[socket] = slices.Clone(m.Text)
	case sim.SentClose, sim.SentAbort:
		g.ended = true
	}
}

// run moves the market until there are frames enough; books are fetched a
// little behind the beginning, as a feed does it.
func (g *generator) run(r Recipe) error {
	s := g.session
	asked := !r.Channels.Has(tick.ChannelDepth)
	for s.Frames < r.Frames {
		g.step(generatedStep)
		if g.ended {
			return fmt.Errorf("the venue closed a socket after %d frames", s.Frames)
		}
		if asked || s.Frames < min(r.Frames/100, 500)+1 {
			continue
		}
		asked = true
		for _, wanted := range s.subscriptions {
			request, ok := s.Adapter.SnapshotRequest(wanted.Instrument)
			if !ok {
				break
			}
			body, err := g.get(request.URL)
			if err != nil {
				return err
			}
			s.add(g.now.UnixNano(), 0, request.URL, body)
		}
	}
	return nil
}
