package bybit

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tickproc/feeds"
	"tickproc/tick"
)

const restBase = "https://api.bybit.com/v5/market/"

// CatalogRequests ask once for each status: without one the venue tells only
// of instruments that trade. Each answer holds up to 1,000 (of spot all).
func (m *market) CatalogRequests() []feeds.Request {
	var all []feeds.Request
	for _, status := range m.statuses {
		url := restBase + "instruments-info?category=" + m.category + "&limit=1000"
		if status != "" {
			url += "&status=" + status
		}
		all = append(all, feeds.Request{URL: url, Weight: 1})
	}
	return all
}

// answered is how every REST answer begins.
type answered struct {
	RetCode int    `json:"retCode"`
	RetMsg  string `json:"retMsg"`
}

func (m *market) refused(what string, a answered) error {
	return fmt.Errorf("%s: %s: %w: no list (code %d: %.256s)", m.venue, what, feeds.ErrMalformed, a.RetCode, a.RetMsg)
}

// instrumentsInfo is what we read of a catalog.
type instrumentsInfo struct {
	answered
	Result struct {
		List []struct {
			Symbol         string `json:"symbol"`
			ContractType   string `json:"contractType"`
			Status         string `json:"status"`
			BaseCoin       string `json:"baseCoin"`
			QuoteCoin      string `json:"quoteCoin"`
			DeliveryTime   string `json:"deliveryTime"`
			PreListingInfo struct {
				CurAuctionPhase string `json:"curAuctionPhase"`
			} `json:"preListingInfo"`
			PriceFilter struct {
				TickSize string `json:"tickSize"`
			} `json:"priceFilter"`
			LotSizeFilter struct {
				QtyStep       string `json:"qtyStep"`
				BasePrecision string `json:"basePrecision"` // of spot
			} `json:"lotSizeFilter"`
		} `json:"list"`
	} `json:"result"`
}

func (m *market) ParseCatalog(body []byte) ([]tick.Instrument, error) {
	var info instrumentsInfo
	if err := json.Unmarshal(body, &info); err != nil {
		return nil, fmt.Errorf("%s: catalog: %w: %w", m.venue, feeds.ErrMalformed, err)
	}
	if info.RetCode != 0 || info.Result.List == nil {
		return nil, m.refused("catalog", info.answered)
	}
	var all []tick.Instrument
	for _, s := range info.Result.List {
		if s.Symbol == "" {
			continue
		}
		in := m.Instrument(s.Symbol)
		in.State = stateOf(s.Status, s.PreListingInfo.CurAuctionPhase)
		in.Base, in.Quote = s.BaseCoin, s.QuoteCoin
		if in.Base != "" {
			in.Underlying = in.Base
		}
		if m.derivatives {
			in.Type = typeOf(s.ContractType)
			// A perpetual's is when it is delisted.
			if millis, ok := uintOf([]byte(s.DeliveryTime)); ok && in.Type == tick.TypeFuture {
				in.ExpiryNanos = nanosOf(millis)
			}
		}
		in.Tick, in.Lot = number(s.PriceFilter.TickSize), number(s.LotSizeFilter.QtyStep+s.LotSizeFilter.BasePrecision)
		in.PriceDigits, in.SizeDigits = in.Tick.Digits, in.Lot.Digits
		all = append(all, in)
	}
	return all, nil
}

// Instrument guesses the type by the symbol: linear futures have a date behind
// a dash, BTCUSDT-27NOV26, inverse ones a month and a year, BTCUSDH26. Frames
// name symbols in upper case, however a user writes them.
func (m *market) Instrument(symbol string) tick.Instrument {
	symbol = strings.ToUpper(symbol)
	in := tick.Instrument{
		Venue: m.venue, Symbol: symbol, Underlying: symbol,
		Inverse: m.inverse, TradeIDs: m.tradeIDs, TradeResolution: time.Millisecond,
		ContractSize: tick.Number{Mantissa: 1}, Sync: sync,
	}
	if m.derivatives {
		in.Type = tick.TypePerpetual
		if strings.Contains(symbol, "-") || m.inverse && !strings.HasSuffix(symbol, "USD") {
			in.Type = tick.TypeFuture
		}
	}
	return in
}

// stateOf reads a status and, of pre-market contracts, their phase: they trade
// before they are launched.
func stateOf(status, phase string) tick.State {
	switch status {
	case "Trading":
		return tick.StateTrading
	case "PreLaunch":
		switch phase {
		case "ContinuousTrading":
			return tick.StateTrading
		case "CallAuction", "CallAuctionNoCancel", "CrossMatching":
			return tick.StateRestricted
		}
		return tick.StatePreOpen
	case "Settling", "Delivering":
		return tick.StateSettling
	case "Closed":
		return tick.StateDelisted
	}
	return tick.StateUnknown
}

// typeOf reads LinearPerpetual, InverseFutures, …
func typeOf(contractType string) tick.InstrumentType {
	if strings.HasSuffix(contractType, "Perpetual") {
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
	return []feeds.Request{{URL: restBase + "tickers?category=" + m.category, Weight: 1}}
}

// ParseVolumes ranks inverse contracts by their volume, which is in USD; their
// turnover is in the base asset.
func (m *market) ParseVolumes(body []byte) (map[string]float64, error) {
	var tickers struct {
		answered
		Result struct {
			List []struct {
				Symbol      string `json:"symbol"`
				Volume24h   string `json:"volume24h"`
				Turnover24h string `json:"turnover24h"`
			} `json:"list"`
		} `json:"result"`
	}
	if err := json.Unmarshal(body, &tickers); err != nil {
		return nil, fmt.Errorf("%s: volumes: %w: %w", m.venue, feeds.ErrMalformed, err)
	}
	if tickers.RetCode != 0 || tickers.Result.List == nil {
		return nil, m.refused("volumes", tickers.answered)
	}
	volumes := map[string]float64{}
	for _, t := range tickers.Result.List {
		text := t.Turnover24h
		if m.inverse {
			text = t.Volume24h
		}
		// One that is broken ranks last.
		volumes[t.Symbol], _ = strconv.ParseFloat(text, 64)
	}
	return volumes, nil
}
