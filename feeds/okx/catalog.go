package okx

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"tickproc/feeds"
	"tickproc/tick"
)

// types are those that are asked for; options are not.
var types = [...]string{wireSpot, wireSwap, wireFutures}

func typeRequests(path string) (all []feeds.Request) {
	for _, t := range types {
		all = append(all, feeds.Request{URL: restBase + path + "?instType=" + t, Weight: 1})
	}
	return all
}

func (venue) CatalogRequests() []feeds.Request { return typeRequests("/api/v5/public/instruments") }

// answer is the frame of all REST answers; code "0" is success.
type answer[T any] struct {
	Code string `json:"code"`
	Msg  string `json:"msg"`
	Data []T    `json:"data"`
}

func parse[T any](what string, body []byte) ([]T, error) {
	var a answer[T]
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, fmt.Errorf("%s: %s: %w: %w", name, what, feeds.ErrMalformed, err)
	}
	if a.Code != "0" || a.Data == nil {
		return nil, fmt.Errorf("%s: %s: %w: no data (code %.16s: %.256s)", name, what, feeds.ErrMalformed, a.Code, a.Msg)
	}
	return a.Data, nil
}

// definition is what we read of an instrument. What does not apply is "".
type definition struct {
	Symbol     string `json:"instId"`
	Type       string `json:"instType"`
	State      string `json:"state"`
	Underlying string `json:"uly"`
	Base       string `json:"baseCcy"`
	Quote      string `json:"quoteCcy"`
	Tick       string `json:"tickSz"`
	Lot        string `json:"lotSz"`
	Value      string `json:"ctVal"`
	Multiplier string `json:"ctMult"`
	Contract   string `json:"ctType"`
	Expiry     string `json:"expTime"`
}

func (v venue) ParseCatalog(body []byte) ([]tick.Instrument, error) {
	definitions, err := parse[definition]("catalog", body)
	if err != nil {
		return nil, err
	}
	var all []tick.Instrument
	for _, def := range definitions {
		// Margin repeats spot; options are not ours.
		if def.Symbol == "" || def.Type != wireSpot && def.Type != wireSwap && def.Type != wireFutures {
			continue
		}
		in := v.Instrument(def.Symbol)
		in.State = stateOf(def.State)
		in.Base, in.Quote = def.Base, def.Quote
		in.Tick, in.Lot = number(def.Tick), number(def.Lot)
		in.PriceDigits, in.SizeDigits = in.Tick.Digits, in.Lot.Digits
		if in.Type = tick.TypeSpot; def.Type != wireSpot {
			in.Type = tick.TypePerpetual
			in.Base, in.Quote, _ = strings.Cut(def.Underlying, "-")
			in.Inverse = def.Contract == "inverse"
			in.ContractSize = product(number(def.Value), number(def.Multiplier))
		}
		if def.Type == wireFutures {
			in.Type = tick.TypeFuture
			if ms, err := strconv.ParseInt(def.Expiry, 10, 64); err == nil && ms > 0 && ms <= math.MaxInt64/1_000_000 {
				in.ExpiryNanos = ms * 1e6
			}
		}
		if in.Base != "" {
			in.Underlying = in.Base
		}
		all = append(all, in)
	}
	return all, nil
}

// Trade ids count by one: the venue's documents count an order's trades by
// them, and every recorded session bears it out.
//
// Instrument guesses by the symbol: BASE-QUOTE is spot, BASE-QUOTE-SWAP a
// perpetual, BASE-QUOTE-YYMMDD a future; in USD itself they are inverse.
// What a contract is worth, only the catalog tells.
func (venue) Instrument(symbol string) tick.Instrument {
	symbol = strings.ToUpper(symbol)
	in := tick.Instrument{
		Venue: name, Symbol: symbol, Underlying: symbol, TradeIDs: tick.TradeIDContiguous, TradeResolution: time.Millisecond, Sync: syncRule,
	}
	switch parts := strings.Split(symbol, "-"); {
	case len(parts) < 3:
		in.ContractSize = tick.Number{Mantissa: 1}
	case len(parts) > 3:
		in.Type = tick.TypeOption
	case parts[2] == wireSwap:
		in.Type, in.Inverse = tick.TypePerpetual, parts[1] == "USD"
	default:
		in.Type, in.Inverse = tick.TypeFuture, parts[1] == "USD"
	}
	return in
}

func stateOf(state string) tick.State {
	switch state {
	case "live":
		return tick.StateTrading
	case "post_only":
		return tick.StateRestricted
	case "preopen":
		return tick.StatePreOpen
	case "suspend", "rebase", "test":
		return tick.StateHalted
	case "settling":
		return tick.StateSettling
	case "expired":
		return tick.StateDelisted
	}
	return tick.StateUnknown
}

// number reads a step of the catalog. One that is broken is unknown, 0: its
// digits will be observed, which is no reason to lose the instrument.
func number(text string) tick.Number {
	n, err := tick.ParseNumber([]byte(text))
	if err != nil || n.Mantissa < 0 {
		return tick.Number{}
	}
	return n
}

// product of two numbers; 0, unknown, where it cannot be held.
func product(a, b tick.Number) tick.Number {
	p, err := tick.NumberOf(a.Decimal().Mul(b.Decimal()))
	if err != nil {
		return tick.Number{}
	}
	return p
}

func (venue) VolumeRequests() []feeds.Request { return typeRequests("/api/v5/market/tickers") }

// ParseVolumes: the currency of volCcy24h is the quote asset of spot and the
// base asset of derivatives.
func (venue) ParseVolumes(body []byte) (map[string]float64, error) {
	tickers, err := parse[struct {
		Symbol string `json:"instId"`
		Type   string `json:"instType"`
		Last   string `json:"last"`
		Volume string `json:"volCcy24h"`
	}]("volumes", body)
	if err != nil {
		return nil, err
	}
	volumes := map[string]float64{}
	for _, t := range tickers {
		volume, err := strconv.ParseFloat(t.Volume, 64)
		if err != nil {
			continue // "" before the first trade
		}
		if t.Type != wireSpot {
			last, _ := strconv.ParseFloat(t.Last, 64)
			volume *= last
		}
		volumes[t.Symbol] = volume
	}
	return volumes, nil
}
