package bench

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"tickproc/feeds/venues"
	"tickproc/tick"
)

const (
	deepFrames = 4000
	deepLevels = 40 // a frame, half of them on each side
)

// Deep is a made-up session of one of Binance's markets, of a snapshot and
// frames of 40 levels each: prices near the top change most, a third of the
// changes remove a level. It needs no simulator, and is a function of the venue.
func Deep(venue string) (*Session, error) {
	const deep = 1000
	symbol, more, priceText, sizeText := "BTCUSDT", "", `["%d.%02d000000",`, `"%d.%05d000"]`
	switch venue {
	case spot:
	case usdm:
		priceText, sizeText = `["%d.%02d",`, `"%d.%05d"]`
	case coinm:
		symbol, more, priceText, sizeText = "BTCUSD_PERP", `,"ps":"BTCUSD"`, `["%d.%02d",`, `"%d%05d"]`
	default:
		return nil, fmt.Errorf("no frames of %d levels are made for %q", deepLevels, venue)
	}
	s := &Session{Name: venue}
	s.Adapter, _ = venues.New(venue)
	stream := strings.ToLower(symbol) + "@depth@100ms"
	s.streams, _ = s.Adapter.Streams("wss://generated/stream?streams="+stream, nil)
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	random := rand.New(rand.NewPCG(1, 2))
	level := func(text []byte, i int, cents int64, size uint32) []byte {
		if i > 0 {
			text = append(text, ',')
		}
		text = fmt.Appendf(text, priceText, cents/100, cents%100)
		return fmt.Appendf(text, sizeText, size/100_000, size%100_000)
	}
	id, mid := uint64(50_093_239_408), int64(6_183_763)
	text := fmt.Appendf(nil, `{"lastUpdateId":%d,`, id)
	if venue != spot {
		text = fmt.Appendf(text, `"E":%d,"T":%[1]d,`, now.UnixMilli())
	}
	text = append(text, `"bids":[`...)
	for i := range deep {
		text = level(text, i, mid-1-int64(i), random.Uint32N(1_000_000)+1)
	}
	text = append(text, `],"asks":[`...)
	for i := range deep {
		text = level(text, i, mid+1+int64(i), random.Uint32N(1_000_000)+1)
	}
	request, _ := s.Adapter.SnapshotRequest(&tick.Instrument{Symbol: symbol})
	s.add(now.UnixNano(), 0, request.URL, append(text, `]}`...))
	for range deepFrames {
		now = now.Add(100 * time.Millisecond)
		first, previous := id+1, id
		id += uint64(random.Uint32N(900) + 100)
		text = fmt.Appendf(text[:0], `{"stream":"%s","data":{"e":"depthUpdate","E":%d,`, stream, now.UnixMilli())
		if venue != spot {
			text = fmt.Appendf(text, `"T":%d,`, now.UnixMilli())
		}
		text = fmt.Appendf(text, `"s":"%s"%s,"U":%d,"u":%d`, symbol, more, first, id)
		if venue != spot {
			text = fmt.Appendf(text, `,"pu":%d`, previous)
		}
		for side, name := range []string{"b", "a"} {
			text = fmt.Appendf(text, `,"%s":[`, name)
			// Binance sends levels from the best on, each price once.
			distance := int64(1)
			for i := range deepLevels / 2 {
				size := random.Uint32N(1_000_000) + 1
				if random.Uint32N(3) == 0 {
					size = 0
				}
				text = level(text, i, mid+distance*int64(2*side-1), size)
				distance += int64(random.Uint32N(uint32(1+i*2))) + 1
			}
			text = append(text, ']')
		}
		s.add(now.UnixNano(), 0, "", append(text, `}}`...))
	}
	return s, nil
}
