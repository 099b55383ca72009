package tick

import (
	"testing"
	"unsafe"
)

// The layout is the log format: a change of these numbers breaks every log
// that was written before it.
func TestLayout(t *testing.T) {
	f := func(name string, got, want uintptr) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
	f("header", unsafe.Sizeof(Header{}), 32)
	f("trade", unsafe.Sizeof(Trade{}), 64)
	f("depth", unsafe.Sizeof(Depth{}), 64)
	f("mark", unsafe.Sizeof(Mark{}), 64)
	f("open interest", unsafe.Sizeof(OpenInterest{}), 64)
	f("order", unsafe.Sizeof(Order{}), 128)
	f("status", unsafe.Sizeof(Status{}), 64)
	f("rescale", unsafe.Sizeof(Rescale{}), 64)
	f("event", unsafe.Sizeof(ChannelEvent{}), 64)
	f("event lost", unsafe.Offsetof(ChannelEvent{}.Lost), 40)
	f("event heard", unsafe.Offsetof(ChannelEvent{}.HeardNanos), 48)
	f("clock step", unsafe.Sizeof(ClockStep{}), 64)
	f("barrier", unsafe.Sizeof(Barrier{}), 64)
	f("config", unsafe.Sizeof(Config{}), 64)
	f("catalog", unsafe.Sizeof(Catalog{}), 320)
	f("row header", unsafe.Sizeof(RowHeader{}), 32)
	f("trade row", unsafe.Sizeof(TradeRow{}), 64)
	f("quote row", unsafe.Sizeof(QuoteRow{}), 128)
	f("book row", unsafe.Sizeof(BookRow{}), 64)
	f("bar row", unsafe.Sizeof(BarRow{}), 192)
	f("window row", unsafe.Sizeof(WindowRow{}), 128)
	f("gap row", unsafe.Sizeof(GapRow{}), 64)
	f("health row", unsafe.Sizeof(HealthRow{}), 192)
	f("funding row", unsafe.Sizeof(FundingRow{}), 128)
	f("open interest row", unsafe.Sizeof(OpenInterestRow{}), 64)
	f("status row", unsafe.Sizeof(StatusRow{}), 64)
	f("nbbo row", unsafe.Sizeof(NbboRow{}), 128)
	f("position row", unsafe.Sizeof(PositionRow{}), 64)
	f("position row's position", unsafe.Offsetof(PositionRow{}.Position), 32)
	f("position row's shard", unsafe.Offsetof(PositionRow{}.Shard), 48)
	f("validity row", unsafe.Sizeof(ValidityRow{}), 64)
	f("resync", unsafe.Sizeof(Resync{}), 64)
	f("backfill command", unsafe.Sizeof(BackfillCommand{}), 64)
	f("backfill end", unsafe.Sizeof(BackfillEnd{}), 64)
	f("backfill end outcome", unsafe.Offsetof(BackfillEnd{}.Outcome), 56)
	f("gap row backfill", unsafe.Offsetof(GapRow{}.Backfill), 50)
	f("trade id", unsafe.Offsetof(Trade{}.ID), 32)
	f("trade price", unsafe.Offsetof(Trade{}.Price), 48)
	f("depth first", unsafe.Offsetof(Depth{}.FirstID), 32)
	f("depth prev", unsafe.Offsetof(Depth{}.PrevID), 48)
	f("depth checksum", unsafe.Offsetof(Depth{}.Checksum), 56)
	f("depth bids", unsafe.Offsetof(Depth{}.Bids), 60)
	f("depth levels", unsafe.Offsetof(Depth{}.LevelCount), 62)
}
