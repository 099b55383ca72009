package binance

import (
	"encoding/json"
	"net/url"
	"strings"

	"tickproc/feeds"
)

// streamsPerRequest bounds one SUBSCRIBE, whose text would otherwise meet the
// venue's unpublished limit of message size.
const streamsPerRequest = 100

// Plan puts the streams of an instrument that an endpoint serves on one socket.
func (m *market) Plan(subscriptions []feeds.Subscription) []feeds.Connection {
	return feeds.Spread(m.endpoints, m.Profile(), subscriptions, func(s feeds.Subscription) int { return len(m.names(s)) })
}

// names are the streams of a subscription.
func (m *market) names(s feeds.Subscription) []string {
	var names []string
	for _, c := range m.channels {
		if s.Channels.Has(c.channel) {
			names = append(names, strings.ToLower(s.Instrument.Symbol)+c.suffix)
		}
	}
	return names
}

// control is a message to the venue; its answer carries the same id.
type control struct {
	Method string   `json:"method"`
	Params []string `json:"params"`
	ID     int      `json:"id"`
}

func (m *market) Subscribe(_ *feeds.Connection, streams []feeds.Subscription, first int) []feeds.SubscribeRequest {
	return m.requests("SUBSCRIBE", streams, first)
}

func (m *market) Unsubscribe(_ *feeds.Connection, streams []feeds.Subscription, first int) []feeds.SubscribeRequest {
	return m.requests("UNSUBSCRIBE", streams, first)
}

// requests keeps the streams of an instrument in one request, so that they are
// refused together.
func (m *market) requests(method string, streams []feeds.Subscription, first int) []feeds.SubscribeRequest {
	var all []feeds.SubscribeRequest
	var params []string
	var wants []feeds.Subscription
	end := func() {
		if len(params) == 0 {
			return
		}
		text, err := json.Marshal(control{Method: method, Params: params, ID: first + len(all) + 1})
		if err != nil {
			panic("BUG: a list of names does not marshal: " + err.Error())
		}
		all = append(all, feeds.SubscribeRequest{Text: text, Streams: wants})
		params, wants = nil, nil
	}
	for _, s := range streams {
		names := m.names(s)
		if len(params)+len(names) > streamsPerRequest {
			end()
		}
		if len(names) > 0 {
			params, wants = append(params, names...), append(wants, s)
		}
	}
	end()
	return all
}

// Streams reads …/stream?streams=a/b, …/ws/a/b and a sent SUBSCRIBE.
func (m *market) Streams(openURL string, sent []byte) (all []feeds.Stream, request int) {
	request = -1
	if u, err := url.Parse(openURL); err == nil {
		names := u.Query().Get("streams")
		if _, raw, found := strings.Cut(u.Path, "/ws/"); found {
			names += "/" + raw
		}
		for name := range strings.SplitSeq(names, "/") {
			all = m.appendStream(all, name)
		}
	}
	// Others than we may number their messages otherwise.
	var c struct {
		Method string
		Params []string
		ID     any
	}
	if err := json.Unmarshal(sent, &c); err == nil && c.Method == "SUBSCRIBE" {
		for _, name := range c.Params {
			all = m.appendStream(all, name)
		}
		if id, ok := c.ID.(float64); ok {
			request = int(id) - 1
		}
	}
	return all, request
}

// appendStream appends what a stream's name means, if it is a channel of ours
// at any speed: btcusdt@depth is the book as well as btcusdt@depth@500ms, but
// btcusdt@depth20 is not.
func (m *market) appendStream(all []feeds.Stream, name string) []feeds.Stream {
	symbol, kind, found := strings.Cut(name, "@")
	if !found || symbol == "" {
		return all
	}
	kind, _, _ = strings.Cut(kind, "@")
	for _, c := range m.channels {
		if ours, _, _ := strings.Cut(c.suffix[1:], "@"); ours == kind {
			return append(all, feeds.Stream{Symbol: strings.ToUpper(symbol), Channel: c.channel})
		}
	}
	return all
}
