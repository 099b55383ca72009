package feeds_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"tickproc/feeds"
	"tickproc/feeds/binance"
	"tickproc/feeds/sim"
	"tickproc/ringbuf"
	"tickproc/tick"
)

// A feed that is driven by hand subscribes, reads, asks for a book and gives it
// to the shard, all in the time that its holder tells.
func TestByHand(t *testing.T) {
	t.Parallel()
	exchange, err := sim.New(sim.Options{Seed: 1, Levels: 20, Venues: []sim.Venue{{Name: binance.Spot, Dialect: binance.Dialect(binance.Spot), Symbols: []sim.Symbol{{Name: "BTCUSDT"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC).UnixNano()
	exchange.Step(time.Unix(0, now))

	adapter, _ := binance.New(binance.Spot)
	in := adapter.Instrument("BTCUSDT")
	in.PriceDigits, in.SizeDigits = 2, 5
	ring, routes := ringbuf.New(1<<12), feeds.Routes{}
	routes.Set(in.ID, 0)
	h, err := feeds.NewByHand(feeds.Options{Adapter: adapter, Now: func() int64 { return now }, Random: func(int64) int64 { return 0 },
		Subscriptions: []feeds.Subscription{{Instrument: &in, Channels: tick.ChannelTrades | tick.ChannelDepth}},
		NewOutput: func(feeds.LineInfo) *feeds.Output {
			return feeds.NewOutput([]*ringbuf.Ring{ring}, &routes, feeds.OutputOptions{})
		}})
	if err != nil || len(h.Links) != 1 {
		t.Fatalf("%d links, %v", len(h.Links), err)
	}
	l := h.Links[0]
	if wait := l.Undialled(nil, errors.New("no route")); wait <= 0 {
		t.Errorf("after a failure the next attempt is at once")
	}

	u, err := url.Parse(l.URL())
	if err != nil {
		t.Fatal(err)
	}
	var sent [][]byte
	client, status, err := exchange.Connect(binance.Spot, u, func(s sim.Sent) {
		if s.Kind == sim.SentText {
			sent = append(sent, s.Text)
		}
	})
	if err != nil || status != 0 {
		t.Fatalf("status %d, %v", status, err)
	}
	l.Opened()
	for range 400 {
		for a := l.Next(); a.Do != feeds.ActWait; a = l.Next() {
			if a.Do == feeds.ActSend {
				client.Say(a.Text)
			}
		}
		for len(sent) > 0 {
			l.Frame(sent[0])
			sent = sent[1:]
		}
		now += int64(10 * time.Millisecond)
		exchange.Step(time.Unix(0, now))
	}
	if n := l.Silent(); n > 0 || l.State() != feeds.LineUp {
		t.Errorf("%d streams are silent, the line is %v", n, l.State())
	}

	h.Resync(in.ID, 7, 0)
	call, _ := h.NextRequest()
	if call == nil {
		t.Fatal("no request for the book")
	}
	if u, err = url.Parse(call.URL); err != nil {
		t.Fatal(err)
	}
	code, header, body, _, err := exchange.Get(binance.Spot, u)
	if err != nil || code != http.StatusOK {
		t.Fatalf("status %d, %v", code, err)
	}
	h.Answered(call, code, header, body, nil)
	if again, _ := h.NextRequest(); again != nil {
		t.Errorf("the book is asked for again: %s", again.URL)
	}

	client.Leave()
	l.Ended(tick.ReasonDisconnect)
	l.Flush()
	kinds := map[tick.Kind]int{}
	for all := ring.Poll(); len(all) > 0; all = ring.Poll() {
		for rest := all; len(rest) > 0; rest = rest[tick.PacketUnits(&rest[0]):] {
			kinds[rest[0].KindOf()]++
			if rest[0].KindOf() == tick.KindSnapshot && rest[0].Depth().PrevID != 7 {
				t.Errorf("the book answers epoch %d", rest[0].Depth().PrevID)
			}
		}
		ring.Release(len(all))
	}
	for _, kind := range []tick.Kind{tick.KindCatalog, tick.KindUp, tick.KindTrade, tick.KindDepth, tick.KindSnapshot, tick.KindDown} {
		if kinds[kind] == 0 {
			t.Errorf("no packet of kind %d: %v", kind, kinds)
		}
	}
}
