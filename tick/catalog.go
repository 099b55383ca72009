package tick

import (
	"fmt"
	"time"
	"unsafe"
)

// Catalog is the packet that introduces an instrument: a flat copy of
// Instrument, so that definitions flow and are logged like every other event.
type Catalog struct {
	Header
	Sync                                    SyncRule
	Type                                    InstrumentType
	Inverse                                 bool
	TradeIDs                                TradeIDKind
	PriceDigits, SizeDigits                 uint8
	TickDigits, LotDigits, ContractDigits   uint8
	Channels                                Channels
	State                                   State
	_                                       [5]byte
	Tick, Lot, ContractSize                 int64
	TradeResolution                         int64
	VenueText, BaseText, QuoteText, KeyText [24]byte
	SymbolText                              [64]byte
	ExpiryNanos                             int64
	_                                       [56]byte
}

// CatalogUnits is the size of a catalog packet.
const CatalogUnits = int(unsafe.Sizeof(Catalog{})) / UnitSize

// Catalog views a catalog packet; p must hold all its units.
func (u *Unit) Catalog() *Catalog { return (*Catalog)(unsafe.Pointer(u)) }

// AppendCatalog appends the packet that introduces in. Names longer than
// their field are refused.
func AppendCatalog(dst []Unit, h Header, in Instrument) ([]Unit, error) {
	all, p := AppendUnits(dst, CatalogUnits)
	c := p[0].Catalog()
	h.Kind, h.Flags, h.Instrument = KindCatalog, 0, in.ID
	c.Header = h
	c.Sync, c.Type, c.Inverse, c.TradeIDs = in.Sync, in.Type, in.Inverse, in.TradeIDs
	c.PriceDigits, c.SizeDigits = in.PriceDigits, in.SizeDigits
	c.Tick, c.TickDigits = in.Tick.Mantissa, in.Tick.Digits
	c.Lot, c.LotDigits = in.Lot.Mantissa, in.Lot.Digits
	c.ContractSize, c.ContractDigits = in.ContractSize.Mantissa, in.ContractSize.Digits
	c.Channels, c.State, c.ExpiryNanos = in.Channels, in.State, in.ExpiryNanos
	c.TradeResolution = int64(in.TradeResolution)
	for _, f := range []struct {
		dst  []byte
		text string
	}{{c.VenueText[:], in.Venue}, {c.BaseText[:], in.Base}, {c.QuoteText[:], in.Quote}, {c.KeyText[:], in.Underlying}, {c.SymbolText[:], in.Symbol}} {
		if len(f.text) > len(f.dst) {
			return dst, fmt.Errorf("instrument name %q is longer than %d bytes", f.text, len(f.dst))
		}
		copy(f.dst, f.text)
	}
	return all, nil
}

// Definition returns the definition that the packet carries.
func (c *Catalog) Definition() Instrument {
	text := func(b []byte) string {
		for i, x := range b {
			if x == 0 {
				return string(b[:i])
			}
		}
		return string(b)
	}
	return Instrument{
		ID: c.Header.Instrument, Venue: text(c.VenueText[:]), Symbol: text(c.SymbolText[:]),
		Underlying: text(c.KeyText[:]), Base: text(c.BaseText[:]), Quote: text(c.QuoteText[:]),
		Type: c.Type, Inverse: c.Inverse, TradeIDs: c.TradeIDs,
		PriceDigits: c.PriceDigits, SizeDigits: c.SizeDigits,
		Tick: Number{c.Tick, c.TickDigits}, Lot: Number{c.Lot, c.LotDigits},
		ContractSize: Number{c.ContractSize, c.ContractDigits},
		Sync:         c.Sync, Channels: c.Channels, TradeResolution: time.Duration(c.TradeResolution),
		State: c.State, ExpiryNanos: c.ExpiryNanos,
	}
}
