package pipeline

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tickproc/tick"
)

func TestPatterns(t *testing.T) {
	t.Parallel()
	f := func(pattern string, symbols ...string) {
		t.Helper()
		for _, s := range symbols {
			symbol, not := strings.CutPrefix(s, "!")
			if matches(pattern, symbol) == not {
				t.Errorf("%q matches %q: %v", pattern, symbol, !not)
			}
		}
	}
	f("*USDT", "BTCUSDT", "btcusdt", "USDT", "!BTCUSDTX", "!BTCUSD", "!BTC-USD")
	f("btc-*", "BTC-USD", "BTC-", "!WBTC-USD", "!BTC")
	f("BTC/???", "BTC/USD", "!BTC/USDT", "!BTC/US")
	f("*", "", "anything", "币安人生USDT")
	f("????USDT", "币安人生USDT", "!币安人USDT")
	f("*A*A*A*B", "AAAB", "xAyAzAAB", "!"+strings.Repeat("A", 2000))
	f("BTC-USD-[0-9]", "!BTC-USD-1", "BTC-USD-[0-9]") // shells know more; symbols do not need it
}

// A pattern means what the regular expression of the same shape means.
func TestPatternsAgainstRegularExpressions(t *testing.T) {
	t.Parallel()
	const seed = 7
	random := rand.New(rand.NewPCG(seed, 0))
	text := func(letters string, most int) string {
		b := make([]byte, random.IntN(most+1))
		for i := range b {
			b[i] = letters[random.IntN(len(letters))]
		}
		return string(b)
	}
	matched := 0
	for range 20000 {
		pattern, symbol := text("AB*?", 6), text("AB", 6)
		want := regexp.MustCompile("^" + strings.NewReplacer("*", ".*", "?", ".").Replace(pattern) + "$").MatchString(symbol)
		if matches(pattern, symbol) != want {
			t.Fatalf("seed %d: %q matches %q: %v", seed, pattern, symbol, !want)
		}
		if want {
			matched++
		}
	}
	if matched < 1000 {
		t.Errorf("only %d matched", matched)
	}
}

// testCatalog is a small venue.
func testCatalog() []tick.Instrument {
	in := func(symbol string, kind tick.InstrumentType, state tick.State) tick.Instrument {
		return tick.Instrument{Venue: "binance-usdm", Symbol: symbol, Underlying: symbol, Type: kind, State: state}
	}
	return []tick.Instrument{
		in("BTCUSDT", tick.TypePerpetual, tick.StateTrading),
		in("BTCUSDT_261225", tick.TypeFuture, tick.StateTrading),
		in("ETHUSDT", tick.TypePerpetual, tick.StateRestricted),
		in("NEWUSDT", tick.TypePerpetual, tick.StatePreOpen),
		in("OLDUSDT", tick.TypePerpetual, tick.StateDelisted),
		in("HALTUSDT", tick.TypePerpetual, tick.StateHalted),
		in("BTCDOWNUSDT", tick.TypePerpetual, tick.StateTrading),
		in("BTCUSDC", tick.TypePerpetual, tick.StateTrading),
	}
}

func symbolsOf(instruments []tick.Instrument) string {
	var names []string
	for _, in := range instruments {
		names = append(names, in.Symbol)
	}
	return strings.Join(names, " ")
}

func remarksOf(remarks []remark) string {
	var lines []string
	for _, r := range remarks {
		lines = append(lines, r.String())
	}
	return strings.Join(lines, "\n")
}

// Names are taken in any case, and what is wrong with one is said.
func TestSymbolsByName(t *testing.T) {
	t.Parallel()
	f := Feed{Symbols: []string{"btcusdt", "HALTUSDT", "OLDUSDT", "ETHUSDX", "*", "QQQ"}}
	found, remarks := f.byName(testCatalog(), nil)
	if have := symbolsOf(found); have != "BTCUSDT HALTUSDT" {
		t.Errorf("found %s", have)
	}
	want := "OLDUSDT: the venue does not trade this symbol now: left out (it is delisted)\n" +
		"ETHUSDX: the venue does not trade this symbol: left out; did you mean \"ETHUSDT\"?\n" +
		"QQQ: the venue does not trade this symbol: left out"
	if have := remarksOf(remarks); have != want {
		t.Errorf("have\n%s\nwant\n%s", have, want)
	}
	// Without a catalog they are taken at their word.
	found, remarks = f.byName(nil, func(symbol string) tick.Instrument { return tick.Instrument{Symbol: symbol} })
	if have := symbolsOf(found); have != "btcusdt HALTUSDT OLDUSDT ETHUSDX QQQ" || len(remarks) != 0 {
		t.Errorf("found %s, %v", have, remarks)
	}
}

