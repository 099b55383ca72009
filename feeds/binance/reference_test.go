package binance

import (
	"log/slog"
	"strings"
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

const (
	usdmMark   = `{"stream":"btcusdt@markPrice@1s","data":{"e":"markPriceUpdate","E":1723161256000,"s":"BTCUSDT","p":"61800.12345678","ap":"61799.5","P":"61790.1","i":"61812.5","r":"0.00010000","T":1723190400000}}`
	coinmMark  = `{"e":"markPriceUpdate","E":1723161256000,"s":"BTCUSDT","p":"61800.1","P":"61790.1","r":"","T":0}`
	usdmForced = `{"e":"forceOrder","E":1723161256893,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.014","p":"61700.5","ap":"61710","X":"FILLED","l":"0.014","z":"0.014","T":1723161256890}}`
	interestAt = "https://fapi.binance.com/fapi/v1/openInterest?symbol=BTCUSDT"
)

func TestMarkPrice(t *testing.T) {
	f := func(venue, frame string, want tick.Mark) {
		t.Helper()
		b := newBench(t, venue, 2, 3)
		if got := *b.decode(frame)[0].Mark(); got != want {
			t.Errorf("%s\ngot  %+v\nwant %+v", frame, got, want)
		}
		// Reference prices are finer than the instrument's and leave its scale alone.
		if b.entry.PriceDigits != 2 {
			t.Errorf("the scale became %d digits", b.entry.PriceDigits)
		}
	}
	f("binance-usdm", usdmMark, tick.Mark{Header: header(tick.KindMark, 0, 1723161256000e6), Mark: 6180012345678, Index: 6181250000000,
		FundingRate: 1, NextFundingSeconds: 1723190400, PriceDigits: 8, RateDigits: 4})
	f("binance-coinm", coinmMark, tick.Mark{Header: header(tick.KindMark, 0, 1723161256000e6), Mark: 618001, Index: tick.Absent,
		FundingRate: tick.Absent, PriceDigits: 1})
}

func TestLiquidation(t *testing.T) {
	b := newBench(t, "binance-usdm", 2, 3)
	want := tick.Trade{Header: header(tick.KindLiquidation, tick.FlagSell, 1723161256890e6), Price: 6170050, Size: 14}
	if got := *b.decode(usdmForced)[0].Trade(); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, broken := range []string{
		strings.Replace(usdmForced, `"SELL"`, `"HOLD"`, 1), strings.Replace(usdmForced, `"p":"61700.5",`, "", 1),
		strings.Replace(usdmForced, `"61700.5"`, `"0"`, 1), `{"e":"forceOrder","E":1,"o":7}`,
	} {
		b.refused(broken, feeds.ErrMalformed)
	}
	b.refused(strings.Replace(usdmForced, "BTCUSDT", "XYZUSDT", 1), feeds.ErrUnknownSymbol)
}

func TestOpenInterest(t *testing.T) {
	b := newBench(t, "binance-usdm", 2, 3)
	got, err := b.adapter.DecodeREST(nil, interestAt, []byte(`{"openInterest":"10659.509","symbol":"BTCUSDT","time":1589437530011}`), b.table, stamp, 0)
	if err != nil || len(got) != 1 {
		t.Fatalf("%d units, %v", len(got), err)
	}
	want := tick.OpenInterest{Header: header(tick.KindOpenInterest, 0, 1589437530011e6), Size: 10659509, SizeDigits: 3}
	if *got[0].OpenInterest() != want {
		t.Errorf("got  %+v\nwant %+v", *got[0].OpenInterest(), want)
	}
	for _, broken := range []string{`{"code":-1121,"msg":"Invalid symbol."}`, `{"symbol":"BTCUSDT"}`, `{"openInterest":"-1","symbol":"BTCUSDT"}`, "<html>"} {
		if got, err := b.adapter.DecodeREST(nil, interestAt, []byte(broken), b.table, stamp, 0); err == nil || len(got) != 0 {
			t.Errorf("%s: %d units, %v", broken, len(got), err)
		}
	}
	in := b.adapter.Instrument("BTCUSDT")
	if polls := b.adapter.Polls(&in); len(polls) != 1 || polls[0].Request.URL != interestAt || polls[0].Channel != tick.ChannelOpenInterest {
		t.Errorf("polls %+v", polls)
	}
	spot, _ := New("binance-spot")
	if spot.Polls(&in) != nil || spot.Channels() != tick.ChannelTrades|tick.ChannelQuotes|tick.ChannelDepth {
		t.Error("spot has no open interest")
	}
}

// USD-M's reference prices come by an address of their own.
func TestPlanOfReferences(t *testing.T) {
	a, _ := New("binance-usdm")
	in := a.Instrument("BTCUSDT")
	plan := a.Plan([]feeds.Subscription{{Instrument: &in, Channels: a.Channels()}})
	if len(plan) != 2 || plan[0].Name != "public-0" || plan[1].Name != "market-0" {
		t.Fatalf("plan %+v", plan)
	}
	texts := a.Subscribe(&plan[1], plan[1].Subscriptions, 0)
	if want := `{"method":"SUBSCRIBE","params":["btcusdt@markPrice@1s","btcusdt@forceOrder"],"id":1}`; len(texts) != 1 || string(texts[0].Text) != want {
		t.Errorf("%s, want %s", texts[0].Text, want)
	}
}

// A field that the documents do not have is told once; those of messages that
// are not read are nobody's business.
func TestUnknownFieldsAreTold(t *testing.T) {
	var told strings.Builder
	b := newBench(t, "binance-usdm", 2, 3)
	b.table.Canary = feeds.NewCanary(slog.New(slog.NewTextHandler(&told, nil)))
	for _, frame := range []string{usdmTrade, usdmQuote, usdmDepth, usdmMark, usdmForced, spotTrade, spotQuote} {
		b.decode(frame)
	}
	b.noticed(`{"e":"kline","E":1,"s":"XUSDT","zz":1}`, feeds.Notice{Kind: feeds.NoticeIgnored})
	if told.Len() != 0 {
		t.Fatalf("documented fields are told: %s", told.String())
	}
	for range 3 {
		b.decode(strings.Replace(usdmTrade, `"E":`, `"yy":[1,{"a":2}],"E":`, 1))
	}
	if n := strings.Count(told.String(), "trade.yy"); n != 1 {
		t.Errorf("told %d times: %s", n, told.String())
	}
}

func TestParseVolumes(t *testing.T) {
	body := []byte(`[{"symbol":"A","volume":"10","quoteVolume":"250.5"},{"symbol":"B","volume":"7","quoteVolume":"3"}]`)
	spot, _ := New("binance-spot")
	coinm, _ := New("binance-coinm")
	if v, err := spot.ParseVolumes(body); err != nil || v["A"] != 250.5 || v["B"] != 3 {
		t.Errorf("%v %v", v, err)
	}
	if v, err := coinm.ParseVolumes(body); err != nil || v["A"] != 10 {
		t.Errorf("%v %v", v, err)
	}
	if _, err := spot.ParseVolumes([]byte(`{"code":-1003}`)); err == nil {
		t.Error("an error is no volume")
	}
}
