// Package kraken speaks the market-data protocol of Kraken spot, version 2 of
// its websocket.
//
//	subscriptions ─► sockets and subscribe texts                   plan.go
//	AssetPairs, Ticker ─► instruments, volumes                     catalog.go
//	frame ─► members ─► channel and type ─► elements of data       decode.go
//	         by fields.go                  ├─► trade, quote, book  market.go, level.go, time.go
//	                                       └─► answers, service    notice.go
//	Trades ─► trades that were missed                              history.go
//
// What is particular to the venue: numbers are bare JSON numbers, written at
// the pair's precision; books have no ids, only a checksum of their best ten
// levels; a level that leaves the subscribed depth is not deleted, so that the
// book must be cut; a request about several symbols is answered symbol by
// symbol.
//
// Sources: the venue's "Spot WebSocket v2" and "Spot REST" pages, and recorded
// frames, which prevail where they differ.
package kraken

import (
	"sync/atomic"
	"time"

	"tickproc/feeds"
	"tickproc/tick"
)

const (
	venueName = "kraken"
	socketURL = "wss://ws.kraken.com/v2"
	restURL   = "https://api.kraken.com"
)

// depth is the levels a side that we subscribe: the most the venue offers.
const depth = 1000

// books are the channels of the venue.
const books = tick.ChannelTrades | tick.ChannelQuotes | tick.ChannelDepth

// venue is the adapter.
type venue struct {
	// names are the symbols by the names that REST answers use, of the last
	// catalog: volumes come by those names alone. Any goroutine may read.
	names atomic.Pointer[map[string]string]
}

// spot is the one adapter, so that a catalog that was read once serves volumes
// that are asked for later.
var spot venue

// Venues are the names that New knows.
func Venues() []string { return []string{venueName} }

// New returns the adapter of a venue; false if it is not Kraken's.
func New(name string) (feeds.Adapter, bool) {
	if name != venueName {
		return nil, false
	}
	return &spot, true
}

func (*venue) Venue() string { return venueName }

func (*venue) Profile() feeds.Profile {
	return feeds.Profile{
		// No limit of messages is published.
		MessageInterval: 100 * time.Millisecond,
		// About 150 connects in any ten minutes, else a ban of ten minutes; and
		// after maintenance no more than one in five seconds.
		ConnectInterval: 5 * time.Second,
		// A quiet socket has a heartbeat every second.
		PingEvery: 5 * time.Second, PingText: []byte(`{"method":"ping"}`),
		// No limit of streams is published. More sockets would take too long to
		// open, at one in five seconds.
		InstrumentsPerSocket: 50, SocketsMax: 12,
		// One public request a second.
		WeightPerMinute: 60,
		// A whole book has 2,000 levels of up to 50 bytes.
		FrameLimit: 4 << 20,
		BodyLimit:  16 << 20,
		// The checksum needs the catalog.
		ChecksumAlone: true,
	}
}

func (*venue) Channels() tick.Channels { return books }

func (*venue) NewDecoder(_ *feeds.Connection, table *feeds.Table) feeds.Decoder {
	d := &decoder{service: inService}
	d.Init(venueName, table)
	return d
}

// SnapshotRequest: books come in-band.
func (*venue) SnapshotRequest(*tick.Instrument) (feeds.Request, bool) { return feeds.Request{}, false }

func (*venue) Polls(*tick.Instrument) []feeds.Poll { return nil }
