// Package binance speaks the market-data protocols of Binance spot, USD-M
// futures and COIN-M futures: one dialect, three markets.
//
//	subscriptions ─► sockets and SUBSCRIBE texts             plan.go
//	exchangeInfo ─► instruments                              catalog.go
//	frame ─► members ─► what it is ─► trade, quote, depth    decode.go
//	         by fields.go             values.go, depth.go
//	                              └─► answers, warnings      notice.go
//	                     └─► mark price, liquidation       reference.go
//	REST body ─► the same decoder ─► snapshot, open interest rest.go
//	         └─► trades that were missed, aggregates          history.go
//
// What differs between the markets stands in one table below. Decoders own
// their scratch memory; frames stay the caller's.
//
// Sources: the venue's "WebSocket Streams" and "Market Data endpoints" pages of
// each market, and recorded sessions, which prevail where they differ.
package binance

import (
	"time"

	"tickproc/feeds"
	"tickproc/tick"
)

// market is what tells one market from another.
type market struct {
	venue string
	// prefix of REST paths, and of the depth request that marks a snapshot.
	restBase, restPath string
	// catalogWeight, volumeWeight, snapshotLimit and snapshotWeight: the request's cost, and
	// the levels a side that the largest snapshot holds.
	catalogWeight, volumeWeight, snapshotLimit, snapshotWeight int
	weightPerMinute                                            int
	// Of requests for past trades: how many historicalTrades gives, and weights.
	historyLimit, historyWeight, recentWeight, aggregatesWeight int
	messageInterval                                             time.Duration
	// endpoints: streams asked for on an endpoint that does not serve them are
	// silent, which is no error to the venue.
	endpoints []feeds.Endpoint
	channels  []channel
	sync      tick.SyncRule
	// futures name the id of the message before (pu); their instruments may
	// expire.
	futures bool
	// inverse: sizes are contracts worth a fixed sum of the quote asset.
	inverse bool
}

// channel is a stream of a symbol.
type channel struct {
	channel tick.Channels
	suffix  string // of the stream's name, behind the symbol in lower case
}

// books are the channels of every market, references those of futures.
const (
	books      = tick.ChannelTrades | tick.ChannelQuotes | tick.ChannelDepth
	references = tick.ChannelFunding | tick.ChannelLiquidations
)

var (
	spotSync = tick.SyncRule{Snapshot: tick.SnapshotREST, Sequence: tick.SequenceRange, Join: 1, QuoteIDs: true}
	// A futures snapshot's id is that of a delta, which must be applied again.
	futuresSync = tick.SyncRule{Snapshot: tick.SnapshotREST, Sequence: tick.SequenceChain, Join: 0, QuoteIDs: true}
)

var markets = [...]market{
	{
		venue: "binance-spot", restBase: "https://api.binance.com", restPath: "/api/v3",
		catalogWeight: 20, volumeWeight: 80, snapshotLimit: 5000, snapshotWeight: 250, weightPerMinute: 6000,
		historyLimit: 1000, historyWeight: 25, recentWeight: 25, aggregatesWeight: 4,
		// Five messages a second with pings and pongs: one is left for those.
		messageInterval: 250 * time.Millisecond,
		endpoints:       []feeds.Endpoint{{Name: "public", URL: "wss://stream.binance.com:9443/stream", Channels: books}},
		channels: []channel{
			{tick.ChannelTrades, "@trade"},
			{tick.ChannelQuotes, "@bookTicker"},
			{tick.ChannelDepth, "@depth@100ms"},
		},
		sync: spotSync,
	},
	{
		venue: "binance-usdm", restBase: "https://fapi.binance.com", restPath: "/fapi/v1",
		catalogWeight: 1, volumeWeight: 40, snapshotLimit: 1000, snapshotWeight: 20, weightPerMinute: 2400,
		historyLimit: 500, historyWeight: 20, recentWeight: 5, aggregatesWeight: 20,
		messageInterval: 125 * time.Millisecond, // ten a second, two left
		// USD-M splits its sockets since 2026: mark prices, aggregates and
		// liquidations are on /market.
		endpoints: []feeds.Endpoint{
			{Name: "public", URL: "wss://fstream.binance.com/public/stream", Channels: books},
			{Name: "market", URL: "wss://fstream.binance.com/market/stream", Channels: references},
		},
		channels: []channel{
			{tick.ChannelTrades, "@trade"},
			{tick.ChannelQuotes, "@bookTicker"},
			{tick.ChannelDepth, "@depth@0ms"},
			{tick.ChannelFunding, "@markPrice@1s"},
			{tick.ChannelLiquidations, "@forceOrder"},
		},
		sync: futuresSync, futures: true,
	},
	{
		venue: "binance-coinm", restBase: "https://dapi.binance.com", restPath: "/dapi/v1",
		catalogWeight: 1, volumeWeight: 40, snapshotLimit: 1000, snapshotWeight: 20, weightPerMinute: 2400,
		historyLimit: 500, historyWeight: 20, recentWeight: 5, aggregatesWeight: 20,
		messageInterval: 125 * time.Millisecond,
		endpoints:       []feeds.Endpoint{{Name: "public", URL: "wss://dstream.binance.com/stream", Channels: books | references}},
		channels: []channel{
			{tick.ChannelTrades, "@trade"},
			{tick.ChannelQuotes, "@bookTicker"},
			{tick.ChannelDepth, "@depth@0ms"},
			{tick.ChannelFunding, "@markPrice@1s"},
			{tick.ChannelLiquidations, "@forceOrder"},
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

func (m *market) Venue() string { return m.venue }

func (m *market) Profile() feeds.Profile {
	return feeds.Profile{
		MessageInterval: m.messageInterval,
		ConnectInterval: time.Second, // 300 in five minutes
		Life:            24 * time.Hour,
		PingEvery:       5 * time.Second,
		KeyHeader:       "X-MBX-APIKEY",
		WeightPerMinute: m.weightPerMinute,
		FrameLimit:      4 << 20,
		BodyLimit:       64 << 20,
		// The venue takes 1,024 streams on a socket and 300 sockets in five minutes.
		StreamsPerSocket: 1024, InstrumentsPerSocket: 50, SocketsMax: 30,
	}
}

func (m *market) NewDecoder(_ *feeds.Connection, table *feeds.Table) feeds.Decoder {
	d := &decoder{market: m}
	d.Init(m.venue, table)
	return d
}

func (m *market) Channels() tick.Channels {
	var all tick.Channels
	for _, e := range m.endpoints {
		all |= e.Channels
	}
	if m.futures {
		all |= tick.ChannelOpenInterest // over REST alone
	}
	return all
}
