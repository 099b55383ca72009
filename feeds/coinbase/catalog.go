package coinbase

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tickproc/feeds"
	"tickproc/feeds/wire"
	"tickproc/tick"
)

func (adapter) CatalogRequests() []feeds.Request { return []feeds.Request{{URL: restURL, Weight: 1}} }

// VolumeRequests: products tell their volumes too.
func (a adapter) VolumeRequests() []feeds.Request { return a.CatalogRequests() }

// products is what we read of the list of products.
type products struct {
	Error    string    `json:"error"`
	Message  string    `json:"message"`
	Products []product `json:"products"`
}

type product struct {
	ID             string `json:"product_id"`
	Type           string `json:"product_type"`
	Status         string `json:"status"`
	Base           string `json:"base_currency_id"`
	Quote          string `json:"quote_currency_id"`
	BaseDisplay    string `json:"base_display_symbol"`
	QuoteDisplay   string `json:"quote_display_symbol"`
	BaseIncrement  string `json:"base_increment"`
	QuoteIncrement string `json:"quote_increment"`
	PriceIncrement string `json:"price_increment"`
	// Alias names the product whose book this one shares.
	Alias           string `json:"alias"`
	Disabled        bool   `json:"is_disabled"`
	TradingDisabled bool   `json:"trading_disabled"`
	ViewOnly        bool   `json:"view_only"`
	CancelOnly      bool   `json:"cancel_only"`
	LimitOnly       bool   `json:"limit_only"`
	PostOnly        bool   `json:"post_only"`
	Auction         bool   `json:"auction_mode"`
	Price           string `json:"price"`
	Volume          string `json:"volume_24h"`
	QuoteVolume     string `json:"approximate_quote_24h_volume"`
	Session         *struct {
		Open bool `json:"is_session_open"`
	} `json:"fcm_trading_session_details"`
	Future *struct {
		Expiry     string `json:"contract_expiry"`
		ExpiryType string `json:"contract_expiry_type"`
		Size       string `json:"contract_size"`
		Root       string `json:"contract_root_unit"`
	} `json:"future_product_details"`
}

// read returns the products that have market data of their own.
//
// One that is an alias has none: BTC-USDC trades in the book of BTC-USD, and
// the venue's frames about it name BTC-USD alone. It is left out, so that a
// configuration that names it is told so, rather than getting numbers in
// another currency or none. USDT-USDC and the like have books of their own and
// are no aliases.
func read(body []byte) ([]product, error) {
	var p products
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, fmt.Errorf("%s: products: %w: %w", venueName, feeds.ErrMalformed, err)
	}
	if p.Products == nil {
		return nil, fmt.Errorf("%s: products: %w: none (%.64s: %.256s)", venueName, feeds.ErrMalformed, p.Error, p.Message)
	}
	var all []product
	for _, one := range p.Products {
		if one.ID != "" && (one.Alias == "" || one.Alias == one.ID) {
			all = append(all, one)
		}
	}
	return all, nil
}

func (a adapter) ParseCatalog(body []byte) ([]tick.Instrument, error) {
	listed, err := read(body)
	if err != nil {
		return nil, err
	}
	var all []tick.Instrument
	for _, p := range listed {
		in := a.Instrument(p.ID)
		in.State = stateOf(&p)
		in.Base, in.Quote = first(p.Base, p.BaseDisplay), first(p.Quote, p.QuoteDisplay)
		in.Tick, in.Lot = number(first(p.PriceIncrement, p.QuoteIncrement)), number(p.BaseIncrement)
		if p.Type == "FUTURE" {
			in = future(in, &p)
		}
		if in.Base != "" {
			in.Underlying = in.Base
		}
		in.PriceDigits, in.SizeDigits = in.Tick.Digits, in.Lot.Digits
		all = append(all, in)
	}
	return all, nil
}

// future completes a future: its base is the root of its contract.
func future(in tick.Instrument, p *product) tick.Instrument {
	in.Type, in.TradeIDs, in.ContractSize = tick.TypeFuture, tick.TradeIDInteger, tick.Number{}
	if p.Future == nil {
		return in
	}
	in.Base, in.ContractSize = first(p.Future.Root, in.Base), number(p.Future.Size)
	if p.Future.ExpiryType == "PERPETUAL" {
		in.Type = tick.TypePerpetual
	} else if nanos, ok := wire.ParseTime([]byte(p.Future.Expiry)); ok {
		in.ExpiryNanos = nanos
	}
	return in
}

// Instrument guesses by the product's id: BTC-PERP-INTX is a perpetual of the
// international exchange, BIT-26DEC25-CDE a future. Ids are in upper case,
// however a user writes them.
func (adapter) Instrument(symbol string) tick.Instrument {
	symbol = strings.ToUpper(symbol)
	in := tick.Instrument{
		Venue: venueName, Symbol: symbol, Underlying: symbol,
		// The venue documents ids that count up for spot products alone.
		TradeIDs: tick.TradeIDContiguous, TradeResolution: time.Microsecond,
		ContractSize: tick.Number{Mantissa: 1}, Sync: syncRule,
	}
	switch {
	case strings.HasSuffix(symbol, "-PERP-INTX"):
		in.Type, in.TradeIDs, in.ContractSize = tick.TypePerpetual, tick.TradeIDInteger, tick.Number{}
	case strings.HasSuffix(symbol, "-CDE"):
		in.Type, in.TradeIDs, in.ContractSize = tick.TypeFuture, tick.TradeIDInteger, tick.Number{}
	}
	return in
}

// stateOf reads the status of a product, which futures leave empty, and its
// flags.
func stateOf(p *product) tick.State {
	switch {
	case p.Status == "delisted":
		return tick.StateDelisted
	case p.Type == "FUTURE" && p.ViewOnly: // expired
		return tick.StateSettling
	case p.Status == "offline" || p.Disabled || p.TradingDisabled || p.Session != nil && !p.Session.Open:
		return tick.StateHalted
	case p.CancelOnly || p.LimitOnly || p.PostOnly || p.Auction || p.ViewOnly:
		return tick.StateRestricted
	case p.Status == "online" || p.Status == "" && p.Type == "FUTURE":
		return tick.StateTrading
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

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// ParseVolumes takes the venue's own estimate in the quote currency, or
// multiplies.
func (adapter) ParseVolumes(body []byte) (map[string]float64, error) {
	listed, err := read(body)
	if err != nil {
		return nil, err
	}
	volumes := map[string]float64{}
	for _, p := range listed {
		v, err := strconv.ParseFloat(p.QuoteVolume, 64)
		if err != nil {
			price, _ := strconv.ParseFloat(p.Price, 64)
			base, _ := strconv.ParseFloat(p.Volume, 64)
			v = price * base
			if p.Future != nil { // contracts
				size, _ := strconv.ParseFloat(p.Future.Size, 64)
				v *= size
			}
		}
		volumes[p.ID] = v
	}
	return volumes, nil
}
