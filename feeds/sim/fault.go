package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"tickproc/tick"
)

// FaultKind is something that goes wrong on the way from the venue to a client.
type FaultKind uint8

// Faults of messages befall Count messages (default 1) on their way to a client.
const (
	FaultDrop           FaultKind = iota + 1 // the message is not sent
	FaultDuplicate                           // it is sent twice in a row
	FaultReorder                             // it is sent after the next one of its symbol and channel
	FaultGarbage                             // a frame that is no JSON is sent before it
	FaultTruncate                            // only its first part is sent, as a whole frame
	FaultHuge                                // a frame of Bytes (default 32 MiB) is sent before it
	FaultBomb                                // the same (default 64 MiB), compressed where the client offers it
	FaultLateTrade                           // trades: it is sent after For (default 2 s)
	FaultDuplicateTrade                      // trades: it is sent, and again after For (default 2 s)
	// Faults of connections befall those that carry a matching stream.
	FaultDisconnect // the socket ends without a close frame
	FaultClose      // the socket ends with a close frame
	FaultHalfOpen   // it stays open, nothing is sent, pings go unanswered; For > 0 ends it by FaultDisconnect
	FaultSlow       // nothing is sent for For (default 1 s), then all of it
	FaultShutdown   // the venue announces its shutdown and closes after For (default 1 s)
	// Faults of the market last For (default 5 s).
	FaultQuiet      // nothing happens to the symbol
	FaultStaleDepth // its depth messages wait, everything else goes on; then they come as one
	// Faults of REST befall Count requests (default 1).
	FaultRESTLimit   // 429 with Retry-After of For (default 1 s)
	FaultRESTError   // 500
	FaultRESTSlow    // the answer is made at once and sent after For (default 2 s)
	FaultRESTGarbage // 200 with a body that is no JSON
	faultKindEnd
)

var faultNames = [faultKindEnd]string{
	FaultDrop: "drop", FaultDuplicate: "duplicate", FaultReorder: "reorder", FaultGarbage: "garbage", FaultTruncate: "truncate",
	FaultHuge: "huge", FaultBomb: "bomb", FaultLateTrade: "late-trade", FaultDuplicateTrade: "duplicate-trade",
	FaultDisconnect: "disconnect", FaultClose: "close", FaultHalfOpen: "half-open", FaultSlow: "slow", FaultShutdown: "shutdown",
	FaultQuiet: "quiet", FaultStaleDepth: "stale-depth",
	FaultRESTLimit: "rest-429", FaultRESTError: "rest-500", FaultRESTSlow: "rest-slow", FaultRESTGarbage: "rest-garbage",
}

func (k FaultKind) String() string {
	if k == 0 || k >= faultKindEnd {
		return fmt.Sprintf("fault %d", uint8(k))
	}
	return faultNames[k]
}

// FaultKinds lists all kinds in order.
func FaultKinds() []FaultKind {
	var out []FaultKind
	for k := FaultKind(1); k < faultKindEnd; k++ {
		out = append(out, k)
	}
	return out
}

// Faults says how often each kind strikes by itself: for faults of messages
// and of REST the probability that one meets it, for the others the expected
// number a minute and venue.
type Faults map[FaultKind]float64

// Fault asks for something to go wrong.
type Fault struct {
	Kind    FaultKind
	Venue   string
	Symbol  string        // "" = any
	Channel tick.Channels // 0 = any
	Count   int           // messages or requests; 0 = 1
	For     time.Duration // 0 = the kind's default
	Bytes   int           // of huge frames; 0 = the kind's default
}

// FaultRecord is a fault that struck.
type FaultRecord struct {
	TimeMs  int64 // the venue's clock, ms since the epoch
	Kind    FaultKind
	Venue   string
	Symbol  string
	Channel tick.Channels
	Client  int // number of the connection, from 1; 0 = none
	For     time.Duration
}

