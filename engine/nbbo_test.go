package engine

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"tickproc/tick"
)

var consolidating = Options{Nbbo: true}

// The best of all venues with whose it is; a change is a row, but no more than
// one in 100 ms.
func TestNbbo(t *testing.T) {
	t.Parallel()
	tell(t, consolidating, "nbbo", `
		 9.00 catalog A base=BTC channels=quotes
		 9.00 quote A 1 99x1 103x1                // one venue is no group
		 9.00 catalog B base=BTC channels=quotes digits=1/3
			> nbbo BTC-USDT spot 9.000 99x1@A 103x1@A venues=1
		 9.20 quote B 1 99.5x0.25 102x2
			> nbbo BTC-USDT spot 9.200 99.5x0.25@B 102x2@B venues=2
		 9.21 quote A 2 98x1 101x1                // too soon
		 9.22 quote A 3 98x1 101x2
		 9.30 tick
			> nbbo BTC-USDT spot 9.300 99.5x0.25@B 101x2@A venues=2
		 9.35 quote A 4 99.0x1 101x1
		 9.36 quote A 5 99.0x1 101x2               // as it was: nothing to say
		 9.50 tick
		 9.60 quote A 6 98x1 101x2                 // not the best
		 9.70 quote B 2 99.5x0.25 0x0              // nobody offers at B
		10.00 quote A 7 100x1 101x2
			> nbbo BTC-USDT spot 10.000 100x1@A 101x2@A venues=2
		10.50 quote A 8 0x0 101x2
			> nbbo BTC-USDT spot 10.500 99.5x0.25@B 101x2@A venues=2
		10.55 quote B 3 0x0 0x0
		10.60 tick
			> nbbo BTC-USDT spot 10.600 none 101x2@A venues=2
		10.61 quote B 4 1x1 0x0
		finish
			> nbbo BTC-USDT spot 10.610 1x1@B 101x2@A venues=2
	`)
}

// At equal prices the larger goes first, then the one that stands longer.
func TestNbboTies(t *testing.T) {
	t.Parallel()
	tell(t, consolidating, "nbbo", `
		 9.0 catalog A base=BTC channels=quotes
		 9.0 catalog B base=BTC channels=quotes digits=2/2
			> nbbo BTC-USDT spot 9.000 none none venues=0 invalid
		10.0 quote B 1 99x1 101x1
			> nbbo BTC-USDT spot 10.000 99x1@B 101x1@B venues=1
		10.2 quote A 1 99x1 101x2
			> nbbo BTC-USDT spot 10.200 99x1@B 101x2@A venues=2
		10.4 quote B 2 99x2 101x2
			> nbbo BTC-USDT spot 10.400 99x2@B 101x2@A venues=2
		10.6 quote B 3 99x1 101x2        // B left the price for a moment, in effect: A was there first
			> nbbo BTC-USDT spot 10.600 99x1@A 101x2@A venues=2
	`)
}

// A market that is crossed is shown as it is.
func TestNbboCrossed(t *testing.T) {
	t.Parallel()
	tell(t, consolidating, "nbbo", `
		 9.0 catalog A base=BTC channels=quotes
		 9.0 catalog B base=BTC channels=quotes
			> nbbo BTC-USDT spot 9.000 none none venues=0 invalid
		10.0 quote A 1 99x1 101x1
			> nbbo BTC-USDT spot 10.000 99x1@A 101x1@A venues=1
		10.2 quote B 1 102x1 104x1
			> nbbo BTC-USDT spot 10.200 102x1@B 101x1@A venues=2 crossed
		10.4 quote B 2 101x1 104x1
			> nbbo BTC-USDT spot 10.400 101x1@B 101x1@A venues=2 crossed
		10.6 quote B 3 100x1 104x1
			> nbbo BTC-USDT spot 10.600 100x1@B 101x1@A venues=2
	`)
}

