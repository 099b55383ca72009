package feeds

import "testing"

func TestOverrideURL(t *testing.T) {
	f := func(venue, override, want string) {
		t.Helper()
		got, err := OverrideURL(venue, override)
		if err != nil || got != want {
			t.Errorf("%s over %s: %q, %v; want %q", override, venue, got, err, want)
		}
	}
	const streams = "wss://stream.binance.com:9443/stream?streams=btcusdt@depth@100ms/btcusdt@trade"
	f(streams, "", streams)
	f(streams, "ws://127.0.0.1:7001", "ws://127.0.0.1:7001/stream?streams=btcusdt@depth@100ms/btcusdt@trade")
	f(streams, "ws://127.0.0.1:7001/", "ws://127.0.0.1:7001/stream?streams=btcusdt@depth@100ms/btcusdt@trade")
	f(streams, "wss://proxy/binance/spot/", "wss://proxy/binance/spot/stream?streams=btcusdt@depth@100ms/btcusdt@trade")
	f("wss://x", "ws://[::1]:80", "ws://[::1]:80")
	f("wss://x?a=1", "ws://h/p", "ws://h/p/?a=1")
	f("https://api.binance.com/api/v3/depth?symbol=BTCUSDT", "http://127.0.0.1:7001", "http://127.0.0.1:7001/api/v3/depth?symbol=BTCUSDT")
	f("https://a/b", "http://h/with%2Fslash", "http://h/with%2Fslash/b")

	refused := func(venue, override string) {
		t.Helper()
		if got, err := OverrideURL(venue, override); err == nil {
			t.Errorf("%q taken: %q", override, got)
		}
	}
	refused(streams, "http://127.0.0.1")
	refused(streams, "127.0.0.1:7001")
	refused(streams, "localhost")
	refused(streams, "ws://")
	refused(streams, "ws://user:secret@host")
	refused(streams, "ws://host/?a=b")
	refused(streams, "ws://host:port")
	refused("https://a/b", "ws://host")
}