func (k FaultKind) ofMessages() bool { return k <= FaultDuplicateTrade }
func (k FaultKind) ofMarket() bool   { return k == FaultQuiet || k == FaultStaleDepth }
func (k FaultKind) ofREST() bool     { return k >= FaultRESTLimit }
func (k FaultKind) tradesOnly() bool { return k == FaultLateTrade || k == FaultDuplicateTrade }

// withDefaults fills what the asker left open.
func (f Fault) withDefaults() Fault {
	set := func(d time.Duration) {
		if f.For == 0 {
			f.For = d
		}
	}
	switch f.Kind {
	case FaultLateTrade, FaultDuplicateTrade, FaultRESTSlow:
		set(2 * time.Second)
	case FaultSlow, FaultShutdown, FaultRESTLimit:
		set(time.Second)
	case FaultQuiet, FaultStaleDepth:
		set(5 * time.Second)
	}
	if f.Count == 0 {
		f.Count = 1
	}
	if f.Bytes == 0 {
		f.Bytes = 32 << 20
		if f.Kind == FaultBomb {
			f.Bytes = 64 << 20
		}
	}
	return f
}

// faultRecordsMax bounds the list of records; counts go on.
const faultRecordsMax = 100_000

// faults decides what goes wrong at a venue. owner: the venue's lock.
type faults struct {
	random  *rand.Rand // apart from the market's: faults do not change the truth
	rates   [faultKindEnd]float64
	armed   []Fault
	records []FaultRecord
	counts  [faultKindEnd]uint64
}

// pick returns the fault that meets a message (or, of REST, a request). A
// message that comes while its neighbour is held back is not held back too.
func (f *faults) pick(rest bool, symbol string, channel tick.Channels, holding bool) (Fault, bool) {
	for i, a := range f.armed {
		if a.Kind == FaultReorder && holding || a.Kind.ofREST() != rest || a.Symbol != "" && a.Symbol != symbol || a.Channel != 0 && !a.Channel.Has(channel) ||
			a.Kind.tradesOnly() && channel != tick.ChannelTrades {
			continue
		}
		if f.armed[i].Count--; f.armed[i].Count == 0 {
			f.armed = append(f.armed[:i], f.armed[i+1:]...)
		}
		return a, true
	}
	from, to := FaultDrop, FaultDuplicateTrade
	if rest {
		from, to = FaultRESTLimit, FaultRESTGarbage
	}
	for k := from; k <= to; k++ {
		if f.rates[k] > 0 && f.random.Float64() < f.rates[k] && (!k.tradesOnly() || channel == tick.ChannelTrades) && !(k == FaultReorder && holding) {
			return Fault{Kind: k}.withDefaults(), true
		}
	}
	return Fault{}, false
}

// note records that a fault struck.
func (v *venue) note(f Fault, symbol string, channel tick.Channels, c *client) {
	v.faults.counts[f.Kind]++
	if len(v.faults.records) == faultRecordsMax {
		return
	}
	r := FaultRecord{TimeMs: v.ms(v.now), Kind: f.Kind, Venue: v.name, Symbol: symbol, Channel: channel, For: f.For}
	if c != nil {
		r.Client = c.number
	}
	v.faults.records = append(v.faults.records, r)
}

// inject arms a fault of messages or REST, or lets any other strike now.
func (v *venue) inject(f Fault) error {
	if f.Kind == 0 || f.Kind >= faultKindEnd {
		return fmt.Errorf("%s: unknown fault kind %d", v.name, f.Kind)
	}
	if f.Symbol != "" && v.bySymbol[f.Symbol] == nil {
		return fmt.Errorf("%s: fault %s: the venue has no symbol %q", v.name, f.Kind, f.Symbol)
	}
	f = f.withDefaults()
	switch {
	case f.Kind.ofMessages() || f.Kind.ofREST():
		v.faults.armed = append(v.faults.armed, f)
	case f.Kind.ofMarket():
		for _, s := range v.market.symbols {
			if f.Symbol == "" || f.Symbol == s.name {
				v.strikeMarket(f, s)
			}
		}
	default:
		struck := 0
		for _, c := range append([]*client(nil), v.clients...) {
			if v.carries(c, f.Symbol, f.Channel) {
				v.strikeConnection(f, c)
				struck++
			}
		}
		if struck == 0 {
			return fmt.Errorf("%s: fault %s: no connection carries %q %s", v.name, f.Kind, f.Symbol, f.Channel)
		}
	}
	return nil
}

