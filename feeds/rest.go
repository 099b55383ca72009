package feeds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"tickproc/internal/clock"
	"tickproc/tick"
)

const (
	userAgent   = "tickproc"
	restTimeout = 10 * time.Second
	// restParallel requests may be in flight, so that one slow answer does not
	// hold up the other books.
	restParallel = 4
	// restInterval is the mean pause between two requests: books that fall out
	// together do not ask together.
	restInterval = 100 * time.Millisecond
	// throttledMin is the first pause of the whole venue after a 429 or 418
	// that does not say how long.
	throttledMin = 5 * time.Second
	throttledMax = 5 * time.Minute
	// retryAfterMax bounds what a server may ask for: venues ban for up to three days.
	retryAfterMax = 72 * time.Hour
)

// restWorker answers the shards' wishes for snapshots. It is a line of its
// own: one goroutine paces, decodes and writes to the line's rings, while up
// to restParallel short-lived ones wait for the venue.
// owner of all fields, unless said otherwise: the worker's goroutine.
type restWorker struct {
	number      uint16
	adapter     Adapter
	instruments map[uint32]*tick.Instrument
	base        string // replaces the venue's scheme, host and port; "" = not
	bodyLimit   int64
	client      *http.Client
	hold        *hold // the feed's
	out         *Output
	table       *Table
	stats       *LineStats
	trouble     trouble
	recorder    *LineRecorder // nil = off
	queue       *resyncs
	polls       polls
	toldHeld    bool // that what is polled is not asked for
	fetches     fetches
	keyHeader   string
	budget      *rate.Limiter // nil = no limit
	pauseUntil  int64         // nothing is sent before: pacing, or the venue is throttling us
	throttle    backoff
	chance      chance
	now         func() int64
	ordinal     uint64
	stampedAt   int64 // receive time of the last answer
	units       []tick.Unit
	spare       [][]byte // bodies for reuse

	mu        sync.Mutex // guards what others hand over: rare, tiny, and they must never wait
	asked     []wish
	added     []Subscription
	commands  []tick.BackfillCommand
	announced []tick.Unit
	arrived   chan struct{} // there is something; capacity 1
}

type wish struct {
	instrument uint32
	epoch      uint64
}

// answer is what came of a request.
type answer struct {
	resync *resync // nil: the request was a poll's
	poll   *poll
	fetch  *gapFetch
	url    string // the venue's own
	status int    // 0 = none came
	header http.Header
	body   []byte
	at     int64 // when it was complete
	err    error
}

// budgetOf makes the limiter of a venue's request weights: a third of 90 % of
// them may go at once, because books fall out together when a socket does, and
// the rest evenly, so that no minute sees more than the 90 %; the remainder is
// for whoever shares the address.
func budgetOf(weightPerMinute int) *rate.Limiter {
	if weightPerMinute <= 0 {
		return nil
	}
	usable := float64(weightPerMinute) * 0.9
	return rate.NewLimiter(rate.Limit(usable*2/3/60), max(1, int(usable/3)))
}

// ask is called from any goroutine and never blocks.
func (w *restWorker) ask(instrument uint32, epoch uint64) {
	w.hand(func() { w.asked = append(w.asked, wish{instrument, epoch}) })
}

// add makes instruments known that were subscribed at run time, likewise.
func (w *restWorker) add(subscriptions []Subscription) {
	w.hand(func() { w.added = append(w.added, subscriptions...) })
}

// announce writes packets to the line, likewise.
func (w *restWorker) announce(packets []tick.Unit) {
	w.hand(func() { w.announced = append(w.announced, packets...) })
}

func (w *restWorker) hand(over func()) {
	w.mu.Lock()
	over()
	w.mu.Unlock()
	w.look()
}

// look makes the worker look again at what there is to do, likewise.
func (w *restWorker) look() {
	select {
	case w.arrived <- struct{}{}:
	default:
	}
}

// takeAsked takes what was handed over.
func (w *restWorker) takeAsked() {
	w.mu.Lock()
	for _, s := range w.added {
		w.carry(s)
	}
	for _, a := range w.asked {
		w.queue.ask(a.instrument, a.epoch)
	}
	announced, commands := w.announced, w.commands
	w.added, w.asked, w.announced, w.commands = nil, w.asked[:0], nil, nil
	w.mu.Unlock()
	w.stamp(announced) // may wait for room, which nobody else must
	for i := range commands {
		w.want(&commands[i])
	}
}

