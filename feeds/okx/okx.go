// Package okx speaks the public market-data protocol of OKX v5: spot,
// perpetual swaps and dated futures on one pair of addresses.
//
//	subscriptions ─► sockets and subscribe texts                 plan.go
//	public/instruments, market/tickers ─► instruments, volumes   catalog.go
//	frame ─► members ─► arg says what its data are               decode.go
//	         by fields.go   ├─► trade, quote, open interest      values.go
//	                        ├─► snapshot, delta                  depth.go
//	                        ├─► mark, index, funding, forced orders   reference.go
//	                        └─► answers, warnings                notice.go
//	market/history-trades ─► trades that were missed             history.go
//
// Books come in-band and are a chain of sequence ids. Sizes of derivatives are
// contracts. Decoders own their scratch memory; frames stay the caller's.
//
// Sources: the venue's v5 documents ("WS / Order book channel", "WS / All trades
// channel", "Public data", "WebSocket") and recorded sessions, which prevail
// where they differ.
package okx

import (
	"time"

	"tickproc/feeds"
	"tickproc/tick"
)

const (
	name     = "okx"
	restBase = "https://www.okx.com"
)

// venue is the adapter.
type venue struct{}

// Venues are the names that New knows.
func Venues() []string { return []string{name} }

// New returns the adapter of a venue; false if it is none of OKX's.
func New(v string) (feeds.Adapter, bool) {
	if v != name {
		return nil, false
	}
	return venue{}, true
}

// derived are the channels that only derivatives have.
const derived = tick.ChannelFunding | tick.ChannelOpenInterest | tick.ChannelLiquidations

// endpoints: every single trade is told on /business alone; what /public
// calls trades sums up those of one order at one price.
var endpoints = []feeds.Endpoint{
	{Name: "public", URL: "wss://ws.okx.com:8443/ws/v5/public", Channels: tick.ChannelQuotes | tick.ChannelDepth | derived},
	{Name: "business", URL: "wss://ws.okx.com:8443/ws/v5/business", Channels: tick.ChannelTrades},
}

// syncRule: the window of 400 levels is kept by the venue, which deletes what
// leaves it. The checksum field is 0 since 2026, which says nothing; recordings
// from before have real ones.
var syncRule = tick.SyncRule{
	Snapshot: tick.SnapshotInBand, Sequence: tick.SequenceChain,
	Checksum: tick.ChecksumOKX, ChecksumDepth: 25, ChecksumPriceDigits: 255, ChecksumSizeDigits: 255,
}

func (venue) Venue() string { return name }

func (venue) Profile() feeds.Profile {
	return feeds.Profile{
		MessageInterval: 350 * time.Millisecond, // three a second
		ConnectInterval: 350 * time.Millisecond, // three a second for an address
		// A socket that was silent for 30 s is closed.
		PingEvery: 10 * time.Second, PingText: []byte("ping"),
		RequestsPerHour: 480,
		// The arguments of a socket may take 64 KiB, one takes some 60 bytes. The
		// venue advises fewer than 30 books on a socket.
		StreamsPerSocket: 900, InstrumentsPerSocket: 25, SocketsMax: 40,
		WeightPerMinute: 300, // twenty requests in two seconds, half of it left to others
		FrameLimit:      4 << 20,
		BodyLimit:       64 << 20,
	}
}

func (venue) Channels() tick.Channels {
	var all tick.Channels
	for _, e := range endpoints {
		all |= e.Channels
	}
	return all
}

func (venue) Polls(*tick.Instrument) []feeds.Poll { return nil }

// SnapshotRequest: books come in-band, with ids that no REST answer has.
func (venue) SnapshotRequest(*tick.Instrument) (feeds.Request, bool) { return feeds.Request{}, false }

// NewDecoder returns the decoder of one socket. Prices of an index go to the
// derivatives of that index which the connection subscribes; a capture has no
// plan, there they go to those that told a mark price or a funding rate before.
func (venue) NewDecoder(c *feeds.Connection, table *feeds.Table) feeds.Decoder {
	d := &decoder{indexes: feeds.NewTable(nil)}
	d.Init(name, table)
	if c == nil {
		return d
	}
	d.planned = true
	for _, s := range c.Subscriptions {
		in := s.Instrument
		if isDerivative(in) && s.Channels.Has(tick.ChannelFunding) {
			d.follow(indexOf(in), in.Symbol)
		}
		if isDerivative(in) && s.Channels.Has(tick.ChannelLiquidations) {
			d.forced = mark(d.forced, in.ID)
		}
	}
	return d
}

// mark sets the place of an instrument in a set.
func mark(set []bool, id uint32) []bool {
	if need := int(id) + 1; need > len(set) {
		set = append(set, make([]bool, need-len(set))...)
	}
	set[id] = true
	return set
}

func isDerivative(in *tick.Instrument) bool {
	return in.Type == tick.TypePerpetual || in.Type == tick.TypeFuture
}
