package bench

import (
	"path/filepath"
	"sync"
	"testing"

	"tickproc/feeds/binance"
	"tickproc/internal/testdata"
)

// source is where a session comes from. It is made once, when first asked for.
type source struct {
	name, venue string
	file        string // of a recorded session; "" = generated
	once        sync.Once
	session     *Session
	err         error
}

// Recorded sessions have one symbol each; the generated one has five, and
// stands in where there are no recordings.
var sources = []*source{
	{name: "spot", venue: "binance-spot", file: "binance-spot-btcusdt-20240808.gz"},
	{name: "usdm", venue: "binance-usdm", file: "binance-usdm-btcusdt-20240808.gz"},
	{name: "coinm", venue: "binance-coinm", file: "binance-coinm-btcusd_perp-20240808.gz"},
	{name: "generated", venue: binance.Spot},
}

// eachSession runs f on every session that can be had here.
func eachSession[T interface {
	testing.TB
	Run(string, func(T)) bool
}](t T, f func(t T, s *Session)) {
	for _, from := range sources {
		t.Run(from.name, func(t T) { f(t, from.open(t)) })
	}
}

func (from *source) open(t testing.TB) *Session {
	t.Helper()
	dir := ""
	if from.file != "" {
		dir = testdata.Dir(t)
	}
	from.once.Do(func() {
		if from.file == "" {
			from.session, from.err = Generate(Recipe{Venue: from.venue, Frames: 60_000, Rate: 100})
			return
		}
		adapter, _ := binance.New(from.venue)
		from.session, from.err = ReadSession(filepath.Join(dir, "captures", from.file), adapter)
	})
	if from.err != nil {
		t.Fatal(from.err)
	}
	return from.session
}
