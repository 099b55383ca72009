package pipeline

import "fmt"

func (l *lab) debug() {
	if l.t.Failed() {
		for _, f := range l.exchange.FaultLog() {
			fmt.Println("FAULT", f.TimeMs, f.Venue, f.Kind, f.Symbol, f.Channel, f.Client, f.For)
		}
		for _, truth := range l.exchange.Truth() {
			for _, x := range truth.Trades {
				if x.Delivered > 0 {
					stored := false
					for _, e := range l.ledger.of(truth.Venue, truth.Symbol, 64) {
						stored = stored || int64(e.units[0].TradeRow().ID.Lo) == x.ID
					}
					if !stored {
						fmt.Println("MISSING", truth.Venue, truth.Symbol, fmt.Sprintf("%+v", x))
					}
				}
			}
		}
		fmt.Println(l.log)
	}
}
