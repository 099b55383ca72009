package okx

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

func subscription(id uint32, symbol string, channels tick.Channels) feeds.Subscription {
	in := venue{}.Instrument(symbol)
	in.ID = id
	return feeds.Subscription{Instrument: &in, Channels: channels}
}

func texts(requests []feeds.SubscribeRequest) (all []string) {
	for _, r := range requests {
		all = append(all, string(r.Text))
	}
	return all
}

func TestPlan(t *testing.T) {
	t.Parallel()
	a, ok := New("okx")
	if _, other := New("okx-spot"); !ok || other || !slices.Equal(Venues(), []string{"okx"}) || a.Venue() != "okx" {
		t.Fatal("names")
	}
	all := a.Channels()
	subs := []feeds.Subscription{subscription(0, "BTC-USDT", all), subscription(1, "BTC-USDT-SWAP", all), subscription(2, "BTC-USDT-261225", all)}
	plan := a.Plan(subs)
	if len(plan) != 2 || plan[0].Name != "public-0" || plan[0].URL != "wss://ws.okx.com:8443/ws/v5/public" || plan[1].Name != "business-0" || plan[1].URL != "wss://ws.okx.com:8443/ws/v5/business" {
		t.Fatalf("%+v", plan)
	}
	// What an instrument does not have is not asked for; what several share, once.
	got := a.Subscribe(&plan[0], plan[0].Subscriptions, 4)
	want := []string{
		`{"id":"5","op":"subscribe","args":[{"channel":"bbo-tbt","instId":"BTC-USDT"},{"channel":"books","instId":"BTC-USDT"},` +
			`{"channel":"bbo-tbt","instId":"BTC-USDT-SWAP"},{"channel":"books","instId":"BTC-USDT-SWAP"},{"channel":"funding-rate","instId":"BTC-USDT-SWAP"},{"channel":"mark-price","instId":"BTC-USDT-SWAP"},{"channel":"index-tickers","instId":"BTC-USDT"},{"channel":"open-interest","instId":"BTC-USDT-SWAP"},` +
			`{"channel":"bbo-tbt","instId":"BTC-USDT-261225"},{"channel":"books","instId":"BTC-USDT-261225"},{"channel":"mark-price","instId":"BTC-USDT-261225"},{"channel":"open-interest","instId":"BTC-USDT-261225"}]}`,
		`{"id":"6","op":"subscribe","args":[{"channel":"liquidation-orders","instType":"SWAP"}]}`,
		`{"id":"7","op":"subscribe","args":[{"channel":"liquidation-orders","instType":"FUTURES"}]}`,
	}
	if !slices.Equal(texts(got), want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(texts(got), "\n"), strings.Join(want, "\n"))
	}
	if got[0].Answers != 12 || got[1].Answers != 0 || len(got[0].Streams) != 3 || got[0].Streams[1].Channels.Has(tick.ChannelLiquidations) {
		t.Errorf("%+v", got)
	}
	if s := got[1].Streams; len(s) != 1 || s[0].Instrument.Symbol != "BTC-USDT-SWAP" || s[0].Channels != tick.ChannelLiquidations {
		t.Errorf("%+v", s)
	}
	if got := texts(a.Subscribe(&plan[1], plan[1].Subscriptions[:1], 0)); !slices.Equal(got, []string{`{"id":"1","op":"subscribe","args":[{"channel":"trades-all","instId":"BTC-USDT"}]}`}) {
		t.Errorf("%v", got)
	}

	// A book is had anew by its own two messages.
	depth := []feeds.Subscription{{Instrument: subs[1].Instrument, Channels: tick.ChannelDepth}}
	if got := a.Unsubscribe(&plan[0], depth, 7); len(got) != 1 || string(got[0].Text) != `{"id":"8","op":"unsubscribe","args":[{"channel":"books","instId":"BTC-USDT-SWAP"}]}` || got[0].Answers != 1 {
		t.Errorf("%+v", got)
	}
	// What another instrument still needs is not given up.
	funding := []feeds.Subscription{{Instrument: subs[1].Instrument, Channels: tick.ChannelFunding | tick.ChannelLiquidations}}
	want = []string{`{"id":"1","op":"unsubscribe","args":[{"channel":"funding-rate","instId":"BTC-USDT-SWAP"},{"channel":"mark-price","instId":"BTC-USDT-SWAP"}]}`,
		`{"id":"2","op":"unsubscribe","args":[{"channel":"liquidation-orders","instType":"SWAP"}]}`}
	if got := texts(a.Unsubscribe(&plan[0], funding, 0)); !slices.Equal(got, want) {
		t.Errorf("%s", got)
	}
	both := append(funding, feeds.Subscription{Instrument: subs[2].Instrument, Channels: tick.ChannelFunding})
	if got := texts(a.Unsubscribe(&plan[0], both, 0)); len(got) != 2 || !strings.Contains(got[0], `"index-tickers","instId":"BTC-USDT"`) {
		t.Errorf("%s", got)
	}

	if got := a.Plan(nil); got != nil {
		t.Errorf("a plan of nothing: %v", got)
	}
	if got := a.Plan([]feeds.Subscription{subscription(0, "BTC-USDT", derived)}); got != nil {
		t.Errorf("a plan of what spot does not have: %v", got)
	}
}