// A venue counts for as long as it is heard, trades, and its quotes or book can
// be trusted. That none does any more is said at once.
func TestNbboCountsWhatIsAlive(t *testing.T) {
	t.Parallel()
	s := newStory(t, consolidating, "nbbo")
	s.tell(`
		 9.00 catalog A base=BTC
		 9.00 catalog B base=BTC channels=quotes
			> nbbo BTC-USDT spot 9.000 none none venues=0 invalid
		10.00 quote A 1 99x1 101x1
			> nbbo BTC-USDT spot 10.000 99x1@A 101x1@A venues=1
		12.00 quote B 1 98x1 102x1
			> nbbo BTC-USDT spot 12.000 99x1@A 101x1@A venues=2
		15.00 trade A 1 100x1                     // is no word on the quotes
		21.00 tick
			> nbbo BTC-USDT spot 20.000 98x1@B 102x1@B venues=1
		21.50 quote B 2 98x1 102x1                // the same again, but alive
		25.00 quote A 2 99x1 101x1
			> nbbo BTC-USDT spot 25.000 99x1@A 101x1@A venues=2
		26.00 down A quotes disconnect
			> nbbo BTC-USDT spot 26.000 98x1@B 102x1@B venues=1
		26.05 status B halted
			> nbbo BTC-USDT spot 26.050 none none venues=0 invalid
		26.06 quote A 3 99x1 101x1
		26.07 status B trading
		26.08 down A quotes disconnect
		26.08 down B quotes disconnect
		26.09 quote A 4 99x1 101x1
		26.10 tick
		26.15 tick
			> nbbo BTC-USDT spot 26.150 99x1@A 101x1@A venues=1
		36.10 tick
			> nbbo BTC-USDT spot 36.090 none none venues=0 invalid`)

	// Where the venue's quotes are not to be had its book stands in.
	s.tell(`
		40.00 down A quotes disconnect
		40.01 depth A 1..1 98x5
		40.10 snapshot A 0 epoch=1 97x1 | 105x1
			> nbbo BTC-USDT spot 40.100 98x5@A 105x1@A venues=1
		40.30 depth A 2..2 | 104x1
			> nbbo BTC-USDT spot 40.300 98x5@A 104x1@A venues=1
		40.50 quote A 5 99x1 101x1
			> nbbo BTC-USDT spot 40.500 99x1@A 101x1@A venues=1
		40.70 gap A quotes overload
			> nbbo BTC-USDT spot 40.700 98x5@A 104x1@A venues=1
		40.90 depth A 4..4 | 104x1                // a hole: the book is not the venue's
			> nbbo BTC-USDT spot 40.900 none none venues=0 invalid
		41.00 snapshot A 4 epoch=2 98x5 | 104x2
		41.10 depth A 5..5 | 104x3
			> nbbo BTC-USDT spot 41.100 98x5@A 104x3@A venues=1
		41.20 rescale A 2/2
		41.30 depth A 6..6 97x1                   // finer, and the same
		42.00 status A delisted
			> nbbo BTC-USDT spot 42.000 none none venues=0 invalid`)
}

// Contracts are what they are worth in the base asset.
func TestNbboContracts(t *testing.T) {
	t.Parallel()
	tell(t, consolidating, "nbbo", `
		 9.0 catalog A base=BTC channels=quotes type=perpetual contract=0.01
		 9.0 catalog B base=BTC channels=quotes type=inverse contract=100 digits=1/0
			> nbbo BTC-USDT perpetual 9.000 none none venues=0 invalid
		10.0 quote A 1 60000x250 60002x100
			> nbbo BTC-USDT perpetual 10.000 60000x2.5@A 60002x1@A venues=1
		10.2 quote B 1 60000x1501 60001x7       // 150100 USD / 60000, 700 USD / 60001
			> nbbo BTC-USDT perpetual 10.200 60000x2.501666666667@B 60001x0.011666472225@B venues=2
		10.4 catalog A base=BTC channels=quotes type=perpetual contract=0.1
			> nbbo BTC-USDT perpetual 10.400 60000x25@A 60001x0.011666472225@B venues=2
	`)
}

