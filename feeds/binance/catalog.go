package binance

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tickproc/feeds"
	"tickproc/tick"
)

func (m *market) CatalogRequests() []feeds.Request {
	return []feeds.Request{{URL: m.restBase + m.restPath + "/exchangeInfo", Weight: m.catalogWeight}}
}

// exchangeInfo is what we read of a catalog. COIN-M says contractStatus where
// the others say status.
type exchangeInfo struct {
	Code    int    `json:"code"`
	Msg     string `json:"msg"`
	Symbols []struct {
		Symbol         string      `json:"symbol"`
		Status         string      `json:"status"`
		ContractStatus string      `json:"contractStatus"`
		ContractType   string      `json:"contractType"`
		ContractSize   json.Number `json:"contractSize"`
		DeliveryDate   uint64      `json:"deliveryDate"`
		BaseAsset      string      `json:"baseAsset"`
		QuoteAsset     string      `json:"quoteAsset"`
		Filters        []struct {
			FilterType string `json:"filterType"`
			TickSize   string `json:"tickSize"`
			StepSize   string `json:"stepSize"`
		} `json:"filters"`
	} `json:"symbols"`
}

func (m *market) ParseCatalog(body []byte) ([]tick.Instrument, error) {
	var info exchangeInfo
	if err := json.Unmarshal(body, &info); err != nil {
		return nil, fmt.Errorf("%s: catalog: %w: %w", m.venue, feeds.ErrMalformed, err)
	}
	if info.Symbols == nil {
		return nil, fmt.Errorf("%s: catalog: %w: no symbols (code %d: %.256s)", m.venue, feeds.ErrMalformed, info.Code, info.Msg)
	}
	var all []tick.Instrument
	for _, s := range info.Symbols {
		if s.Symbol == "" {
			continue
		}
		in := m.Instrument(s.Symbol)
		in.State = stateOf(s.Status + s.ContractStatus)
		in.Base, in.Quote = s.BaseAsset, s.QuoteAsset
		if in.Base != "" {
			in.Underlying = in.Base
		}
		if m.futures {
			in.Type = typeOf(s.ContractType)
			if in.Type == tick.TypeFuture {
				in.ExpiryNanos = nanosOf(s.DeliveryDate)
			}
		}
		if m.inverse {
			in.ContractSize = number(s.ContractSize.String())
		}
		for _, f := range s.Filters {
			switch f.FilterType {
			case "PRICE_FILTER":
				in.Tick = number(f.TickSize)
			case "LOT_SIZE":
				in.Lot = number(f.StepSize)
			}
		}
		in.PriceDigits, in.SizeDigits = in.Tick.Digits, in.Lot.Digits
		all = append(all, in)
	}
	return all, nil
}

// Instrument guesses the type by the symbol: delivery dates and PERP stand
// behind an underscore. Frames name symbols in upper case, however a user
// writes them.
func (m *market) Instrument(symbol string) tick.Instrument {
	symbol = strings.ToUpper(symbol)
	in := tick.Instrument{
		Venue: m.venue, Symbol: symbol, Underlying: symbol,
		Inverse: m.inverse, TradeIDs: tick.TradeIDContiguous, TradeResolution: time.Millisecond,
		Sync: m.sync,
	}
	if m.futures {
		in.Type = tick.TypePerpetual
		if _, suffix, found := strings.Cut(symbol, "_"); found && suffix != "PERP" {
			in.Type = tick.TypeFuture
		}
	}
	if !m.inverse {
		in.ContractSize = tick.Number{Mantissa: 1}
	}
	return in
}

// stateOf reads status and contractStatus.
func stateOf(status string) tick.State {
	switch status {
	case "TRADING":
		return tick.StateTrading
	case "PENDING_TRADING", "PRE_TRADING":
		return tick.StatePreOpen
	case "BREAK", "HALT", "END_OF_DAY", "POST_TRADING":
		return tick.StateHalted
	case "AUCTION_MATCH":
		return tick.StateRestricted
	case "PRE_DELIVERING", "DELIVERING", "PRE_SETTLE", "SETTLING":
		return tick.StateSettling
	case "DELIVERED", "CLOSE":
		return tick.StateDelisted
	}
	return tick.StateUnknown
}

// typeOf reads PERPETUAL, TRADIFI_PERPETUAL, CURRENT_QUARTER, NEXT_MONTH, …
func typeOf(contractType string) tick.InstrumentType {
	if strings.Contains(contractType, "PERPETUAL") {
		return tick.TypePerpetual
	}
	return tick.TypeFuture
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

func (m *market) VolumeRequests() []feeds.Request {
	return []feeds.Request{{URL: m.restBase + m.restPath + "/ticker/24hr", Weight: m.volumeWeight}}
}

// ParseVolumes ranks COIN-M by contracts times their size, which is in USD for all.
func (m *market) ParseVolumes(body []byte) (map[string]float64, error) {
	var tickers []struct {
		Symbol      string  `json:"symbol"`
		Volume      float64 `json:"volume,string"`
		QuoteVolume float64 `json:"quoteVolume,string"`
	}
	if err := json.Unmarshal(body, &tickers); err != nil {
		return nil, fmt.Errorf("%s: volumes: %w: %w", m.venue, feeds.ErrMalformed, err)
	}
	volumes := map[string]float64{}
	for _, t := range tickers {
		volumes[t.Symbol] = t.QuoteVolume
		if m.inverse {
			volumes[t.Symbol] = t.Volume
		}
	}
	return volumes, nil
}
