package binance

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"

	"tickproc/feeds"
	"tickproc/tick"
)

// streamsPerRequest bounds one SUBSCRIBE, whose text would otherwise meet the
// venue's unpublished limit of message size.
const streamsPerRequest = 100

// Plan fills one socket after the other, tier by tier. The streams of an
// instrument on a tier share a socket, so that its trades, quotes and depth
// are seen and lost together, and a request, so that they are refused together.
func (m *market) Plan(subscriptions []feeds.Subscription) []feeds.Connection {
	var all []feeds.Connection
	for _, t := range m.tiers() {
		p := planner{tier: t}
		for _, sub := range subscriptions {
			p.add(m, sub)
		}
		p.endRequest()
		all = append(all, p.connections...)
	}
	return all
}

// tiers lists the market's tiers in the order of its channels.
func (m *market) tiers() []tier {
	var all []tier
	for _, c := range m.channels {
		known := false
		for _, t := range all {
			known = known || t == c.tier
		}
		if !known {
			all = append(all, c.tier)
		}
	}
	return all
}

// planner spreads the streams of one tier.
type planner struct {
	tier        tier
	connections []feeds.Connection
	streams     int      // on the last connection
	params      []string // of the request being filled
	wants       []feeds.Subscription
}

func (p *planner) add(m *market, sub feeds.Subscription) {
	var params []string
	var channels tick.Channels
	symbol := strings.ToLower(sub.Instrument.Symbol)
	for _, c := range m.channels {
		if c.tier == p.tier && sub.Channels.Has(c.channel) {
			params = append(params, symbol+c.suffix)
			channels |= c.channel
		}
	}
	if len(params) == 0 {
		return
	}
	if len(p.params)+len(params) > streamsPerRequest {
		p.endRequest()
	}
	if len(p.connections) == 0 || p.streams+len(params) > streamsPerConnection {
		p.endRequest()
		p.connections = append(p.connections, feeds.Connection{
			Name: p.tier.name + "-" + strconv.Itoa(len(p.connections)),
			URL:  p.tier.url,
		})
		p.streams = 0
	}
	p.streams += len(params)
	p.params = append(p.params, params...)
	p.wants = append(p.wants, feeds.Subscription{Instrument: sub.Instrument, Channels: channels})
}

// control is a message to the venue; its answer carries the same id.
type control struct {
	Method string   `json:"method"`
	Params []string `json:"params"`
	ID     int      `json:"id"`
}

func (p *planner) endRequest() {
	if len(p.params) == 0 {
		return
	}
	c := &p.connections[len(p.connections)-1]
	text, err := json.Marshal(control{Method: "SUBSCRIBE", Params: p.params, ID: len(c.Requests) + 1})
	if err != nil {
		panic("BUG: a list of names does not marshal: " + err.Error())
	}
	c.Requests = append(c.Requests, feeds.SubscribeRequest{Text: text, Streams: p.wants})
	p.params, p.wants = nil, nil
}

// Streams reads …/stream?streams=a/b, …/ws/a/b and a sent SUBSCRIBE.
func (m *market) Streams(openURL string, sent []byte) []feeds.Stream {
	var all []feeds.Stream
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
	}
	if err := json.Unmarshal(sent, &c); err == nil && c.Method == "SUBSCRIBE" {
		for _, name := range c.Params {
			all = m.appendStream(all, name)
		}
	}
	return all
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