// Patterns take what trades or will, and what narrows them narrows.
func TestSymbolsByPattern(t *testing.T) {
	t.Parallel()
	check := func(f Feed, want, wantRemarks string) {
		t.Helper()
		found, remarks := f.byPattern(testCatalog(), func(symbol string) bool { return symbol == "ETHUSDT" })
		if have := symbolsOf(found); have != want {
			t.Errorf("%+v: found %q, want %q", f, have, want)
		}
		if have := remarksOf(remarks); have != wantRemarks {
			t.Errorf("%+v: have\n%s\nwant\n%s", f, have, wantRemarks)
		}
	}
	check(Feed{Symbols: []string{"*"}}, "BTCUSDT BTCUSDT_261225 NEWUSDT BTCDOWNUSDT BTCUSDC", "")
	check(Feed{Symbols: []string{"*usdt", "BTC*"}, Exclude: []string{"*down*", "btcusdc"}}, "BTCUSDT BTCUSDT_261225 NEWUSDT", "")
	check(Feed{Symbols: []string{"*"}, Type: Words{"future"}}, "BTCUSDT_261225", "")
	check(Feed{Symbols: []string{"*"}, Type: Words{"spot", "future"}}, "BTCUSDT_261225", "")
	check(Feed{Symbols: []string{"*EUR", "BTCUSDC", "OLD*", "ETHUSD?"}}, "",
		"*EUR: this pattern matches no symbol of the venue; look at the venue's spelling: BTCUSDT, BTCUSDT_261225, ETHUSDT, …\n"+
			"OLD*: everything that this pattern matches is left out; by exclude, by type, or because it is not traded now")
}

// The rank is by volume, then by name, so that it is always the same.
func TestSymbolsByVolume(t *testing.T) {
	t.Parallel()
	sorted := byVolume(testCatalog(), map[string]float64{"BTCUSDC": 3e9, "NEWUSDT": 5, "ETHUSDT": 3e9})
	if have := symbolsOf(sorted); have != "BTCUSDC ETHUSDT NEWUSDT BTCDOWNUSDT BTCUSDT BTCUSDT_261225 HALTUSDT OLDUSDT" {
		t.Errorf("%s", have)
	}
	for top, want := range map[int]int{1: 1, 4: 4, 5: 6, 50: 60, 99: 118} {
		if have := topRoom(top); have != want {
			t.Errorf("room of the top %d: %d, want %d", top, have, want)
		}
	}
}

// Spot instruments are not asked for what only derivatives have.
func TestChannelsOfAnInstrument(t *testing.T) {
	t.Parallel()
	const all = tick.ChannelTrades | tick.ChannelDepth | tick.ChannelFunding | tick.ChannelLiquidations
	f := func(channels []string, kind tick.InstrumentType, want tick.Channels) {
		t.Helper()
		feed := Feed{Channels: channels}
		if have := feed.channelsOf(all, &tick.Instrument{Type: kind}); have != want {
			t.Errorf("%v of %v: %v, want %v", channels, kind, have, want)
		}
	}
	f([]string{AllChannels}, tick.TypePerpetual, all)
	f([]string{AllChannels}, tick.TypeSpot, tick.ChannelTrades|tick.ChannelDepth)
	f([]string{"trades", "funding"}, tick.TypeFuture, tick.ChannelTrades|tick.ChannelFunding)
	f([]string{"funding"}, tick.TypeSpot, 0)
}

// newTestListing is a listing of a feed without sockets.
func newTestListing(t *testing.T, log *logText, feeds ...Feed) (*system, []*listing) {
	t.Helper()
	config := &Config{Feeds: feeds}
	config.EnsureDefaults()
	s := newSystem(config, textLogger(log))
	var all []*listing
	for i := range config.Feeds {
		f := &config.Feeds[i]
		adapter, ok := adapterOf(f.Venue)
		if !ok {
			t.Fatal(f.Venue)
		}
		all = append(all, newListing(s, &venueFeed{venue: f.Venue, number: i, config: f}, adapter, nil))
	}
	return s, all
}

