// Package bybit speaks the public market-data protocol of Bybit v5 spot,
// linear (USDT and USDC perpetuals and futures) and inverse contracts: one
// dialect, three markets.
//
//	subscriptions ─► sockets and subscribe texts                 plan.go
//	instruments-info, tickers ─► instruments, volumes            catalog.go
//	frame ─► envelope: topic, type, times, data                  decode.go
//	             ├─► orderbook.N ─► depth, snapshot, quote       depth.go
//	             ├─► publicTrade, allLiquidation ─► executions   trade.go
//	             ├─► tickers ─► mark, open interest              ticker.go
//	             └─► answers to requests and pings               notice.go
//	recent-trade ─► trades that were missed                      history.go
//	simulated market ─► the same protocol, other code            dialect.go
//
// What differs between the markets stands in one table below. Decoders own
// their scratch memory; frames stay the caller's.
//
// Sources: the venue's "Connect", "Orderbook", "Trade", "Ticker", "All
// Liquidation" and "Get Instruments Info" pages, and recorded frames, which
// prevail where they differ.
package bybit

import (
	"time"

	"tickproc/feeds"
	"tickproc/tick"
)

// market is what tells one market from another.
type market struct {
	venue    string
	category string // in paths of sockets and parameters of REST
	channels []channel
	tradeIDs tick.TradeIDKind
	// argsPerRequest bounds the topics of one subscribe: ten is the venue's limit on
	// spot; elsewhere it has none, and a small set loses less time when one bad
	// topic refuses all of it.
	argsPerRequest int
	// statuses of the instruments that the catalog asks for; "" = those that trade.
	statuses []string
	// derivatives have mark prices, funding, open interest and liquidations.
	derivatives bool
	// inverse: sizes are contracts worth one unit of the quote asset.
	inverse bool
}

// channel is a stream of a symbol. Several channels may come by one topic.
type channel struct {
	channel tick.Channels
	prefix  string // of the topic, ahead of the symbol
}

// The book is asked for at the deepest that brings its own snapshots: 1,000
// levels a side every 200 ms, on all three markets. orderbook.full is deeper,
// but exists on spot alone, and its snapshots are REST's, of 10,000 levels.
var (
	books = []channel{
		{tick.ChannelTrades, "publicTrade."},
		{tick.ChannelQuotes, "orderbook.1."},
		{tick.ChannelDepth, "orderbook.1000."},
	}
	contracts = append(books[:len(books):len(books)],
		channel{tick.ChannelFunding, "tickers."},
		channel{tick.ChannelOpenInterest, "tickers."},
		channel{tick.ChannelLiquidations, "allLiquidation."},
	)
	// What was closed is not asked for: it is more than what trades, and grows.
	contractStatuses = []string{"", "PreLaunch", "Delivering"}
)

var markets = [...]market{
	{venue: "bybit-spot", category: "spot", channels: books, tradeIDs: tick.TradeIDInteger, argsPerRequest: 10, statuses: []string{""}},
	{venue: "bybit-linear", category: "linear", channels: contracts, tradeIDs: tick.TradeIDUUID, argsPerRequest: 50, statuses: contractStatuses,
		derivatives: true},
	{venue: "bybit-inverse", category: "inverse", channels: contracts, tradeIDs: tick.TradeIDUUID, argsPerRequest: 50, statuses: contractStatuses,
		derivatives: true, inverse: true},
}

// sync: ids of a topic rise by one. Levels that leave the venue's window of
// 1,000 are told with size 0, so that nothing need be forgotten; each topic
// counts for itself, so that quotes say nothing about the book's ids.
var sync = tick.SyncRule{Snapshot: tick.SnapshotInBand, Sequence: tick.SequenceCounter, Join: 1}

// Venues are the names that New knows.
func Venues() []string {
	names := make([]string, len(markets))
	for i := range markets {
		names[i] = markets[i].venue
	}
	return names
}

// New returns the adapter of a venue; false if it is none of Bybit's.
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
		MessageInterval: 100 * time.Millisecond, // the venue documents none
		ConnectInterval: time.Second,            // 500 in five minutes
		// The venue asks for one every 20 s, whatever else is sent.
		PingEvery: 20 * time.Second, PingText: []byte(`{"op":"ping"}`), PingAlways: true,
		// 600 requests in five seconds: so many a minute never meet that.
		WeightPerMinute: 600,
		FrameLimit:      1 << 20, // 2,000 levels take 60 kB
		BodyLimit:       16 << 20,
		// The venue takes 21,000 characters of topics on a socket; 400 of the longest
		// ("allLiquidation.1000000BABYDOGEUSDT-27NOV26" in quotes) are below that.
		StreamsPerSocket: 400, InstrumentsPerSocket: 50, SocketsMax: 30,
	}
}

func (m *market) NewDecoder(_ *feeds.Connection, table *feeds.Table) feeds.Decoder {
	d := &decoder{market: m}
	d.Init(m.venue, table)
	return d
}

func (m *market) Channels() tick.Channels {
	var all tick.Channels
	for _, c := range m.channels {
		all |= c.channel
	}
	return all
}

func (m *market) Polls(*tick.Instrument) []feeds.Poll { return nil }

// SnapshotRequest: books come in-band.
func (m *market) SnapshotRequest(*tick.Instrument) (feeds.Request, bool) {
	return feeds.Request{}, false
}
