package kraken

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

func TestPlan(t *testing.T) {
	t.Parallel()
	v, ok := New("kraken")
	if _, other := New("kraken-futures"); !ok || other {
		t.Fatal("New knows the wrong names")
	}
	btc, eth := &tick.Instrument{ID: 0, Symbol: "BTC/USD"}, &tick.Instrument{ID: 1, Symbol: "ETH/USD"}
	subs := []feeds.Subscription{{Instrument: btc, Channels: books}, {Instrument: eth, Channels: tick.ChannelDepth}}
	plan := v.Plan(subs)
	if len(plan) != 1 || plan[0].Name != "public-0" || plan[0].URL != "wss://ws.kraken.com/v2" || !reflect.DeepEqual(plan[0].Subscriptions, subs) || plan[0].Streams != nil {
		t.Fatalf("%+v", plan)
	}
	texts := func(requests []feeds.SubscribeRequest, want ...string) {
		t.Helper()
		var got []string
		for _, r := range requests {
			got = append(got, string(r.Text))
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	texts(plan[0].Greetings, `{"method":"subscribe","params":{"channel":"instrument","snapshot":false},"req_id":10}`)
	asked := v.Subscribe(&plan[0], subs, 1)
	texts(asked,
		`{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"],"snapshot":true},"req_id":21}`,
		`{"method":"subscribe","params":{"channel":"ticker","symbol":["BTC/USD"],"event_trigger":"bbo","snapshot":true},"req_id":32}`,
		`{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD","ETH/USD"],"depth":1000,"snapshot":true},"req_id":43}`)
	want := []feeds.Subscription{{Instrument: btc, Channels: tick.ChannelDepth}, {Instrument: eth, Channels: tick.ChannelDepth}}
	if last := asked[2]; last.Answers != 2 || !reflect.DeepEqual(last.Streams, want) {
		t.Errorf("%d answers, streams %+v", last.Answers, last.Streams)
	}
	ended := v.Unsubscribe(&plan[0], subs[1:], 7)
	texts(ended, `{"method":"unsubscribe","params":{"channel":"book","symbol":["ETH/USD"],"depth":1000},"req_id":83}`)
	if ended[0].Streams != nil || ended[0].Answers != 0 {
		t.Errorf("%+v", ended[0])
	}
	if got := v.Plan(nil); got != nil {
		t.Errorf("a plan of nothing: %v", got)
	}
}

// Many pairs are spread over few sockets; each stream is asked for once, an
// instrument's on one socket, and a capture of the texts shows what was asked.
func TestPlanKeepsLimits(t *testing.T) {
	t.Parallel()
	v, _ := New("kraken")
	f := func(instruments, sockets int) {
		t.Helper()
		var subs []feeds.Subscription
		for i := range instruments {
			subs = append(subs, feeds.Subscription{Instrument: &tick.Instrument{ID: uint32(i), Symbol: fmt.Sprintf("C%d/USD", i)}, Channels: tick.Channels(1 + i%7)})
		}
		plan := v.Plan(subs)
		if len(plan) != sockets {
			t.Errorf("%d sockets for %d instruments, want %d", len(plan), instruments, sockets)
		}
		granted := map[string]tick.Channels{}
		for _, c := range plan {
			number := len(c.Greetings)
			for _, r := range v.Subscribe(&c, c.Subscriptions, number) {
				streams, request := v.Streams("", r.Text)
				if request != number || len(streams) != len(r.Streams) || len(streams) != r.Answers || len(streams) > symbolsPerRequest {
					t.Fatalf("request %d: read as %d, %d streams of %d, %d answers", number, request, len(streams), len(r.Streams), r.Answers)
				}
				number++
				for i, s := range streams {
					if w := r.Streams[i]; w.Instrument.Symbol != s.Symbol || w.Channels != s.Channel || granted[s.Symbol].Has(s.Channel) {
						t.Errorf("%+v of %+v", s, w)
					}
					granted[s.Symbol] |= s.Channel
				}
			}
		}
		for _, s := range subs {
			if granted[s.Instrument.Symbol] != s.Channels {
				t.Errorf("%s has %v, want %v", s.Instrument.Symbol, granted[s.Instrument.Symbol], s.Channels)
			}
		}
	}
	f(1, 1)
	f(120, 3)
	f(1451, 12)
	if p := v.Profile(); 10*60/int(p.ConnectInterval.Seconds()) > 150 {
		t.Errorf("a connect every %v", p.ConnectInterval)
	}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	v, _ := New("kraken")
	f := func(sent string, request int, want ...string) {
		t.Helper()
		var got []string
		streams, number := v.Streams("wss://ws.kraken.com/v2", []byte(sent))
		for _, s := range streams {
			got = append(got, s.Symbol+" "+s.Channel.String())
		}
		if !slices.Equal(got, want) || number != request {
			t.Errorf("%s: %v, request %d, want %v, %d", sent, got, number, want, request)
		}
	}
	f(`{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD","ETH/USD"],"depth":10},"req_id":13}`, 0, "BTC/USD depth", "ETH/USD depth")
	// Others number otherwise.
	f(`{"method":"subscribe","params":{"channel":"ticker","symbol":["BTC/USD"]},"req_id":13}`, -1, "BTC/USD quotes")
	f(`{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"]},"req_id":"x"}`, -1, "BTC/USD trades")
	f(`{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"]}}`, -1, "BTC/USD trades")
	f(`{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"]},"req_id":-1e300}`, -1, "BTC/USD trades")
	f(`{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"]},"req_id":1e300}`, -1, "BTC/USD trades")
	f(`{"method":"subscribe","params":{"channel":"instrument","snapshot":false},"req_id":10}`, -1)
	f(`{"method":"unsubscribe","params":{"channel":"trade","symbol":["BTC/USD"]},"req_id":11}`, -1)
	f(`{"method":"ping"}`, -1)
	f(``, -1)
	f(`{`, -1)
}
