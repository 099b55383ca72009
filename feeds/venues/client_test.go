package venues_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"tickproc/book"
	"tickproc/feeds"
	"tickproc/feeds/sim"
	"tickproc/tick"
)

// client subscribes a simulated venue as the adapter says, decodes what comes,
// and keeps the books by the venue's rule: what feeds and shards do, without
// their machinery. It lives in a bubble.
type client struct {
	*market
	t           *testing.T
	exchange    *sim.Exchange
	handler     http.Handler
	listener    *pipeListener
	now         time.Time // the market's
	since       int64     // when the client came, ns of the market's time
	wanted      tick.Channels
	instruments []*tick.Instrument // by id
	sockets     []*socket
	restTable   *feeds.Table
	restDigits  map[uint32]*[2]uint8
	books       []*bookOf // by instrument id
	canary      *feeds.Canary
	log         *logText

	frames  []frame // all that came, in order
	packets []packet
	errors  []string
	resyncs int  // books that were asked for after the first
	asked   int  // all books that were asked for
	keep    bool // resyncs are left to the test
}

// frame is one that came by a socket, or, with a url, a REST answer.
type frame struct {
	socket *socket // nil: REST
	text   []byte
	url    string
	units  []tick.Unit
	notice feeds.Notice
	err    error
}

// packet is one packet with the scale that its line had, and the frame it came in.
type packet struct {
	units       []tick.Unit
	price, size uint8
	frame       int
}

// socket is one planned connection.
type socket struct {
	plan    feeds.Connection
	ws      *websocket.Conn
	table   *feeds.Table
	decoder feeds.Decoder
	digits  map[uint32]*[2]uint8
	asked   []asked // by request number

	mu    sync.Mutex
	inbox [][]byte
	ended bool
}

// asked is a request that was sent, and what is still owed for it.
type asked struct {
	feeds.SubscribeRequest
	left, refused int
}

// bookOf is an instrument's book, and how it looked after each message.
type bookOf struct {
	in    *tick.Instrument
	sync  *book.Sync
	views []view
}

// view is the best of a valid book after the message with an id and a time.
type view struct {
	id          uint64
	nanos       int64
	bids, asks  []tick.Level
	price, size uint8
	frame       int
}

// options choose what a client does.
type clientOptions struct {
	sim.Options
	symbols  int           // default 1
	channels tick.Channels // default all that the venue has
	before   time.Duration // that the market runs before the client comes
}

// newClient starts a venue and reads its catalog; connect subscribes.
func newClient(t *testing.T, m *market, o clientOptions) *client {
	t.Helper()
	if o.symbols == 0 {
		o.symbols = 1
	}
	if o.Seed == 0 {
		o.Seed = m.seed
	}
	if o.Levels == 0 {
		o.Levels = 60
	}
	symbols := m.symbols(o.symbols)
	if len(o.Venues) > 0 {
		symbols = o.Venues[0].Symbols
	}
	o.Venues = []sim.Venue{{Name: m.name, Dialect: m.dialect, Symbols: symbols}}
	exchange, err := sim.New(o.Options)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{market: m, t: t, exchange: exchange, handler: exchange.Handler(m.name), now: marketStart, restDigits: map[uint32]*[2]uint8{},
		log: &logText{}}
	c.canary = feeds.NewCanary(c.log.logger())
	c.listener = servePipes(t, c.handler)
	t.Cleanup(exchange.Close)
	exchange.Step(c.now)
	c.run(o.before)

	if c.wanted = o.channels; c.wanted == 0 {
		c.wanted = m.adapter.Channels()
	}
	c.instruments = c.catalog(symbols)
	for _, in := range c.instruments {
		s := book.NewSync(in.Sync, in.PriceDigits, in.SizeDigits)
		c.books = append(c.books, &bookOf{in: in, sync: s})
	}
	c.restTable = feeds.NewTable(c.instruments)
	return c
}

// catalog reads the venue's catalog and returns the symbols' instruments.
func (c *client) catalog(symbols []sim.Symbol) []*tick.Instrument {
	c.t.Helper()
	found := map[string]tick.Instrument{}
	for _, r := range c.adapter.CatalogRequests() {
		status, body := c.get(r.URL)
		if status != http.StatusOK {
			c.t.Fatalf("catalog: %d %.200s", status, body)
		}
		all, err := c.adapter.ParseCatalog(body)
		if err != nil {
			c.t.Fatalf("catalog: %v", err)
		}
		for _, in := range all {
			found[in.Symbol] = in
		}
	}
	var out []*tick.Instrument
	for _, s := range symbols {
		in, ok := found[s.Name]
		if !ok {
			c.t.Fatalf("the catalog lacks %s", s.Name)
		}
		in.ID, in.Channels = uint32(len(out)), c.wanted
		out = append(out, &in)
	}
	return out
}

