package tick

import (
	"errors"
	"fmt"
)

// WellFormed says what is wrong with the packets of one frame, whatever the
// venue: packets that do not end where the units do, numbers out of range, a
// rescale behind data, fragments that do not join. Builds with assertions ask
// it of every frame.
func WellFormed(units []Unit) error {
	data, open := 0, false
	for len(units) > 0 {
		u := &units[0]
		h := u.Header()
		n := PacketUnits(u)
		if n == 0 || n > len(units) {
			return fmt.Errorf("kind %d takes %d of %d units", h.Kind, n, len(units))
		}
		switch h.Kind {
		case KindRescale:
			if r := u.Rescale(); data > 0 || r.PriceDigits > MaxDigits || r.SizeDigits > MaxDigits {
				return fmt.Errorf("rescale %+v behind %d packets", *r, data)
			}
		case KindTrade, KindLiquidation:
			if x := u.Trade(); x.Price < 0 || x.Size < 0 || x.Flags&FlagNotMarket == 0 && (x.Price == 0 || x.Size == 0) || open {
				return fmt.Errorf("execution %+v", *x)
			}
		case KindMark:
			m := u.Mark()
			if nothing := m.Mark == Absent && m.Index == Absent && m.FundingRate == Absent && m.NextFundingSeconds == 0; nothing ||
				m.PriceDigits > MaxDigits || m.RateDigits > MaxDigits {
				return fmt.Errorf("mark %+v", *m)
			}
		case KindOpenInterest:
			if o := u.OpenInterest(); o.Size < 0 || o.SizeDigits > MaxDigits {
				return fmt.Errorf("open interest %+v", *o)
			}
		case KindQuote, KindDepth, KindSnapshot:
			d := u.Depth()
			if d.Bids > d.LevelCount || d.LevelCount > MaxLevels || h.Kind == KindQuote && (d.LevelCount != 2 || d.Bids != 1) {
				return fmt.Errorf("%d bids of %d levels", d.Bids, d.LevelCount)
			}
			if first := h.Flags&FlagFirst != 0; first == open {
				return fmt.Errorf("fragments do not join at packet %d", data)
			}
			open = h.Flags&FlagLast == 0
			for _, l := range Levels(units) {
				if l.Price < 0 || l.Size < 0 || h.Kind != KindQuote && l.Price == 0 {
					return fmt.Errorf("level %+v", l)
				}
			}
		case KindStatus:
		default:
			return fmt.Errorf("kind %d", h.Kind)
		}
		if h.Kind != KindRescale {
			data++
		}
		units = units[n:]
	}
	if open {
		return errors.New("the last fragment is missing")
	}
	return nil
}
