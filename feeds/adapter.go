// Package feeds brings venues' frames into the process as packets.
//
// An Adapter holds everything that is particular to a venue and does no I/O:
// it plans sockets, writes requests, and decodes frames and REST bodies into
// packets. A Feed does the sockets for any adapter: reading, stamping,
// pacing, pinging, reconnecting, and publishing to the shards' rings.
//
//	frame bytes ─► Decoder.Decode ─► packets ─► Output ─► ring of the instrument's shard
//	shard's resync commands ─► Feed.Resync ─► REST worker ─► Adapter.DecodeREST ─► packets (a line of its own)
//
// Frame bytes belong to the connection until its next read; decoders copy
// what they keep.
package feeds

import (
	"errors"
	"time"

	"tickproc/tick"
)

// Adapter is one venue's protocol. Its methods are pure: no clock, no socket.
type Adapter interface {
	// Venue is the name used in configuration and tables, "binance-spot".
	Venue() string
	// Profile returns the venue's limits and timings.
	Profile() Profile
	// Plan spreads subscriptions over sockets within the venue's limits.
	Plan(subscriptions []Subscription) []Connection
	// NewDecoder returns the decoder of one connection (or of a capture, where
	// connection is nil). It owns table from here on.
	NewDecoder(connection *Connection, table *Table) Decoder
	// SnapshotRequest asks for the whole book of an instrument; ok is false
	// where the venue sends snapshots in-band.
	SnapshotRequest(in *tick.Instrument) (r Request, ok bool)
	// CatalogRequests ask for the venue's instruments; their answers are read
	// by ParseCatalog.
	CatalogRequests() []Request
	// ParseCatalog reads the answer to a catalog request. Instruments that
	// cannot be traded now are left out. ID, Channels are left zero.
	ParseCatalog(body []byte) ([]tick.Instrument, error)
	// Instrument describes a symbol without a catalog: Underlying is the venue
	// symbol and the digits are zero, to grow as numbers are observed.
	Instrument(symbol string) tick.Instrument
	// DecodeREST appends the packets of a REST answer (so far: snapshots) to
	// dst; epoch goes into PrevID. An answer that is none of the venue's market data
	// (the catalog, say) returns dst unchanged. url is the full request URL: a
	// capture's line has nothing else.
	DecodeREST(dst []tick.Unit, url string, body []byte, table *Table, at Stamp, epoch uint64) ([]tick.Unit, error)
	// Streams returns what a capture shows to be subscribed: the streams named
	// in a connection's URL ("open" line) or in a sent text; nil if none.
	Streams(openURL string, sent []byte) []Stream
}

// Stream is one channel of one symbol, in the venue's spelling.
type Stream struct {
	Symbol  string
	Channel tick.Channels
}

// Subscription asks for channels of an instrument.
type Subscription struct {
	Instrument *tick.Instrument
	Channels   tick.Channels
}

// Connection is one planned socket.
type Connection struct {
	// Name tells the sockets of a feed apart in logs and metrics: "public-0".
	Name string
	// URL with the venue's scheme, host, port and path; configuration may
	// replace the first three.
	URL string
	// Requests are sent after opening, in order, paced by the profile. Request
	// i is acknowledged by a notice with Request == i.
	Requests []SubscribeRequest
	// Streams that the URL itself subscribes, live as soon as it is open.
	Streams []Subscription
}

// SubscribeRequest is one message and what it asks for.
type SubscribeRequest struct {
	Text    []byte
	Streams []Subscription
}

// Request is one REST call, always GET.
type Request struct {
	URL    string // with the venue's scheme and host
	Weight int    // of the venue's request budget
}

// Profile holds a venue's limits and timings. Zero means none.
type Profile struct {
	MessageInterval time.Duration // between two messages that we send on a socket
	ConnectInterval time.Duration // between two connects to the venue
	Life            time.Duration // the venue closes a socket of this age; we reconnect ahead of it
	// PingEvery: we ping when nothing came for this long, and give the socket up when
	// another PingEvery passes in silence. PingText nil = a websocket ping.
	PingEvery time.Duration
	PingText  []byte
	// WeightPerMinute is the budget of REST weights for this address.
	WeightPerMinute int
	// FrameLimit bounds a frame in bytes after inflation.
	FrameLimit int64
	// BodyLimit bounds a REST body in bytes.
	BodyLimit int64
}

// Stamp says when and where a frame came in.
type Stamp struct {
	Line         uint16
	Ordinal      uint64
	ReceiveNanos int64
}

// Header starts a packet of the frame.
func (s Stamp) Header(kind tick.Kind, instrument uint32, exchangeNanos int64) tick.Header {
	return tick.Header{Kind: kind, Flags: tick.FlagFirst | tick.FlagLast, Line: s.Line, Instrument: instrument,
		Ordinal: s.Ordinal, ExchangeNanos: exchangeNanos, ReceiveNanos: s.ReceiveNanos}
}

// Decoder turns the frames of one connection into packets. One goroutine uses it.
type Decoder interface {
	// Decode appends the packets of a frame to dst: all of them or, with an
	// error, none. Control frames come back as a notice.
	//
	// hot: per frame, 0 allocs for market data.
	Decode(dst []tick.Unit, frame []byte, at Stamp) ([]tick.Unit, Notice, error)
}

// NoticeKind says what a control frame means.
type NoticeKind uint8

const (
	NoticeNone      NoticeKind = iota
	NoticeAck                  // the venue took request Request
	NoticeRefused              // the venue refused request Request (-1 = unknown): Code, Text
	NoticePong                 // an answer to our ping
	NoticeReconnect            // the venue will close this socket soon
	NoticeIgnored              // known, and of no interest
)

// Notice is what a control frame means. Zero for market data.
type Notice struct {
	Kind    NoticeKind
	Request int
	Code    int
	Text    string
}

// Sentinels of Decode and DecodeREST; each is counted under its own name.
var (
	// ErrMalformed: the frame is not what the venue documents.
	ErrMalformed = errors.New("malformed frame")
	// ErrUnknownMessage: well-formed, but of a kind we do not know.
	ErrUnknownMessage = errors.New("unknown message")
	// ErrUnknownSymbol: data about a symbol nobody subscribed.
	ErrUnknownSymbol = errors.New("unknown symbol")
	// ErrNumberRange: a price or size that int64 cannot hold at any usable scale.
	ErrNumberRange = errors.New("number out of range")
)
