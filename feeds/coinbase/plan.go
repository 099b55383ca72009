package coinbase

import (
	"encoding/json"
	"strings"

	"tickproc/feeds"
	"tickproc/tick"
)

// productsPerRequest bounds one message, whose largest size the venue does not
// tell.
const productsPerRequest = 50

// channels in the order in which they are asked for: whole books take long to
// come, and trades should not wait behind them.
var channels = [...]struct {
	channel tick.Channels
	name    string
}{
	{tick.ChannelTrades, "market_trades"},
	{tick.ChannelQuotes, "ticker"},
	{tick.ChannelDepth, "level2"},
}

// request is a message to the venue. It takes one channel a message, and its
// answer does not name it.
type request struct {
	Type     string   `json:"type"`
	Products []string `json:"product_ids,omitempty"`
	Channel  string   `json:"channel"`
}

// Plan puts all channels of an instrument on one socket. Each socket also
// hears heartbeats, without which quiet ones are closed.
func (a adapter) Plan(subscriptions []feeds.Subscription) []feeds.Connection {
	endpoint := feeds.Endpoint{Name: "public", URL: socketURL, Channels: served}
	plan := feeds.Spread([]feeds.Endpoint{endpoint}, a.Profile(), subscriptions, func(s feeds.Subscription) int {
		return strings.Count(s.Channels.String(), "+") + 1
	})
	for i := range plan {
		plan[i].Greetings = []feeds.SubscribeRequest{{Text: textOf(request{Type: "subscribe", Channel: "heartbeats"})}}
	}
	return plan
}

func (adapter) Subscribe(_ *feeds.Connection, streams []feeds.Subscription, _ int) []feeds.SubscribeRequest {
	return requests("subscribe", streams)
}

func (adapter) Unsubscribe(_ *feeds.Connection, streams []feeds.Subscription, _ int) []feeds.SubscribeRequest {
	return requests("unsubscribe", streams)
}

func requests(kind string, streams []feeds.Subscription) []feeds.SubscribeRequest {
	var all []feeds.SubscribeRequest
	for _, c := range channels {
		r := request{Type: kind, Channel: c.name}
		var wants []feeds.Subscription
		end := func() {
			if len(wants) > 0 {
				all = append(all, feeds.SubscribeRequest{Text: textOf(r), Streams: wants})
			}
			r.Products, wants = nil, nil
		}
		for _, s := range streams {
			if !s.Channels.Has(c.channel) {
				continue
			}
			if len(wants) == productsPerRequest {
				end()
			}
			r.Products = append(r.Products, s.Instrument.Symbol)
			wants = append(wants, feeds.Subscription{Instrument: s.Instrument, Channels: c.channel})
		}
		end()
	}
	return all
}

func textOf(r request) []byte {
	text, err := json.Marshal(r)
	if err != nil {
		panic("BUG: a list of names does not marshal: " + err.Error())
	}
	return text
}

// Streams reads a sent subscription. Texts have no number.
func (adapter) Streams(_ string, sent []byte) (all []feeds.Stream, number int) {
	var r request
	if json.Unmarshal(sent, &r) != nil || r.Type != "subscribe" {
		return nil, -1
	}
	for _, c := range channels {
		if c.name != r.Channel {
			continue
		}
		for _, product := range r.Products {
			if product != "" {
				all = append(all, feeds.Stream{Symbol: product, Channel: c.channel})
			}
		}
	}
	return all, -1
}
