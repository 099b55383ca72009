package kraken

import (
	"slices"
	"strings"
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 8)
	f := b.noticed
	// Symbol by symbol, for the request and its channel.
	f(ack, feeds.Notice{Kind: feeds.NoticeAck, Request: 2, Channel: tick.ChannelDepth, Instrument: 7})
	f(strings.NewReplacer("BTC/USD", `ETH\/USD`, `"book"`, `"trade"`, "33", "51").Replace(ack), feeds.Notice{Kind: feeds.NoticeAck, Request: 4, Channel: tick.ChannelTrades, Instrument: 8})
	f(`{"method":"subscribe","result":{"channel":"ticker","event_trigger":"bbo","snapshot":true,"symbol":"BTC/USD"},"success":true,"req_id":22}`, feeds.Notice{Kind: feeds.NoticeAck, Request: 1, Channel: tick.ChannelQuotes, Instrument: 7})
	// Of our greeting, which is about no symbol.
	f(`{"method":"subscribe","req_id":10,"result":{"channel":"instrument","snapshot":false},"success":true,"time_in":"2023-09-26T16:49:20.962586Z","time_out":"2023-09-26T16:49:20.962630Z"}`, feeds.Notice{Kind: feeds.NoticeAck})
	// An answer without a number is found by its stream.
	f(strings.Replace(ack, `,"req_id":33`, "", 1), feeds.Notice{Kind: feeds.NoticeAck, Request: -1, Channel: tick.ChannelDepth, Instrument: 7})
	// A stream that nobody asked for settles nothing.
	f(strings.Replace(ack, "BTC/USD", "SOL/USD", 1), feeds.Notice{Kind: feeds.NoticeIgnored})

	// A refusal names the symbol; the channel is in the number.
	text := "Currency pair not supported BTC/USD"
	f(refusal, feeds.Notice{Kind: feeds.NoticeRefused, Request: 2, Channel: tick.ChannelDepth, Instrument: 7, Text: text})
	f(strings.Replace(refusal, "33", "121", 1), feeds.Notice{Kind: feeds.NoticeRefused, Request: 11, Channel: tick.ChannelTrades, Instrument: 7, Text: text})
	f(`{"method":"subscribe","result":{"channel":"ticker","symbol":"ETH/USD"},"success":false,"error":"Currency pair not supported"}`, feeds.Notice{Kind: feeds.NoticeRefused, Request: -1, Channel: tick.ChannelQuotes, Instrument: 8, Text: "Currency pair not supported"})
	// Of a request as a whole, or of none.
	f(`{"error":"Subscription depth not supported","method":"subscribe","success":false,"req_id":23}`, feeds.Notice{Kind: feeds.NoticeRefused, Request: 1, Text: "Subscription depth not supported"})
	f(`{"error":"Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com","method":"subscribe","success":false}`, feeds.Notice{Kind: feeds.NoticeRefused, Request: -1, Text: "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com"})
	f(`{"channel":"executions","error":"ESession:Invalid session","method":"subscribe","status":"error","success":false}`, feeds.Notice{Kind: feeds.NoticeRefused, Request: -1, Text: "ESession:Invalid session"})
	f(`{"error":"Malformed \"request\"","success":false}`, feeds.Notice{Kind: feeds.NoticeRefused, Request: -1, Text: `Malformed "request"`})
	f(`{"error":"`+strings.Repeat("é", 1000)+`"}`, feeds.Notice{Kind: feeds.NoticeRefused, Request: -1, Text: strings.Repeat("é", 128)})
	f(strings.Replace(refusal, "33", "7", 1), feeds.Notice{Kind: feeds.NoticeRefused, Request: -1, Text: text})
	// What is delivered already is as good as taken.
	f(strings.Replace(refusal, text, "Already subscribed", 1), feeds.Notice{Kind: feeds.NoticeAck, Request: 2, Channel: tick.ChannelDepth, Instrument: 7})

	f(`{"method":"unsubscribe","result":{"channel":"book","depth":1000,"symbol":"BTC/USD"},"success":true,"req_id":43}`, feeds.Notice{Kind: feeds.NoticeAck, Request: 3})
	f(`{"error":"Subscription Not Found","method":"unsubscribe","success":false,"symbol":"BTC/USD","req_id":43}`, feeds.Notice{Kind: feeds.NoticeAck, Request: 3})

	pong := feeds.Notice{Kind: feeds.NoticePong}
	f(`{"method":"pong","time_in":"2023-09-25T09:05:00.123456Z","time_out":"2023-09-25T09:05:00.123500Z"}`, pong)
	f(`{"channel":"heartbeat"}`, pong)
	f(`{"channel":"ohlc","type":"update","timestamp":"2026-09-25T17:48:26.844359566Z","data":[{"symbol":"BTC/USD","open":83729.5}]}`, feeds.Notice{Kind: feeds.NoticeIgnored})
}

