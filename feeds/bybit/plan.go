package bybit

import (
	"encoding/json"
	"slices"
	"strconv"

	"tickproc/feeds"
)

// Plan puts all topics of an instrument on one socket.
func (m *market) Plan(subscriptions []feeds.Subscription) []feeds.Connection {
	endpoint := feeds.Endpoint{Name: "public", URL: "wss://stream.bybit.com/v5/public/" + m.category, Channels: m.Channels()}
	return feeds.Spread([]feeds.Endpoint{endpoint}, m.Profile(), subscriptions, func(s feeds.Subscription) int { return len(m.topics(s)) })
}

// topics of a subscription, each once: asking for one a second time is refused.
func (m *market) topics(s feeds.Subscription) []string {
	var topics []string
	for _, c := range m.channels {
		if topic := c.prefix + s.Instrument.Symbol; s.Channels.Has(c.channel) && !slices.Contains(topics, topic) {
			topics = append(topics, topic)
		}
	}
	return topics
}

// control is a message to the venue; its answer carries the same req_id.
type control struct {
	Op    string   `json:"op"`
	Args  []string `json:"args"`
	ReqID string   `json:"req_id"`
}

func (m *market) Subscribe(_ *feeds.Connection, streams []feeds.Subscription, first int) []feeds.SubscribeRequest {
	return m.requests("subscribe", streams, first)
}

// Unsubscribe names no streams: its answer neither begins nor refuses one.
func (m *market) Unsubscribe(_ *feeds.Connection, streams []feeds.Subscription, first int) []feeds.SubscribeRequest {
	requests := m.requests("unsubscribe", streams, first)
	for i := range requests {
		requests[i].Streams = nil
	}
	return requests
}

// requests keeps the topics of an instrument in one request, so that they are
// refused together.
func (m *market) requests(op string, streams []feeds.Subscription, first int) []feeds.SubscribeRequest {
	var all []feeds.SubscribeRequest
	var args []string
	var wants []feeds.Subscription
	end := func() {
		if len(args) == 0 {
			return
		}
		text, err := json.Marshal(control{Op: op, Args: args, ReqID: strconv.Itoa(first + len(all) + 1)})
		if err != nil {
			panic("BUG: a list of topics does not marshal: " + err.Error())
		}
		all = append(all, feeds.SubscribeRequest{Text: text, Streams: wants})
		args, wants = nil, nil
	}
	for _, s := range streams {
		topics := m.topics(s)
		if len(args)+len(topics) > m.argsPerRequest {
			end()
		}
		if len(topics) > 0 {
			args, wants = append(args, topics...), append(wants, s)
		}
	}
	end()
	return all
}

// Streams reads a sent subscribe. The venue's URLs subscribe nothing.
func (m *market) Streams(_ string, sent []byte) (all []feeds.Stream, request int) {
	// Others than we may number their messages otherwise.
	var c struct {
		Op    string
		Args  []any
		ReqID any `json:"req_id"`
	}
	if err := json.Unmarshal(sent, &c); err != nil || c.Op != "subscribe" {
		return nil, -1
	}
	for _, arg := range c.Args {
		if topic, ok := arg.(string); ok {
			all = m.appendStreams(all, topic)
		}
	}
	id, _ := c.ReqID.(string)
	if n, err := strconv.Atoi(id); err == nil && n > 0 {
		return all, n - 1
	}
	return all, -1
}

// appendStreams appends what comes by a topic: the book at any depth, and of
// tickers all that they tell.
func (m *market) appendStreams(all []feeds.Stream, topic string) []feeds.Stream {
	t := subjectOf([]byte(topic))
	if len(t.symbol) == 0 {
		return all
	}
	for _, c := range m.channels {
		if subjectOf([]byte(c.prefix)).kind == t.kind {
			all = append(all, feeds.Stream{Symbol: string(t.symbol), Channel: c.channel})
		}
	}
	return all
}