// Groups are of the same base, quote and type; what expires, and what nobody
// knows, has none.
func TestNbboGroups(t *testing.T) {
	t.Parallel()
	tell(t, consolidating, "nbbo", `
		 9.0 catalog A base=BTC channels=quotes
		 9.0 catalog B base=BTC channels=quotes quote=USDC
		 9.0 catalog C base=BTC channels=quotes quote=USD
		 9.0 catalog D base=BTC channels=quotes type=perpetual
		 9.0 catalog E base=BTC channels=quotes type=future
		 9.0 catalog F base=BTC channels=quotes type=future
		 9.0 catalog G base= channels=quotes
		 9.0 catalog H base= channels=quotes
		 9.0 catalog I base=ETH channels=quotes
		 9.0 catalog J base=BTC channels=quotes quote=USD
			> nbbo BTC-USD spot 9.000 none none venues=0 invalid
		10.0 quote A 1 99x1 101x1
		10.0 quote B 1 99x1 101x1
		10.0 quote D 1 99x1 101x1
		10.0 quote E 1 99x1 101x1
		10.0 quote F 1 99x1 101x1
		10.0 quote G 1 99x1 101x1
		10.0 quote H 1 99x1 101x1
		10.0 quote I 1 99x1 101x1
		10.0 quote J 1 99x1 101x1
			> nbbo BTC-USD spot 10.000 99x1@J 101x1@J venues=1
	`)
	tell(t, Options{}, "nbbo", `
		 9.0 catalog A base=BTC channels=quotes
		 9.0 catalog B base=BTC channels=quotes
		10.0 quote A 1 99x1 101x1
	`)
}

// What waits for a time keeps its distance from it when our clock is set.
func TestNbboClockStep(t *testing.T) {
	t.Parallel()
	tell(t, consolidating, "nbbo", `
		 100.00 catalog A base=BTC channels=quotes
		 100.00 catalog B base=BTC channels=quotes
			> nbbo BTC-USDT spot 100.000 none none venues=0 invalid
		 101.00 quote B 1 99x1 101x1
			> nbbo BTC-USDT spot 101.000 99x1@B 101x1@B venues=1
		 101.05 quote B 2 99x2 101x1
		  51.05 step 101.05
		  51.09 tick
		  51.10 tick
			> nbbo BTC-USDT spot 51.100 99x2@B 101x1@B venues=1
		  61.06 tick
			> nbbo BTC-USDT spot 61.050 none none venues=0 invalid
	`)
}

// model is what the consolidated best is by definition, computed anew from what
// each venue said last, with rationals, at every moment at which it may change.
type model struct {
	now, writtenAt, pendingAt int64
	venues                    []*modelVenue
	event                     int
	shown                     string
	rows                      []string
}

type modelVenue struct {
	def                     tick.Instrument
	priceDigits, sizeDigits uint8
	seenAt                  int64
	quotes, depth           bool // are to be believed
	quote, book             [2]modelLevel
	was                     [2]string
	since                   [2]int // event that made it what it is
}

type modelLevel struct{ price, size *big.Rat }

const (
	modelStale = int64(10 * time.Second)
	modelEvery = int64(100 * time.Millisecond)
)

func (v *modelVenue) counts(now int64) (levels [2]modelLevel, ok bool) {
	if now-v.seenAt >= modelStale || v.def.State > tick.StateRestricted {
		return levels, false
	}
	if v.quotes {
		return v.quote, true
	}
	return v.book, v.depth
}

// base is the level's size in the base asset: exact, then rounded.
func (v *modelVenue) base(l modelLevel) *big.Rat {
	contract := ratio(v.def.ContractSize.Mantissa, v.def.ContractSize.Digits)
	exact := new(big.Rat).Mul(l.size, contract)
	places := min(int(v.sizeDigits)+int(v.def.ContractSize.Digits), 12)
	if v.def.Inverse {
		if l.price.Sign() == 0 {
			return new(big.Rat)
		}
		exact.Quo(exact, l.price)
		places = 12
	}
	for ; places >= 0; places-- {
		scaled := new(big.Rat).Mul(exact, ratio(tick.Pow10(uint8(places)), 0))
		q, rest := new(big.Int).QuoRem(scaled.Num(), scaled.Denom(), new(big.Int))
		if c := rest.Lsh(rest, 1).Cmp(scaled.Denom()); c > 0 || c == 0 && q.Bit(0) == 1 {
			q.Add(q, big.NewInt(1))
		}
		if q.IsInt64() {
			return ratio(q.Int64(), uint8(places))
		}
	}
	return new(big.Rat)
}

func ratio(v int64, digits uint8) *big.Rat { return big.NewRat(v, tick.Pow10(digits)) }

