package coinbase

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

func TestPlan(t *testing.T) {
	t.Parallel()
	a := adapter{}
	btc, eth := &tick.Instrument{Symbol: "BTC-USD"}, &tick.Instrument{Symbol: "ETH-USD"}
	subs := []feeds.Subscription{{Instrument: btc, Channels: served}, {Instrument: eth, Channels: tick.ChannelDepth}}
	plan := a.Plan(subs)
	want := []feeds.Connection{{Name: "public-0", URL: "wss://advanced-trade-ws.coinbase.com", Subscriptions: subs,
		Greetings: []feeds.SubscribeRequest{{Text: []byte(`{"type":"subscribe","channel":"heartbeats"}`)}}}}
	if !reflect.DeepEqual(plan, want) {
		t.Fatalf("got  %+v\nwant %+v", plan, want)
	}
	f := func(got []feeds.SubscribeRequest, want ...string) {
		t.Helper()
		var texts []string
		for _, r := range got {
			texts = append(texts, string(r.Text))
			if r.Answers != 0 {
				t.Errorf("%s: %d answers", r.Text, r.Answers)
			}
		}
		if !slices.Equal(texts, want) {
			t.Errorf("got  %s\nwant %s", texts, want)
		}
	}
	f(a.Subscribe(&plan[0], subs, 1),
		`{"type":"subscribe","product_ids":["BTC-USD"],"channel":"market_trades"}`,
		`{"type":"subscribe","product_ids":["BTC-USD"],"channel":"ticker"}`,
		`{"type":"subscribe","product_ids":["BTC-USD","ETH-USD"],"channel":"level2"}`)
	f(a.Unsubscribe(&plan[0], []feeds.Subscription{{Instrument: eth, Channels: tick.ChannelDepth}}, 4),
		`{"type":"unsubscribe","product_ids":["ETH-USD"],"channel":"level2"}`)
	if got := a.Plan([]feeds.Subscription{{Instrument: btc, Channels: tick.ChannelFunding}}); got != nil {
		t.Errorf("a plan of what the venue does not have: %v", got)
	}
}

// Many products are spread within the limits; each stream is asked for once,
// one channel a message, and a text says what it asks for.
func TestPlanKeepsLimits(t *testing.T) {
	t.Parallel()
	a := adapter{}
	f := func(products, wantSockets, wantRequests int) {
		t.Helper()
		var subs []feeds.Subscription
		want := 0
		for i := range products {
			s := feeds.Subscription{Instrument: &tick.Instrument{ID: uint32(i), Symbol: fmt.Sprintf("C%d-USD", i)}, Channels: tick.Channels(1 + i%7)}
			subs = append(subs, s)
			for _, c := range tick.AllChannels {
				if s.Channels.Has(c) {
					want++
				}
			}
		}
		granted := map[feeds.Stream]bool{}
		requests := 0
		plan := a.Plan(subs)
		for i, c := range plan {
			if c.Name != fmt.Sprintf("public-%d", i) || len(c.Greetings) != 1 {
				t.Errorf("socket %d: %q, %d greetings", i, c.Name, len(c.Greetings))
			}
			for _, r := range a.Subscribe(&c, c.Subscriptions, 1) {
				requests++
				var m request
				if err := json.Unmarshal(r.Text, &m); err != nil || len(m.Products) == 0 || len(m.Products) > productsPerRequest {
					t.Fatalf("%s: %v", r.Text, err)
				}
				read, number := a.Streams("", r.Text)
				if len(read) != len(r.Streams) || number != -1 {
					t.Fatalf("%s: %v, %d", r.Text, read, number)
				}
				for i, s := range r.Streams {
					told := feeds.Stream{Symbol: s.Instrument.Symbol, Channel: s.Channels}
					if read[i] != told || granted[told] {
						t.Errorf("%+v is asked for as %+v, before: %v", told, read[i], granted[told])
					}
					granted[told] = true
				}
			}
		}
		if len(granted) != want || len(plan) != wantSockets || requests != wantRequests {
			t.Errorf("%d products: %d streams of %d on %d sockets in %d requests, want %d in %d", products, len(granted), want, len(plan), requests, wantSockets, wantRequests)
		}
	}
	f(15, 1, 3)
	f(100, 5, 15)
	f(400, 20, 60)
	f(1200, 20, 60)
	f(2000, 20, 120) // of 100 products on a socket 57 have a channel
}

func TestStreams(t *testing.T) {
	t.Parallel()
	f := func(sent string, want ...feeds.Stream) {
		t.Helper()
		if got, number := (adapter{}).Streams("wss://advanced-trade-ws.coinbase.com", []byte(sent)); !slices.Equal(got, want) || number != -1 {
			t.Errorf("%s: %v, %d; want %v", sent, got, number, want)
		}
	}
	f(`{"type":"subscribe","product_ids":["BTC-USD","ETH-USD"],"channel":"level2","jwt":"x"}`, feeds.Stream{Symbol: "BTC-USD", Channel: tick.ChannelDepth}, feeds.Stream{Symbol: "ETH-USD", Channel: tick.ChannelDepth})
	f(`{"type":"subscribe","product_ids":["BTC-USD",""],"channel":"ticker"}`, feeds.Stream{Symbol: "BTC-USD", Channel: tick.ChannelQuotes})
	f(`{"type":"subscribe","product_ids":["BTC-USD"],"channel":"ticker_batch"}`)
	f(`{"type":"subscribe","channel":"heartbeats"}`)
	f(`{"type":"unsubscribe","product_ids":["BTC-USD"],"channel":"level2"}`)
	f("")
	f("{")
}

func TestVenue(t *testing.T) {
	t.Parallel()
	for _, venue := range Venues() {
		a, ok := New(venue)
		if !ok || a.Venue() != venue || a.Profile().WeightPerMinute == 0 || len(a.CatalogRequests()) != 1 || len(a.VolumeRequests()) != 1 || a.Channels() != served {
			t.Errorf("%s: %v", venue, ok)
		}
		if _, ok := a.SnapshotRequest(&tick.Instrument{Symbol: "BTC-USD"}); ok || a.Polls(&tick.Instrument{}) != nil {
			t.Error("books come in-band, and nothing is polled")
		}
	}
	if _, ok := New("coinbase-pro"); ok {
		t.Error("another venue's name")
	}
}
