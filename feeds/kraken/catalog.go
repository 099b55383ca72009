package kraken

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tickproc/feeds"
	"tickproc/tick"
)

const (
	catalogPath = "/0/public/AssetPairs"
	volumePath  = "/0/public/Ticker"
)

func (*venue) CatalogRequests() []feeds.Request {
	return []feeds.Request{{URL: restURL + catalogPath, Weight: 1}}
}

func (*venue) VolumeRequests() []feeds.Request {
	return []feeds.Request{{URL: restURL + volumePath, Weight: 1}}
}

// result reads {"error":[],"result":{…}}: the venue says HTTP 200 to anything.
func result(body []byte, what string, into any) error {
	var answer struct {
		Error  []string        `json:"error"`
		Result json.RawMessage `json:"result"`
	}
	err := json.Unmarshal(body, &answer)
	switch {
	case err != nil:
	case len(answer.Error) > 0:
		return fmt.Errorf("%s: %s: %w: refused: %.256s", venueName, what, feeds.ErrMalformed, strings.Join(answer.Error, "; "))
	case len(answer.Result) == 0 || answer.Result[0] != '{':
		return fmt.Errorf("%s: %s: %w: no result", venueName, what, feeds.ErrMalformed)
	default:
		err = json.Unmarshal(answer.Result, into)
	}
	if err != nil {
		return fmt.Errorf("%s: %s: %w: %w", venueName, what, feeds.ErrMalformed, err)
	}
	return nil
}

// pair is what we read of a catalog's entry.
type pair struct {
	AltName     string `json:"altname"`
	Name        string `json:"wsname"`
	PriceDigits *uint8 `json:"pair_decimals"`
	SizeDigits  *uint8 `json:"lot_decimals"`
	Tick        string `json:"tick_size"`
	Status      string `json:"status"`
}

// ParseCatalog returns the instruments by symbol. Pairs without a name on the
// websocket, dark pools, are not traded there.
func (v *venue) ParseCatalog(body []byte) ([]tick.Instrument, error) {
	var pairs map[string]pair
	if err := result(body, "catalog", &pairs); err != nil {
		return nil, err
	}
	all := make([]tick.Instrument, 0, len(pairs))
	names := make(map[string]string, len(pairs))
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		p := pairs[key]
		if !strings.Contains(p.Name, "/") {
			continue
		}
		in := v.Instrument(p.Name)
		in.Base, in.Quote, _ = strings.Cut(in.Symbol, "/")
		in.Underlying = in.Base
		in.State = stateOf(p.Status)
		if p.PriceDigits != nil && p.SizeDigits != nil && *p.PriceDigits <= tick.MaxDigits && *p.SizeDigits <= tick.MaxDigits {
			in.PriceDigits, in.SizeDigits = *p.PriceDigits, *p.SizeDigits
			in.Tick = tick.Number{Mantissa: 1, Digits: in.PriceDigits}
			in.Lot = tick.Number{Mantissa: 1, Digits: in.SizeDigits}
			in.Sync.Checksum, in.Sync.ChecksumDepth = tick.ChecksumKraken, 10
			in.Sync.ChecksumPriceDigits, in.Sync.ChecksumSizeDigits = in.PriceDigits, in.SizeDigits
		}
		if step, err := tick.ParseNumber([]byte(p.Tick)); err == nil && step.Mantissa > 0 {
			in.Tick = step
		}
		names[key], names[in.Symbol] = in.Symbol, in.Symbol
		if p.AltName != "" {
			names[p.AltName] = in.Symbol
		}
		all = append(all, in)
	}
	slices.SortStableFunc(all, func(a, b tick.Instrument) int { return strings.Compare(a.Symbol, b.Symbol) })
	v.names.Store(&names)
	return all, nil
}

// Instrument has no checksum: it is over numbers written at the pair's
// precision, which only the catalog tells. A frame's own text would not do: the
// venue's documents show numbers without the zeros at their end, and a sum over
// too few digits would call every good book wrong.
//
// A trade's id is "a sequence number, unique per book", and so they are over
// REST, where none is missing: a jump is a trade that we were not told of, be it
// by our loss or by the venue's.
func (*venue) Instrument(symbol string) tick.Instrument {
	symbol = canonical(symbol)
	return tick.Instrument{
		Venue: venueName, Symbol: symbol, Underlying: symbol,
		TradeIDs: tick.TradeIDContiguous, TradeResolution: time.Microsecond,
		ContractSize: tick.Number{Mantissa: 1},
		Sync:         tick.SyncRule{Snapshot: tick.SnapshotInBand, Sequence: tick.SequenceNone, Truncate: depth},
	}
}

// canonical returns the symbol of today's websocket: REST and the older
// websocket write XBT/USD and XDG/USD, which it refuses. Small letters mean
// something (tokenised shares are AAPLx/USD), unless there are no others.
func canonical(symbol string) string {
	if symbol == strings.ToLower(symbol) {
		symbol = strings.ToUpper(symbol)
	}
	base, quote, found := strings.Cut(symbol, "/")
	if !found {
		return asset(symbol)
	}
	return asset(base) + "/" + asset(quote)
}

func asset(name string) string {
	switch name {
	case "XBT":
		return "BTC"
	case "XDG":
		return "DOGE"
	}
	return name
}

// ParseVolumes needs a catalog that was read before: the answer has other
// names, of which some are none but the venue's own (XXBTZUSD).
func (v *venue) ParseVolumes(body []byte) (map[string]float64, error) {
	var tickers map[string]struct {
		Volume [2]json.Number `json:"v"` // today, and of 24 hours
		VWAP   [2]json.Number `json:"p"`
	}
	if err := result(body, "volumes", &tickers); err != nil {
		return nil, err
	}
	names := v.names.Load()
	if names == nil {
		return nil, fmt.Errorf("%s: volumes: no catalog has told the names of the pairs", venueName)
	}
	volumes := make(map[string]float64, len(tickers))
	for name, t := range tickers {
		symbol, known := (*names)[name]
		size, err := t.Volume[1].Float64()
		price, err2 := t.VWAP[1].Float64()
		if known && err == nil && err2 == nil {
			volumes[symbol] = size * price
		}
	}
	return volumes, nil
}