// best says what is the best now.
func (m *model) best() (text string, count int) {
	var best [2]*modelLevel
	var of [2]int
	for i, v := range m.venues {
		levels, ok := v.counts(m.now)
		if ok {
			count++
		}
		for side, l := range levels {
			is := "none"
			if ok && l.size.Sign() > 0 {
				if l.size = v.base(l); l.size.Sign() > 0 {
					is = l.price.RatString() + "x" + l.size.RatString()
				}
			}
			if is != v.was[side] {
				v.was[side], v.since[side] = is, m.event
			}
			if is == "none" {
				continue
			}
			better := best[side] == nil
			if !better {
				c := l.price.Cmp(best[side].price)
				if side == 1 {
					c = -c
				}
				if c == 0 {
					c = l.size.Cmp(best[side].size)
				}
				better = c > 0 || c == 0 && v.since[side] < m.venues[of[side]].since[side]
			}
			if better {
				best[side], of[side] = &l, i
			}
		}
	}
	for side, l := range best {
		if l == nil {
			text += "none "
		} else {
			text += fmt.Sprintf("%sx%s@%d ", l.price.RatString(), l.size.RatString(), of[side])
		}
	}
	text += fmt.Sprintf("venues=%d", count)
	if best[0] != nil && best[1] != nil && best[0].price.Cmp(best[1].price) >= 0 {
		text += " crossed"
	}
	return text, count
}

// look sees what is to be said now.
func (m *model) look() {
	m.event++
	switch text, count := m.best(); {
	case text == m.shown:
		m.pendingAt = never
	case m.shown == "" || count == 0 || m.now >= m.writtenAt+modelEvery:
		m.shown, m.writtenAt, m.pendingAt = text, m.now, never
		m.rows = append(m.rows, clockText(m.now)+" "+text)
	default:
		m.pendingAt = m.writtenAt + modelEvery
	}
}

// advance looks at every moment up to a time at which something may be due.
func (m *model) advance(to int64) {
	for {
		next := m.pendingAt
		for _, v := range m.venues {
			if at := v.seenAt + modelStale; at > m.now {
				next = min(next, at)
			}
		}
		if next > to {
			break
		}
		m.now = next
		m.look()
	}
	m.now = max(m.now, to)
}

// The rows of a shard are those of the definition, whatever venues say and
// suffer, in their own digits, contracts and channels.
func TestNbboModel(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	rows, crossed, invalid := 0, 0, 0
	for venues := 2; venues <= 6; venues++ {
		for range 3 {
			m := &model{now: midnight, pendingAt: never}
			// The model's quotes and books have nothing to do with each other.
			s := NewShard(Options{Nbbo: true, Stale: time.Hour})
			var got []string
			give := func(p []tick.Unit) {
				s.Apply(p)
				eachRow(s.TakeRows(), func(row []tick.Unit) {
					if row[0].KindOf() == tick.RowNbbo {
						got = append(got, nbboModelText(row[0].NbboRow()))
					}
				})
				s.TakeCommands()
			}
			for i := range venues {
				v := &modelVenue{def: anyContract(random, i), was: [2]string{"none", "none"}}
				v.priceDigits, v.sizeDigits = v.def.PriceDigits, v.def.SizeDigits
				p, err := tick.AppendCatalog(nil, tick.Header{ReceiveNanos: m.now}, v.def)
				if err != nil {
					t.Fatal(err)
				}
				give(p)
				if m.venues = append(m.venues, v); i > 0 {
					m.look()
				}
			}
			for range 2000 {
				to := m.now + int64(random.IntN(60))*1e6
				switch random.IntN(60) {
				case 0:
					to += int64(random.IntN(15)) * 1e9
				case 1, 2, 3:
					to = m.now // at once
				}
				m.advance(to)
				give(m.anyEvent(random, random.IntN(venues)))
				m.look()
			}
			m.advance(m.now + 20e9)
			give(tickPacket(m.now))
			if !slices.Equal(got, m.rows) {
				t.Fatalf("%d venues:\n%s", venues, firstDifference(m.rows, got))
			}
			for _, row := range got {
				rows++
				if strings.HasSuffix(row, "crossed") {
					crossed++
				}
				if strings.HasSuffix(row, "venues=0") {
					invalid++
				}
			}
		}
	}
	if rows < 1000 || crossed < 50 || invalid < 20 {
		t.Errorf("too little happened to show anything: %d rows, %d crossed, %d invalid", rows, crossed, invalid)
	}
}

