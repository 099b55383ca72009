package questdb

import (
	"reflect"
	"testing"
)

func TestSpansComeBack(t *testing.T) {
	t.Parallel()
	f := func(spans []span) {
		t.Helper()
		got, err := decodeSpans(encodeSpans(nil, spans))
		if err != nil || !reflect.DeepEqual(got, spans) {
			t.Errorf("%+v is read as %+v, %v", spans, got, err)
		}
	}
	f(nil)
	f([]span{{"binance-spot", "BTCUSDT", 1, start, start}})
	f([]span{{"binance-spot", "BTCUSDT", 1 << 40, start, start + 9}, {"binance-spot", "ETHUSDT", 2, start - 5, start}, {"okx", "", 3, 1, 2},
		{"binance-spot", "x", 1, -1 << 62, 1 << 62}})
	// Two thousand instruments of a venue cost little.
	var many []span
	for i := range 2000 {
		many = append(many, span{"binance-spot", "SYMBOL" + string(rune('A'+i%26)), 3, start + int64(i)*1e6, start + int64(i)*1e6 + 99e6})
	}
	if n := len(encodeSpans(nil, many)); n > 2000*22 {
		t.Errorf("%d bytes", n)
	}
}

func FuzzSpans(f *testing.F) {
	f.Add(encodeSpans(nil, []span{{"v", "s", 1, 2, 3}, {"v", "t", 1, 2, 3}}))
	f.Add([]byte{255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		spans, err := decodeSpans(b)
		if err != nil {
			return
		}
		again, err := decodeSpans(encodeSpans(nil, spans))
		if err != nil || !reflect.DeepEqual(again, spans) {
			t.Errorf("%+v is read as %+v, %v", spans, again, err)
		}
	})
}
