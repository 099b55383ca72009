// Package coinbase speaks the market-data protocol of Coinbase Advanced Trade,
// without a key.
//
//	subscriptions ─► sockets and subscribe texts, one channel each   plan.go
//	products ─► instruments, volumes                                  catalog.go
//	frame ─► envelope ─► its place in the socket's count              decode.go, count.go
//	            └► events ─► levels, trades, tickers                  depth.go, trade.go, ticker.go
//	            └► answers, heartbeats                                notice.go
//	products/ID/ticker ─► trades that were missed                     history.go
//	the venue as a simulated exchange                                 dialect.go
//
// Every frame of a socket has a number, whatever it is about: a jump means
// that anything the socket carries may have been missed. Books come in-band,
// whole at first, and have neither ids nor checksums of their own.
//
// Decoders own their scratch memory; frames stay the caller's.
//
// Sources: the venue's pages "WebSocket Overview", "WebSocket Channels" and
// "List Public Products", and recorded frames, which prevail where they differ.
package coinbase

import (
	"time"

	"tickproc/feeds"
	"tickproc/tick"
)

const (
	venueName = "coinbase"
	socketURL = "wss://advanced-trade-ws.coinbase.com"
	restURL   = "https://api.coinbase.com/api/v3/brokerage/market/products"
)

// served are the channels of every product.
const served = tick.ChannelTrades | tick.ChannelQuotes | tick.ChannelDepth

// syncRule: the number of a frame counts the socket's frames, not the book's
// changes, so that messages have no ids; what is lost shows in NoticeGap.
// Quotes come from the ticker, which speaks at trades only: they are no oracle
// of a book that moved since.
var syncRule = tick.SyncRule{Snapshot: tick.SnapshotInBand, Sequence: tick.SequenceNone, QuotesLag: true}

type adapter struct{}

// Venues are the names that New knows.
func Venues() []string { return []string{venueName} }

// New returns the adapter of the venue; false if the name is another's.
func New(venue string) (feeds.Adapter, bool) {
	if venue != venueName {
		return nil, false
	}
	return adapter{}, true
}

func (adapter) Venue() string { return venueName }

func (adapter) Profile() feeds.Profile {
	return feeds.Profile{
		// The venue takes eight messages a second of an address, over all of its
		// sockets. A socket says four when it opens; they open one after another.
		MessageInterval: 150 * time.Millisecond,
		ConnectInterval: 600 * time.Millisecond,
		// Heartbeats come every second.
		PingEvery: 5 * time.Second,
		// A jump of a socket's count costs the books of all its instruments.
		InstrumentsPerSocket: 20, SocketsMax: 20,
		WeightPerMinute: 600,
		// The largest whole book has about 44,000 levels in 5 MB.
		FrameLimit: 32 << 20,
		BodyLimit:  32 << 20,
	}
}

func (adapter) Channels() tick.Channels { return served }

func (adapter) NewDecoder(_ *feeds.Connection, table *feeds.Table) feeds.Decoder {
	d := &decoder{}
	d.Init(venueName, table)
	return d
}

// SnapshotRequest: books come in-band. The venue's REST book names no place in
// the stream.
func (adapter) SnapshotRequest(*tick.Instrument) (feeds.Request, bool) {
	return feeds.Request{}, false
}

func (adapter) Polls(*tick.Instrument) []feeds.Poll { return nil }
