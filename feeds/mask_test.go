package feeds

import "testing"

func TestMaskURL(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := maskURL(in); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
	f("wss://stream.binance.com:9443/stream?streams=btcusdt@depth@100ms/btcusdt@trade", "wss://stream.binance.com:9443/stream?streams=btcusdt@depth@100ms/btcusdt@trade")
	f("wss://h/ws?token=abc&connectId=1", "wss://h/ws?token=***&connectId=1")
	f("https://h/x?a=b&apiKey=K&signature=S&listenKey=L", "https://h/x?a=b&apiKey=***&signature=***&listenKey=***")
	f("https://me:secret@h/x?y=1", "https://***@h/x?y=1")
	f("https://h/a@b", "https://h/a@b")
	f("not a url", "not a url")
}

func TestMaskText(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := string(maskText([]byte(in))); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
	keep := func(in string) { t.Helper(); f(in, in) }
	keep(`{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}`)
	keep(`{"op": "subscribe", "args": [{"channel":"books","instId":"BTC-USDT"}]}`)
	keep(`{"event":"subscribe","channel":"candles","key":"trade:1m:tBTCUSD"}`)
	keep(`[{"ticket":"x"},{"type":"trade"}]`)
	keep("ping")
	f(`{"op":"auth","args":["key",166,"signature"]}`, `{"op":"auth","masked":"***"}`)
	f(`{"op":"login","args":[{"apiKey":"a","passphrase":"b"}]}`, `{"op":"login","masked":"***"}`)
	f(`{"method":"public/auth","params":{"client_secret":"x"}}`, `{"method":"public/auth","masked":"***"}`)
	f(`{"method":"subscribe","params":{"channel":"level3","token":"T","depth":10}}`, `{"method":"subscribe","params":{"channel":"level3","depth":10,"token":"***"}}`)
	f(`[{"a":{"JWT":"x"}}]`, `[{"a":{"JWT":"***"}}]`)
	f("no json but perhaps a token", "***")
}