// get asks REST.
func (c *client) get(address string) (status int, body []byte) {
	c.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		c.t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	c.handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, u.RequestURI(), nil))
	return answer.Code, answer.Body.Bytes()
}

func (c *client) subscriptions() (all []feeds.Subscription) {
	for _, in := range c.instruments {
		all = append(all, feeds.Subscription{Instrument: in, Channels: c.wanted})
	}
	return all
}

// connect opens all planned sockets and subscribes.
func (c *client) connect() {
	c.t.Helper()
	c.since = c.now.UnixNano()
	for _, plan := range c.adapter.Plan(c.subscriptions()) {
		c.open(plan)
	}
	for _, s := range c.sockets {
		c.say(s, s.plan.Greetings)
		c.say(s, c.adapter.Subscribe(&s.plan, s.plan.Subscriptions, len(s.asked)))
	}
	for _, b := range c.books {
		if c.wanted.Has(tick.ChannelDepth) {
			b.sync.Up()
		}
	}
	c.settle()
}

// open dials a planned socket.
func (c *client) open(plan feeds.Connection) *socket {
	c.t.Helper()
	s := &socket{plan: plan, digits: map[uint32]*[2]uint8{}}
	s.table = feeds.NewTable(c.carried(&plan))
	s.table.Canary = c.canary
	s.decoder = c.adapter.NewDecoder(&s.plan, s.table)
	dialer := websocket.Dialer{NetDialContext: c.listener.dial}
	address, err := feeds.OverrideURL(plan.URL, "ws://"+c.name)
	if err != nil {
		c.t.Fatal(err)
	}
	time.Sleep(c.adapter.Profile().ConnectInterval)
	ws, _, err := dialer.Dial(address, nil)
	if err != nil {
		c.t.Fatalf("%s: %v", plan.URL, err)
	}
	s.ws = ws
	go func() {
		defer ws.Close()
		for {
			_, text, err := ws.ReadMessage()
			s.mu.Lock()
			if err != nil {
				s.ended = true
				s.mu.Unlock()
				return
			}
			s.inbox = append(s.inbox, text)
			s.mu.Unlock()
		}
	}()
	c.t.Cleanup(func() { ws.Close() })
	c.sockets = append(c.sockets, s)
	return s
}

func (c *client) carried(plan *feeds.Connection) (out []*tick.Instrument) {
	for _, s := range slices.Concat(plan.Streams, plan.Subscriptions) {
		if !slices.Contains(out, s.Instrument) {
			out = append(out, s.Instrument)
		}
	}
	return out
}

// say sends requests at the pace that the adapter keeps.
func (c *client) say(s *socket, requests []feeds.SubscribeRequest) {
	c.t.Helper()
	for _, r := range requests {
		time.Sleep(c.adapter.Profile().MessageInterval + time.Millisecond)
		left := max(r.Answers, 0)
		if r.Answers == 0 {
			left = 1
		}
		s.asked = append(s.asked, asked{SubscribeRequest: r, left: left})
		s.ws.WriteMessage(websocket.TextMessage, r.Text)
	}
	synctest.Wait()
}

// run moves the market's time on by steps of 10 ms.
func (c *client) run(d time.Duration) {
	c.t.Helper()
	for end := c.now.Add(d); c.now.Before(end); {
		c.step()
	}
}

func (c *client) step() {
	c.t.Helper()
	c.now = c.now.Add(10 * time.Millisecond)
	c.exchange.Step(c.now)
	c.settle()
}

// settle takes what came, and asks for the books that are owed.
func (c *client) settle() {
	c.t.Helper()
	for {
		synctest.Wait()
		c.take()
		if c.keep || !c.resync() {
			return
		}
	}
}

// take decodes what came.
func (c *client) take() {
	for _, s := range c.sockets {
		s.mu.Lock()
		inbox := s.inbox
		s.inbox = nil
		s.mu.Unlock()
		for _, text := range inbox {
			c.read(s, text)
		}
	}
}

// stamp is of the next frame: its ordinal finds it again.
func (c *client) stamp() feeds.Stamp {
	return feeds.Stamp{Line: 1, Ordinal: uint64(len(c.frames) + 1), ReceiveNanos: c.now.UnixNano()}
}

