package feeds

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tickproc/tick"
)

// Trades that were missed are fetched by the REST worker, page by page:
//
//	CmdBackfill ─► Feed.Backfill ─► Adapter.Backfill: next request, or an outcome
//	                                    ▲                    │
//	                                    └── Page ◄── answer ─┤ trades ─► ring
//	                                                         └ BackfillEnd ─► ring
//
// Books go first, and polls take turns with it: one request is in flight, and
// half of what may go at once of the venue's budget is left to books.

// Backfill is what is wanted of an instrument's past trades, and what came of
// it so far.
type Backfill struct {
	Instrument *tick.Instrument
	// FromID and ToID, both included, are missing where ids count up; both 0
	// elsewhere.
	FromID, ToID uint64
	// FromNanos is the exchange time of the last trade before them, ToNanos that of
	// the first one behind them.
	FromNanos, ToNanos int64
	// Keyed: there is a key for requests that need one.
	Keyed bool
	// Pages are the answers so far, in order.
	Pages []Page
}

// Page is what an answer told.
type Page struct {
	Way uint8 // of the request
	// Refused: the venue will not serve requests of this way.
	Refused bool
	Trades  int
	// The smallest and the largest of its trades; 0 with none.
	FirstID, LastID       uint64
	FirstNanos, LastNanos int64
	Cursor                uint64 // the adapter's, of aggregates
}

// TradesRequest asks for a page.
type TradesRequest struct {
	Request
	Way uint8 // the adapter's: which of several ways to ask it is
	// Keyed: it needs the key.
	Keyed bool
	// Aggregates: the answer is none of single trades; Adapter.Aggregates reads it.
	Aggregates bool
}

// Last is the newest answer; ok is false before the first.
func (b *Backfill) Last() (p Page, ok bool) {
	if len(b.Pages) == 0 {
		return Page{}, false
	}
	return b.Pages[len(b.Pages)-1], true
}

// Refused reports whether the venue refused a way.
func (b *Backfill) Refused(way uint8) bool {
	return slices.ContainsFunc(b.Pages, func(p Page) bool { return p.Way == way && p.Refused })
}

// BackfillOptions bound what is fetched. The zero value is useful.
type BackfillOptions struct {
	// Off fetches nothing.
	Off bool
	// MaxAge is how old the beginning of a gap may be; default 24 h.
	MaxAge time.Duration
	// MaxTrades is how many trades of one gap are fetched, where their number is
	// known; default 200,000.
	MaxTrades int
	// Key goes into the header of the profile's name with requests that need one.
	Key string
}

// Defaults of BackfillOptions.
const (
	DefaultBackfillAge    = 24 * time.Hour
	DefaultBackfillTrades = 200_000
)

const (
	// backfillPagesMax ends a backfill that does not end by itself.
	backfillPagesMax = 4000
	// backfillTries is how often a page is asked for; the shard may ask again later.
	backfillTries = 5
)

// gapFetch is one gap's backfill in the worker.
type gapFetch struct {
	Backfill
	epoch     uint64
	request   TradesRequest
	proven    uint64
	notBefore int64
	tries     int
	replaced  bool // a newer command for the instrument came
	backoff   backoff
}

// fetches are the worker's backfills: first come, first served, one command an
// instrument.
// owner: the REST goroutine.
type fetches struct {
	options  BackfillOptions
	waiting  []*gapFetch
	inFlight *gapFetch
	turn     bool // polls had the last one
}

// next returns the backfill that may send its request at now, or nil and when
// one may.
func (q *fetches) next(now int64) (*gapFetch, int64) {
	if q.inFlight != nil {
		return nil, never
	}
	at := never
	for _, f := range q.waiting {
		if f.notBefore <= now {
			return f, now
		}
		at = min(at, f.notBefore)
	}
	return nil, at
}

// remove forgets a backfill.
func (q *fetches) remove(f *gapFetch) {
	q.waiting = slices.DeleteFunc(q.waiting, func(x *gapFetch) bool { return x == f })
}

// Backfill asks for trades that were missed, as a shard's command says. Any
// goroutine may call it; it never blocks. A newer command of an instrument
// replaces an older one. The trades come by the REST worker's line, then the
// end, within the limits of Options.Backfill; while the venue throttles or
// fails it may be long in coming, and it does not come once the feed is stopped.
func (f *Feed) Backfill(command *tick.BackfillCommand) {
	c := *command
	f.rest.hand(func() { f.rest.commands = append(f.rest.commands, c) })
}