// carry makes an instrument known, and what of it must be polled.
func (w *restWorker) carry(s Subscription) {
	in := s.Instrument
	w.instruments[in.ID] = in
	if w.table.Known([]byte(in.Symbol)) == nil {
		w.table.Add(&Entry{Symbol: in.Symbol, ID: in.ID, PriceDigits: in.PriceDigits, SizeDigits: in.SizeDigits})
	}
	for _, p := range w.adapter.Polls(in) {
		if s.Channels.Has(p.Channel) {
			w.polls.add(in, p)
		}
	}
}

// stamp writes packets to the shards, as of now.
func (w *restWorker) stamp(packets []tick.Unit) {
	if len(packets) == 0 {
		return
	}
	w.stampedAt = max(w.stampedAt, w.now())
	for rest := packets; len(rest) > 0; rest = rest[tick.PacketUnits(&rest[0]):] {
		h := rest[0].Header()
		h.Line, h.ReceiveNanos = w.number, w.stampedAt
	}
	w.out.Write(packets)
	w.out.Flush()
}

// run serves until ctx ends, and then waits for the requests in flight.
func (w *restWorker) run(ctx context.Context) {
	defer w.stats.setState(LineStopped, tick.ReasonStopped)
	defer w.out.Close()
	w.stats.setState(LineUp, tick.ReasonNone)
	answers := make(chan answer, restParallel)
	timer := time.NewTimer(0)
	defer timer.Stop()
	inFlight := 0
	for {
		w.takeAsked()
		if inFlight == 0 { // an answer would say that the channel is back
			w.tellHeld()
		}
		wakeAt := int64(math.MaxInt64)
		for inFlight < restParallel && ctx.Err() == nil && !w.hold.held() {
			var j job
			if j, wakeAt = w.due(w.now()); j.request.URL == "" {
				break
			}
			w.send(ctx, j, answers)
			inFlight++
		}
		var event <-chan time.Time
		if wakeAt != math.MaxInt64 {
			timer.Reset(time.Duration(max(wakeAt-w.now(), 0)))
			event = timer.C
		}
		if inFlight == 0 && ctx.Err() != nil {
			return
		}
		done := ctx.Done()
		if ctx.Err() != nil {
			done = nil
		}
		select {
		case <-done:
		case <-w.arrived:
		case <-event:
		case a := <-answers:
			inFlight--
			w.take(a)
		}
	}
}

// tellHeld says, once a hold, that what is polled is not seen. The next answer
// says that it is.
func (w *restWorker) tellHeld() {
	reason, _ := w.hold.state()
	if held := reason != tick.ReasonNone; held == w.toldHeld {
		return
	}
	w.toldHeld = !w.toldHeld
	if !w.toldHeld {
		return
	}
	var down []tick.Unit
	for _, p := range w.polls.turns {
		down = tick.AppendEvent(down, tick.Header{Kind: tick.KindDown, Instrument: p.instrument.ID}, p.Channel, reason)
	}
	w.stamp(down)
}

// job is a request to be made, for a resync, a poll or a backfill.
type job struct {
	request Request
	resync  *resync
	poll    *poll
	fetch   *gapFetch
}

// due returns a request that may be made now, or none and when to look again.
// Books come first; polls and backfills take turns.
func (w *restWorker) due(now int64) (job, int64) {
	var j job
	at := never
	if r, resyncAt := w.queue.next(now); r != nil {
		j = job{request: w.request(r), resync: r}
	} else {
		p, pollAt := w.polls.next(now)
		f, fetchAt := w.fetches.next(now)
		if f != nil {
			if wait := w.reserve(f.request.Weight, now); wait > 0 {
				f, fetchAt = nil, now+wait
			}
		}
		switch at = min(resyncAt, pollAt, fetchAt); {
		case f != nil && (p == nil || w.fetches.turn):
			j = job{request: f.request.Request, fetch: f}
		case p != nil:
			j = job{request: p.Request, poll: p}
		}
	}
	switch {
	case j.request.URL == "":
		return job{}, at
	case now < w.pauseUntil:
		return job{}, w.pauseUntil
	case w.budget == nil:
		return j, now
	}
	reservation := w.budget.ReserveN(time.Unix(0, now), min(max(j.request.Weight, 1), w.budget.Burst()))
	if wait := reservation.DelayFrom(time.Unix(0, now)); wait > 0 {
		reservation.CancelAt(time.Unix(0, now))
		return job{}, now + int64(wait)
	}
	return j, now
}

