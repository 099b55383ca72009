package venues_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tickproc/feeds"
	"tickproc/feeds/sim"
	"tickproc/tick"
)

// listed is a simulated venue with so many instruments, all of one kind after
// the other.
func (m *market) listed(t *testing.T, n int) []sim.Symbol {
	t.Helper()
	kinds := m.symbols(3)
	var all []sim.Symbol
	for i := 0; len(all) < n; i++ {
		if i > 20*n {
			t.Fatalf("only %d names found", len(all))
		}
		like := kinds[i%len(kinds)]
		spec, err := m.dialect.Spec(like.Name)
		if err != nil {
			t.Fatal(err)
		}
		base := "Q" + string(rune('A'+i/676%26)) + string(rune('A'+i/26%26)) + string(rune('A'+i%26))
		name := strings.Replace(like.Name, spec.Base, base, 1)
		if _, err := m.dialect.Spec(name); name == like.Name || err != nil {
			continue
		}
		if !slices.ContainsFunc(all, func(s sim.Symbol) bool { return s.Name == name }) {
			all = append(all, sim.Symbol{Name: name, Rate: 0.01})
		}
	}
	return all
}

// wire is one channel of one instrument.
type wire struct {
	symbol  string
	channel tick.Channels
}

func wires(subscriptions []feeds.Subscription) (all []wire) {
	for _, s := range subscriptions {
		for _, channel := range tick.AllChannels {
			if s.Channels.Has(channel) {
				all = append(all, wire{s.Instrument.Symbol, channel})
			}
		}
	}
	return all
}

// A plan has every stream once, on as few sockets as hurt few instruments by
// the loss of any, within what the venue takes of sockets, streams, and texts;
// what is asked for is what a capture reads back, and the venue answers to all
// of it.
func TestPlans(t *testing.T) {
	everyVenue(t, func(t *testing.T, m *market) {
		sizes := []int{1, 50, 1000}
		if testing.Short() {
			sizes = sizes[:2]
		}
		for _, n := range sizes {
			inBubble(t, func(t *testing.T) {
				c := newClient(t, m, clientOptions{Options: sim.Options{Rate: 1, Levels: 20, ClientQueue: 1 << 17,
					Venues: []sim.Venue{{Symbols: m.listed(t, n)}}}})
				c.keep = true
				c.checkPlan(n)
				c.connect()
				c.checkAnswers()
			})
		}
	})
}

func (c *client) checkPlan(n int) {
	c.t.Helper()
	p := c.adapter.Profile()
	plan := c.adapter.Plan(c.subscriptions())
	count := map[wire]int{}
	names := map[string]bool{}
	instruments := map[string]int{} // most on a socket, by address
	sockets := map[string]int{}
	for i := range plan {
		k := &plan[i]
		if names[k.Name] {
			c.t.Errorf("two sockets are called %s", k.Name)
		}
		names[k.Name] = true
		address, _, _ := strings.Cut(k.URL, "?")
		sockets[address]++
		carried := c.carried(k)
		instruments[address] = max(instruments[address], len(carried))
		for _, w := range wires(slices.Concat(k.Streams, k.Subscriptions)) {
			count[w]++
		}
		if again := c.adapter.Plan(c.subscriptions()); again[i].Name != k.Name || len(again[i].Subscriptions) != len(k.Subscriptions) {
			c.t.Errorf("two plans of the same differ at %s", k.Name)
		}
	}
	for _, in := range c.instruments {
		polled := tick.Channels(0)
		for _, p := range c.adapter.Polls(in) {
			if polled |= p.Channel; p.Every <= 0 || p.Request.URL == "" || p.Request.Weight <= 0 {
				c.t.Errorf("%s: poll %+v", in.Symbol, p)
			}
		}
		for _, channel := range tick.AllChannels {
			// A plan may leave out what an instrument has not; it may not say anything twice.
			times := count[wire{in.Symbol, channel}]
			must := c.has(in, channel) && !polled.Has(channel)
			if times > 1 || must && times != 1 {
				c.t.Errorf("%d instruments: %s %s is planned %d times", n, in.Symbol, channel, times)
			}
		}
	}
	for address, most := range instruments {
		fewest := (n + sockets[address] - 1) / sockets[address]
		if most > fewest {
			c.t.Errorf("%d instruments on %d sockets of %s: %d on one, want at most %d", n, sockets[address], address, most, fewest)
		}
		if p.SocketsMax > 0 && sockets[address] > p.SocketsMax && most < p.InstrumentsPerSocket {
			c.t.Errorf("%d sockets of %s, want at most %d", sockets[address], address, p.SocketsMax)
		}
		if p.InstrumentsPerSocket > 0 && most > p.InstrumentsPerSocket && sockets[address] < p.SocketsMax {
			c.t.Errorf("%d instruments on a socket of %s, want at most %d while there are only %d sockets", most, address, p.InstrumentsPerSocket, sockets[address])
		}
	}
}

