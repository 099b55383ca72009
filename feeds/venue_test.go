package feeds

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tickproc/ringbuf"
	"tickproc/tick"
)

// toy is a small venue. Its frames are words:
//
//	trade SYMBOL ID · depth SYMBOL FIRST LAST · book SYMBOL LAST · quote SYMBOL ID
//	ack N · refuse N · pong · leave · jump LOST
//
// its requests "sub SYMBOL", its REST snapshots "book LAST", its catalog a list of symbols.
type toy struct {
	profile Profile
	// inURL subscribes by the URL instead of requests.
	inURL bool
	// perSocket > 0 spreads the subscriptions.
	perSocket int
	weight    int
	inBand    bool          // snapshots come on the stream
	polled    tick.Channels // asked for over REST each second
	past      bool          // past trades can be had: "trades ID…"
}

func (a *toy) Venue() string    { return "toy" }
func (a *toy) Profile() Profile { return a.profile }

func (a *toy) Plan(subscriptions []Subscription) []Connection {
	var plan []Connection
	per := a.perSocket
	if per == 0 {
		per = len(subscriptions)
	}
	for i := 0; i < len(subscriptions); i += per {
		part := subscriptions[i:min(i+per, len(subscriptions))]
		c := Connection{Name: fmt.Sprintf("public-%d", len(plan)), URL: "wss://toy.example/stream?token=hush"}
		if a.inURL {
			c.Streams = part
		} else {
			c.Subscriptions = part
		}
		plan = append(plan, c)
	}
	return plan
}

func (a *toy) Subscribe(_ *Connection, streams []Subscription, first int) []SubscribeRequest {
	return a.requests("sub", streams)
}

func (a *toy) Unsubscribe(_ *Connection, streams []Subscription, first int) []SubscribeRequest {
	return a.requests("unsub", streams)
}

func (a *toy) requests(verb string, streams []Subscription) (all []SubscribeRequest) {
	for _, s := range streams {
		all = append(all, SubscribeRequest{Text: []byte(`{"` + verb + `":"` + s.Instrument.Symbol + `"}`), Streams: []Subscription{s}})
	}
	return all
}

func (a *toy) NewDecoder(_ *Connection, table *Table) Decoder { return &toyDecoder{table} }