// reserve is how long a request of that weight must wait until half of what may
// go at once is left for books.
func (w *restWorker) reserve(weight int, now int64) int64 {
	if w.budget == nil {
		return 0
	}
	missing := float64(min(max(weight, 1)+w.budget.Burst()/2, w.budget.Burst())) - w.budget.TokensAt(time.Unix(0, now))
	return int64(max(missing, 0) / float64(w.budget.Limit()) * 1e9)
}

func (w *restWorker) request(r *resync) Request {
	in := w.instruments[r.instrument]
	if in == nil {
		panic("BUG: resync of an instrument that the feed does not carry")
	}
	request, ok := w.adapter.SnapshotRequest(in)
	if !ok {
		panic("BUG: a snapshot is asked for of a venue that sends them on the stream")
	}
	return request
}

// send starts a request.
func (w *restWorker) send(ctx context.Context, j job, answers chan<- answer) {
	url, key := w.begin(j)
	var body []byte
	if n := len(w.spare); n > 0 {
		body, w.spare = w.spare[n-1], w.spare[:n-1]
	}
	go func() {
		a := getKeyed(ctx, w.client, url, body, w.bodyLimit, w.keyHeader, key)
		a.resync, a.poll, a.fetch, a.url = j.resync, j.poll, j.fetch, j.request.URL
		answers <- a
	}()
}

// begin notes that a request is on its way, and says where to and with what key.
func (w *restWorker) begin(j job) (url, key string) {
	now := w.now()
	url, err := OverrideURL(j.request.URL, w.base)
	if err != nil {
		panic("BUG: " + err.Error()) // New has tried it
	}
	w.stats.Requests.Add(1)
	switch {
	case j.poll != nil:
		w.polls.sent(j.poll, now)
		w.fetches.turn = true
	case j.fetch != nil:
		w.fetches.inFlight, w.fetches.turn = j.fetch, false
		if j.fetch.request.Keyed {
			key = w.fetches.options.Key
		}
		if j.fetch.tries > 0 {
			w.stats.Retries.Add(1)
		}
	default:
		w.queue.sent(j.resync)
		if j.resync.retry {
			w.stats.Retries.Add(1)
		}
	}
	w.pauseUntil = now + int64(w.chance.jitter(restInterval))
	return url, key
}

// take decodes an answer, passes its packets on, or sees to it that the
// question is asked again.
func (w *restWorker) take(a answer) {
	now := w.now()
	r := a.resync
	// Decoders copy what they keep, and so does the recorder.
	defer func() { w.spare = append(w.spare, a.body[:0]) }()
	if a.fetch != nil {
		if !errors.Is(a.err, context.Canceled) {
			w.takeTrades(a)
		}
		return
	}
	w.takeAsked()
	if a.err == nil && a.status == http.StatusOK && r != nil && r.waiting && r.epoch > r.sentEpoch {
		// The shard would refuse it, for what it was asked about has ended since. A
		// capture must not offer it either: a replay knows no epochs.
		w.stats.Frames.Add(1)
		w.stats.Bytes.Add(uint64(len(a.body)))
		if w.recorder != nil {
			w.recorder.restStatus(a.at, a.status, a.url, []byte("outdated"))
		}
		w.queue.answered(r, true, now)
		return
	}
	if a.err == nil && a.status == http.StatusOK {
		w.ordinal++
		at := Stamp{Line: w.number, Ordinal: w.ordinal}
		epoch := uint64(0)
		if r != nil {
			epoch = r.sentEpoch
		}
		units, err := w.adapter.DecodeREST(w.units[:0], a.url, a.body, w.table, at, epoch)
		// Stamped not when it was complete but when it is handed on. Deltas that
		// came in between were handed on before it, and a replay, which goes by
		// stamps, must see the same order.
		w.stampedAt = max(w.stampedAt, w.now())
		for rest := units; len(rest) > 0; rest = rest[tick.PacketUnits(&rest[0]):] {
			rest[0].Header().ReceiveNanos = w.stampedAt
		}
		w.stats.Frames.Add(1)
		w.stats.Bytes.Add(uint64(len(a.body)))
		w.stats.LastFrameNanos.Set(w.stampedAt)
		if w.recorder != nil {
			w.recorder.rest(w.stampedAt, at.Ordinal, a.url, a.body)
		}
		if err == nil && len(units) == 0 {
			err = fmt.Errorf("%w: no market data in it", ErrUnknownMessage)
		}
		if err == nil {
			w.units = units
			w.throttle.reset()
			if r != nil {
				w.queue.answered(r, true, now)
			}
			w.out.Write(units)
			w.out.Flush()
			return
		}
		a.err = err
		w.stats.Faults[faultOf(err)].Add(1)
	} else if errors.Is(a.err, errOversized) {
		w.stats.Faults[FaultOversized].Add(1)
	}
	if errors.Is(a.err, context.Canceled) {
		return // we are stopping
	}
	if a.status != http.StatusOK && w.recorder != nil {
		w.recorder.restStatus(a.at, a.status, a.url, a.failure())
	}
	what, symbol, retryIn := "snapshot", "", time.Duration(0)
	if r != nil {
		w.queue.answered(r, false, now)
		symbol, retryIn = w.instruments[r.instrument].Symbol, time.Duration(r.notBefore-now)
	} else {
		what, symbol, retryIn = a.poll.Channel.String(), a.poll.instrument.Symbol, a.poll.Every
	}
	if a.status == http.StatusTooManyRequests || a.status == http.StatusTeapot {
		w.throttled(&a, now, symbol)
		return
	}
	w.stats.Failures.Add(1)
	w.trouble.warn(troubleREST, now, "no "+what, "symbol", symbol, "status", a.status, "retry_in", retryIn, "body", excerpt(a.body), "error", a.err)
}