// checkAnswers holds what was sent to what is read back and to the venue's
// answers.
func (c *client) checkAnswers() {
	c.t.Helper()
	for _, err := range c.errors[:min(len(c.errors), 3)] {
		c.t.Error(err)
	}
	limit := c.profile.RequestMax
	if limit == 0 {
		limit = 64 << 10
	}
	for _, s := range c.sockets {
		var asked, want, have []wire
		streams, _ := c.adapter.Streams(s.plan.URL, nil)
		for _, x := range streams {
			have = append(have, wire{x.Symbol, x.Channel})
		}
		want = append(want, wires(s.plan.Streams)...)
		total := 0
		for i, a := range s.asked {
			if len(a.Text) > limit {
				c.t.Errorf("a request has %d bytes, the venue takes %d", len(a.Text), limit)
			}
			if a.left != 0 || a.refused != 0 {
				c.t.Errorf("%s, request %d %.200s: %d answers missing, %d refusals", s.plan.Name, i, a.Text, a.left, a.refused)
			}
			streams, request := c.adapter.Streams("", a.Text)
			if len(a.Streams) > 0 && request != i && request != -1 {
				c.t.Errorf("request %d is read back as %d: %.200s", i, request, a.Text)
			}
			for _, x := range streams {
				have = append(have, wire{x.Symbol, x.Channel})
			}
			asked = append(asked, wires(a.Streams)...)
			for _, w := range wires(a.Streams) {
				// A stream that is about many instruments names none: its data show it.
				if strings.Contains(strings.ToUpper(string(a.Text)), strings.ToUpper(w.symbol)) {
					want = append(want, w)
				}
			}
			total += max(a.Answers, 0)
		}
		if missing := missingOf(wires(s.plan.Subscriptions), asked); missing != "" {
			c.t.Errorf("%s: never asked for: %s", s.plan.Name, missing)
		}
		if missing := missingOf(want, have); missing != "" {
			c.t.Errorf("%s: a capture does not show that these were asked for: %s", s.plan.Name, missing)
		}
		if missing := missingOf(have, slices.Concat(want, asked)); missing != "" {
			c.t.Errorf("%s: a capture shows more than was asked for: %s", s.plan.Name, missing)
		}
		if limit := c.adapter.Profile().StreamsPerSocket; limit > 0 && total > limit {
			c.t.Errorf("%s: %d streams, the venue takes %d", s.plan.Name, total, limit)
		}
	}
	// The end of what was asked for is asked for in the same words.
	for _, s := range c.sockets {
		first := len(s.asked)
		c.say(s, c.adapter.Unsubscribe(&s.plan, s.plan.Subscriptions, first))
		c.settle()
		for i, a := range s.asked[first:] {
			if a.left != 0 || a.refused != 0 {
				c.t.Errorf("%s, unsubscription %d %.200s: %d answers missing, %d refusals", s.plan.Name, i, a.Text, a.left, a.refused)
			}
		}
	}
}

// missingOf names up to three of want that are not in have.
func missingOf(want, have []wire) string {
	known := map[wire]bool{}
	for _, w := range have {
		known[w] = true
	}
	var missing []string
	for _, w := range want {
		if !known[w] && len(missing) < 3 {
			missing = append(missing, fmt.Sprintf("%s %s", w.symbol, w.channel))
		}
	}
	return strings.Join(missing, ", ")
}
