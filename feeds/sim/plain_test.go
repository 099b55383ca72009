package sim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	. "tickproc/feeds/sim"
	"tickproc/tick"
)

// plain is a dialect for tests alone. A client says "sub book:AAA:10" and gets
// frames like {"n":3,"s":"book:AAA:10","kind":"delta","id":7,"prev":6,"t":1,"b":[[1,2]],"a":[]}.
type plain struct {
	Defaults
	profile Profile
	deletes bool
}

func plainVenue(p Profile, deletes bool) Venue {
	p.DepthEvery = 100 * time.Millisecond
	p.Numbered = true
	return Venue{Name: "plain", Dialect: &plain{profile: p, deletes: deletes}}
}

func (d *plain) Profile() Profile         { return d.profile }
func (d *plain) DefaultSymbols() []Symbol { return []Symbol{{Name: "AAA"}, {Name: "BBB"}} }

func (d *plain) Spec(name string) (Spec, error) {
	if len(name) != 3 {
		return Spec{}, fmt.Errorf("plain: symbol %q: want three letters", name)
	}
	return Spec{Name: name, Base: name, Quote: "USD", Type: tick.TypePerpetual, PriceDigits: 1, SizeDigits: 2,
		Tick: 5, Lot: 1, Start: 2_000 + int64(NameHash(name)%1_000), OrderLots: 200, ReachBits: 6}, nil
}

func (d *plain) Open(path string, _ url.Values) (Opening, bool) { return Opening{}, path == "/" }
func (d *plain) Greet(c *Conn)                                  { d.say(c, `"kind":"hello"`) }

func (d *plain) say(c *Conn, text string) {
	c.Send(fmt.Appendf(nil, `{"n":%d,%s}`, c.NextNumber(), text))
}

func (d *plain) Request(c *Conn, text []byte) {
	verb, name, _ := strings.Cut(string(text), " ")
	switch verb {
	case "beat":
		c.BeatEvery, c.BeatIdle = time.Second, name == "idle"
		d.say(c, `"kind":"ok"`)
	case "sub":
		s, outcome := c.Subscribe(name)
		d.say(c, fmt.Sprintf(`"kind":"sub","outcome":%d`, outcome))
		if outcome == Subscribed {
			c.SendSnapshot(s)
		}
	case "unsub":
		c.Unsubscribe(name)
		d.say(c, `"kind":"ok"`)
	}
}

func (d *plain) Stream(_ any, name string) (spec StreamSpec, ok bool) {
	part := strings.Split(name+"::", ":")
	spec.Symbol = part[1]
	switch part[0] {
	case "book":
		spec.Channel, spec.Deletes, spec.QuietAfter = tick.ChannelDepth, d.deletes, 3*time.Second
		spec.Depth, _ = strconv.Atoi(part[2])
	case "trades":
		spec.Channel = tick.ChannelTrades
	case "marks":
		spec.Channel = tick.ChannelFunding | tick.ChannelOpenInterest | tick.ChannelLiquidations
	case "status":
		spec.Channel = ChannelStatus
	default:
		return spec, false
	}
	return spec, true
}

func levels(all []tick.Level) string {
	pairs := [][2]int64{}
	for _, l := range all {
		pairs = append(pairs, [2]int64{l.Price, l.Size})
	}
	b, _ := json.Marshal(pairs)
	return string(b)
}

func (d *plain) book(dst []byte, s *Stream, kind string, id, prev uint64, at int64, bids, asks []tick.Level) []byte {
	if d.profile.OwnIDs {
		id, prev = s.Counter, s.Counter-1
		s.NoteBook(id, at)
	}
	top, _ := s.Top(1)
	best := top[0].Size // stands for a checksum
	if s.ConstantChecksum() {
		best = 0
	}
	return fmt.Appendf(dst, `"s":%q,"kind":%q,"id":%d,"prev":%d,"t":%d,"best":%d,"b":%s,"a":%s`, s.Name, kind, id, prev, at, best, levels(bids), levels(asks))
}

func (d *plain) Render(dst []byte, s *Stream, e *Event) []byte {
	switch e.Channel {
	case tick.ChannelDepth:
		s.Counter++
		return d.book(dst, s, "delta", e.LastID, e.PrevID, e.TimeNanos, e.Bids, e.Asks)
	case tick.ChannelTrades:
		dst = fmt.Appendf(dst, `"s":%q,"kind":"trades","t":%d,"ids":[`, s.Name, e.TimeNanos)
		for i, t := range e.Trades {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendInt(dst, t.ID, 10)
		}
		return append(dst, ']')
	case ChannelStatus:
		return fmt.Appendf(dst, `"s":%q,"kind":"status","symbol":%q,"change":%d,"state":%q`, s.Name, e.Instrument.Name, e.Change.Kind, e.Change.State)
	}
	return fmt.Appendf(dst, `"s":%q,"kind":%q,"t":%d,"id":%d`, s.Name, e.Channel, e.TimeNanos, max(e.Reference.Mark, e.OpenInterest, e.Liquidation.Size))
}

