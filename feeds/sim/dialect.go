package sim

import (
	"net/url"
	"time"

	"tickproc/tick"
)

// dialect is how a venue speaks: wire formats, paths, the subscription
// dialogue and REST. It knows markets only through events and symbols, and
// sockets only through clients. Its methods run under the venue's lock.
type dialect interface {
	// depthEvery is the usual distance of two depth messages.
	depthEvery() time.Duration
	// pingEvery is how often the venue pings, pongWithin when it gives up.
	pingEvery() time.Duration
	pongWithin() time.Duration
	// idHoles is how many update ids the venue may skip at once; 0 = contiguous.
	idHoles() int
	// lagMs bounds how far the matching time lies before the send time; at least 1.
	lagMs() int64
	// messagesPerSecond bounds what a client may send before it is cut off.
	messagesPerSecond() int
	// weightPerMinute is the budget of request weights.
	weightPerMinute() int

	// open answers a websocket handshake on a path: how the socket speaks, and
	// what the URL subscribes. ok is false where the venue has no such path.
	open(path string, query url.Values) (mode socketMode, streams []string, ok bool)
	// stream says what a stream's name means on a socket; ok is false for a
	// stream that is taken but stays silent there.
	stream(mode socketMode, name string) (symbol string, channel tick.Channels, ok bool)
	// request answers a client's text and changes its subscriptions.
	request(v *venue, c *client, text []byte) (reply []byte)
	// appendEvent renders an event, appendFrame puts it into a stream's frame.
	appendEvent(dst []byte, e *event) []byte
	appendFrame(dst []byte, mode socketMode, stream string, body []byte) []byte
	// shutdown announces that the venue will close the socket.
	shutdown(ms int64) []byte
	// rest answers a GET.
	rest(v *venue, path string, query url.Values) answer
	// restError is the body of an error that the venue's edge answers with.
	restError(status int) []byte
	// weightHeader names the header that tells the weight used this minute.
	weightHeader() string
}

// socketMode is how one socket speaks.
type socketMode struct {
	combined bool   // frames name their stream
	tier     string // first element of the path where the venue splits its streams
}

// answer is a REST answer.
type answer struct {
	status int
	weight int
	body   []byte
}

// Venues that the simulator speaks for.
const (
	BinanceSpot  = "binance-spot"
	BinanceUSDM  = "binance-usdm"
	BinanceCOINM = "binance-coinm"
)

// VenueNames lists the venues that the simulator speaks for.
func VenueNames() []string { return []string{BinanceSpot, BinanceUSDM, BinanceCOINM} }

// dialectOf returns a venue's dialect, nil for an unknown venue.
func dialectOf(venue string) dialect {
	switch venue {
	case BinanceSpot, BinanceUSDM, BinanceCOINM:
		return &binance{venue: venue}
	}
	return nil
}
