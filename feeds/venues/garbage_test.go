package venues_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tickproc/feeds"
	"tickproc/feeds/sim"
	"tickproc/tick"
)

// session is what a client read in a few seconds, on all channels.
type session struct {
	*market
	plans       []feeds.Connection
	frames      []recorded
	instruments []*tick.Instrument
}

// listen records a session.
func listen(t *testing.T, m *market) *session {
	t.Helper()
	s := &session{market: m}
	inBubble(t, func(t *testing.T) {
		c := newClient(t, m, clientOptions{symbols: 3, before: 200 * time.Millisecond, Options: sim.Options{Rate: 20, Levels: 20}})
		c.connect()
		for i := range 4 {
			c.run(500 * time.Millisecond)
			c.poll()
			c.past()
			for _, in := range c.instruments {
				if in.Type != tick.TypeSpot {
					if err := c.exchange.Liquidate(m.name, in.Symbol, int64(3+i), i%2 == 0); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		c.finish()
		s.frames, s.instruments = c.recorded(0), c.instruments
		for _, k := range c.sockets {
			s.plans = append(s.plans, k.plan)
		}
	})
	return s
}

// reader decodes the frames of a session, without keeping books.
type reader struct {
	s        *session
	canary   *feeds.Canary
	log      *logText
	tables   []*feeds.Table // by socket, and that of REST
	decoders []feeds.Decoder
	ordinal  uint64
}

func (s *session) reader() *reader {
	r := &reader{s: s, log: &logText{}}
	r.canary = feeds.NewCanary(r.log.logger())
	for i := range len(s.plans) + 1 {
		table := feeds.NewTable(s.instruments)
		table.Canary = r.canary
		r.tables = append(r.tables, table)
		if i < len(s.plans) {
			r.decoders = append(r.decoders, s.adapter.NewDecoder(&s.plans[i], table))
		}
	}
	return r
}

// read decodes a frame, or a text in its place. A mistake of the decoder is
// returned beside: what it left behind, or packets that are none.
func (r *reader) read(f recorded, text []byte) (units []tick.Unit, n feeds.Notice, err error, mistake string) {
	r.ordinal++
	at := feeds.Stamp{Line: 1, Ordinal: r.ordinal, ReceiveNanos: marketStart.UnixNano()}
	table := r.tables[len(r.tables)-1]
	if f.socket >= 0 {
		table = r.tables[f.socket]
	}
	before := r.scales(table)
	head := make([]tick.Unit, 1, 64)
	head[0] = tick.Unit{1, 2, 3}
	if f.url != "" {
		units, err = r.s.adapter.DecodeREST(head, f.url, text, table, at, 7)
	} else {
		units, n, err = r.decoders[f.socket].Decode(head, text, at)
	}
	if len(units) == 0 || units[0] != (tick.Unit{1, 2, 3}) {
		return nil, n, err, "what was in dst is gone"
	}
	units = units[1:]
	if err != nil {
		switch {
		case len(units) != 0:
			mistake = "an error with packets"
		case n != feeds.Notice{}:
			mistake = "an error with a notice"
		case !slices.Equal(before, r.scales(table)):
			mistake = "an error changed the scales"
		case !slices.ContainsFunc([]error{feeds.ErrMalformed, feeds.ErrUnknownMessage, feeds.ErrUnknownSymbol, feeds.ErrNumberRange}, func(e error) bool { return errors.Is(err, e) }):
			mistake = "an error of no known kind"
		}
		return units, n, err, mistake
	}
	return units, n, nil, r.wrongPackets(units, at)
}

func (r *reader) scales(t *feeds.Table) (all []uint8) {
	for _, in := range r.s.instruments {
		e := t.Known([]byte(in.Symbol))
		all = append(all, e.PriceDigits, e.SizeDigits)
	}
	return all
}

// wrongPackets says which packets no decoder may give; "" if there are none.
func (r *reader) wrongPackets(units []tick.Unit, at feeds.Stamp) string {
	open := false
	for len(units) > 0 {
		n := tick.PacketUnits(&units[0])
		if n == 0 || n > len(units) {
			return "units that are no packet"
		}
		p := units[:n]
		units = units[n:]
		h := p[0].Header()
		if h.Line != at.Line || h.Ordinal != at.Ordinal || h.ReceiveNanos != at.ReceiveNanos || int(h.Instrument) >= len(r.s.instruments) {
			return fmt.Sprintf("a packet with header %+v", h)
		}
		switch h.Kind {
		case tick.KindTrade, tick.KindLiquidation:
			if x := p[0].Trade(); x.Flags&tick.FlagNotMarket == 0 && (x.Price <= 0 || x.Size <= 0) {
				return fmt.Sprintf("%+v", x)
			}
		case tick.KindQuote:
			if d := p[0].Depth(); d.Bids != 1 || d.LevelCount != 2 {
				return fmt.Sprintf("a quote with %d bids of %d levels", d.Bids, d.LevelCount)
			}
		case tick.KindDepth, tick.KindSnapshot:
			d := p[0].Depth()
			if d.Bids > d.LevelCount || (d.Flags&tick.FlagFirst != 0) == open {
				return fmt.Sprintf("fragments that do not fit: %+v", d)
			}
			open = d.Flags&tick.FlagLast == 0
			for _, l := range tick.Levels(p) {
				if l.Price <= 0 || l.Size < 0 {
					return fmt.Sprintf("a level of %+v", l)
				}
			}
		case tick.KindMark, tick.KindOpenInterest, tick.KindStatus, tick.KindRescale:
		default:
			return fmt.Sprintf("a packet of kind %d", h.Kind)
		}
	}
	if open {
		return "a message without its last fragment"
	}
	return ""
}

// kinds are the frames of a session that differ in more than numbers, up to a
// few of each form.
func (s *session) kinds(each int) (chosen []recorded) {
	count := map[string]int{}
	for _, f := range s.frames {
		form := fmt.Sprint(f.socket, f.url != "", f.depth, f.whole)
		if n := parseJSON(f.text); n != nil {
			n.each(func(n *node) {
				if n.open == '{' {
					form += fmt.Sprint(n.keys)
				}
			})
		}
		if count[form]++; count[form] <= each {
			chosen = append(chosen, f)
		}
	}
	return chosen
}

// places are up to n places in a text of a length: all, or its ends and some
// between.
func places(length, n int, random *rand.Rand) (all []int) {
	for i := range length {
		if length <= n || i < n/4 || i >= length-n/4 {
			all = append(all, i)
		}
	}
	for len(all) < min(n, length) {
		all = append(all, random.IntN(length))
	}
	return all
}

// No text makes a decoder panic, give packets that are none, or leave anything
// behind an error.
func TestGarbage(t *testing.T) {
	everyVenue(t, func(t *testing.T, m *market) {
		s := listen(t, m)
		random := m.random("garbage")
		most := 400
		if testing.Short() {
			most = 100
		}
		forms := s.kinds(2)
		if len(forms) < 5 {
			t.Fatalf("only %d forms of frames", len(forms))
		}
		r := s.reader()
		try := func(f recorded, text []byte, what string) (units []tick.Unit, err error) {
			t.Helper()
			units, _, err, mistake := r.read(f, text)
			if mistake != "" {
				t.Fatalf("%s: %s: %s, in %.300q", what, f.text[:min(len(f.text), 120)], mistake, text)
			}
			return units, err
		}
		refused := 0
		for _, f := range forms {
			for _, n := range places(len(f.text), most, random) {
				if units, err := try(f, f.text[:n], fmt.Sprintf("cut at %d", n)); err == nil && f.url == "" {
					t.Fatalf("cut at byte %d of %.200q: no error, %d units", n, f.text, len(units))
				}
				flipped := slices.Clone(f.text)
				for range 1 + random.IntN(3) {
					flipped[random.IntN(len(flipped))] ^= byte(1 + random.IntN(255))
				}
				if _, err := try(f, flipped, "bytes flipped"); err != nil {
					refused++
				}
			}
			if n := parseJSON(f.text); n != nil {
				refused += absurd(f, n, most, random, try)
			}
		}
		if refused == 0 {
			t.Error("nothing was refused")
		}
		for _, text := range []string{"", " ", "{", "}", "[]", "{}", "null", "0", `""`, "pong", "\x00", "\xff\xfe", `{"":""}`, "[[[[[[[[[[[[[[[[[[[["} {
			for i := range s.plans {
				try(recorded{socket: i, text: []byte(text)}, []byte(text), "noise")
			}
		}
		// After all this the decoder still reads what it read before.
		for _, f := range forms {
			if _, err := try(f, f.text, "as it was"); err != nil {
				t.Errorf("after the garbage: %v, in %.200q", err, f.text)
			}
		}
	})
}

// absurd replaces each scalar by values that cannot be there, and returns how
// many were refused.
func absurd(f recorded, n *node, most int, random *rand.Rand, try func(recorded, []byte, string) ([]tick.Unit, error)) (refused int) {
	var scalars []*node
	n.each(func(n *node) {
		if n.open == 0 {
			scalars = append(scalars, n)
		}
	})
	for _, i := range places(len(scalars), most/8, random) {
		x := scalars[i]
		was := x.raw
		for _, value := range []string{"null", "true", "{}", "[]", `"x"`, `""`, "-1", `"-1"`, "99999999999999999999999999999999", `"99999999999999999999999999999999"`,
			"1e400", "0.000000000000000000000000000001", `"1e5"`, "9223372036854775808", `"18446744073709551616"`, `{"a":[1,{"b":null}]}`, `"\ud800"`} {
			x.raw = value
			if _, err := try(f, n.text(), was+" became "+value); err != nil {
				refused++
			}
		}
		x.raw = was
	}
	return refused
}

// The order of the members of an object means nothing, nor does white space
// between them.
func TestMembersInAnyOrder(t *testing.T) {
	everyVenue(t, func(t *testing.T, m *market) {
		s := listen(t, m)
		random := m.random("order")
		for range 5 {
			plain, shuffled := s.reader(), s.reader()
			for _, f := range s.frames {
				text := f.text
				if n := parseJSON(f.text); n != nil {
					n.shuffle(random)
					text = n.text()
				}
				compareReadings(t, plain, shuffled, f, text)
			}
		}
	})
}

// compareReadings reads a frame and its variant, which must mean the same.
func compareReadings(t *testing.T, plain, other *reader, f recorded, variant []byte) {
	t.Helper()
	wantUnits, wantNotice, wantErr, _ := plain.read(f, f.text)
	units, notice, err, mistake := other.read(f, variant)
	if mistake != "" || (err == nil) != (wantErr == nil) || notice != wantNotice || !slices.Equal(units, wantUnits) {
		t.Fatalf("%.600q\nreads as %v, %v, %+v %s\n%.600q\nas %v, %v, %+v", variant, units, err, notice, mistake, f.text, wantUnits, wantErr, wantNotice)
	}
}

// A member that no document has is told to the canary, once, and the rest of
// the frame is read as ever.
func TestUnknownMembers(t *testing.T) {
	everyVenue(t, func(t *testing.T, m *market) {
		s := listen(t, m)
		random := m.random("members")
		for _, value := range []string{`"new"`, "17.5", "null", `{"a":[1,{"b":"}"}]}`, `[["1","2"],[]]`} {
			plain, extended := s.reader(), s.reader()
			streams := 0
			for _, f := range s.frames {
				n := parseJSON(f.text)
				if n == nil || f.url != "" {
					compareReadings(t, plain, extended, f, f.text)
					continue
				}
				streams++
				n.extend(random, `"addedField"`, value)
				compareReadings(t, plain, extended, f, n.text())
			}
			signs, lines := extended.canary.Signs[feeds.CanaryField].Load(), extended.log.lines("addedField")
			if signs == 0 || signs > uint64(streams)/4 || int(signs) != lines {
				t.Errorf("a field that is %s in %d frames is reported %d times, logged %d times:\n%s", value, streams, signs, lines, extended.log)
			}
		}
	})
}

// Nothing but the side that the venue says: a trade or a forced order whose
// side cannot be read is refused, and not taken for the other side.
func TestSidesAreRead(t *testing.T) {
	everyVenue(t, func(t *testing.T, m *market) {
		s := listen(t, m)
		tested := 0
		for _, f := range s.kinds(3) {
			r := s.reader()
			units, _, err, _ := r.read(f, f.text)
			n := parseJSON(f.text)
			if err != nil || n == nil || len(units) == 0 || units[0].KindOf() != tick.KindTrade && units[0].KindOf() != tick.KindLiquidation {
				continue
			}
			sides := sidesOf(units)
			n.each(func(x *node) {
				was := x.raw
				for _, value := range []string{"null", `"up"`, "[]", "{}", "2"} {
					if x.open != 0 {
						continue
					}
					x.raw = value
					other, _, err, _ := s.reader().read(f, n.text())
					if err != nil {
						continue
					}
					for key, sell := range sidesOf(other) {
						if before, same := sides[key]; same && before != sell {
							t.Errorf("%s became %s in %.300q, and %v became another side", was, value, f.text, key)
						}
					}
				}
				x.raw = was
			})
			tested++
		}
		if tested == 0 {
			t.Error("no trade was tested")
		}
	})
}

// sidesOf says which executions sold, by all else that tells them apart.
func sidesOf(units []tick.Unit) map[tick.Trade]bool {
	sides := map[tick.Trade]bool{}
	for ; len(units) > 0; units = units[tick.PacketUnits(&units[0]):] {
		if k := units[0].KindOf(); k == tick.KindTrade || k == tick.KindLiquidation {
			x := *units[0].Trade()
			sell := x.Flags&tick.FlagSell != 0
			x.Flags = 0
			sides[x] = sell
		}
	}
	return sides
}
