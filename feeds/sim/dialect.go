package sim

import (
	"net/url"
	"strconv"
	"time"

	"tickproc/tick"
)

// Dialect is how a venue speaks: wire formats, paths, the subscription
// dialogue and REST. It knows markets only through events and instruments, and
// sockets only through connections. Its methods run under the venue's lock and
// depend on their arguments alone: no clock, no random numbers. A dialect
// embeds Defaults and writes what its venue does otherwise.
type Dialect interface {
	// Profile is what the machine must know of the venue; it never changes.
	Profile() Profile
	// DefaultSymbols are the instruments of a venue when none are named.
	DefaultSymbols() []Symbol
	// Spec describes an instrument by its name. A name that is not in the
	// dialect's table becomes a plausible instrument that depends on the name
	// alone (see NameHash); the error says what names look like.
	Spec(name string) (Spec, error)

	// Open answers a websocket handshake on a path; ok is false where the venue
	// has no such path.
	Open(path string, query url.Values) (o Opening, ok bool)
	// Greet sends what the venue says first, and sets the connection's beat.
	Greet(c *Conn)
	// Request serves a client's text: it calls c.Subscribe and c.Unsubscribe,
	// answers by c.Send, and hands out the book by c.SendSnapshot, in the venue's
	// order.
	Request(c *Conn, text []byte)
	// TooFast befalls a client beyond Profile.Messages. The default ends it.
	TooFast(c *Conn)
	// Stream says what a stream's name means on a connection of a mode. ok is
	// false where the venue has no such stream, or keeps it silent.
	Stream(mode any, name string) (spec StreamSpec, ok bool)

	// Render appends what a stream says of an event: the same for all its
	// connections, called once an event. Nothing appended: nothing is sent.
	Render(dst []byte, s *Stream, e *Event) []byte
	// Wrap makes a connection's frame of a stream's text. Connections of one mode
	// share a frame, unless Profile.Numbered: then it is called for each, in the
	// order of sending and before any fault, so that c.NextNumber may be used.
	Wrap(dst []byte, c *Conn, s *Stream, body []byte) []byte
	// Snapshot appends the whole state of a stream, as sent on subscribing and by
	// FaultResnapshot, and returns the trades that it tells, by id. Nothing
	// appended: the stream has none.
	Snapshot(dst []byte, s *Stream) (body []byte, trades []Trade)
	// Quiet appends what a stream says after StreamSpec.QuietAfter of silence.
	Quiet(dst []byte, s *Stream) []byte
	// Beat is called every c.BeatEvery.
	Beat(c *Conn)
	// Restart resets what a stream counts and appends what the venue then tells;
	// only where Profile.RestartKeeps.
	Restart(dst []byte, s *Stream) []byte
	// Notice is what the venue says to a connection before it ends it; nil = nothing.
	Notice(c *Conn, n Notice) []byte
	// TradeID is a trade's id as the venue writes it.
	TradeID(in *Instrument, id int64) string

	// REST answers a GET.
	REST(m *Market, path string, query url.Values) Answer
	// RESTError is the body of an error that the venue's edge answers with, also
	// to a handshake.
	RESTError(status int) []byte
}