// The venue tells of its service with each connection; it is said when it is
// out of the ordinary, and when it changes.
func TestService(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 8)
	status := func(system, more string) string {
		return `{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"` + system + `","api_version":"v2","connection_id":18125794168470749634` + more + `}]}`
	}
	ignored := feeds.Notice{Kind: feeds.NoticeIgnored}
	said := func(text string) feeds.Notice { return feeds.Notice{Kind: feeds.NoticeMaintenance, Text: text} }
	b.noticed(status("online", ""), ignored)
	b.noticed(status("online", `,"upcoming_maintenance":[],"emergency":[]`), ignored)
	b.noticed(status("maintenance", ""), said("maintenance"))
	b.noticed(status("maintenance", ""), ignored)
	b.noticed(status("cancel_only", ""), said("cancel_only"))
	b.noticed(status("post_only", ""), said("post_only"))
	b.noticed(status("online", ""), said("online"))
	b.noticed(status("online", ""), ignored)
	planned := `,"upcoming_maintenance":[{"affected_services":["spot_ws"],"expected_end_utc":"2026-10-05T10:00:00.000000Z","expected_start_utc":"2026-10-05T09:00:00.000000Z","phase":"announced","time_to_start_s":129689,"title":"Order Entry System Maintenance"}],"emergency":[]`
	text := "online; announced: Order Entry System Maintenance 2026-10-05T09:00:00.000000Z to 2026-10-05T10:00:00.000000Z"
	b.noticed(status("online", planned), said(text))
	b.noticed(status("online", strings.Replace(planned, "129689", "129000", 1)), ignored)
	b.noticed(status("online", `,"emergency":["all hands"]`), said(`online; emergency: "all hands"`))
	b.noticed(status(strings.Repeat("x", 10_000), ""), said(strings.Repeat("x", 256)))
}

// The instrument channel tells of the states of all pairs: ours become
// packets.
func TestPairStates(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 8)
	pair := func(symbol, status string) string {
		return `{"symbol":"` + symbol + `","base":"BTC","quote":"USD","status":"` + status + `","qty_precision":8,"qty_increment":0.00000001,"price_precision":1,"cost_precision":5,"marginable":true,"has_index":true,"cost_min":0.5,"margin_initial":0.1,"position_limit_long":250,"position_limit_short":200,"tick_size":0.1,"price_increment":0.1,"qty_min":0.0001}`
	}
	frame := func(pairs ...string) string {
		return `{"channel":"instrument","type":"update","data":{"assets":[{"id":"BTC","status":"enabled"}],"pairs":[` + strings.Join(pairs, ",") + `]}}`
	}
	for status, want := range map[string]tick.State{"online": tick.StateTrading, "cancel_only": tick.StateRestricted, "post_only": tick.StateRestricted, "limit_only": tick.StateRestricted, "reduce_only": tick.StateRestricted,
		"maintenance": tick.StateHalted, "work_in_progress": tick.StatePreOpen, "delisted": tick.StateDelisted, "new": tick.StateUnknown} {
		got := b.decode(frame(pair("SOL/USD", "online"), pair(`BTC\/USD`, status)))
		want := tick.Status{Header: header(tick.KindStatus, 0, 0), State: want}
		if len(got) != 1 || *got[0].Status() != want {
			t.Errorf("%s: %+v", status, *got[0].Status())
		}
	}
	both := b.decode(frame(pair("ETH/USD", "online"), pair("BTC/USD", "online")))
	if got := []uint32{both[0].Header().Instrument, both[1].Header().Instrument}; !slices.Equal(got, []uint32{8, 7}) {
		t.Errorf("instruments %v", got)
	}
	for _, f := range []string{frame(), frame(pair("SOL/USD", "online")), `{"channel":"instrument","type":"update","data":{}}`, frame(`{"symbol":"BTC/USD"}`), frame("5")} {
		b.noticed(f, feeds.Notice{Kind: feeds.NoticeIgnored})
	}
	b.refused(frame(strings.Replace(pair("BTC/USD", "online"), `"status"`, `"status":"x","status"`, 1)), feeds.ErrMalformed)
}