// throttled pauses everything that is asked of the venue, as it wishes.
func (w *restWorker) throttled(a *answer, now int64, symbol string) {
	wait := retryAfter(a.header, time.Unix(0, now))
	if wait == 0 {
		wait = w.throttle.next()
	}
	// Waking exactly when the ban ends is what everybody else does.
	wait += w.chance.jitter(restInterval)
	w.pauseUntil = max(w.pauseUntil, now+int64(wait))
	w.stats.Throttled.Add(1)
	w.trouble.warn(troubleThrottled, now, "the venue throttles our requests", "symbol", symbol, "status", a.status, "pause", wait)
}

// failure is what a capture keeps of a failed request.
func (a *answer) failure() []byte {
	if a.status == 0 && a.err != nil {
		return []byte(a.err.Error())
	}
	return a.body
}

// get makes one request and reads the whole body into the memory of body.
func get(ctx context.Context, client *http.Client, url string, body []byte, limit int64) answer {
	return getKeyed(ctx, client, url, body, limit, "", "")
}

// getKeyed is get with a key, if any, in a header.
func getKeyed(ctx context.Context, client *http.Client, url string, body []byte, limit int64, header, key string) answer {
	a := answer{body: body[:0]}
	a.err = func() error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		request.Header.Set("User-Agent", userAgent)
		if header != "" && key != "" {
			request.Header.Set(header, key)
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		a.status, a.header = response.StatusCode, response.Header
		a.body, err = readBounded(a.body, response.Body, limit)
		return err
	}()
	a.at = clock.Nanos()
	return a
}

// readBounded appends all of r to dst, or fails beyond limit.
func readBounded(dst []byte, r io.Reader, limit int64) ([]byte, error) {
	r = io.LimitReader(r, limit+1)
	for {
		dst = slices.Grow(dst, 4096)
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if int64(len(dst)) > limit {
			return dst[:0], errOversized
		}
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

// retryAfter reads the header of that name, seconds or a date; 0 = none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if v == "" {
		return 0
	}
	var wait time.Duration
	if seconds, err := strconv.ParseInt(v, 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), retryAfterMax)
}

// newHTTPClient returns the client of a feed; transport nil = one over dial.
func newHTTPClient(dial DialFunc, transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return dial(ctx, network, address)
			},
			TLSHandshakeTimeout:   handshakeTimeout,
			MaxIdleConnsPerHost:   restParallel,
			IdleConnTimeout:       time.Minute,
			ForceAttemptHTTP2:     true,
			ResponseHeaderTimeout: restTimeout,
		}
	}
	return &http.Client{Transport: transport, Timeout: restTimeout}
}