func (a *toy) SnapshotRequest(in *tick.Instrument) (Request, bool) {
	return Request{URL: "https://api.toy.example/depth?symbol=" + in.Symbol, Weight: a.weight}, !a.inBand
}
func (a *toy) CatalogRequests() []Request {
	return []Request{{URL: "https://api.toy.example/catalog"}}
}
func (a *toy) ParseCatalog(body []byte) ([]tick.Instrument, error) {
	var all []tick.Instrument
	for _, s := range strings.Fields(string(body)) {
		if s == "garbage" {
			return nil, ErrMalformed
		}
		all = append(all, a.Instrument(s))
	}
	return all, nil
}
func (a *toy) Instrument(symbol string) tick.Instrument {
	return tick.Instrument{Venue: "toy", Symbol: symbol, Underlying: symbol}
}
func (a *toy) Backfill(b *Backfill) (TradesRequest, tick.Backfill) {
	if !a.past {
		return TradesRequest{}, tick.BackfillNotOffered
	}
	return b.Forwards(func(from uint64) TradesRequest {
		return TradesRequest{Request: Request{URL: fmt.Sprintf("https://api.toy.example/trades?symbol=%s&from=%d", b.Instrument.Symbol, from), Weight: a.weight}, Keyed: true}
	})
}
func (a *toy) Aggregates([]byte, uint64, uint64) (Page, uint64, error) {
	return Page{}, 0, ErrMalformed
}
func (a *toy) DecodeREST(dst []tick.Unit, url string, body []byte, table *Table, at Stamp, epoch uint64) ([]tick.Unit, error) {
	if size, ok := strings.CutPrefix(string(body), "interest "); ok {
		_, symbol, _ := strings.Cut(url, "symbol=")
		dst, p := tick.AppendUnits(dst, 1)
		o := p[0].OpenInterest()
		o.Header = at.Header(tick.KindOpenInterest, table.Lookup([]byte(symbol)).ID, 0)
		o.Size, _ = leadingInt([]byte(size))
		return dst, nil
	}
	if list, ok := strings.CutPrefix(string(body), "trades"); ok {
		_, symbol, _ := strings.Cut(url, "symbol=")
		symbol, _, _ = strings.Cut(symbol, "&")
		for _, id := range strings.Fields(list) {
			var p []tick.Unit
			dst, p = tick.AppendUnits(dst, 1)
			t := p[0].Trade()
			t.Header = at.Header(tick.KindTrade, table.Lookup([]byte(symbol)).ID, 0)
			t.Flags |= tick.FlagBackfill | tick.FlagFetched
			n, _ := leadingInt([]byte(id))
			t.ID.Lo, t.Price, t.Size = uint64(n), 1, 1
		}
		return dst, nil
	}
	last, ok := strings.CutPrefix(string(body), "book ")
	if !ok {
		return dst, ErrMalformed
	}
	id, err := strconv.ParseUint(last, 10, 64)
	if err != nil {
		return dst, ErrMalformed
	}
	_, symbol, _ := strings.Cut(url, "symbol=")
	dst, p := tick.AppendUnits(dst, 1)
	d := p[0].Depth()
	d.Header = at.Header(tick.KindSnapshot, table.Lookup([]byte(symbol)).ID, 0)
	d.LastID, d.PrevID = id, epoch
	return dst, nil
}
func (a *toy) Streams(string, []byte) ([]Stream, int) { return nil, -1 }
func (a *toy) Channels() tick.Channels {
	return tick.ChannelTrades | tick.ChannelQuotes | tick.ChannelDepth
}
func (a *toy) Polls(in *tick.Instrument) []Poll {
	if a.polled == 0 {
		return nil
	}
	return []Poll{{Channel: a.polled, Every: time.Second, Request: Request{URL: "https://api.toy.example/poll?symbol=" + in.Symbol, Weight: 1}}}
}
func (a *toy) VolumeRequests() []Request                       { return nil }
func (a *toy) ParseVolumes([]byte) (map[string]float64, error) { return nil, nil }

type toyDecoder struct{ table *Table }

func (d *toyDecoder) Decode(dst []tick.Unit, frame []byte, at Stamp) ([]tick.Unit, Notice, error) {
	var words [4][]byte
	rest := frame
	for i := range words {
		words[i], rest = cutSpace(rest)
	}
	number := func(b []byte) uint64 { v, _ := leadingInt(b); return uint64(v) }
	switch string(words[0]) {
	case "ack":
		return dst, Notice{Kind: NoticeAck, Request: int(number(words[1]))}, nil
	case "refuse":
		return dst, Notice{Kind: NoticeRefused, Request: int(number(words[1])), Code: 7, Text: "no"}, nil
	case "pong":
		return dst, Notice{Kind: NoticePong}, nil
	case "leave":
		return dst, Notice{Kind: NoticeReconnect}, nil
	case "range":
		return dst, Notice{}, ErrNumberRange
	case "news":
		return dst, Notice{}, ErrUnknownMessage
	case "jump":
		return dst, Notice{Kind: NoticeGap, Lost: number(words[1])}, nil
	case "trade", "quote", "depth", "book":
	default:
		return dst, Notice{}, ErrMalformed
	}
	e := d.table.Lookup(words[1])
	if e == nil {
		return dst, Notice{}, ErrUnknownSymbol
	}
	levels := 0
	if string(words[0]) == "quote" {
		levels = 2 // both absent
	}
	dst, p := tick.AppendUnits(dst, tick.DepthUnits(levels))
	switch string(words[0]) {
	case "trade":
		t := p[0].Trade()
		t.Header = at.Header(tick.KindTrade, e.ID, 0)
		t.ID.Lo, t.Price, t.Size = number(words[2]), 1, 1
	case "quote":
		q := p[0].Depth()
		q.LevelCount, q.Bids = 2, 1
		q.Header = at.Header(tick.KindQuote, e.ID, 0)
		q.LastID = number(words[2])
	case "depth":
		q := p[0].Depth()
		q.Header = at.Header(tick.KindDepth, e.ID, 0)
		q.FirstID, q.LastID = number(words[2]), number(words[3])
	case "book":
		q := p[0].Depth()
		q.Header = at.Header(tick.KindSnapshot, e.ID, 0)
		q.LastID = number(words[2])
	}
	return dst, Notice{}, nil
}