func (c *client) read(s *socket, text []byte) {
	units, notice, err := s.decoder.Decode(nil, text, c.stamp())
	c.frames = append(c.frames, frame{socket: s, text: text, units: units, notice: notice, err: err})
	if err != nil {
		c.errors = append(c.errors, fmt.Sprintf("%v in %.300q", err, text))
		return
	}
	switch notice.Kind {
	case feeds.NoticeAck, feeds.NoticeRefused:
		s.answered(notice)
	case feeds.NoticeGap:
		for _, in := range c.carried(&s.plan) {
			c.books[in.ID].sync.Invalidate(tick.ReasonSequence)
		}
	}
	c.apply(units, s.digits)
}

// answered books an answer to a request, as the dialogue of a feed does.
func (s *socket) answered(n feeds.Notice) {
	i := n.Request
	if i < 0 && n.Channel != 0 {
		i = slices.IndexFunc(s.asked, func(a asked) bool {
			return a.left > 0 && slices.ContainsFunc(a.Streams, func(x feeds.Subscription) bool {
				return x.Instrument.ID == n.Instrument && x.Channels.Has(n.Channel)
			})
		})
	}
	if i < 0 || i >= len(s.asked) || s.asked[i].left == 0 {
		return
	}
	a := &s.asked[i]
	if n.Channel == 0 {
		a.left = 0
	} else {
		a.left--
	}
	if n.Kind == feeds.NoticeRefused {
		a.refused++
	}
}

// apply notes packets, and keeps the books.
func (c *client) apply(units []tick.Unit, digits map[uint32]*[2]uint8) {
	for len(units) > 0 {
		n := tick.PacketUnits(&units[0])
		p := units[:n]
		units = units[n:]
		h := p[0].Header()
		b := c.books[h.Instrument]
		scale := digits[h.Instrument]
		if scale == nil {
			scale = &[2]uint8{b.in.PriceDigits, b.in.SizeDigits}
			digits[h.Instrument] = scale
		}
		if h.Kind == tick.KindRescale {
			r := p[0].Rescale()
			b.rescale(r.PriceDigits, r.SizeDigits)
			*scale = [2]uint8{r.PriceDigits, r.SizeDigits}
			continue
		}
		c.packets = append(c.packets, packet{p, scale[0], scale[1], len(c.frames) - 1})
		b.take(p, len(c.frames)-1)
	}
}

// rescale brings the book to the digits of a line.
func (b *bookOf) rescale(price, size uint8) {
	if price > b.in.PriceDigits || size > b.in.SizeDigits {
		b.sync.Rescale(tick.Pow10(price-b.in.PriceDigits), tick.Pow10(size-b.in.SizeDigits), price, size)
		in := *b.in
		in.PriceDigits, in.SizeDigits = price, size
		b.in = &in
	}
}

// take gives the book a packet.
func (b *bookOf) take(p []tick.Unit, frame int) {
	l := listener{b, frame}
	switch h := p[0].Header(); h.Kind {
	case tick.KindQuote:
		if b.in.Sync.QuoteIDs {
			levels := tick.Levels(p)
			b.sync.Quotes.Remember(p[0].Depth().LastID, levels[0], levels[1])
		}
	case tick.KindDepth:
		b.sync.Delta(p, l)
	case tick.KindSnapshot:
		b.sync.Snapshot(p, l)
		if b.in.Sync.Snapshot == tick.SnapshotREST && b.sync.IsValid() && !b.sync.Joined() {
			b.note(b.sync.LastID(), 0, frame)
		}
	}
}

// listener notes how the book looks after each message.
type listener struct {
	b     *bookOf
	frame int
}

func (l listener) BeforeDelta(*tick.Depth) {}
func (l listener) AfterDelta(d *tick.Depth) {
	if !l.b.sync.IsValid() {
		return
	}
	id := d.LastID
	if l.b.in.Sync.Sequence == tick.SequenceNone {
		id = 0 // found by its time
	}
	l.b.note(id, d.ExchangeNanos, l.frame)
}

func (b *bookOf) note(id uint64, nanos int64, frame int) {
	v := view{id: id, nanos: nanos, price: b.in.PriceDigits, size: b.in.SizeDigits, frame: frame}
	v.bids, v.asks = topOf(&b.sync.Book.Bids), topOf(&b.sync.Book.Asks)
	b.views = append(b.views, v)
}

func topOf(s *book.Side) []tick.Level {
	top := make([]tick.Level, min(s.Len(), sim.TruthDepth))
	s.CopyBest(top)
	return top
}

// resyncsMax ends a test whose books never become good.
const resyncsMax = 200

