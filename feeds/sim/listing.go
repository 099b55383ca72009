package sim

import (
	"fmt"

	"tickproc/tick"
)

// SetState halts or resumes an instrument, or says what else may be done with
// it. Only a trading one trades; its book and reference prices stay.
func (e *Exchange) SetState(venue, symbol string, state tick.State) error {
	return e.with(venue, symbol, func(v *Market, in *Instrument) error {
		if state == tick.StateDelisted {
			return fmt.Errorf("%s %s: delisting is Delist", venue, symbol)
		}
		in.haltedUntil = 0
		v.setState(in, state)
		return nil
	})
}

// List adds an instrument that trades from now on.
func (e *Exchange) List(venue string, symbol Symbol) error {
	v, err := e.market(venue)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.byName[symbol.Name] != nil {
		return fmt.Errorf("%s: %s is listed already", venue, symbol.Name)
	}
	in, err := v.list(symbol)
	if err != nil {
		return err
	}
	if v.schedule.begun {
		in.begin(v.now)
		v.schedule.add(in)
	}
	v.tellChange(in, ChangeListed)
	return nil
}

// Delist takes an instrument away: its streams end in silence.
func (e *Exchange) Delist(venue, symbol string) error {
	return e.with(venue, symbol, func(v *Market, in *Instrument) error {
		if len(v.byName) == 1 {
			return fmt.Errorf("%s: %s is the last instrument", venue, symbol)
		}
		in.State, in.haltedUntil = tick.StateDelisted, 0
		v.schedule.remove(in)
		v.tellChange(in, ChangeDelisted)
		delete(v.byName, in.Name)
		return nil
	})
}

// SetTick changes the price step of an instrument, at digits decimal places;
// more digits than it had become its own. Prices that stand stay where they are.
func (e *Exchange) SetTick(venue, symbol string, step int64, digits uint8) error {
	return e.with(venue, symbol, func(v *Market, in *Instrument) error {
		if step <= 0 || digits > 12 {
			return fmt.Errorf("%s %s: tick %d at %d digits: want more than 0 at up to 12", venue, symbol, step, digits)
		}
		// What waits to be told was touched at the old digits.
		if in.pendingFirst != 0 {
			in.flush(v.now)
		}
		if digits < in.PriceDigits {
			step *= tick.Pow10(in.PriceDigits - digits)
		} else if digits > in.PriceDigits {
			v.rescale(in, digits)
		}
		in.Start = max(1000, in.Start*in.Tick/step)
		in.Tick = step
		v.tellChange(in, ChangeTick)
		return nil
	})
}

// rescale gives an instrument more price digits, in all that it keeps.
func (v *Market) rescale(in *Instrument, digits uint8) {
	by := tick.Pow10(digits - in.PriceDigits)
	levels := func(all []tick.Level) {
		for i := range all {
			all[i].Price *= by
		}
	}
	levels(in.bids.levels)
	levels(in.asks.levels)
	for _, s := range v.streams {
		if s.Instrument == in && s.window != nil {
			levels(s.window.sides[0].levels)
			levels(s.window.sides[1].levels)
		}
	}
	in.Tick *= by
	in.quoted.Bid.Price *= by
	in.quoted.Ask.Price *= by
	in.reference.PriceDigits, in.reference.Mark, in.reference.Index = in.reference.PriceDigits+digits-in.PriceDigits, in.reference.Mark*by, in.reference.Index*by
	in.truth.rescale(by)
	in.PriceDigits = digits
}

// Liquidate tells a forced order of a derivative, of a size at its SizeDigits.
func (e *Exchange) Liquidate(venue, symbol string, size int64, sell bool) error {
	return e.with(venue, symbol, func(v *Market, in *Instrument) error {
		if in.Type == tick.TypeSpot || size <= 0 {
			return fmt.Errorf("%s %s: liquidations are of derivatives, and of a size", venue, symbol)
		}
		in.liquidate(v.now, size, sell)
		return nil
	})
}

// with runs do on a listed instrument, under the venue's lock.
func (e *Exchange) with(venue, symbol string, do func(*Market, *Instrument) error) error {
	v, err := e.market(venue)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	in := v.byName[symbol]
	if in == nil {
		return fmt.Errorf("%s: the venue has no symbol %q", venue, symbol)
	}
	return do(v, in)
}

func (v *Market) setState(in *Instrument, state tick.State) {
	if in.State != state {
		in.State = state
		v.tellChange(in, ChangeState)
	}
}

func (v *Market) tellChange(in *Instrument, kind ChangeKind) {
	at := v.cut(v.now)
	in.event = Event{Instrument: in, Channel: ChannelStatus, TimeNanos: at, SendNanos: at,
		Change: Change{TimeNanos: at, Kind: kind, State: in.State, Tick: in.Tick, PriceDigits: in.PriceDigits}}
	v.deliver(&in.event)
}

// resume ends the halts whose time is over.
func (v *Market) resume() {
	for _, in := range v.halted {
		if in.haltedUntil <= v.now {
			if in.haltedUntil != 0 {
				v.setState(in, tick.StateTrading)
			}
			in.haltedUntil = 0
		}
	}
	kept := v.halted[:0]
	for _, in := range v.halted {
		if in.haltedUntil != 0 {
			kept = append(kept, in)
		}
	}
	v.halted = kept
}
