package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
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
	FaultAlter                               // depth: a size in it is not the book's; a checksum in it is
	FaultExtraField                          // it has a field that nobody knows
	// Faults of subscriptions befall Count of them (default 1).
	FaultRefuse    // it is refused
	FaultUnknown   // it is answered as one of a symbol that does not exist
	FaultRateLimit // it is answered as one too many for now
	FaultSilent    // it is acknowledged, and nothing ever comes
	// FaultHandshakeLimit answers Count handshakes (default 1) with 429.
	FaultHandshakeLimit
	// Faults of connections befall those that carry a matching stream.
	FaultDisconnect // the socket ends without a close frame
	FaultClose      // the socket ends with a close frame
	FaultHalfOpen   // it stays open, nothing is sent, pings go unanswered; For > 0 ends it by FaultDisconnect
	FaultSlow       // nothing is sent for For (default 1 s), then all of it
	FaultShutdown   // the venue announces its shutdown and closes after For (default 1 s)
	FaultDropFrame  // the next Count frames of any kind, answers and heartbeats too, are not sent
	FaultResnapshot // streams with a snapshot send it again
	// Faults of the venue befall all its connections.
	FaultRestart          // the service begins anew: counters do, or, where the venue does so, all sockets close
	FaultMaintenance      // all are told and closed, new ones refused for For (default 5 s)
	FaultConstantChecksum // checksums do not follow the book for For (default 5 s)
	// Faults of the market last For (default 5 s).
	FaultQuiet      // nothing happens to the symbol
	FaultStaleDepth // its depth messages wait, everything else goes on; then they come as one
	FaultHalt       // it is halted, as the venue says, and then resumed
	// Faults of REST befall Count requests (default 1).
	FaultRESTLimit   // 429 with Retry-After of For (default 1 s)
	FaultRESTError   // 500
	FaultRESTSlow    // the answer is made at once and sent after For (default 2 s)
	FaultRESTGarbage // 200 with a body that is no JSON
	// Faults of past trades befall Count answers that list them (default 1).
	FaultPastEmpty     // none are listed
	FaultPastMissing   // the middle third is missing
	FaultPastDuplicate // every second one stands twice
	FaultPastShuffled  // they are in no order
	faultKindEnd
)

var faultNames = [faultKindEnd]string{
	FaultDrop: "drop", FaultDuplicate: "duplicate", FaultReorder: "reorder", FaultGarbage: "garbage", FaultTruncate: "truncate",
	FaultHuge: "huge", FaultBomb: "bomb", FaultLateTrade: "late-trade", FaultDuplicateTrade: "duplicate-trade",
	FaultAlter: "alter", FaultExtraField: "extra-field",
	FaultRefuse: "refuse", FaultUnknown: "unknown-symbol", FaultRateLimit: "rate-limit", FaultSilent: "silent", FaultHandshakeLimit: "handshake-429",
	FaultDisconnect: "disconnect", FaultClose: "close", FaultHalfOpen: "half-open", FaultSlow: "slow", FaultShutdown: "shutdown",
	FaultDropFrame: "drop-frame", FaultResnapshot: "resnapshot", FaultRestart: "restart", FaultMaintenance: "maintenance",
	FaultConstantChecksum: "constant-checksum",
	FaultQuiet:            "quiet", FaultStaleDepth: "stale-depth", FaultHalt: "halt",
	FaultRESTLimit: "rest-429", FaultRESTError: "rest-500", FaultRESTSlow: "rest-slow", FaultRESTGarbage: "rest-garbage",
	FaultPastEmpty: "past-empty", FaultPastMissing: "past-missing", FaultPastDuplicate: "past-duplicate", FaultPastShuffled: "past-shuffled",
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
	TimeNanos int64 // the venue's clock, ns since the epoch
	Kind      FaultKind
	Venue     string
	Symbol    string
	Channel   tick.Channels
	Client    int // number of the connection, from 1; 0 = none
	For       time.Duration
}