// want takes a command.
func (w *restWorker) want(c *tick.BackfillCommand) {
	in := w.instruments[c.Instrument]
	if in == nil {
		panic("BUG: backfill of an instrument that the feed does not carry")
	}
	q := &w.fetches
	for _, x := range slices.Clone(q.waiting) {
		if x.Instrument.ID == in.ID {
			x.replaced = true
			q.remove(x)
		}
	}
	if q.inFlight != nil && q.inFlight.Instrument.ID == in.ID {
		q.inFlight.replaced = true
	}
	f := &gapFetch{epoch: c.Epoch, backoff: backoff{min: w.queue.min, max: w.queue.max, chance: w.chance}, Backfill: Backfill{Instrument: in, FromID: c.FromID, ToID: c.ToID,
		FromNanos: c.TsNanos, ToNanos: c.EndNanos, Keyed: q.options.Key != ""}}
	w.stats.Backfills.Add(1)
	switch {
	case q.options.Off:
		w.endBackfill(f, tick.BackfillNone)
	case w.now()-f.FromNanos > int64(q.options.MaxAge), f.ToID-f.FromID >= uint64(q.options.MaxTrades):
		w.endBackfill(f, tick.BackfillGivenUp)
	default:
		q.waiting = append(q.waiting, f)
		w.advance(f)
	}
}

// advance finds out how a backfill goes on.
func (w *restWorker) advance(f *gapFetch) {
	if len(f.Pages) >= backfillPagesMax {
		w.endBackfill(f, tick.BackfillGivenUp)
		return
	}
	var outcome tick.Backfill
	if f.request, outcome = w.adapter.Backfill(&f.Backfill); outcome != tick.BackfillPending {
		w.endBackfill(f, outcome)
	}
}

// endBackfill tells the shard, and the capture, what came of it.
func (w *restWorker) endBackfill(f *gapFetch, outcome tick.Backfill) {
	w.fetches.remove(f)
	if f.replaced {
		return
	}
	var p [1]tick.Unit
	e := p[0].BackfillEnd()
	e.Header = tick.Header{Kind: tick.KindBackfillEnd, Instrument: f.Instrument.ID, Ordinal: w.ordinal}
	e.Epoch, e.Outcome, e.Proven = f.epoch, outcome, uint32(min(f.proven, math.MaxUint32))
	e.From, e.To = f.FromID, f.ToID
	if e.ByTime = f.ToID == 0; e.ByTime {
		e.From, e.To = uint64(f.FromNanos), uint64(f.ToNanos)
	}
	w.stamp(p[:])
	if w.recorder != nil {
		w.recorder.backfill(w.stampedAt, AppendBackfillEnd(nil, f.Instrument.Symbol, e))
	}
	if outcome == tick.BackfillWhole {
		w.stats.BackfillsWhole.Add(1)
	}
}

// takeTrades takes an answer to a backfill's request, of which it owns f.
func (w *restWorker) takeTrades(a answer) {
	f, now := a.fetch, w.now()
	w.fetches.inFlight = nil
	w.takeAsked()
	fail := func(err error) {
		w.stats.Failures.Add(1)
		w.trouble.warn(troubleREST, now, "no trades", "symbol", f.Instrument.Symbol, "status", a.status, "body", excerpt(a.body), "error", err)
		f.tries++
		if f.notBefore = now + int64(f.backoff.next()); f.tries >= backfillTries {
			w.endBackfill(f, tick.BackfillFailed)
		}
	}
	if a.status != http.StatusOK && w.recorder != nil {
		w.recorder.restStatus(a.at, a.status, a.url, a.failure())
	}
	switch {
	case a.err != nil:
		fail(a.err)
		return
	case a.status == http.StatusTooManyRequests || a.status == http.StatusTeapot:
		w.throttled(&a, now, f.Instrument.Symbol)
		return
	case a.status >= 400 && a.status < 500:
		w.stats.Failures.Add(1)
		f.Pages = append(f.Pages, Page{Way: f.request.Way, Refused: true})
	case a.status != http.StatusOK:
		fail(nil)
		return
	default:
		page, err := w.page(&a)
		if err != nil {
			w.stats.Faults[faultOf(err)].Add(1)
			fail(err)
			return
		}
		page.Way = f.request.Way
		f.Pages, f.tries = append(f.Pages, page), 0
		f.backoff.reset()
		w.throttle.reset()
	}
	if f.replaced {
		return
	}
	w.advance(f)
}

// page decodes an answer and passes its trades on.
func (w *restWorker) page(a *answer) (page Page, err error) {
	f := a.fetch
	w.ordinal++
	w.stampedAt = max(w.stampedAt, w.now())
	at := Stamp{Line: w.number, Ordinal: w.ordinal, ReceiveNanos: w.stampedAt}
	w.stats.Frames.Add(1)
	w.stats.Bytes.Add(uint64(len(a.body)))
	w.stats.LastFrameNanos.Set(w.stampedAt)
	if w.recorder != nil {
		w.recorder.rest(w.stampedAt, at.Ordinal, a.url, a.body)
	}
	if f.request.Aggregates {
		var proven uint64
		page, proven, err = w.adapter.Aggregates(a.body, f.FromID, f.ToID)
		f.proven += proven
		return page, err
	}
	units, err := w.adapter.DecodeREST(w.units[:0], a.url, a.body, w.table, at, 0)
	if err != nil {
		return page, err
	}
	w.units = units
	for rest := units; len(rest) > 0; rest = rest[tick.PacketUnits(&rest[0]):] {
		if rest[0].KindOf() == tick.KindTrade {
			page.Add(rest[0].Trade())
		}
	}
	w.out.Write(units)
	w.out.Flush()
	return page, nil
}