// subscriptions asks for all channels of the symbols; ids count from 0.
func subscriptions(symbols ...string) []Subscription {
	var all []Subscription
	for i, s := range symbols {
		in := (&toy{}).Instrument(s)
		in.ID = uint32(i)
		all = append(all, Subscription{Instrument: &in, Channels: tick.ChannelTrades | tick.ChannelQuotes | tick.ChannelDepth})
	}
	return all
}

// rig runs a feed against handlers and shows what reaches the shard.
type rig struct {
	t      *testing.T
	feed   *Feed
	waker  *ringbuf.Waker
	rings  []*ringbuf.Ring // by line
	seen   []string        // every packet, as text
	stamps []tick.Header
	stop   func() // ends the feed and waits for it
}

// lineNumbers numbers lines.
func lineNumbers(next uint16) func() uint16 {
	return func() uint16 { next++; return next - 1 }
}

// newRig starts a feed; every line has a ring of its own to the one shard.
func newRig(t *testing.T, o Options) *rig {
	t.Helper()
	r := &rig{t: t, waker: ringbuf.NewWaker(ringbuf.Park)}
	routes := &Routes{}
	for id := range uint32(256) { // also for those that are added later
		routes.Set(id, 0)
	}
	o.NextLine = lineNumbers(10)
	o.NewOutput = func(line LineInfo) *Output {
		ring := ringbuf.New(1 << 12)
		ring.SetWaker(r.waker)
		r.rings = append(r.rings, ring)
		return NewOutput([]*ringbuf.Ring{ring}, routes, OutputOptions{})
	}
	feed, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.feed = feed
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { feed.Run(ctx); close(done); r.waker.Wake() }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		// A line that waits for room in its ring does not end before it has some.
		r.waker.Wait(func() bool {
			r.poll()
			select {
			case <-done:
				return true
			default:
				return false
			}
		}, 0)
		r.poll()
	})
	t.Cleanup(r.stop)
	return r
}

// poll takes what is in the rings.
func (r *rig) poll() {
	for _, ring := range r.rings {
		for p := ring.Poll(); p != nil; p = ring.Poll() {
			for len(p) > 0 {
				n := tick.PacketUnits(&p[0])
				r.seen = append(r.seen, packetText(p))
				r.stamps = append(r.stamps, *p[0].Header())
				ring.Release(n)
				p = p[n:]
			}
		}
	}
}

// until waits until the packets seen hold the given ones, in this order, others between.
func (r *rig) until(want ...string) {
	r.t.Helper()
	left := want
	checked := 0
	r.waker.Wait(func() bool {
		r.poll()
		for ; checked < len(r.seen) && len(left) > 0; checked++ {
			if r.seen[checked] == left[0] {
				left = left[1:]
			}
		}
		return len(left) == 0
	}, time.Minute)
	if len(left) > 0 {
		r.t.Fatalf("never came: %q; seen:\n%s", left[0], strings.Join(r.seen, "\n"))
	}
}

// count returns how many packets seen begin with text.
func (r *rig) count(text string) int {
	n := 0
	for _, s := range r.seen {
		if strings.HasPrefix(s, text) {
			n++
		}
	}
	return n
}