func (l *listing) symbols() string {
	var names []string
	for _, c := range l.carried {
		names = append(names, c.Symbol)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// A symbol is of one feed: of the one that names it, else of the first whose
// pattern matches it.
func TestFeedsOfAVenueShareItsSymbols(t *testing.T) {
	t.Parallel()
	log := &logText{}
	s, l := newTestListing(t, log,
		Feed{Venue: "binance-usdm", Symbols: []string{"*USDT"}, Type: Words{"perpetual"}},
		Feed{Venue: "binance-usdm", Symbols: []string{"BTCUSDT", "*"}})
	for _, x := range l {
		x.begin(news{catalog: testCatalog()})
	}
	if a, b := l[0].symbols(), l[1].symbols(); a != "BTCDOWNUSDT ETHUSDT NEWUSDT" || b != "BTCUSDC BTCUSDT BTCUSDT_261225" {
		t.Errorf("%s and %s", a, b)
	}
	if len(s.carried()) != 6 || len(s.carriers()) != 6 || s.carriers()[0] != l[0].feed {
		t.Errorf("%d listed", len(s.carried()))
	}
}

// The top by volume: what falls out of it stays, what rises into it is added
// while there is room.
func TestTopByVolumeWhileRanksChange(t *testing.T) {
	t.Parallel()
	log := &logText{}
	_, all := newTestListing(t, log, Feed{Venue: "binance-usdm", Symbols: []string{"Z", "S*"}, TopByVolume: 5})
	l := all[0]
	var catalog []tick.Instrument
	for i := range 20 {
		catalog = append(catalog, tick.Instrument{Venue: "binance-usdm", Symbol: fmt.Sprintf("S%02d", i), Type: tick.TypePerpetual, State: tick.StateTrading})
	}
	catalog = append(catalog, tick.Instrument{Venue: "binance-usdm", Symbol: "Z", State: tick.StateTrading})
	volumes := func(first int) map[string]float64 {
		v := map[string]float64{"Z": 1e12}
		for i := range 20 {
			v[fmt.Sprintf("S%02d", (first+i)%20)] = float64(20 - i)
		}
		return v
	}
	l.begin(news{catalog: catalog})
	if have := l.symbols(); have != "Z" || l.feed.waits() == "" {
		t.Errorf("without volumes: %s, waits %q", have, l.feed.waits())
	}
	choose := func(n news, want string) {
		t.Helper()
		chosen, _ := l.choose(n)
		l.take(chosen)
		if have := l.symbols(); have != want || l.feed.waits() != "" {
			t.Errorf("have %s, want %s; waits %q", have, want, l.feed.waits())
		}
	}
	choose(news{catalog: catalog, volumes: volumes(0)}, "S00 S01 S02 S03 S04 Z")
	choose(news{catalog: catalog, volumes: volumes(3)}, "S00 S01 S02 S03 S04 S05 Z") // S05 and S06 rise, one is room for
	choose(news{catalog: catalog, volumes: volumes(10)}, "S00 S01 S02 S03 S04 S05 Z")
	choose(news{catalog: catalog}, "S00 S01 S02 S03 S04 S05 Z") // no volumes now
	l.at["S00"].gone = true
	choose(news{catalog: catalog, volumes: volumes(10)}, "S00 S01 S02 S03 S04 S05 S10 Z")
}

// Where a checksum alone shows that a message of depth was lost, and only the
// catalog tells how it is made, no book is carried without it.
func TestBooksThatCannotBeVerified(t *testing.T) {
	t.Parallel()
	_, all := newTestListing(t, &logText{}, Feed{Venue: "kraken", Symbols: []string{"BTC/USD", "ETH/USD"}},
		Feed{Venue: "kraken", Symbols: []string{"SOL/USD"}, Channels: []string{"trades"}})
	for i, want := range []string{"", "SOL/USD"} {
		l := all[i]
		if l.begin(news{err: errors.New("away")}); l.symbols() != want || (want == "") != strings.Contains(l.feed.waits(), "away") {
			t.Errorf("without a catalog: %q, waits %q", l.symbols(), l.feed.waits())
		}
	}
	l := all[0]
	body := []byte(`{"error":[],"result":{
		"XXBTZUSD":{"wsname":"BTC/USD","altname":"XBTUSD","pair_decimals":1,"lot_decimals":8,"status":"online"},
		"XETHZUSD":{"wsname":"ETH/USD","altname":"ETHUSD","status":"online"}}}`)
	catalog, err := l.adapter.ParseCatalog(body)
	if err != nil {
		t.Fatal(err)
	}
	l.size = len(catalog)
	chosen, remarks := l.choose(news{catalog: catalog})
	l.take(chosen)
	if l.symbols() != "BTC/USD ETH/USD" || l.feed.waits() != "" {
		t.Errorf("with the catalog: %q, waits %q", l.symbols(), l.feed.waits())
	}
	for _, c := range chosen {
		if has := c.Channels.Has(tick.ChannelDepth); has != (c.Symbol == "BTC/USD") || !c.Channels.Has(tick.ChannelTrades) {
			t.Errorf("%s has %s", c.Symbol, c.Channels)
		}
	}
	if len(remarks) != 1 || remarks[0].symbol != "ETH/USD" || !strings.Contains(remarks[0].text, "precision") {
		t.Errorf("remarks %v", remarks)
	}
}

// What can be carried by no means does not keep the rest from it.
func TestSymbolsThatCannotBeCarried(t *testing.T) {
	t.Parallel()
	log := &logText{}
	_, all := newTestListing(t, log, Feed{Venue: "binance-usdm", Symbols: []string{"*", "NOPE"}})
	catalog := append(testCatalog(), tick.Instrument{Venue: "binance-usdm", Symbol: strings.Repeat("X", 65), State: tick.StateTrading})
	all[0].begin(news{catalog: catalog})
	if have := all[0].symbols(); have != "BTCDOWNUSDT BTCUSDC BTCUSDT BTCUSDT_261225 ETHUSDT NEWUSDT" {
		t.Errorf("%s", have)
	}
	for _, want := range []string{"is longer than 64 bytes", "symbol=NOPE"} {
		if !log.has(want) {
			t.Errorf("the log does not say %q:\n%s", want, log)
		}
	}
	before := log.String()
	if chosen, remarks := all[0].choose(news{catalog: catalog}); len(chosen) != 0 || len(remarks) != 2 {
		t.Errorf("chosen again: %v, %v", chosen, remarks)
	} else if all[0].remark(remarks); log.String() != before {
		t.Error("it is said twice")
	}
}

// changesOf reads packets: what they are, of what.
func changesOf(units []tick.Unit) string {
	var all []string
	for ; len(units) > 0; units = units[tick.PacketUnits(&units[0]):] {
		switch h := units[0].Header(); h.Kind {
		case tick.KindCatalog:
			in := units[0].Catalog().Definition()
			all = append(all, fmt.Sprintf("catalog %d %s %s tick %s channels %s", in.ID, in.Symbol, in.State, in.Tick, in.Channels))
		case tick.KindStatus:
			all = append(all, fmt.Sprintf("status %d %s", h.Instrument, units[0].Status().State))
		default:
			all = append(all, fmt.Sprint("kind ", h.Kind))
		}
	}
	return strings.Join(all, "\n")
}

// Changes of the catalog are told as packets, once each.
func TestChangesOfTheCatalog(t *testing.T) {
	t.Parallel()
	log := &logText{}
	s, all := newTestListing(t, log, Feed{Venue: "binance-usdm", Symbols: []string{"BTCUSDT", "ETH*", "*C"}, Channels: []string{"trades"}})
	l := all[0]
	catalog := testCatalog()
	l.begin(news{catalog: catalog})
	if have := l.symbols(); have != "BTCUSDC BTCUSDT ETHUSDT" {
		t.Fatal(have)
	}
	compare := func(want ...string) {
		t.Helper()
		if have := changesOf(l.compare(catalog)); have != strings.Join(want, "\n") {
			t.Errorf("have\n%s\nwant\n%s", have, strings.Join(want, "\n"))
		}
	}
	compare()

	catalog[0].Tick, catalog[0].PriceDigits = tick.Number{Mantissa: 1, Digits: 3}, 3
	catalog[2].State = tick.StateHalted
	compare("catalog 0 BTCUSDT trading tick 0.001 channels trades", "catalog 1 ETHUSDT halted tick 0 channels trades")
	compare()
	if in := l.at["BTCUSDT"]; in.PriceDigits != 0 || s.state(1) != tick.StateHalted {
		t.Errorf("the scale of the introduction changed: %+v", in)
	}

	// One hole in the catalog means nothing, two in a row that it is gone.
	whole := catalog
	catalog = slices.Delete(slices.Clone(whole), 0, 1)
	compare()
	catalog = whole
	compare()
	catalog = slices.Delete(slices.Clone(whole), 0, 1)
	compare()
	compare("status 0 delisted")
	compare()
	if s.state(0) != tick.StateDelisted {
		t.Errorf("state %v", s.state(0))
	}

	// The venue may say so itself, and think better of it.
	catalog = slices.Clone(whole)
	catalog[7].State = tick.StateDelisted
	compare("catalog 0 BTCUSDT trading tick 0.001 channels trades", "status 2 delisted")
	compare()
	catalog[7].State, catalog[7].ExpiryNanos = tick.StateTrading, 1_800_000_000_000_000_000
	compare("catalog 2 BTCUSDC trading tick 0 channels trades")

	if l.changes.Load() != 4 || l.delistings.Load() != 2 {
		t.Errorf("%d changes, %d delistings", l.changes.Load(), l.delistings.Load())
	}
	for _, want := range []string{`symbol=BTCUSDT what="tick 0 → 0.001"`, `what="state restricted → halted"`, `msg=delisted venue=binance-usdm symbol=BTCUSDT why="the venue's catalog does not have it"`,
		`msg=delisted venue=binance-usdm symbol=BTCUSDC why="the venue says so"`, "expiry never → 2027-01-15T08:00:00Z"} {
		if !log.has(want) {
			t.Errorf("the log does not say %s:\n%s", want, log)
		}
	}
}