func (v *venue) strikeMarket(f Fault, s *symbol) {
	v.note(f, s.name, f.Channel, nil)
	until := v.now + int64(f.For)
	if f.Kind == FaultQuiet {
		s.quietUntil = until
	} else {
		s.staleUntil = until
	}
}

func (v *venue) strikeConnection(f Fault, c *client) {
	v.note(f, f.Symbol, f.Channel, c)
	until := v.now + int64(f.For)
	switch f.Kind {
	case FaultDisconnect:
		v.end(c, frameAbort)
	case FaultClose:
		v.end(c, frameClose)
	case FaultHalfOpen:
		c.halfOpen = true
		if f.For > 0 {
			c.endAt, c.endBy = until, frameAbort
		}
	case FaultSlow:
		c.slowUntil = until
	case FaultShutdown:
		v.send(c, frame{kind: frameText, text: v.dialect.shutdown(v.ms(v.now))})
		c.endAt, c.endBy = until, frameClose
	}
}

// strike lets the faults that come by the minute happen in a step of ns.
func (v *venue) strike(step int64) {
	for k := FaultDisconnect; k <= FaultStaleDepth; k++ {
		rate := v.faults.rates[k]
		if rate == 0 || v.faults.random.Float64() >= rate*float64(step)/float64(time.Minute) {
			continue
		}
		f := Fault{Kind: k}.withDefaults()
		if k.ofMarket() {
			s := v.market.symbols[v.faults.random.IntN(len(v.market.symbols))]
			v.strikeMarket(f, s)
		} else if len(v.clients) > 0 {
			v.strikeConnection(f, v.clients[v.faults.random.IntN(len(v.clients))])
		}
	}
}

// post sends an event's frame to a client, through what may befall it.
func (v *venue) post(c *client, e *event, m frame) {
	f, struck := v.faults.pick(false, e.symbol.name, e.channel, c.holds(e))
	if struck {
		v.note(f, e.symbol.name, e.channel, c)
	}
	switch f.Kind {
	case FaultDrop:
		return
	case FaultDuplicate:
		v.send(c, m)
	case FaultReorder:
		c.held = append(c.held, held{e.symbol, e.channel, m})
		return
	case FaultGarbage:
		v.send(c, frame{kind: frameText, text: v.garbage(m.text)})
	case FaultTruncate:
		// Cut inside the last tenth or earlier: never a whole frame, never empty.
		m = frame{kind: frameText, text: m.text[:1+v.faults.random.IntN(len(m.text)-2)]}
	case FaultHuge, FaultBomb:
		kind := frameHuge
		if f.Kind == FaultBomb {
			kind = frameBomb
		}
		v.send(c, frame{kind: kind, bytes: f.Bytes})
	case FaultLateTrade:
		c.delayed = append(c.delayed, delayed{v.now + int64(f.For), m})
		return
	case FaultDuplicateTrade:
		c.delayed = append(c.delayed, delayed{v.now + int64(f.For), m})
	}
	v.send(c, m)
	for i, h := range c.held {
		if h.symbol == e.symbol && h.channel == e.channel {
			c.held = append(c.held[:i], c.held[i+1:]...)
			v.send(c, h.frame)
			break
		}
	}
}

// garbage is the frame with a few bytes overwritten so that it is no JSON.
func (v *venue) garbage(text []byte) []byte {
	out := append([]byte(nil), text...)
	for range 1 + len(out)/16 {
		out[v.faults.random.IntN(len(out))] = byte('#' + v.faults.random.IntN(64))
	}
	out[0] = '<'
	return out
}
