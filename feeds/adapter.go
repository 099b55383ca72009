// Package feeds brings venues' frames into the process as packets.
//
// An Adapter holds everything that is particular to a venue and does no I/O:
// it plans sockets, writes requests, and decodes frames and REST bodies into
// packets. A Feed does the sockets for any adapter: reading, stamping,
// pacing, pinging, reconnecting, and publishing to the shards' rings.
//
//	frame bytes ─► Decoder.Decode ─► packets ─► Output ─► ring of the instrument's shard
//	shard's commands ─► Feed.Resync, Feed.Backfill ─► REST worker ─► Adapter.DecodeREST ─► packets (a line of its own)
//
// Frame bytes belong to the connection until its next read; decoders copy
// what they keep. What the decoders of all venues do alike is in feeds/wire.
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
	// Channels are those that the venue has for some of its instruments.
	Channels() tick.Channels
	// Plan spreads subscriptions over sockets within the venue's limits; see
	// Spread.
	Plan(subscriptions []Subscription) []Connection
	// Subscribe writes the requests that ask for streams on a connection. The
	// first has the number first, the next first+1 …: numbers begin at 0 with each
	// socket, and count greetings and unsubscriptions too.
	Subscribe(c *Connection, streams []Subscription, first int) []SubscribeRequest
	// Unsubscribe writes those that end streams, likewise: a book that must be
	// had anew, where snapshots are in-band, is unsubscribed and subscribed again.
	Unsubscribe(c *Connection, streams []Subscription, first int) []SubscribeRequest
	// NewDecoder returns the decoder of one socket of a connection (or of a
	// capture, where connection is nil). It owns table from here on.
	NewDecoder(connection *Connection, table *Table) Decoder
	// SnapshotRequest asks for the whole book of an instrument; ok is false
	// where the venue sends snapshots in-band.
	SnapshotRequest(in *tick.Instrument) (r Request, ok bool)
	// Polls are what of the instrument's channels must be asked for again and
	// again; nil where all are streams.
	Polls(in *tick.Instrument) []Poll
	// Backfill says how to go on with fetching trades that were missed: by a
	// request, or, where the outcome is not tick.BackfillPending, not at all. It
	// depends on b alone.
	Backfill(b *Backfill) (r TradesRequest, outcome tick.Backfill)
	// Aggregates reads an answer to a request that says Aggregates: what it spans,
	// and how many of the ids from..to it proves to exist.
	Aggregates(body []byte, from, to uint64) (p Page, proven uint64, err error)
	// CatalogRequests ask for the venue's instruments; their answers are read
	// by ParseCatalog.
	CatalogRequests() []Request
	// ParseCatalog reads the answer to a catalog request: all instruments, with
	// their State, also those that cannot be traded now. ID, Channels are left zero.
	ParseCatalog(body []byte) ([]tick.Instrument, error)
	// VolumeRequests ask what was traded of each instrument in 24 hours; their
	// answers are read by ParseVolumes.
	VolumeRequests() []Request
	// ParseVolumes reads the answer to a volume request: by symbol what was
	// traded in 24 hours, in the quote asset or as near to it as the venue tells.
	// It serves to rank instruments, so that a float will do.
	ParseVolumes(body []byte) (map[string]float64, error)
	// Instrument describes a symbol without a catalog: Underlying is the venue
	// symbol and the digits are zero, to grow as numbers are observed.
	Instrument(symbol string) tick.Instrument
	// DecodeREST appends the packets of a REST answer (snapshots, polls, trades
	// that were missed: with FlagBackfill and FlagFetched, oldest first) to dst; epoch goes into a snapshot's PrevID. An answer that is none of the venue's market data
	// (the catalog, say) returns dst unchanged. url is the full request URL: a
	// capture's line has nothing else.
	DecodeREST(dst []tick.Unit, url string, body []byte, table *Table, at Stamp, epoch uint64) ([]tick.Unit, error)
	// Streams returns what a capture shows to be subscribed: the streams named
	// in a connection's URL ("open" line) or in a sent text, and the text's number
	// by which answers name it; nil if none, -1 if it has none.
	Streams(openURL string, sent []byte) (streams []Stream, request int)
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
	// Greetings are sent first, numbered from 0.
	Greetings []SubscribeRequest
	// Subscriptions are asked for after opening, by the adapter's Subscribe.
	Subscriptions []Subscription
	// Streams that the URL itself subscribes, live as soon as it is open.
	Streams []Subscription
}

// SubscribeRequest is one message and what it asks for.
type SubscribeRequest struct {
	Text    []byte
	Streams []Subscription
	// Answers is how many notices the venue gives for it: 0 = one for all of it,
	// n = one for each of n streams on the wire, -1 = none.
	Answers int
}

// Request is one REST call, always GET.
type Request struct {
	URL    string // with the venue's scheme and host
	Weight int    // of the venue's request budget
}

// Poll is a REST call that takes the place of a stream.
type Poll struct {
	Channel tick.Channels
	Request Request
	Every   time.Duration
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
	// PingAlways: we ping every PingEvery, also while data come.
	PingAlways bool
	// RequestsPerHour bounds the subscriptions and unsubscriptions of a socket.
	RequestsPerHour int
	// StreamsPerSocket is the venue's limit of streams on a socket;
	// InstrumentsPerSocket is how many we put on one, so that the loss of a socket
	// hurts few; SocketsMax is how many we open at the most before a socket gets
	// more than that.
	StreamsPerSocket, InstrumentsPerSocket, SocketsMax int
	// KeyHeader names the header of a key; "" = the venue needs none.
	KeyHeader string
	// WeightPerMinute is the budget of REST weights for this address.
	WeightPerMinute int
	// FrameLimit bounds a frame in bytes after inflation.
	FrameLimit int64
	// BodyLimit bounds a REST body in bytes.
	BodyLimit int64
	// ChecksumAlone: nothing else shows that a message of depth was lost, so that an
	// instrument whose checksum is not known must not have its depth.
	ChecksumAlone bool
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
	NoticeAck                  // the venue took request Request, or one stream of it
	NoticeRefused              // the venue refused request Request (-1 = unknown), or one stream of it: Code, Text
	NoticePong                 // an answer to our ping, or a heartbeat
	NoticeReconnect            // the venue will close this socket soon
	NoticeIgnored              // known, and of no interest
	// NoticeGap: the venue's count of the socket's frames jumps by Lost frames
	// before this one. It may come with packets.
	NoticeGap
	// NoticeMaintenance: the venue is not in full service, or is again: Text.
	NoticeMaintenance
	noticeSnapshot // a book came whole: the reader tells the talker
)

// Notice is what a control frame means. Zero for market data.
type Notice struct {
	Kind    NoticeKind
	Request int
	// Channel, where it is set, says that the notice is about this one stream of
	// Instrument; a Request of -1 is then found by it.
	Channel    tick.Channels
	Instrument uint32
	Lost       uint64
	Code       int
	Text       string
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