// Add counts a trade in.
func (p *Page) Add(t *tick.Trade) {
	if p.Trades == 0 {
		p.FirstID, p.LastID, p.FirstNanos, p.LastNanos = t.ID.Lo, t.ID.Lo, t.ExchangeNanos, t.ExchangeNanos
	}
	p.Trades++
	p.FirstID, p.LastID = min(p.FirstID, t.ID.Lo), max(p.LastID, t.ID.Lo)
	p.FirstNanos, p.LastNanos = min(p.FirstNanos, t.ExchangeNanos), max(p.LastNanos, t.ExchangeNanos)
}

// AppendBackfillEnd appends the text by which a capture keeps the end of a
// backfill: SYMBOL OUTCOME ids|times FROM TO PROVEN.
func AppendBackfillEnd(dst []byte, symbol string, e *tick.BackfillEnd) []byte {
	outcome, by := e.Outcome.String(), "ids"
	if outcome == "" {
		outcome = "off"
	}
	if e.ByTime {
		by = "times"
	}
	return fmt.Appendf(dst, "%s %s %s %d %d %d", symbol, outcome, by, e.From, e.To, e.Proven)
}

// ParseBackfillEnd reads what AppendBackfillEnd wrote. Header and epoch are
// left zero; false if it is none.
func ParseBackfillEnd(text []byte) (symbol string, e tick.BackfillEnd, ok bool) {
	fields := strings.Split(string(text), " ")
	if len(fields) != 6 || fields[0] == "" || fields[2] != "ids" && fields[2] != "times" {
		return "", e, false
	}
	if fields[1] != "off" {
		if e.Outcome, ok = tick.BackfillOf(fields[1]); !ok || e.Outcome == tick.BackfillNone {
			return "", tick.BackfillEnd{}, false
		}
	}
	e.ByTime = fields[2] == "times"
	from, err1 := strconv.ParseUint(fields[3], 10, 64)
	to, err2 := strconv.ParseUint(fields[4], 10, 64)
	proven, err3 := strconv.ParseUint(fields[5], 10, 32)
	if err1 != nil || err2 != nil || err3 != nil {
		return "", tick.BackfillEnd{}, false
	}
	e.From, e.To, e.Proven = from, to, uint32(proven)
	return fields[0], e, true
}

// ByTime says how to go on where a venue gives its newest trades in one answer
// and their ids say nothing: whole if the answer begins before what is wanted
// and ends behind it. atMost is how many the venue gives.
func (b *Backfill) ByTime(request TradesRequest, atMost int) (TradesRequest, tick.Backfill) {
	p, ok := b.Last()
	switch {
	case !ok:
		return request, tick.BackfillPending
	case p.Refused:
		return TradesRequest{}, tick.BackfillNotOffered
	case p.Trades == 0 || p.LastNanos < b.ToNanos: // the venue is behind its own stream
		return TradesRequest{}, tick.BackfillFailed
	case p.FirstNanos < b.FromNanos || p.Trades < atMost:
		return TradesRequest{}, tick.BackfillWhole
	}
	return TradesRequest{}, tick.BackfillPartly
}

// Forwards says how to go on with pages of rising ids, each asked for by the
// id that it begins with.
func (b *Backfill) Forwards(request func(from uint64) TradesRequest) (TradesRequest, tick.Backfill) {
	p, ok := b.Last()
	switch {
	case !ok:
		return request(b.FromID), tick.BackfillPending
	case p.Refused:
		return TradesRequest{}, tick.BackfillNotOffered
	case p.Trades > 0 && p.LastID >= b.ToID:
		return TradesRequest{}, tick.BackfillWhole // whether none is missing in it the shard knows
	case p.Trades == 0 || p.LastID < b.FromID:
		return TradesRequest{}, tick.BackfillFailed // it exists: a later one was seen
	}
	next := request(p.LastID + 1)
	if len(b.Pages) > 1 && b.Pages[len(b.Pages)-2].LastID >= p.LastID {
		return TradesRequest{}, tick.BackfillFailed // no progress
	}
	return next, tick.BackfillPending
}

// Backwards is Forwards for pages of the newest trades below an id.
func (b *Backfill) Backwards(request func(below uint64) TradesRequest) (TradesRequest, tick.Backfill) {
	p, ok := b.Last()
	switch {
	case !ok:
		return request(b.ToID + 1), tick.BackfillPending
	case p.Refused:
		return TradesRequest{}, tick.BackfillNotOffered
	case p.Trades == 0 && len(b.Pages) == 1, p.Trades > 0 && p.FirstID > b.ToID:
		return TradesRequest{}, tick.BackfillFailed
	case p.Trades == 0: // the venue's past begins here
		return TradesRequest{}, tick.BackfillPartly
	case p.FirstID <= b.FromID:
		return TradesRequest{}, tick.BackfillWhole
	case len(b.Pages) > 1 && b.Pages[len(b.Pages)-2].FirstID <= p.FirstID:
		return TradesRequest{}, tick.BackfillFailed
	}
	return request(p.FirstID), tick.BackfillPending
}