func firstDifference(want, got []string) string {
	for i := range max(len(want), len(got)) {
		var w, g string
		if i < len(want) {
			w = want[i]
		}
		if i < len(got) {
			g = got[i]
		}
		if w != g {
			return fmt.Sprintf("row %d\nwant %s\ngot  %s", i, w, g)
		}
	}
	return ""
}

// nbboModelText says a row as the model does.
func nbboModelText(x *tick.NbboRow) string {
	text := clockText(x.TsNanos) + " "
	side := func(price, size int64, priceDigits, sizeDigits uint8, of uint32) {
		if size == 0 {
			text += "none "
			return
		}
		text += fmt.Sprintf("%sx%s@%d ", ratio(price, priceDigits).RatString(), ratio(size, sizeDigits).RatString(), of)
	}
	side(x.Bid, x.BidSize, x.BidDigits, x.BidSizeDigits, x.BidInstrument)
	side(x.Ask, x.AskSize, x.AskDigits, x.AskSizeDigits, x.AskInstrument)
	text += fmt.Sprintf("venues=%d", x.Venues)
	if x.Flags&tick.RowCrossed != 0 {
		text += " crossed"
	}
	if valid := x.Flags&tick.RowValid != 0; valid != (x.Venues > 0) {
		text += " and valid is wrong"
	}
	return text
}

// anyContract is a perpetual as some venue has it.
func anyContract(r *rand.Rand, i int) tick.Instrument {
	def := define(uint32(i), fmt.Sprint("X", i))
	def.Base, def.Underlying, def.Type, def.Sync = "BTC", "BTC", tick.TypePerpetual, rules["images"]
	def.PriceDigits, def.SizeDigits = uint8(r.IntN(4)), uint8(r.IntN(9))
	def.Inverse = r.IntN(3) == 0
	def.ContractSize = anyContractSize(r)
	def.Channels = []tick.Channels{tick.ChannelQuotes, tick.ChannelDepth, tick.ChannelQuotes | tick.ChannelDepth}[r.IntN(3)]
	return def
}

// anyContractSize is 1 mostly, so that sizes meet, or has up to nine digits.
func anyContractSize(r *rand.Rand) tick.Number {
	if r.IntN(2) == 0 {
		return tick.Number{Mantissa: 1}
	}
	return tick.Number{Mantissa: 1 + int64(r.IntN(100)), Digits: uint8(r.IntN(10))}
}