// Many symbols are spread within the limits; each stream is asked for once,
// an instrument's of an endpoint on one socket, and the ids number the requests.
func TestPlanKeepsLimits(t *testing.T) {
	t.Parallel()
	a, _ := New("okx")
	var subs []feeds.Subscription
	for i := range 1200 {
		subs = append(subs, subscription(uint32(i), fmt.Sprintf("C%d-USDT%s", i/2, []string{"", "-SWAP", "-261225"}[i%3]), a.Channels()))
	}
	plan := a.Plan(subs)
	if len(plan) != 2*40 {
		t.Errorf("%d sockets", len(plan))
	}
	granted := make([]tick.Channels, len(subs))
	for _, c := range plan {
		asked, bytes, number := map[string]bool{}, 0, 0
		for _, r := range a.Subscribe(&c, c.Subscriptions, 3) {
			var m struct {
				ID, Op string
				Args   []json.RawMessage
			}
			if err := json.Unmarshal(r.Text, &m); err != nil || m.ID != fmt.Sprint(3+number+1) || m.Op != "subscribe" || len(m.Args) == 0 || len(r.Text) > 4096 {
				t.Fatalf("%d bytes, %s: %v", len(r.Text), r.Text, err)
			}
			number++
			if r.Answers != 0 && r.Answers != len(m.Args) {
				t.Errorf("%d answers to %s", r.Answers, r.Text)
			}
			for _, arg := range m.Args {
				if asked[string(arg)] {
					t.Errorf("%s twice on %s", arg, c.Name)
				}
				asked[string(arg)] = true
				bytes += len(arg) + 1
			}
			for _, s := range r.Streams {
				if granted[s.Instrument.ID]&s.Channels != 0 {
					t.Errorf("%s: %v twice", s.Instrument.Symbol, s.Channels)
				}
				granted[s.Instrument.ID] |= s.Channels
			}
		}
		if len(asked) > a.Profile().StreamsPerSocket || bytes > 64<<10 || number > 480 || len(c.Subscriptions) > 30 {
			t.Errorf("%s: %d streams of %d instruments, %d bytes in %d requests", c.Name, len(asked), len(c.Subscriptions), bytes, number)
		}
	}
	for i, s := range subs {
		want := a.Channels()
		if !isDerivative(s.Instrument) {
			want &^= derived
		}
		if granted[i] != want {
			t.Errorf("%s has %v, want %v", s.Instrument.Symbol, granted[i], want)
		}
	}
}

// What we ask for is what a capture of it shows, but for streams that name no
// instrument.
func TestStreams(t *testing.T) {
	t.Parallel()
	a, _ := New("okx")
	f := func(sent string, request int, want ...string) {
		t.Helper()
		var got []string
		streams, number := a.Streams("wss://ws.okx.com:8443/ws/v5/public", []byte(sent))
		for _, s := range streams {
			got = append(got, s.Symbol+" "+s.Channel.String())
		}
		if !slices.Equal(got, want) || number != request {
			t.Errorf("%s: %v, request %d; want %v, %d", sent, got, number, want, request)
		}
	}
	all := a.Channels()
	subs := []feeds.Subscription{subscription(0, "BTC-USDT", all), subscription(1, "ETH-USD-SWAP", all)}
	r := a.Subscribe(nil, subs, 6)
	f(string(r[0].Text), 6, "BTC-USDT trades", "BTC-USDT quotes", "BTC-USDT depth", "ETH-USD-SWAP trades", "ETH-USD-SWAP quotes", "ETH-USD-SWAP depth", "ETH-USD-SWAP funding", "ETH-USD-SWAP open_interest")
	f(string(r[1].Text), 7)
	f(`{"op":"subscribe","args":[{"channel":"tickers","instId":"BTC-USDT"},{"channel":"trades","instId":"BTC-USDT"},{"channel":"books","instId":"BTC-USD-220527"},{"channel":"books5","instId":"BTC-USDT"}]}`, -1, "BTC-USD-220527 depth")
	f(`{"id":"mine","op":"subscribe","args":[{"channel":"books","instId":"X-Y"},{"channel":"books"}]}`, -1, "X-Y depth")
	f(string(a.Unsubscribe(nil, subs, 0)[0].Text), -1)
	f(`ping`, -1)
	f(``, -1)
	f(`{`, -1)
}
