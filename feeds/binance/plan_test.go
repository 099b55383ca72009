package binance

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

func TestPlan(t *testing.T) {
	all := tick.ChannelTrades | tick.ChannelQuotes | tick.ChannelDepth
	f := func(venue, symbol string, channels tick.Channels, url, text string) {
		t.Helper()
		a, _ := New(venue)
		in := &tick.Instrument{Symbol: symbol}
		subs := []feeds.Subscription{{Instrument: in, Channels: channels}}
		want := []feeds.Connection{{Name: "public-0", URL: url, Subscriptions: subs}}
		got := a.Plan(subs)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s\ngot  %+v\nwant %+v", venue, got, want)
		}
		asked := []feeds.SubscribeRequest{{Text: []byte(text), Streams: subs}}
		if got := a.Subscribe(&got[0], subs, 0); !reflect.DeepEqual(got, asked) {
			t.Errorf("%s\ngot  %s\nwant %s", venue, got[0].Text, text)
		}
		ended := strings.NewReplacer("SUBSCRIBE", "UNSUBSCRIBE", `"id":1`, `"id":4`).Replace(text)
		if got := a.Unsubscribe(&got[0], subs, 3); len(got) != 1 || string(got[0].Text) != ended {
			t.Errorf("%s: %v, want %s", venue, got, ended)
		}
	}
	f("binance-spot", "BTCUSDT", all, "wss://stream.binance.com:9443/stream",
		`{"method":"SUBSCRIBE","params":["btcusdt@trade","btcusdt@bookTicker","btcusdt@depth@100ms"],"id":1}`)
	f("binance-usdm", "BTCUSDT_261225", tick.ChannelDepth, "wss://fstream.binance.com/public/stream",
		`{"method":"SUBSCRIBE","params":["btcusdt_261225@depth@0ms"],"id":1}`)
	f("binance-coinm", "BTCUSD_PERP", tick.ChannelTrades|tick.ChannelQuotes, "wss://dstream.binance.com/stream",
		`{"method":"SUBSCRIBE","params":["btcusd_perp@trade","btcusd_perp@bookTicker"],"id":1}`)

	spot, _ := New("binance-spot")
	if got := spot.Plan(nil); got != nil {
		t.Errorf("a plan of nothing: %v", got)
	}
	if got := spot.Plan([]feeds.Subscription{{Instrument: &tick.Instrument{Symbol: "X"}}}); got != nil {
		t.Errorf("a plan of no channels: %v", got)
	}
}

// Many symbols are spread within the limits; each stream is asked for once,
// an instrument's on one socket, and the ids number the requests.
func TestPlanKeepsLimits(t *testing.T) {
	for _, venue := range Venues() {
		a, _ := New(venue)
		var subs []feeds.Subscription
		for i := range 1000 {
			subs = append(subs, feeds.Subscription{Instrument: &tick.Instrument{Symbol: fmt.Sprintf("C%dUSDT", i)}, Channels: tick.Channels(1 + i%7)})
		}
		plan := a.Plan(subs)
		where := map[string]string{}
		granted := map[*tick.Instrument]tick.Channels{}
		streams := 0
		for i, c := range plan {
			if c.Name != fmt.Sprintf("public-%d", i) {
				t.Errorf("%s: socket %d is %q", venue, i, c.Name)
			}
			onSocket := 0
			for j, r := range a.Subscribe(&c, c.Subscriptions, 0) {
				var m struct {
					Method string
					Params []string
					ID     int
				}
				if err := json.Unmarshal(r.Text, &m); err != nil || m.ID != j+1 || m.Method != "SUBSCRIBE" || len(m.Params) == 0 || len(m.Params) > 100 {
					t.Fatalf("%s: %s: %v", venue, r.Text, err)
				}
				onSocket += len(m.Params)
				for _, p := range m.Params {
					symbol, _, _ := strings.Cut(p, "@")
					if at, seen := where[symbol]; seen && at != c.Name {
						t.Errorf("%s: %s on %s and %s", venue, symbol, at, c.Name)
					}
					where[symbol] = c.Name
				}
				for _, s := range r.Streams {
					granted[s.Instrument] |= s.Channels
				}
				// What we ask for is what a capture of it would show.
				if got, request := a.Streams("", r.Text); len(got) != len(m.Params) || request != j {
					t.Errorf("%s: %d streams in a text of %d, request %d of %d", venue, len(got), len(m.Params), request, j)
				}
			}
			if onSocket > 1024 || len(c.Subscriptions) > 1000/20 {
				t.Errorf("%s: %d streams of %d instruments on %s", venue, onSocket, len(c.Subscriptions), c.Name)
			}
			streams += onSocket
		}
		want := 0
		for _, s := range subs {
			if granted[s.Instrument] != s.Channels {
				t.Errorf("%s: %s has %v, want %v", venue, s.Instrument.Symbol, granted[s.Instrument], s.Channels)
			}
			want += strings.Count(s.Channels.String(), "+") + 1
		}
		if streams != want || len(plan) != 20 {
			t.Errorf("%s: %d streams on %d sockets, want %d on 20", venue, streams, len(plan), want)
		}
	}
}

func TestStreams(t *testing.T) {
	a, _ := New("binance-usdm")
	f := func(url, sent string, want ...string) {
		t.Helper()
		var got []string
		streams, _ := a.Streams(url, []byte(sent))
		for _, s := range streams {
			got = append(got, s.Symbol+" "+s.Channel.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s %s: %v, want %v", url, sent, got, want)
		}
	}
	f("wss://fstream.binance.com/stream?streams=btcusdt@depth@0ms/btcusdt@bookTicker/ethusdt@trade", "", "BTCUSDT depth", "BTCUSDT quotes", "ETHUSDT trades")
	f("wss://fstream.binance.com/public/stream?streams=btcusdt%40depth%2Fbtcusd_perp%40trade", "", "BTCUSDT depth", "BTCUSD_PERP trades")
	f("wss://stream.binance.com:9443/ws/btcusdt@trade/ethusdt@depth@500ms", "", "BTCUSDT trades", "ETHUSDT depth")
	f("wss://stream.binance.com:9443/ws", `{"method":"SUBSCRIBE","params":["btcusdt@trade","btcusdt@kline_1m","btcusdt@aggTrade","btcusdt@depth20@100ms","!bookTicker"],"id":"x"}`, "BTCUSDT trades")
	f("", `{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":1}`)
	f("", `{"method":"SET_PROPERTY","params":["combined",true],"id":1}`)
	f("", "")
	f("::", "{")
}