// anyEvent lets something happen at a venue, and notes it.
func (m *model) anyEvent(r *rand.Rand, i int) []tick.Unit {
	v := m.venues[i]
	h := tick.Header{Line: uint16(i), Instrument: uint32(i), ReceiveNanos: m.now, ExchangeNanos: m.now}
	// Prices near each other, so that they meet and cross.
	level := func(price int) (tick.Level, modelLevel) {
		l := tick.Level{Price: int64(price) * tick.Pow10(v.priceDigits), Size: int64(1+r.IntN(3)) * tick.Pow10(v.sizeDigits)}
		if r.IntN(3) == 0 && v.priceDigits > 0 {
			l.Price += int64(r.IntN(10))
		}
		if r.IntN(3) == 0 {
			l.Size = 1 + int64(r.IntN(1_000_000))
		}
		if r.IntN(100) == 0 {
			l.Size = r.Int64N(1 << 62 / tick.Pow10(11-v.sizeDigits)) // so much that rescales still fit
		}
		return l, modelLevel{ratio(l.Price, v.priceDigits), ratio(l.Size, v.sizeDigits)}
	}
	both := func() (bid, ask tick.Level, levels [2]modelLevel) {
		middle := 100 + r.IntN(5)
		bid, levels[0] = level(middle)
		ask, levels[1] = level(middle + 1 + r.IntN(2))
		return
	}
	channel := []tick.Channels{tick.ChannelQuotes, tick.ChannelDepth}[r.IntN(2)]
	lose := func(kind tick.Kind) []tick.Unit {
		if !v.def.Channels.Has(channel) {
			return tickPacket(m.now)
		}
		if channel == tick.ChannelQuotes {
			v.quotes = false
		} else {
			v.depth = false
		}
		h.Kind = kind
		return tick.AppendEvent(nil, h, channel, tick.ReasonDisconnect)
	}
	define := func() []tick.Unit {
		p, _ := tick.AppendCatalog(nil, h, v.def)
		return p
	}
	switch n := r.IntN(100); {
	case n < 80:
		bid, ask, levels := both()
		v.seenAt = m.now
		if v.def.Channels.Has(tick.ChannelQuotes) && (channel == tick.ChannelQuotes || !v.def.Channels.Has(tick.ChannelDepth)) {
			if r.IntN(10) == 0 {
				ask, levels[1] = tick.Level{}, modelLevel{new(big.Rat), new(big.Rat)}
			}
			v.quotes, v.quote = true, levels
			return depthPacket(h, tick.KindQuote, 0, 0, 0, []tick.Level{bid}, []tick.Level{ask})
		}
		v.depth, v.book = true, levels
		return depthPacket(h, tick.KindDepth, 0, 0, 0, []tick.Level{bid}, []tick.Level{ask})
	case n < 84:
		return lose(tick.KindDown)
	case n < 88:
		return lose(tick.KindGap)
	case n < 92:
		was := v.def.State
		v.def.State = []tick.State{tick.StateTrading, tick.StateTrading, tick.StateRestricted, tick.StateHalted, tick.StateDelisted}[r.IntN(5)]
		if v.def.State == tick.StateDelisted && was != tick.StateDelisted {
			v.quotes, v.depth = false, false
		}
		return define()
	case n < 94:
		v.def.ContractSize = anyContractSize(r)
		return define()
	case n < 96 && v.priceDigits < 5 && v.sizeDigits < 11:
		v.priceDigits, v.sizeDigits = v.priceDigits+uint8(r.IntN(2)), v.sizeDigits+uint8(r.IntN(2))
		return tick.AppendRescale(nil, h, v.priceDigits, v.sizeDigits)
	}
	return tickPacket(m.now)
}

// A round of quotes of all venues of a group, each of which changes the best.
func newGroup(n int) (give func()) {
	s := NewShard(consolidating)
	now := midnight
	var packets [][]tick.Unit
	for i := range n {
		def := define(uint32(i), fmt.Sprint("X", i))
		def.Base, def.Type, def.Channels = "BTC", tick.TypePerpetual, tick.ChannelQuotes
		def.PriceDigits, def.SizeDigits = uint8(i%3), uint8(i%2)
		def.Inverse = i%3 == 2
		p, _ := tick.AppendCatalog(nil, tick.Header{ReceiveNanos: now}, def)
		s.Apply(p)
		h := tick.Header{Instrument: uint32(i), Line: uint16(i)}
		packets = append(packets, depthPacket(h, tick.KindQuote, 0, 0, 0, make([]tick.Level, 1), make([]tick.Level, 1)))
	}
	turn := 0
	return func() {
		turn++
		p, i := packets[turn%n], turn%n
		now += 1e6
		h := p[0].Header()
		h.ReceiveNanos, h.ExchangeNanos = now, now-5e6
		l := tick.Levels(p)
		price, size := tick.Pow10(uint8(i%3)), tick.Pow10(uint8(i%2))
		l[0] = tick.Level{Price: int64(60000+turn%7) * price, Size: int64(1+turn%5) * size}
		l[1] = tick.Level{Price: int64(60010-turn%5) * price, Size: int64(1+turn%3) * size}
		s.Apply(p)
		s.TakeRows()
	}
}

func TestNbboZeroAllocs(t *testing.T) {
	skipUnderRace(t)
	give := newGroup(5)
	for range 1000 {
		give()
	}
	if n := testing.AllocsPerRun(10_000, give); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A quote that changes the best of a group. One venue is no group, and pays
// for no more than its own part.
func BenchmarkNbbo(b *testing.B) {
	for _, n := range []int{1, 2, 5, 10} {
		b.Run(fmt.Sprint("venues=", n), func(b *testing.B) {
			give := newGroup(n)
			b.ReportAllocs()
			for b.Loop() {
				give()
			}
		})
	}
}
