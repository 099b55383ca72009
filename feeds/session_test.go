package feeds

import (
	"testing"

	"tickproc/tick"
)

// changes renders ups and downs.
func changes(units []tick.Unit) (all []string) {
	for i := range units {
		all = append(all, packetText(units[i:i+1]))
	}
	return all
}

func TestStreamsOfTheURLAreUpWhenOpen(t *testing.T) {
	s, _ := newSession(&Connection{Streams: subscriptions("A", "B")})
	same(t, changes(s.opened(nil, Stamp{Line: 3, Ordinal: 5})),
		"3.5 up 0 trades", "3.5 up 0 quotes", "3.5 up 0 depth", "3.5 up 1 trades", "3.5 up 1 quotes", "3.5 up 1 depth")
}

func TestAckedStreamsAreUpOnceAndDownAtTheEnd(t *testing.T) {
	subs := subscriptions("A", "B")
	subs[0].Channels = tick.ChannelTrades
	subs[1].Channels = tick.ChannelDepth
	s, stats := newSession(&Connection{Subscriptions: subs})
	at := Stamp{}
	same(t, changes(s.opened(nil, at)))
	same(t, changes(s.acked(nil, subs[1:], at)), "0.0 up 1 depth")
	same(t, changes(s.acked(nil, subs[1:], at)))
	same(t, changes(s.acked(nil, subscriptions("X", "Y", "Z")[2:], at)))
	if stats[1].Up.Load() != 1 || stats[0].Up.Load() != 0 {
		t.Error("stats do not say what is up")
	}
	same(t, changes(s.refused(nil, subs[:1], at)), "0.0 down 0 trades refused")
	same(t, changes(s.refused(nil, nil, at)))
	// Only what was up goes down.
	same(t, changes(s.ended(nil, tick.ReasonDisconnect, at, 0)), "0.0 down 1 depth disconnect")
	same(t, changes(s.ended(nil, tick.ReasonDisconnect, at, 0)))
	// The next socket starts over.
	same(t, changes(s.acked(nil, subs[:1], at)), "0.0 up 0 trades")
}

func TestDataProveAStreamBeforeItsAck(t *testing.T) {
	s, stats := newSession(&Connection{Subscriptions: subscriptions("A", "B", "C")})
	data := append(packet(tick.KindDepth, 2, 9, 5), packet(tick.KindTrade, 1, 9, 0)...)
	at := Stamp{Ordinal: 9, ReceiveNanos: 77}
	same(t, changes(s.seen(nil, data, at)), "0.9 up 2 depth", "0.9 up 1 trades")
	same(t, changes(s.seen(nil, data, at)))
	for i := range stats {
		st := &stats[i]
		want := int64(0)
		if st.Instrument == 2 && st.Channel == tick.ChannelDepth || st.Instrument == 1 && st.Channel == tick.ChannelTrades {
			want = 77
		}
		if st.LastNanos.Load() != want {
			t.Errorf("%d %v: last seen %d", st.Instrument, st.Channel, st.LastNanos.Load())
		}
	}
	if got := len(s.acked(nil, subscriptions("A", "B", "C"), at)); got != 7 {
		t.Errorf("the ack raised %d more streams", got)
	}
	// Packets of instruments beyond the connection are nobody's stream.
	same(t, changes(s.seen(nil, packet(tick.KindTrade, 1000, 9, 0), at)))
	zeroAllocs(t, func() { s.seen(nil, data, at) })
}
