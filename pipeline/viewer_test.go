package pipeline

import (
	"slices"
	"testing"
	"time"

	"tickproc/engine"
	"tickproc/internal/clock"
	"tickproc/ops"
	"tickproc/tick"
)

// publish shows an image of an instrument as its shard would.
func (s *system) publish(image engine.Image) {
	message := make([]tick.Unit, engine.ImageUnits)
	*engine.ImageOf(message) = image
	s.drivers[s.routes.Shard(image.Instrument)].Images.Publish(message)
	s.status.read()
}

// A view shows what changed since the one before: rates, latencies; and what
// stands: book, last bar, lag.
func TestViewOfASystem(t *testing.T) {
	t.Parallel()
	config := DefaultConfig()
	config.Shards = 2
	last := &lastRows{}
	s := newSystem(config, textLogger(t.Output()), last)
	feed := &venueFeed{venue: "binance-spot"}
	in := s.addInstrument(tick.Instrument{Venue: "binance-spot", Symbol: "BTCUSDT", Underlying: "BTC", Base: "BTC", Quote: "USDT", Type: tick.TypeSpot}, feed)
	s.addInstrument(tick.Instrument{Venue: "binance-spot", Symbol: "ETHUSDT", Underlying: "ETH"}, feed)
	v := newViewer(s, last, nil)

	first := v.view()
	if len(first.Instruments) != 2 || len(first.Stages) != 1 {
		t.Fatalf("%+v", first)
	}
	if l := first.Instruments[0]; l.PerSecond != 0 || l.Bid != "-" || l.Ask != "-" || l.LastBar != "-" || l.Book == "valid" {
		t.Errorf("before anything came: %+v", l)
	}

	image := engine.Image{Instrument: in.ID, Valid: true, PriceDigits: 2, Bid: tick.Level{Price: 6180001, Size: 5}, Ask: tick.Level{Price: 6180002, Size: 7},
		Depth: 100, Quotes: 200, Trades: 300, Gaps: 4, OffsetNanos: -int64(3 * time.Millisecond)}
	s.publish(image)
	s.writer.Stats.SinkNanos.Observe(1000, 1)
	s.writer.Stats.SinkNanos.Observe(2000, 3)
	rows, u := tick.NewRow(nil, tick.RowBar)
	*u.BarRow() = tick.BarRow{RowHeader: tick.RowHeader{Kind: tick.RowBar, TsNanos: 1, PriceDigits: 2, SizeDigits: 1}, IntervalNanos: int64(time.Second),
		Open: 100, High: 250, Low: 50, Close: 200, Volume: tick.Int128Of(15)}
	longer, u := tick.NewRow(nil, tick.RowBar)
	*u.BarRow() = tick.BarRow{RowHeader: tick.RowHeader{Kind: tick.RowBar, TsNanos: 2}, IntervalNanos: int64(time.Minute)}
	nbbo, u := tick.NewRow(nil, tick.RowNbbo)
	*u.NbboRow() = tick.NbboRow{RowHeader: tick.RowHeader{Kind: tick.RowNbbo, Flags: tick.RowCrossed, Instrument: in.ID},
		Bid: 6180001000, BidSize: 1, BidDigits: 5, BidInstrument: in.ID, Venues: 2}
	last.Write(slices.Concat(rows, longer, nbbo))
	v.at = clock.Nanos() - int64(2*time.Second)
	second := v.view()
	l := second.Instruments[0]
	if l.PerSecond < 200 || l.PerSecond > 300 { // 600 in 2 s, and in what the test took
		t.Errorf("%v messages a second", l.PerSecond)
	}
	l.PerSecond = 0
	want := ops.InstrumentLine{Venue: "binance-spot", Symbol: "BTCUSDT", Book: "valid", Bid: "61800.01", Ask: "61800.02",
		LastBar: "1.00 2.50 0.50 2.00 1.5", Lag: 3 * time.Millisecond, Gaps: 4}
	if l != want {
		t.Errorf("%+v, want %+v", l, want)
	}
	if best := second.Nbbo; len(best) != 1 || best[0] != (ops.NbboLine{Pair: "BTC-USDT", Type: "spot", Bid: "61800.01", BidVenue: "binance-spot", Venues: 2, Crossed: true}) {
		t.Errorf("%+v", best)
	}
	if st := second.Stages[0]; st.Count != 4 || st.P50 < 1000 || st.Max < 2000 {
		t.Errorf("%+v", st)
	}

	// Nothing more came.
	third := v.view()
	if third.Instruments[0].PerSecond != 0 || third.Stages[0].Count != 0 {
		t.Errorf("%+v %+v", third.Instruments[0], third.Stages[0])
	}
	image.Valid, image.Reason = false, tick.ReasonSequence
	s.publish(image)
	if l := v.view().Instruments[0]; l.Book != "sequence" {
		t.Errorf("%+v", l)
	}
}