// Profile is a venue's rules and limits. Times are the venue's (virtual) time,
// except those of Messages and Connects, which clients keep by the wall clock.
type Profile struct {
	// DepthEvery is the usual distance of two depth messages.
	DepthEvery time.Duration
	// Resolution is the unit of the venue's event times; default 1 ms.
	Resolution time.Duration
	// Lag bounds how far the matching time lies before the send time.
	Lag time.Duration
	// IDHoles is how many update ids the venue may skip at once; 0 = contiguous.
	IDHoles int
	// OwnIDs: the dialect puts ids or times of its own on books and quotes, and
	// tells the truth of them by Stream.NoteBook and Stream.NoteQuote.
	OwnIDs bool
	// Numbered: frames carry something of the connection, so that no two
	// connections share one.
	Numbered bool
	// TradesTogether bounds the trades of one order in a message; default 1.
	TradesTogether int

	// PingEvery is how often the venue pings on the websocket, 0 = never, and
	// PongWithin when it gives up.
	PingEvery, PongWithin time.Duration
	// FirstWithin is when a connection without any stream is ended; 0 = never.
	FirstWithin time.Duration
	// IdleMax is when a connection on which neither side sent a text is ended;
	// 0 = never.
	IdleMax time.Duration
	// AgeMax is when the venue ends a connection in any case, 0 = never, and
	// AgeNotice how long before it says NoticeShutdown, 0 = it does not.
	AgeMax, AgeNotice time.Duration
	// RestartKeeps: sockets outlive a restart of the service, and streams tell it
	// by Dialect.Restart. Otherwise all are closed.
	RestartKeeps bool

	StreamsMax   int      // a connection; 0 = no limit
	RequestMax   int      // bytes of a client's message; default 64 KiB
	Messages     []Budget // of a connection's client
	Connects     []Budget // handshakes, from one address
	Weight       Budget   // of REST requests, by Answer.Weight; N 0 = no limit
	WeightHeader string   // names the header that tells the weight used; "" = none
	// TakesUnknown: streams that do not exist are taken, listed, and silent.
	TakesUnknown bool
	// TapMode is the mode of connections made by Exchange.Tap.
	TapMode any
}

// Budget is N in a period.
type Budget struct {
	N   int
	Per time.Duration
}

// Opening is how a connection begins.
type Opening struct {
	Mode    any      // comparable: how the connection speaks
	Streams []string // that the URL subscribes
}

// ChannelStatus is the channel of an instrument's state, listing, delisting
// and tick: a channel of venues, not of the product.
const ChannelStatus tick.Channels = 1 << 7

// channelBits is the number of channels by bit.
const channelBits = 8

// StreamSpec says what a stream is.
type StreamSpec struct {
	// Symbol that it is about; "" = all of the venue's.
	Symbol string
	// Channel that it brings to a client: what faults and the truth know it by. 0
	// for what is none of ours (candles).
	Channel tick.Channels
	// Hears are the channels whose events it renders; default Channel. A ticker
	// that is sent at trades has Channel quotes and Hears trades.
	Hears tick.Channels
	// Depth is the number of levels a side that the stream shows, 0 = the whole
	// book. Events and Stream.Book then hold those of the window, and what enters
	// it. Deletes: levels that leave it are deleted, too.
	Depth   int
	Deletes bool
	// QuietAfter is the silence after which Dialect.Quiet is asked; 0 = never.
	QuietAfter time.Duration
}

// Outcome is what became of a subscription.
type Outcome uint8

const (
	Subscribed    Outcome = iota
	Already               // the connection has it
	UnknownStream         // Dialect.Stream knows no such name
	UnknownSymbol         // the venue lists no such instrument
	TooMany               // Profile.StreamsMax
	Refused               // for reasons of the venue's
	RateLimited           // for now
)

// Notice is the occasion of something that the venue says to a connection.
type Notice uint8

const (
	NoticeShutdown    Notice = iota // the connection will be closed soon
	NoticeMaintenance               // the venue closes for a while
)

// Answer is a REST answer.
type Answer struct {
	Status int
	Weight int
	Body   []byte
	Symbol string // that was asked about: faults of a symbol befall it; "" = none
	Trades []Trade
}

// Defaults are the methods of a venue that does nothing unusual, for dialects
// to embed.
type Defaults struct{}

func (Defaults) Greet(*Conn)     {}
func (Defaults) TooFast(c *Conn) { c.Close() }
func (Defaults) Wrap(dst []byte, _ *Conn, _ *Stream, body []byte) []byte {
	return append(dst, body...)
}
func (Defaults) Snapshot(dst []byte, _ *Stream) ([]byte, []Trade) { return dst, nil }
func (Defaults) Quiet(dst []byte, _ *Stream) []byte               { return dst }
func (Defaults) Beat(*Conn)                                       {}
func (Defaults) Restart(dst []byte, _ *Stream) []byte             { return dst }
func (Defaults) Notice(*Conn, Notice) []byte                      { return nil }
func (Defaults) TradeID(_ *Instrument, id int64) string           { return strconv.FormatInt(id, 10) }