// resync asks for the books that are owed; false if none is.
func (c *client) resync() (any bool) {
	c.t.Helper()
	for _, b := range c.books {
		epoch, owed := b.sync.TakeResync()
		if !owed {
			continue
		}
		any = true
		if len(b.views) > 0 {
			c.resyncs++
		}
		if c.asked++; c.asked > resyncsMax {
			c.t.Fatalf("the books were had anew %d times", resyncsMax)
		}
		if r, ok := c.adapter.SnapshotRequest(b.in); ok {
			c.fetch(r.URL, epoch)
			continue
		}
		c.renew(b.in)
	}
	return any
}

// renew has a book anew where snapshots are in-band.
func (c *client) renew(in *tick.Instrument) {
	c.t.Helper()
	for _, s := range c.sockets {
		for _, x := range s.plan.Subscriptions {
			if x.Instrument.ID == in.ID && x.Channels.Has(tick.ChannelDepth) {
				streams := []feeds.Subscription{{Instrument: x.Instrument, Channels: tick.ChannelDepth}}
				c.say(s, c.adapter.Unsubscribe(&s.plan, streams, len(s.asked)))
				c.say(s, c.adapter.Subscribe(&s.plan, streams, len(s.asked)))
			}
		}
	}
}

// fetch asks REST for market data.
func (c *client) fetch(address string, epoch uint64) {
	c.t.Helper()
	status, body := c.get(address)
	if status != http.StatusOK {
		c.t.Fatalf("%s: %d %.200s", address, status, body)
	}
	c.fetched(address, body, epoch)
}

func (c *client) fetched(address string, body []byte, epoch uint64) {
	units, err := c.adapter.DecodeREST(nil, address, body, c.restTable, c.stamp(), epoch)
	c.frames = append(c.frames, frame{text: body, url: address, units: units, err: err})
	if err != nil {
		c.errors = append(c.errors, fmt.Sprintf("%v in %.300q", err, body))
		return
	}
	c.apply(units, c.restDigits)
}

// poll asks for what of the channels has no stream.
func (c *client) poll() {
	c.t.Helper()
	for _, in := range c.instruments {
		for _, p := range c.adapter.Polls(in) {
			if c.wanted.Has(p.Channel) {
				c.fetch(p.Request.URL, 0)
			}
		}
	}
}

// finish lets the venue tell everything that it knows.
func (c *client) finish() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.exchange.Drain(ctx); err != nil {
		c.t.Fatal(err)
	}
	c.settle()
}

// inject makes something go wrong.
func (c *client) inject(f sim.Fault) {
	c.t.Helper()
	f.Venue = c.name
	if err := c.exchange.Inject(f); err != nil {
		c.t.Fatal(err)
	}
}

// truths of the instruments, by id.
func (c *client) truths() (all []*sim.Truth) {
	for _, in := range c.instruments {
		for _, t := range c.exchange.Truth() {
			if t.Symbol == in.Symbol {
				all = append(all, &t)
			}
		}
	}
	return all
}

// wrongView says how a book that was called valid differs from all that the
// venue told under its id or time; "" if it does not.
func wrongView(truth *sim.Truth, v *view) string {
	found := truth.Books(v.id, v.nanos)
	for i := range found {
		if sameTop(v, v.bids, truth, found[i].Bids) && sameTop(v, v.asks, truth, found[i].Asks) {
			return ""
		}
	}
	return fmt.Sprintf("book at id %d, time %d is %v %v with %d and %d digits, truth %+v", v.id, v.nanos, v.bids, v.asks, v.price, v.size, found)
}

func sameTop(v *view, have []tick.Level, truth *sim.Truth, want []tick.Level) bool {
	return slices.EqualFunc(have, want, func(a, b tick.Level) bool {
		return scaled{a.Price, v.price}.is(scaled{b.Price, truth.PriceDigits}) && scaled{a.Size, v.size}.is(scaled{b.Size, truth.SizeDigits})
	})
}

// checkViews holds all books that were called valid to the truth, and returns
// how many there were.
func (c *client) checkViews() (n int) {
	c.t.Helper()
	truths := c.truths()
	for id, b := range c.books {
		for i := range b.views {
			n++
			if wrong := wrongView(truths[id], &b.views[i]); wrong != "" {
				c.t.Errorf("%s, frame %d %.200q: %s", b.in.Symbol, b.views[i].frame, c.frames[b.views[i].frame].text, wrong)
				break
			}
		}
	}
	return n
}

// pipeListener serves HTTP over pipes.
type pipeListener struct {
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// servePipes serves a handler until the test ends.
func servePipes(t *testing.T, h http.Handler) *pipeListener {
	l := &pipeListener{accept: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-done })
	return l
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.accept <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.closed:
		return nil, io.ErrClosedPipe
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }
