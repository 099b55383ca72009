package shm

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tickproc/book"
	"tickproc/internal/clock"
	"tickproc/tick"
	"tickproc/writer/shm/reader"
)

// folder is one in memory, for as long as the test.
func folder(t testing.TB) string {
	t.Helper()
	root := "/dev/shm"
	if _, err := os.Stat(root); err != nil {
		root = t.TempDir()
	}
	dir, err := os.MkdirTemp(root, "tickproc-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "shm")
}

// small is a writer whose ring is soon written round. Its clock is an hour ahead,
// so that no reader takes a busy machine for a writer that died.
func small(t testing.TB, o Options) *Writer {
	t.Helper()
	if o.Dir == "" {
		o.Dir = folder(t)
	}
	if o.RingBytes == 0 {
		o.RingBytes = 1
	}
	if o.Instruments == 0 {
		o.Instruments = 8
	}
	o.Now = func() int64 { return clock.Nanos() + int64(time.Hour) }
	w, err := Create(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if w.mapped != nil {
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return w
}

func open(t testing.TB, dir string) *reader.Reader {
	t.Helper()
	r, err := reader.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// seeded is a random source whose seed is told when the test fails.
func seeded(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

func btc() tick.Instrument {
	return tick.Instrument{ID: 3, Venue: "binance-spot", Symbol: "BTCUSDT", Underlying: "BTC", Base: "BTC", Quote: "USDT", PriceDigits: 2, SizeDigits: 5,
		Tick: tick.Number{Mantissa: 1, Digits: 2}, Lot: tick.Number{Mantissa: 1, Digits: 5}, ContractSize: tick.Number{Mantissa: 1},
		Channels: tick.ChannelTrades | tick.ChannelQuotes | tick.ChannelDepth, State: tick.StateTrading, Sync: tick.SyncRule{Truncate: 500}}
}

func catalogOf(t testing.TB, in tick.Instrument) []tick.Unit {
	t.Helper()
	p, err := tick.AppendCatalog(nil, tick.Header{ReceiveNanos: 77}, in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func sides(bids, asks []tick.Level) (b, a *book.Side) {
	x, y := book.NewSide(true), book.NewSide(false)
	for _, l := range bids {
		x.Set(l.Price, l.Size)
	}
	for _, l := range asks {
		y.Set(l.Price, l.Size)
	}
	return &x, &y
}

func trade(instrument uint32, n uint64) []tick.Unit {
	rows, u := tick.NewRow(nil, tick.RowTrade)
	x := u.TradeRow()
	x.Instrument, x.TsNanos, x.ReceiveNanos = instrument, int64(1000+n), int64(2000+n)
	x.PriceDigits, x.SizeDigits = 2, 5
	x.Price, x.Size, x.ID = int64(n*3), int64(n*5), tick.ID{Lo: n, Hi: ^n}
	return rows
}

func depth(instrument uint32, seq uint64, bids, asks []tick.Level) []tick.Unit {
	levels := append(append([]tick.Level(nil), bids...), asks...)
	_, p := tick.AppendUnits(nil, tick.DepthUnits(len(levels)))
	x := p[0].BookRow()
	x.Kind, x.Instrument, x.Seq, x.Bids, x.LevelCount = tick.RowDepth, instrument, seq, uint16(len(bids)), uint16(len(levels))
	x.PriceDigits, x.SizeDigits = 2, 5
	copy(tick.RowLevels(p), levels)
	return p
}

// rounds is how often something is tried: the race detector takes its time.
func rounds(n uint64) uint64 {
	if raceEnabled {
		return n / 8
	}
	return n
}
