// Package binance speaks the market-data protocols of Binance spot, USD-M
// futures and COIN-M futures: one dialect, three markets.
//
//	subscriptions ─► sockets and SUBSCRIBE texts             plan.go
//	exchangeInfo ─► instruments                              catalog.go
//	frame ─► members ─► what it is ─► trade, quote, depth    decode.go
//	         by fields.go             values.go, depth.go, fragment.go
//	                              └─► answers, warnings      notice.go
//	REST body ─► the same decoder ─► snapshot                rest.go
//
// What differs between the markets stands in one table below. Decoders own
// their scratch memory; frames stay the caller's.
//
// Sources: the venue's "WebSocket Streams" and "Market Data endpoints" pages of
// each market, and recorded sessions, which prevail where they differ.
package binance

import (
	"fmt"
	"time"

	"tickproc/feeds"
	"tickproc/tick"
)

// market is what tells one market from another.
type market struct {
	venue string
	// prefix of REST paths, and of the depth request that marks a snapshot.
	restBase, restPath string
	// catalogWeight, snapshotLimit and snapshotWeight: the request's cost, and
	// the levels a side that the largest snapshot holds.
	catalogWeight, snapshotLimit, snapshotWeight int
	weightPerMinute                              int
	messageInterval                              time.Duration
	channels                                     []channel
	sync                                         tick.SyncRule
	// futures name the id of the message before (pu); their instruments may
	// expire.
	futures bool
	// inverse: sizes are contracts worth a fixed sum of the quote asset.
	inverse bool
}

// channel is a stream of a symbol and the socket that serves it.
type channel struct {
	channel tick.Channels
	suffix  string // of the stream's name, behind the symbol in lower case
	tier    tier
}

// tier is an endpoint that serves part of the streams. Streams asked for on
// another tier are silent, which is no error to the venue.
type tier struct{ name, url string }

// USD-M splits its sockets since 2026: book and trades on /public; mark prices,
// aggregates and liquidations on /market.
var (
	spotPublic  = tier{"public", "wss://stream.binance.com:9443/stream"}
	usdmPublic  = tier{"public", "wss://fstream.binance.com/public/stream"}
	coinmPublic = tier{"public", "wss://dstream.binance.com/stream"}
)

var (
	spotSync = tick.SyncRule{Snapshot: tick.SnapshotREST, Sequence: tick.SequenceRange, Join: 1, QuoteIDs: true}
	// A futures snapshot's id is that of a delta, which must be applied again.
	futuresSync = tick.SyncRule{Snapshot: tick.SnapshotREST, Sequence: tick.SequenceChain, Join: 0, QuoteIDs: true}
)

var markets = [...]market{
	{
		venue: "binance-spot", restBase: "https://api.binance.com", restPath: "/api/v3",
		catalogWeight: 20, snapshotLimit: 5000, snapshotWeight: 250, weightPerMinute: 6000,
		// Five messages a second with pings and pongs: one is left for those.
		messageInterval: 250 * time.Millisecond,
		channels: []channel{
			{tick.ChannelTrades, "@trade", spotPublic},
			{tick.ChannelQuotes, "@bookTicker", spotPublic},
			{tick.ChannelDepth, "@depth@100ms", spotPublic},
		},
		sync: spotSync,
	},
	{
		venue: "binance-usdm", restBase: "https://fapi.binance.com", restPath: "/fapi/v1",
		catalogWeight: 1, snapshotLimit: 1000, snapshotWeight: 20, weightPerMinute: 2400,
		messageInterval: 125 * time.Millisecond, // ten a second, two left
		channels: []channel{
			{tick.ChannelTrades, "@trade", usdmPublic},
			{tick.ChannelQuotes, "@bookTicker", usdmPublic},
			{tick.ChannelDepth, "@depth@0ms", usdmPublic},
		},
		sync: futuresSync, futures: true,
	},
	{
		venue: "binance-coinm", restBase: "https://dapi.binance.com", restPath: "/dapi/v1",
		catalogWeight: 1, snapshotLimit: 1000, snapshotWeight: 20, weightPerMinute: 2400,
		messageInterval: 125 * time.Millisecond,
		channels: []channel{
			{tick.ChannelTrades, "@trade", coinmPublic},
			{tick.ChannelQuotes, "@bookTicker", coinmPublic},
			{tick.ChannelDepth, "@depth@0ms", coinmPublic},
		},
		sync: futuresSync, futures: true, inverse: true,
	},
}

// Venues are the names that New knows.
func Venues() []string {
	names := make([]string, len(markets))
	for i := range markets {
		names[i] = markets[i].venue
	}
	return names
}

// New returns the adapter of a venue; false if it is none of Binance's.
func New(venue string) (feeds.Adapter, bool) {
	for i := range markets {
		if markets[i].venue == venue {
			return &markets[i], true
		}
	}
	return nil, false
}

// streamsPerConnection is the venue's limit of streams on one socket.
const streamsPerConnection = 1024

func (m *market) Venue() string { return m.venue }

func (m *market) Profile() feeds.Profile {
	return feeds.Profile{
		MessageInterval: m.messageInterval,
		ConnectInterval: time.Second, // 300 in five minutes
		Life:            24 * time.Hour,
		PingEvery:       5 * time.Second,
		WeightPerMinute: m.weightPerMinute,
		FrameLimit:      4 << 20,
		BodyLimit:       64 << 20,
	}
}

func (m *market) NewDecoder(connection *feeds.Connection, table *feeds.Table) feeds.Decoder {
	d := &decoder{market: m, table: table, requests: -1}
	if connection != nil {
		d.requests = len(connection.Requests)
	}
	return d
}

// malformed says where a text is not what the venue documents. It quotes
// nothing, so that a large frame makes no large error.
func (m *market) malformed(at int, what string) error {
	return fmt.Errorf("%s: %w: %s at byte %d", m.venue, feeds.ErrMalformed, what, at)
}