func (k FaultKind) ofMessages() bool      { return k <= FaultExtraField }
func (k FaultKind) ofSubscriptions() bool { return k >= FaultRefuse && k <= FaultSilent }
func (k FaultKind) ofVenue() bool         { return k >= FaultRestart && k <= FaultConstantChecksum }
func (k FaultKind) ofMarket() bool        { return k >= FaultQuiet && k <= FaultHalt }
func (k FaultKind) ofREST() bool          { return k >= FaultRESTLimit }

// armed faults wait for what they meet; the others strike at once.
func (k FaultKind) armed() bool {
	return k.ofMessages() || k.ofSubscriptions() || k == FaultHandshakeLimit || k.ofREST()
}

// meets says whether messages of a channel can suffer the kind.
func (k FaultKind) meets(channel tick.Channels) bool {
	switch k {
	case FaultLateTrade, FaultDuplicateTrade:
		return channel == tick.ChannelTrades
	case FaultAlter:
		return channel == tick.ChannelDepth
	}
	return true
}

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
	case FaultQuiet, FaultStaleDepth, FaultHalt, FaultMaintenance, FaultConstantChecksum:
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

// matches says whether an armed fault is meant for a symbol and channel; those
// with none are matched by faults of any.
func (f *Fault) matches(symbol string, channel tick.Channels) bool {
	return (f.Symbol == "" || f.Symbol == symbol) && (f.Channel == 0 || channel != 0 && f.Channel.Has(channel))
}

// use takes one from the i-th armed fault.
func (f *faults) use(i int) Fault {
	a := f.armed[i]
	if f.armed[i].Count--; f.armed[i].Count == 0 {
		f.armed = append(f.armed[:i], f.armed[i+1:]...)
	}
	return a
}

// pickOf returns a fault of one kind that strikes.
func (f *faults) pickOf(k FaultKind, symbol string, channel tick.Channels) (Fault, bool) {
	for i := range f.armed {
		if f.armed[i].Kind == k && f.armed[i].matches(symbol, channel) {
			return f.use(i), true
		}
	}
	if f.rates[k] > 0 && f.random.Float64() < f.rates[k] {
		return Fault{Kind: k}.withDefaults(), true
	}
	return Fault{}, false
}

// pickMessage returns the fault that meets a message. One that comes while its
// neighbour is held back is not held back too.
func (f *faults) pickMessage(symbol string, channel tick.Channels, holding bool) (Fault, bool) {
	meets := func(k FaultKind) bool {
		return k.ofMessages() && k != FaultAlter && k.meets(channel) && !(k == FaultReorder && holding)
	}
	for i := range f.armed {
		if meets(f.armed[i].Kind) && f.armed[i].matches(symbol, channel) {
			return f.use(i), true
		}
	}
	for k := FaultDrop; k <= FaultExtraField; k++ {
		if f.rates[k] > 0 && meets(k) && f.random.Float64() < f.rates[k] {
			return Fault{Kind: k}.withDefaults(), true
		}
	}
	return Fault{}, false
}

// pickSubscription returns the fault that meets a subscription.
func (f *faults) pickSubscription(symbol string, channel tick.Channels) (Fault, bool) {
	return f.first(FaultRefuse, FaultSilent, symbol, channel)
}

// pickREST returns the fault that meets a request.
func (f *faults) pickREST(symbol string) (Fault, bool) {
	return f.first(FaultRESTLimit, FaultRESTGarbage, symbol, 0)
}

// Past is what an answer lists of an instrument's past trades, the oldest
// first, through what may befall it.
func (v *Market) Past(in *Instrument, trades []Trade) []Trade {
	f, struck := v.faults.first(FaultPastEmpty, FaultPastShuffled, in.Name, tick.ChannelTrades)
	if !struck {
		return trades
	}
	v.note(f, in.Name, tick.ChannelTrades, nil)
	out := slices.Clone(trades)
	switch n := len(out); f.Kind {
	case FaultPastEmpty:
		out = nil
	case FaultPastMissing:
		out = slices.Delete(out, n/3, n-n/3)
	case FaultPastDuplicate:
		out = nil
		for i, t := range trades {
			if out = append(out, t); i%2 == 1 {
				out = append(out, t)
			}
		}
	case FaultPastShuffled:
		v.faults.random.Shuffle(n, func(i, j int) { out[i], out[j] = out[j], out[i] })
	}
	return out
}

