package bybit

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

const everything = tick.ChannelTrades | tick.ChannelQuotes | tick.ChannelDepth | tick.ChannelFunding | tick.ChannelOpenInterest | tick.ChannelLiquidations

func TestPlan(t *testing.T) {
	t.Parallel()
	f := func(venue, symbol string, channels, planned tick.Channels, url, text string) {
		t.Helper()
		a, _ := New(venue)
		in := &tick.Instrument{Symbol: symbol}
		subs := []feeds.Subscription{{Instrument: in, Channels: planned}}
		got := a.Plan([]feeds.Subscription{{Instrument: in, Channels: channels}})
		if want := []feeds.Connection{{Name: "public-0", URL: url, Subscriptions: subs}}; !reflect.DeepEqual(got, want) {
			t.Fatalf("%s\ngot  %+v\nwant %+v", venue, got, want)
		}
		if got, want := a.Subscribe(&got[0], subs, 0), []feeds.SubscribeRequest{{Text: []byte(text), Streams: subs}}; !reflect.DeepEqual(got, want) {
			t.Errorf("%s\ngot  %s\nwant %s", venue, got[0].Text, text)
		}
		ended := strings.NewReplacer("subscribe", "unsubscribe", `"req_id":"1"`, `"req_id":"4"`).Replace(text)
		if got := a.Unsubscribe(&got[0], subs, 3); len(got) != 1 || string(got[0].Text) != ended || got[0].Streams != nil {
			t.Errorf("%s: %v, want %s", venue, got, ended)
		}
	}
	// Spot has no derivatives.
	f("bybit-spot", "BTCUSDT", everything, tick.ChannelTrades|tick.ChannelQuotes|tick.ChannelDepth, "wss://stream.bybit.com/v5/public/spot",
		`{"op":"subscribe","args":["publicTrade.BTCUSDT","orderbook.1.BTCUSDT","orderbook.1000.BTCUSDT"],"req_id":"1"}`)
	// Funding and open interest come by one topic, asked for once.
	f("bybit-linear", "BTCUSDT", everything, everything, "wss://stream.bybit.com/v5/public/linear",
		`{"op":"subscribe","args":["publicTrade.BTCUSDT","orderbook.1.BTCUSDT","orderbook.1000.BTCUSDT","tickers.BTCUSDT","allLiquidation.BTCUSDT"],"req_id":"1"}`)
	f("bybit-inverse", "BTCUSDH26", tick.ChannelOpenInterest, tick.ChannelOpenInterest, "wss://stream.bybit.com/v5/public/inverse",
		`{"op":"subscribe","args":["tickers.BTCUSDH26"],"req_id":"1"}`)

	spot, _ := New("bybit-spot")
	if got := spot.Plan(nil); got != nil {
		t.Errorf("a plan of nothing: %v", got)
	}
	if got := spot.Plan([]feeds.Subscription{{Instrument: &tick.Instrument{Symbol: "X"}, Channels: tick.ChannelFunding}}); got != nil {
		t.Errorf("a plan of a channel that spot does not have: %v", got)
	}
}

