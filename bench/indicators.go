package bench

import (
	"tickproc/engine"
	"tickproc/indicators"
	"tickproc/tick"
)

type instrumentTrade struct {
	indicators.Trade
	instrument uint32
}

func (s *Session) trades() (all []instrumentTrade, instruments int) {
	l := s.settled()
	for i := range s.Records {
		for p := l.Decode(&s.Records[i]); len(p) > 0; p = p[tick.PacketUnits(&p[0]):] {
			if p[0].KindOf() != tick.KindTrade {
				continue
			}
			t := p[0].Trade()
			all = append(all, instrumentTrade{instrument: t.Instrument, Trade: indicators.Trade{TsNanos: t.ExchangeNanos, ID: t.ID,
				Price: t.Price, Size: t.Size, Sell: t.Flags&tick.FlagSell != 0}})
			instruments = max(instruments, int(t.Instrument)+1)
		}
	}
	return all, instruments
}

func defaultIndicators(o *engine.Options) (all []indicators.Indicator) {
	coverage := new(indicators.Coverage)
	for _, interval := range o.Intervals {
		all = append(all, indicators.BarsSpec{Interval: interval, Grace: o.Grace, Lateness: o.Lateness}.New(coverage))
	}
	for _, spec := range o.Windows {
		spec.Grace, spec.Lateness = o.Grace, o.Lateness
		all = append(all, spec.New(coverage))
	}
	return all
}

func indicatorLines() []Measurement {
	return []Measurement{{Name: "indicators/trade", What: "a trade into bars of 1s, 1m, 1h, 1d, a sliding VWAP and the session's", Unit: "trade", Floor: "floor/clock/time.Now",
		Run: func(r *Run, s *Sample) error {
			f, err := r.Frames("binance-spot", tick.ChannelTrades)
			if err != nil {
				return err
			}
			trades, _ := f.Session.trades()
			options := shardOptions()
			all := defaultIndicators(&options)
			out := indicators.Out{Rows: make([]tick.Unit, 0, 256)}
			shift := f.Session.shift()
			next, lap, now := 0, 0, int64(0)
			var trade indicators.Trade
			r.Batches(s, Work{Do: func(n int) int {
				for range n {
					trade = trades[next].Trade
					trade.TsNanos += int64(lap) * shift.nanos
					trade.ID.Lo += uint64(lap) * shift.trades[0]
					now = max(now, trade.TsNanos)
					for _, x := range all {
						x.Trade(&trade)
						if x.Deadline() <= now {
							x.Advance(now, &out)
						}
					}
					out.Rows = out.Rows[:0]
					if next++; next == len(trades) {
						next, lap = 0, lap+1
					}
				}
				return n
			}})
			return nil
		}}}
}
