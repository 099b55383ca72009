package engine

import (
	"testing"
	"time"

	"tickproc/tick"
)

// A change of the definition is a row of it, a change of the state another; what
// a record does not tell stays.
func TestStatus(t *testing.T) {
	t.Parallel()
	s := tell(t, Options{}, "catalog status", `
		 9.0 catalog BTC channels=trades state=preopen tick=0.10 lot=0.001 contract=10 digits=1/3 @0
			> catalog BTC tick=0.10 lot=0.001 contract=10 preopen
			> status BTC 9.000 preopen before=unknown recv
		 9.1 catalog BTC channels=trades state=preopen tick=0.10 lot=0.001 contract=10 digits=1/3   // by another line
		10.0 status BTC trading @9.9
			> catalog BTC tick=0.10 lot=0.001 contract=10 trading
			> status BTC 9.900 trading before=preopen
		10.1 status BTC trading
		10.2 status BTC unknown
		11.0 catalog BTC channels=trades tick=0.01 expiry=5000.0
			> catalog BTC tick=0.01 lot=0.001 expiry=5000.000 trading
		12.0 catalog BTC channels=trades contract=5
			> catalog BTC tick=0.01 lot=0.001 contract=5 expiry=5000.000 trading
		13.0 status BTC halted @9.9
			> catalog BTC tick=0.01 lot=0.001 contract=5 expiry=5000.000 halted
			> status BTC 9.900 halted before=trading ord=1
		13.0 status BTC trading @9.9
			> catalog BTC tick=0.01 lot=0.001 contract=5 expiry=5000.000 trading
			> status BTC 9.900 trading before=halted ord=2
	`)
	if def := s.shard.Reports(0)[0].Instrument; def.PriceDigits != 1 || def.SizeDigits != 3 || def.Sync != rules["spot"] {
		t.Errorf("what must not change did: %+v", def)
	}
}

// An instrument that is gone misses nothing: its intervals end, its book and
// quotes are invalid. Until something of a channel comes, whatever else the feed
// does with it means nothing.
func TestDelisted(t *testing.T) {
	t.Parallel()
	const everyChannel = "trades+quotes+depth+funding+open_interest+liquidations"
	tell(t, Options{}, "gap quote book status resync", `
		 8.0 catalog BTC channels=`+everyChannel+`
			> gap trades BTC 8.000.. start
			> gap quotes BTC 8.000.. start
			> gap depth BTC 8.000.. start
			> gap funding BTC 8.000.. start
			> gap open_interest BTC 8.000.. start
			> gap liquidations BTC 8.000.. start
			> book BTC 8.000 seq=0 invalid est
			> quote BTC 8.000 seq=0 0x0 0x0 invalid est
		 9.0 up BTC liquidations
			> gap liquidations BTC 8.000..9.000 start
		 9.0 trade BTC 5 100x1
			> gap trades BTC 8.000..9.000 start
		 9.0 quote BTC 1 99x1 101x1
			> gap quotes BTC 8.000..9.000 start repaired
			> quote BTC 9.000 seq=1 99x1 101x1
		 9.0 depth BTC 1..1 99x1
			> resync BTC epoch=1 start
		 9.1 snapshot BTC 0 epoch=1 99x1 | 101x1
			> gap depth BTC 8.000..9.000 start repaired
			> book BTC 9.100 seq=0 99x1 | 101x1 est
		10.0 status BTC delisted
			> status BTC 10.000 delisted before=unknown
			> gap trades BTC 9.000.. delisted
			> gap trades BTC 9.000..10.000 delisted
			> gap quotes BTC 9.000.. delisted
			> quote BTC 10.000 seq=0 99x1 101x1 invalid est
			> gap quotes BTC 9.000..10.000 delisted
			> book BTC 9.000 seq=1 99x1 | 101x1
			> gap depth BTC 9.000.. delisted
			> book BTC 10.000 seq=0 99x1 | 101x1 invalid est
			> gap depth BTC 9.000..10.000 delisted
			> gap funding BTC 8.000..10.000 start
			> gap open_interest BTC 8.000..10.000 start
			> gap liquidations BTC 9.000.. delisted
			> gap liquidations BTC 9.000..10.000 delisted
		11.0 down BTC trades disconnect          // the feed has not heard of it yet
		11.0 down BTC depth disconnect
		11.0 gap BTC quotes overload
		12.0 up BTC trades
		12.0 up BTC depth
		12.0 up BTC liquidations
		12.1 snapshot BTC 9 epoch=1 99x1 | 101x1 // an answer that was on its way
		13.0 trade BTC 7 100x1                   // it is not gone
			> gap trades BTC 10.000.. delisted
			> gap trades BTC 10.000..13.000 delisted lost=1
		13.1 quote BTC 12 99x1 101x1
			> gap quotes BTC 10.000.. delisted
			> gap quotes BTC 10.000..13.100 delisted repaired
			> quote BTC 13.100 seq=12 99x1 101x1
		13.2 depth BTC 12..12 99x1
			> gap depth BTC 10.000.. delisted
			> resync BTC epoch=3 delisted
		13.3 snapshot BTC 11 epoch=3 99x1 | 101x1
			> gap depth BTC 10.000..13.200 delisted repaired
			> book BTC 13.300 seq=0 99x1 | 101x1 est
		13.4 mark BTC mark=100
			> gap funding BTC 10.000.. delisted
			> gap funding BTC 10.000..13.400 delisted repaired
		14.0 down BTC funding refused            // and gone again
			> gap funding BTC 13.400.. refused
			> gap funding BTC 13.400..14.000 refused
		15.0 catalog BTC channels=`+everyChannel+` state=trading
			> book BTC 13.200 seq=12 99x1 | 101x1
			> status BTC 15.000 trading before=delisted
			> gap funding BTC 14.000.. delisted
			> gap open_interest BTC 10.000.. delisted
			> gap liquidations BTC 10.000.. delisted
			> gap liquidations BTC 10.000..15.000 delisted
		16.0 mark BTC mark=100
			> gap funding BTC 14.000..16.000 delisted repaired
		17.0 down BTC trades disconnect          // as ever
			> gap trades BTC 13.000.. disconnect
	`)
}