// first returns the fault of a range of kinds that was armed first, or strikes.
func (f *faults) first(from, to FaultKind, symbol string, channel tick.Channels) (Fault, bool) {
	for i := range f.armed {
		if k := f.armed[i].Kind; k >= from && k <= to && f.armed[i].matches(symbol, channel) {
			return f.use(i), true
		}
	}
	for k := from; k <= to; k++ {
		if f.rates[k] > 0 && f.random.Float64() < f.rates[k] {
			return Fault{Kind: k}.withDefaults(), true
		}
	}
	return Fault{}, false
}

// note records that a fault struck.
func (v *Market) note(f Fault, symbol string, channel tick.Channels, c *Conn) {
	v.faults.counts[f.Kind]++
	if len(v.faults.records) == faultRecordsMax {
		return
	}
	r := FaultRecord{TimeNanos: v.cut(v.now), Kind: f.Kind, Venue: v.name, Symbol: symbol, Channel: channel, For: f.For}
	if c != nil {
		r.Client = c.number
	}
	v.faults.records = append(v.faults.records, r)
}

// inject arms a fault of messages, subscriptions or REST, or lets any other
// strike now.
func (v *Market) inject(f Fault) error {
	if f.Kind == 0 || f.Kind >= faultKindEnd {
		return fmt.Errorf("%s: unknown fault kind %d", v.name, f.Kind)
	}
	if f.Symbol != "" && v.byName[f.Symbol] == nil {
		return fmt.Errorf("%s: fault %s: the venue has no symbol %q", v.name, f.Kind, f.Symbol)
	}
	f = f.withDefaults()
	switch {
	case f.Kind.armed():
		v.faults.armed = append(v.faults.armed, f)
	case f.Kind.ofMarket():
		for _, in := range v.Instruments() {
			if f.Symbol == "" || f.Symbol == in.Name {
				v.strikeMarket(f, in)
			}
		}
	case f.Kind.ofVenue():
		v.strikeVenue(f)
	default:
		struck := 0
		for _, c := range append([]*Conn(nil), v.conns...) {
			if c.carries(f.Symbol, f.Channel) {
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

func (v *Market) strikeMarket(f Fault, in *Instrument) {
	v.note(f, in.Name, f.Channel, nil)
	until := v.now + int64(f.For)
	switch f.Kind {
	case FaultQuiet:
		in.quietUntil = until
	case FaultStaleDepth:
		in.staleUntil = until
	case FaultHalt:
		if in.haltedUntil == 0 {
			v.halted = append(v.halted, in)
		}
		in.haltedUntil = until
		v.setState(in, tick.StateHalted)
	}
}

func (v *Market) strikeVenue(f Fault) {
	v.note(f, "", 0, nil)
	until := v.now + int64(f.For)
	switch f.Kind {
	case FaultConstantChecksum:
		v.constantUntil = until
	case FaultMaintenance:
		v.maintenanceUntil = until
		for _, c := range append([]*Conn(nil), v.conns...) {
			v.notice(c, NoticeMaintenance)
			v.end(c, frameClose)
		}
	case FaultRestart:
		v.restart()
	}
}

// restart begins the venue's service anew.
func (v *Market) restart() {
	if !v.profile.RestartKeeps {
		for _, c := range append([]*Conn(nil), v.conns...) {
			v.end(c, frameAbort)
		}
		return
	}
	names := make([]string, 0, len(v.streams))
	for name := range v.streams {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		s := v.streams[name]
		v.reset(s)
		if body := v.dialect.Restart(nil, s); len(body) > 0 {
			v.publish(s, s.Instrument, frame{kind: frameText}, body, nil)
		}
	}
}

func (v *Market) strikeConnection(f Fault, c *Conn) {
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
		v.notice(c, NoticeShutdown)
		c.endAt, c.endBy = until, frameClose
	case FaultDropFrame:
		c.dropNext = f.Count
	case FaultResnapshot:
		for _, a := range c.streams {
			if s := a.stream; s != nil && f.matches(s.Symbol, s.Channel) {
				c.SendSnapshot(s)
			}
		}
	}
}

// strike lets the faults that come by the minute happen in a step of ns.
func (v *Market) strike(step int64) {
	for k := FaultDisconnect; k <= FaultHalt; k++ {
		rate := v.faults.rates[k]
		if rate == 0 || v.faults.random.Float64() >= rate*float64(step)/float64(time.Minute) {
			continue
		}
		f := Fault{Kind: k}.withDefaults()
		switch {
		case k.ofVenue():
			v.strikeVenue(f)
		case k.ofMarket():
			all := v.Instruments()
			v.strikeMarket(f, all[v.faults.random.IntN(len(all))])
		case len(v.conns) > 0:
			v.strikeConnection(f, v.conns[v.faults.random.IntN(len(v.conns))])
		}
	}
}

// alteration renders an event with a size that is not the book's, nil where no
// fault asks for it. The stream is as before.
func (v *Market) alteration(s *Stream, e *Event) []byte {
	if e.Channel != tick.ChannelDepth || len(s.subscribers) == 0 || v.faults.rates[FaultAlter] == 0 && len(v.faults.armed) == 0 {
		return nil
	}
	side := &e.Bids
	if len(e.Bids) == 0 {
		side = &e.Asks
	}
	f, struck := v.faults.pickOf(FaultAlter, s.Symbol, s.Channel)
	if !struck {
		return nil
	}
	v.note(f, s.Symbol, s.Channel, s.subscribers[0].conn)
	before, right := *s, *side
	wrong := append([]tick.Level(nil), right...)
	wrong[0].Size += e.Instrument.Lot
	*side = wrong
	body := v.dialect.Render(nil, s, e)
	*s, *side = before, right
	return body
}

// post sends a stream's frame to a client, through what may befall it.
func (v *Market) post(c *Conn, symbol string, channel tick.Channels, m frame) {
	f, struck := v.faults.pickMessage(symbol, channel, c.holds(symbol, channel))
	if struck {
		v.note(f, symbol, channel, c)
	}
	switch f.Kind {
	case FaultDrop:
		return
	case FaultDuplicate:
		v.send(c, m)
	case FaultReorder:
		c.held = append(c.held, held{symbol, channel, m})
		return
	case FaultGarbage:
		v.send(c, frame{kind: frameText, text: v.garbage(m.text)})
	case FaultTruncate:
		// Cut inside the last tenth or earlier: never a whole frame, never empty.
		m = frame{kind: frameText, text: m.text[:1+v.faults.random.IntN(len(m.text)-2)]}
	case FaultExtraField:
		m.text = v.extraField(m.text)
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
		if h.symbol == symbol && h.channel == channel {
			c.held = append(c.held[:i], c.held[i+1:]...)
			v.send(c, h.frame)
			break
		}
	}
}

// extraField is the frame with a field more in one of its objects.
func (v *Market) extraField(text []byte) []byte {
	var opens []int
	for i, b := range text {
		if b == '{' && i+1 < len(text) && text[i+1] == '"' {
			opens = append(opens, i+1)
		}
	}
	if opens == nil {
		return text
	}
	at := opens[v.faults.random.IntN(len(opens))]
	return slices.Concat(text[:at], []byte(`"addedField":"new",`), text[at:])
}

// garbage is the frame with a few bytes overwritten so that it is no JSON.
func (v *Market) garbage(text []byte) []byte {
	out := append([]byte(nil), text...)
	for range 1 + len(out)/16 {
		out[v.faults.random.IntN(len(out))] = byte('#' + v.faults.random.IntN(64))
	}
	out[0] = '<'
	return out
}