// Many symbols are spread within the limits; each topic is asked for once, an
// instrument's on one socket and in one request, and the ids number the requests.
func TestPlanKeepsLimits(t *testing.T) {
	t.Parallel()
	for _, venue := range Venues() {
		a, _ := New(venue)
		argsMax := 50
		if venue == "bybit-spot" {
			argsMax = 10
		}
		for _, n := range []int{1000, 2500} {
			var subs []feeds.Subscription
			for i := range n {
				// As long as any symbol.
				channels := tick.Channels(1+i%63) & a.Channels()
				if channels == 0 {
					channels = tick.ChannelDepth
				}
				subs = append(subs, feeds.Subscription{Instrument: &tick.Instrument{Symbol: fmt.Sprintf("1000000BABY%04dUSDT-27NOV26", i)}, Channels: channels})
			}
			granted := map[*tick.Instrument]tick.Channels{}
			where := map[string]string{}
			for i, c := range a.Plan(subs) {
				if c.Name != fmt.Sprintf("public-%d", i) {
					t.Errorf("%s: socket %d is %q", venue, i, c.Name)
				}
				characters := 0
				for j, r := range a.Subscribe(&c, c.Subscriptions, 3) {
					var m struct {
						Op    string   `json:"op"`
						Args  []string `json:"args"`
						ReqID string   `json:"req_id"`
					}
					if err := json.Unmarshal(r.Text, &m); err != nil || m.ReqID != strconv.Itoa(j+4) || m.Op != "subscribe" || len(m.Args) == 0 || len(m.Args) > argsMax {
						t.Fatalf("%s: %s: %v", venue, r.Text, err)
					}
					asked := map[string]tick.Channels{}
					for _, topic := range m.Args {
						characters += len(topic) + len(`"",`)
						if at, seen := where[topic]; seen {
							t.Errorf("%s: %s on %s and %s", venue, topic, at, c.Name)
						}
						where[topic] = c.Name
					}
					for _, s := range r.Streams {
						granted[s.Instrument] |= s.Channels
						asked[s.Instrument.Symbol] = s.Channels
					}
					// What we ask for is what a capture of it would show; of tickers, all that they tell.
					shown, request := a.Streams("", r.Text)
					if request != j+3 {
						t.Errorf("%s: request %d, want %d", venue, request, j+3)
					}
					got := map[string]tick.Channels{}
					for _, s := range shown {
						got[s.Symbol] |= s.Channel
					}
					for symbol, channels := range asked {
						if tickers := tick.ChannelFunding | tick.ChannelOpenInterest; channels&tickers != 0 {
							asked[symbol] |= tickers
						}
					}
					if !reflect.DeepEqual(got, asked) {
						t.Fatalf("%s: %s shows %v, want %v", venue, r.Text, got, asked)
					}
				}
				if characters > 21_000 || len(c.Subscriptions) > 100 {
					t.Errorf("%s: %d characters of topics for %d instruments on %s", venue, characters, len(c.Subscriptions), c.Name)
				}
			}
			for _, s := range subs {
				if granted[s.Instrument] != s.Channels {
					t.Errorf("%s: %s has %v, want %v", venue, s.Instrument.Symbol, granted[s.Instrument], s.Channels)
				}
			}
		}
	}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	f := func(venue, sent string, wantRequest int, want ...string) {
		t.Helper()
		a, _ := New(venue)
		var got []string
		streams, request := a.Streams("wss://stream.bybit.com/v5/public/linear", []byte(sent))
		for _, s := range streams {
			got = append(got, s.Symbol+" "+s.Channel.String())
		}
		if !slices.Equal(got, want) || request != wantRequest {
			t.Errorf("%s %s: %v by request %d, want %v by %d", venue, sent, got, request, want, wantRequest)
		}
	}
	f("bybit-linear", `{"op":"subscribe","args":["orderbook.50.BTCUSDT","publicTrade.BTCUSDT","tickers.BTCUSDT","allLiquidation.BTCUSDT"],"req_id":"x"}`, -1,
		"BTCUSDT depth", "BTCUSDT trades", "BTCUSDT funding", "BTCUSDT open_interest", "BTCUSDT liquidations")
	f("bybit-spot", `{"req_id":"12","op":"subscribe","args":["orderbook.1.A","tickers.A","orderbook.200.B"]}`, 11, "A quotes", "B depth")
	f("bybit-linear", `{"op":"subscribe","args":["kline.5.BTCUSDT","orderbook.full.BTCUSDT","trade.BTCUSDT","publicTrade.","orderbook",7]}`, -1)
	f("bybit-linear", `{"op":"unsubscribe","args":["publicTrade.BTCUSDT"],"req_id":"1"}`, -1)
	f("bybit-linear", `{"op":"ping"}`, -1)
	f("bybit-linear", `{`, -1)
	f("bybit-linear", ``, -1)
}