// packetText says what a packet is: "1.3 trade 0 77" is line 1, ordinal 3, instrument 0, id 77.
func packetText(p []tick.Unit) string {
	h := p[0].Header()
	e := p[0].Event()
	s := func(kind string, more ...any) string {
		return fmt.Sprintf("%d.%d %s %d", h.Line, h.Ordinal, kind, h.Instrument) + strings.TrimRight(" "+fmt.Sprintln(more...), " \n")
	}
	switch h.Kind {
	case tick.KindTrade:
		if h.Flags&tick.FlagFetched != 0 {
			return s("fetched", p[0].Trade().ID.Lo)
		}
		return s("trade", p[0].Trade().ID.Lo)
	case tick.KindBackfillEnd:
		x := p[0].BackfillEnd()
		return s("end", x.Outcome, x.From, x.To, "epoch", x.Epoch)
	case tick.KindQuote:
		return s("quote", p[0].Depth().LastID)
	case tick.KindDepth:
		return s("depth", p[0].Depth().FirstID, p[0].Depth().LastID)
	case tick.KindSnapshot:
		if p[0].Depth().PrevID == 0 {
			return s("book", p[0].Depth().LastID)
		}
		return s("snapshot", p[0].Depth().LastID, "epoch", p[0].Depth().PrevID)
	case tick.KindOpenInterest:
		return s("interest", p[0].OpenInterest().Size)
	case tick.KindStatus:
		return s("status", p[0].Status().State)
	case tick.KindCatalog:
		return s("catalog", p[0].Catalog().Definition().Channels)
	case tick.KindUp:
		return s("up", e.Channel)
	case tick.KindDown:
		return s("down", e.Channel, e.Reason)
	case tick.KindGap:
		return s("gap", e.Channel, e.Reason, e.Lost)
	}
	return s(fmt.Sprint("kind ", h.Kind))
}

// server is a venue under test: a websocket handler and a REST handler. Each
// gets the number of its call, from 0.
type server struct {
	socket func(n int, ws *websocket.Conn)
	raw    func(n int, w http.ResponseWriter, r *http.Request) // instead of socket
	rest   func(n int, w http.ResponseWriter, r *http.Request)

	upgrader websocket.Upgrader
	mu       sync.Mutex
	sockets  int
	calls    int
	paths    []string
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.paths = append(s.paths, r.URL.String())
	n := &s.calls
	isSocket := websocket.IsWebSocketUpgrade(r)
	if isSocket {
		n = &s.sockets
	}
	number := *n
	*n++
	s.mu.Unlock()
	switch {
	case !isSocket && s.rest != nil:
		s.rest(number, w, r)
	case isSocket && s.raw != nil:
		s.raw(number, w, r)
	case isSocket && s.socket != nil:
		ws, err := s.upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		s.socket(number, ws)
	default:
		http.Error(w, "not here", http.StatusNotFound)
	}
}

// start serves on a free port and points the options at it.
func (s *server) start(t *testing.T, o *Options) {
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	address := strings.TrimPrefix(srv.URL, "http://")
	o.WSURL, o.RESTURL = "ws://"+address+"/prefix", "http://"+address
}

// startInMemory serves over pipes, so that synctest's clock may run.
func (s *server) startInMemory(t *testing.T, o *Options) {
	l := &pipeListener{accept: make(chan net.Conn), closed: make(chan struct{})}
	srv := &http.Server{Handler: s}
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(l) }()
	t.Cleanup(func() { srv.Close(); <-done })
	o.WSURL, o.RESTURL = "ws://toy", "http://toy"
	o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		client, server := net.Pipe()
		select {
		case l.accept <- server:
			return client, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-l.closed:
			return nil, io.ErrClosedPipe
		}
	}
}

type pipeListener struct {
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once
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

// say sends text frames.
func say(ws *websocket.Conn, frames ...string) {
	for _, f := range frames {
		if ws.WriteMessage(websocket.TextMessage, []byte(f)) != nil {
			return
		}
	}
}

// listen reads until the client is gone, or until it has said text.
func listen(ws *websocket.Conn, text string) {
	for {
		_, b, err := ws.ReadMessage()
		if err != nil || text != "" && string(b) == text {
			return
		}
	}
}

// logs collects log output.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func newTextLogger(l *logs) *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}
func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