// Bars of the time in which an instrument was gone are not held to have been
// seen once it turns out that it was not.
func TestDelistedBars(t *testing.T) {
	t.Parallel()
	tell(t, Options{Intervals: []time.Duration{time.Second}}, "bar", `
		 8.0 catalog BTC channels=trades
		 9.0 trade BTC 5 100x1
		10.0 trade BTC 6 100x1
		11.5 tick
			> bar BTC 1s 9.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0
			> bar BTC 1s 10.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0 complete
		12.0 status BTC delisted
			> bar BTC 1s 10.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=1
		14.0 trade BTC 7 100x1
		15.0 trade BTC 8 100x1
		16.5 tick
			> bar BTC 1s 14.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0 complete
			> bar BTC 1s 15.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0 complete
	`)
}

// An instrument may be introduced when it is gone already, and be given more
// channels.
func TestIntroducedAfterItsEnd(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "gap status", `
		 8.0 catalog BTC channels=funding state=delisted
			> gap funding BTC 8.000.. start
			> status BTC 8.000 delisted before=unknown
			> gap funding BTC 8.000..8.000 start
		 9.0 catalog BTC channels=funding+liquidations
			> gap liquidations BTC 9.000.. start
			> gap liquidations BTC 9.000..9.000 start
	`)
}

// A contract of another size counts from the next trade on, at the scale of the
// moment.
func TestContractSizeChanges(t *testing.T) {
	t.Parallel()
	s := newStory(t, Options{Intervals: []time.Duration{time.Second}}, "none")
	s.tell(`
		 8.0 catalog BTC channels=trades type=inverse contract=100
		 9.0 trade BTC 5 100x1
		 9.1 rescale BTC 1/0 line=1
		 9.2 catalog BTC channels=trades type=inverse contract=10
		 9.3 trade BTC 6 100.0x1`)
	s.shard.Apply(tickPacket(s.nanos("11.0")))
	bases := 0
	eachRow(s.shard.TakeRows(), func(row []tick.Unit) {
		if row[0].KindOf() == tick.RowBar {
			bases++
			if got := row[0].BarRow().InverseBase.Decimal(tick.InverseDigits).String(); got != "1.1" { // 1 × 100 / 100 + 1 × 10 / 100
				t.Errorf("base volume %s", got)
			}
		}
	})
	if bases != 1 {
		t.Errorf("%d bars", bases)
	}
}