func (d *plain) Wrap(dst []byte, c *Conn, _ *Stream, body []byte) []byte {
	return append(append(fmt.Appendf(dst, `{"n":%d,`, c.NextNumber()), body...), '}')
}

func (d *plain) Snapshot(dst []byte, s *Stream) ([]byte, []Trade) {
	switch s.Channel {
	case tick.ChannelDepth:
		bids, asks := s.Book()
		return d.book(dst, s, "snapshot", s.BookID(), 0, s.BookNanos(), bids, asks), nil
	case tick.ChannelTrades:
		trades := s.Instrument.LastTrades(5)
		if len(trades) == 0 {
			return dst, nil
		}
		return d.Render(dst, s, &Event{Channel: tick.ChannelTrades, Trades: trades}), trades
	}
	return dst, nil
}

func (d *plain) Quiet(dst []byte, s *Stream) []byte {
	return fmt.Appendf(dst, `"s":%q,"kind":"quiet"`, s.Name)
}
func (d *plain) Beat(c *Conn) { d.say(c, `"kind":"beat"`) }

func (d *plain) Restart(dst []byte, s *Stream) []byte {
	s.Counter = 1
	dst, _ = d.Snapshot(dst, s)
	return dst
}

func (d *plain) Notice(c *Conn, n Notice) []byte {
	return fmt.Appendf(nil, `{"n":%d,"kind":"notice%d"}`, c.NextNumber(), n)
}

func (d *plain) TradeID(in *Instrument, id int64) string { return UUID(in.Name, id) }

func (d *plain) REST(m *Market, path string, query url.Values) Answer {
	in := m.Instrument(query.Get("symbol"))
	if path != "/trades" || in == nil {
		return Answer{Status: http.StatusNotFound}
	}
	return Answer{Status: http.StatusOK, Body: []byte(`{}`), Symbol: in.Name, Trades: in.LastTrades(3)}
}

func (d *plain) RESTError(status int) []byte { return fmt.Appendf(nil, `{"status":%d}`, status) }

// plainFrame is any frame of the dialect.
type plainFrame struct {
	N        int
	Stream   string `json:"s"`
	Kind     string
	Outcome  Outcome
	Symbol   string
	Change   ChangeKind
	State    string
	ID, Prev uint64
	At       int64 `json:"t"`
	Best     int64
	IDs      []int64
	Bids     [][2]int64 `json:"b"`
	Asks     [][2]int64 `json:"a"`
}

func readPlain(t testing.TB, text string) (f plainFrame) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return f
}

func (l *lab) plain() *conn { return l.dial("plain", "/", dialer) }

// say sends a text and returns the answer, with the frames before it.
func (c *conn) say(text, kind string) (answer plainFrame, before []plainFrame) {
	c.t.Helper()
	if err := c.WriteMessage(1, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
	for {
		f := readPlain(c.t, c.next())
		if f.Kind == kind {
			return f, before
		}
		before = append(before, f)
	}
}

func (c *conn) rest() (out []plainFrame) {
	c.t.Helper()
	for _, text := range c.all() {
		out = append(out, readPlain(c.t, text))
	}
	return out
}

func only(frames []plainFrame, kind string) (out []plainFrame) {
	for _, f := range frames {
		if f.Kind == kind {
			out = append(out, f)
		}
	}
	return out
}

// plainBook is a client's book.
type plainBook struct{ sides [2]map[int64]int64 }

func (b *plainBook) apply(f *plainFrame) {
	if f.Kind == "snapshot" {
		b.sides = [2]map[int64]int64{{}, {}}
	}
	for i, side := range [][][2]int64{f.Bids, f.Asks} {
		for _, l := range side {
			if b.sides[i][l[0]] = l[1]; l[1] == 0 {
				delete(b.sides[i], l[0])
			}
		}
	}
}

// top truncates to a depth, 0 for none, and returns the ten best levels a side.
func (b *plainBook) top(depth int) (out [2][]tick.Level) {
	for i := range b.sides {
		s := &sideModel{asks: i == 1}
		limit := depth
		if limit == 0 {
			limit = len(b.sides[i])
		}
		for p, q := range b.sides[i] {
			s.insert(tick.Level{Price: p, Size: q}, limit)
		}
		if depth > 0 {
			b.sides[i] = map[int64]int64{}
			for _, l := range s.levels {
				b.sides[i][l.Price] = l.Size
			}
		}
		out[i] = s.levels[:min(TruthDepth, len(s.levels))]
	}
	return out
}
