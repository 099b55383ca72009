package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tickproc/indicators"
	"tickproc/tick"
)

// A story is a transcript: what a shard is given, line by line, and below each
// line what it says. Times are seconds of a day; a packet's exchange time is
// its receive time unless it says @.
//
//	10.0 catalog BTC channels=trades
//	10.2 trade BTC 1 100x2 sell @10.1
//	> trade BTC 10.100 id=1 sell 100x2
//
//	TIME catalog  NAME [channels=trades+quotes+depth] [ids=contiguous|integer|uuid] [rule=spot|futures|streamed|images|…] [digits=2/3] [cut=1ms]
//	                   [state=halted] [tick=0.01] [lot=0.01] [contract=100] [expiry=TIME] [venue=NAME] [base=BTC] [quote=USDT] [type=perpetual|inverse|future]
//	TIME up       NAME CHANNEL
//	TIME down     NAME CHANNEL REASON
//	TIME gap      NAME CHANNEL REASON
//	TIME trade    NAME ID PRICExSIZE [sell] [backfill] [nomarket] [fetched]
//	TIME fetched  NAME FROM..TO OUTCOME [epoch=N]                   // ids; where they do not count up, times
//	TIME quote    NAME ID BIDxSIZE ASKxSIZE
//	TIME depth    NAME FIRST..LAST [prev=ID] BIDxSIZE … | ASKxSIZE …
//	TIME snapshot NAME ID [epoch=N] BIDxSIZE … | ASKxSIZE …
//	TIME mark     NAME [mark=PRICE] [index=PRICE] [rate=NUMBER] [next=TIME] // digits as they are written
//	TIME interest NAME SIZE
//	TIME forced   NAME PRICExSIZE [sell]
//	TIME status   NAME STATE
//	TIME rescale  NAME PRICEDIGITS/SIZEDIGITS
//	TIME step     FROM
//	TIME tick
//	finish
//
// @TIME (0: the venue gave none) and line=N go with every packet. Tags such as
// [late] in what a shard says stand only where they hold.
type story struct {
	t     testing.TB
	shard *Shard
	names map[string]uint32
	of    map[uint32]string
	scale map[place][2]uint8
	kinds string // rows that are shown, "" = all
}

// place is an instrument on a line: what a scale belongs to.
type place struct {
	instrument uint32
	line       uint16
}

// midnight is time 0 of stories: a Monday in UTC.
const midnight = int64(1_767_571_200_000_000_000)

// tell runs a transcript. Kinds, separated by blanks, are the rows that matter
// to it.
func tell(t *testing.T, options Options, kinds, text string) *story {
	t.Helper()
	s := newStory(t, options, kinds)
	s.tell(text)
	return s
}

func newStory(t testing.TB, options Options, kinds string) *story {
	return &story{t: t, shard: NewShard(options), names: map[string]uint32{}, of: map[uint32]string{},
		scale: map[place][2]uint8{}, kinds: " " + kinds + " "}
}

// tell goes on with the story.
func (s *story) tell(text string) {
	s.t.Helper()
	var want, got []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "//")
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case strings.HasPrefix(line, ">"):
			want = append(want, "  "+line)
		default:
			want, got = append(want, line), append(got, line)
			if line == "finish" {
				s.shard.Finish()
			} else {
				s.shard.Apply(s.packet(line))
			}
			for _, row := range s.take() {
				got = append(got, "  > "+row)
			}
		}
	}
	if !slices.Equal(want, got) {
		s.t.Errorf("the story went differently:\n%s", diff(want, got))
	}
}

// diff marks lines that only one of the two has, "-" what was wanted.
func diff(want, got []string) string {
	var out strings.Builder
	for len(want)+len(got) > 0 {
		switch i, j := slices.Index(got, first(want)), slices.Index(want, first(got)); {
		case len(want) > 0 && i == 0:
			fmt.Fprintf(&out, "   %s\n", want[0])
			want, got = want[1:], got[1:]
		case len(got) > 0 && (j < 0 || len(want) == 0):
			fmt.Fprintf(&out, " + %s\n", got[0])
			got = got[1:]
		default:
			fmt.Fprintf(&out, " - %s\n", want[0])
			want = want[1:]
		}
	}
	return out.String()
}

func first(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[0]
}

// take returns what the shard has said since, as text.
func (s *story) take() (lines []string) {
	for _, units := range [][]tick.Unit{s.shard.TakeRows(), s.shard.TakeCommands()} {
		eachRow(units, func(row []tick.Unit) {
			line := s.text(row)
			kind, _, _ := strings.Cut(line, " ")
			if s.kinds == "  " || strings.Contains(s.kinds, " "+kind+" ") {
				lines = append(lines, line)
			}
		})
	}
	return lines
}

func eachRow(units []tick.Unit, do func(row []tick.Unit)) {
	for len(units) > 0 {
		n := tick.PacketUnits(&units[0])
		do(units[:n])
		units = units[n:]
	}
}

// packet reads a line of a story.
func (s *story) packet(line string) []tick.Unit {
	fields := strings.Fields(line)
	h := tick.Header{ReceiveNanos: s.nanos(fields[0]), Line: 1}
	h.ExchangeNanos = h.ReceiveNanos
	verb, options, args := fields[1], map[string]string{}, []string(nil)
	for _, f := range fields[2:] {
		if key, value, found := strings.Cut(f, "="); found {
			options[key] = value
		} else if at, found := strings.CutPrefix(f, "@"); found {
			if h.ExchangeNanos = s.nanos(at); at == "0" {
				h.ExchangeNanos = 0
			}
		} else {
			args = append(args, f)
		}
	}
	if text := options["line"]; text != "" {
		h.Line = uint16(s.integer(text))
	}
	switch verb {
	case "tick":
		return tickPacket(h.ReceiveNanos)
	case "step":
		u := tick.Unit{}
		h.Kind, h.ExchangeNanos = tick.KindClockStep, 0
		u.ClockStep().Header, u.ClockStep().FromNanos = h, s.nanos(args[0])
		return []tick.Unit{u}
	case "begin": // of a process: its configuration
		u := tick.Unit{}
		h.Kind, h.ExchangeNanos = tick.KindConfig, 0
		u.Config().Header = h
		return []tick.Unit{u}
	case "catalog":
		return s.catalog(h, args[0], options)
	}
	id, known := s.names[args[0]]
	if !known {
		s.t.Fatalf("%s: no catalog yet", line)
	}
	h.Instrument, args = id, args[1:]
	switch verb {
	case "up", "down", "gap":
		h.Kind = map[string]tick.Kind{"up": tick.KindUp, "down": tick.KindDown, "gap": tick.KindGap}[verb]
		reason := tick.ReasonNone
		if verb != "up" {
			reason = s.reason(args[1])
		}
		return tick.AppendEvent(nil, h, tick.ChannelOf(args[0]), reason)
	case "trade":
		for flag, bit := range map[string]tick.Flags{"sell": tick.FlagSell, "backfill": tick.FlagBackfill, "nomarket": tick.FlagNotMarket} {
			if slices.Contains(args, flag) {
				h.Flags |= bit
			}
		}
		if slices.Contains(args, "fetched") {
			h.Flags |= tick.FlagBackfill | tick.FlagFetched
		}
		l := s.level(h, args[1])
		return tradePacket(h, s.integer(args[0]), l)
	case "quote":
		n := s.integer(args[0])
		return depthPacket(h, tick.KindQuote, n, n, 0, []tick.Level{s.level(h, args[1])}, []tick.Level{s.level(h, args[2])})
	case "depth":
		from, to, _ := strings.Cut(args[0], "..")
		bids, asks := s.sides(h, args[1:])
		return depthPacket(h, tick.KindDepth, s.integer(from), s.integer(to), s.integer(options["prev"]), bids, asks)
	case "snapshot":
		bids, asks := s.sides(h, args[1:])
		n := s.integer(args[0])
		return depthPacket(h, tick.KindSnapshot, n, n, s.integer(options["epoch"]), bids, asks)
	case "mark":
		return s.mark(h, options)
	case "interest":
		var u tick.Unit
		h.Kind = tick.KindOpenInterest
		u.OpenInterest().Header = h
		u.OpenInterest().Size, u.OpenInterest().SizeDigits = s.own(args[0])
		return []tick.Unit{u}
	case "forced":
		if slices.Contains(args, "sell") {
			h.Flags |= tick.FlagSell
		}
		p := tradePacket(h, 0, s.level(h, args[0]))
		p[0].Header().Kind = tick.KindLiquidation
		return p
	case "status":
		var u tick.Unit
		h.Kind = tick.KindStatus
		*u.Status() = tick.Status{Header: h, State: s.state(args[0])}
		return []tick.Unit{u}
	case "fetched":
		var u tick.Unit
		h.Kind, h.ExchangeNanos = tick.KindBackfillEnd, 0
		from, to, _ := strings.Cut(args[0], "..")
		e := u.BackfillEnd()
		e.Header, e.Epoch = h, s.integer(options["epoch"])
		if e.ByTime = s.shard.instruments[id].def.TradeIDs != tick.TradeIDContiguous; e.ByTime {
			e.From, e.To = uint64(s.nanos(from)), uint64(s.nanos(to))
		} else {
			e.From, e.To = s.integer(from), s.integer(to)
		}
		var ok bool
		if e.Outcome, ok = tick.BackfillOf(args[1]); !ok {
			s.t.Fatalf("%s: no such outcome", line)
		}
		return []tick.Unit{u}
	case "rescale":
		price, size, _ := strings.Cut(args[0], "/")
		digits := [2]uint8{uint8(s.integer(price)), uint8(s.integer(size))}
		s.scale[place{id, h.Line}] = digits
		h.Instrument = id
		return tick.AppendRescale(nil, h, digits[0], digits[1])
	}
	s.t.Fatalf("%s: no such verb", line)
	return nil
}

func (s *story) catalog(h tick.Header, name string, options map[string]string) []tick.Unit {
	id, known := s.names[name]
	if !known {
		id = uint32(len(s.names))
		s.names[name], s.of[id] = id, name
	}
	def := define(id, name)
	for key, value := range options {
		switch key {
		case "channels":
			def.Channels = 0
			for c := range strings.SplitSeq(value, "+") {
				def.Channels |= tick.ChannelOf(c)
			}
		case "ids":
			def.TradeIDs = map[string]tick.TradeIDKind{"contiguous": tick.TradeIDContiguous, "integer": tick.TradeIDInteger, "uuid": tick.TradeIDUUID}[value]
		case "rule":
			def.Sync = rules[value]
		case "digits":
			price, size, _ := strings.Cut(value, "/")
			def.PriceDigits, def.SizeDigits = uint8(s.integer(price)), uint8(s.integer(size))
		case "state":
			def.State = s.state(value)
		case "tick":
			def.Tick = s.number(value)
		case "lot":
			def.Lot = s.number(value)
		case "contract":
			def.ContractSize = s.number(value)
		case "expiry":
			def.ExpiryNanos = s.nanos(value)
		case "venue":
			def.Venue = value
		case "base":
			def.Base, def.Underlying = value, value
		case "quote":
			def.Quote = value
		case "type":
			def.Type = map[string]tick.InstrumentType{"perpetual": tick.TypePerpetual, "inverse": tick.TypePerpetual, "future": tick.TypeFuture}[value]
			def.Inverse = value == "inverse"
		case "cut":
			def.TradeResolution, _ = time.ParseDuration(value)
		}
	}
	for line := range uint16(4) {
		if known {
			break // a later record changes no scale
		}
		s.scale[place{id, line}] = [2]uint8{def.PriceDigits, def.SizeDigits}
	}
	p, err := tick.AppendCatalog(nil, h, def)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *story) mark(h tick.Header, options map[string]string) []tick.Unit {
	var u tick.Unit
	h.Kind = tick.KindMark
	m := u.Mark()
	*m = tick.Mark{Header: h, Mark: tick.Absent, Index: tick.Absent, FundingRate: tick.Absent}
	// Both prices of a message have the digits of the finer one.
	mark, index := s.number(options["mark"]), s.number(options["index"])
	m.PriceDigits = max(mark.Digits, index.Digits)
	if options["mark"] != "" {
		m.Mark, _ = mark.Scaled(m.PriceDigits)
	}
	if options["index"] != "" {
		m.Index, _ = index.Scaled(m.PriceDigits)
	}
	if text := options["rate"]; text != "" {
		m.FundingRate, m.RateDigits = s.own(text)
	}
	if text := options["next"]; text != "" {
		m.NextFundingSeconds = uint32(s.nanos(text) / 1e9)
	}
	return []tick.Unit{u}
}

// own reads a number with the digits that it is written with.
func (s *story) own(text string) (int64, uint8) {
	_, places, _ := strings.Cut(text, ".")
	n, err := tick.ParseScaled([]byte(text), uint8(len(places)))
	if err != nil {
		s.t.Fatalf("number %q: %v", text, err)
	}
	return n, uint8(len(places))
}

func (s *story) number(text string) tick.Number {
	if text == "" {
		return tick.Number{}
	}
	v, digits := s.own(text)
	return tick.Number{Mantissa: v, Digits: digits}
}

func (s *story) state(name string) tick.State {
	for x := tick.StateUnknown; x <= tick.StateDelisted; x++ {
		if x.String() == name {
			return x
		}
	}
	s.t.Fatalf("no state %q", name)
	return 0
}

var rules = map[string]tick.SyncRule{
	"spot":        {Sequence: tick.SequenceRange, Join: 1, QuoteIDs: true},
	"futures":     {Sequence: tick.SequenceChain, QuoteIDs: true},
	"streamed":    {Snapshot: tick.SnapshotInBand, Sequence: tick.SequenceCounter},
	"images":      {Snapshot: tick.SnapshotEvery},
	"linked":      {Snapshot: tick.SnapshotInBand, Sequence: tick.SequenceChain},
	"plain":       {Snapshot: tick.SnapshotInBand},
	"tradequotes": {Snapshot: tick.SnapshotInBand, Sequence: tick.SequenceCounter, QuotesLag: true},
}

// define is an instrument with everything subscribed and no decimals.
func define(id uint32, name string) tick.Instrument {
	return tick.Instrument{ID: id, Venue: "venue", Symbol: name, Underlying: name, Base: name, Quote: "USDT",
		ContractSize: tick.Number{Mantissa: 1}, Sync: rules["spot"], Channels: tick.ChannelTrades | tick.ChannelQuotes | tick.ChannelDepth}
}

func tickPacket(receive int64) []tick.Unit {
	var u tick.Unit
	*u.Header() = tick.Header{Kind: tick.KindTick, ReceiveNanos: receive}
	return []tick.Unit{u}
}

func tradePacket(h tick.Header, id uint64, l tick.Level) []tick.Unit {
	var u tick.Unit
	h.Kind = tick.KindTrade
	*u.Trade() = tick.Trade{Header: h, ID: tick.ID{Lo: id}, Price: l.Price, Size: l.Size}
	return []tick.Unit{u}
}

func depthPacket(h tick.Header, kind tick.Kind, first, last, prev uint64, bids, asks []tick.Level) []tick.Unit {
	p := make([]tick.Unit, tick.DepthUnits(len(bids)+len(asks)))
	h.Kind = kind
	h.Flags |= tick.FlagFirst | tick.FlagLast
	d := p[0].Depth()
	*d = tick.Depth{Header: h, FirstID: first, LastID: last, PrevID: prev, Bids: uint16(len(bids)), LevelCount: uint16(len(bids) + len(asks))}
	copy(tick.Levels(p), slices.Concat(bids, asks))
	return p
}

func (s *story) nanos(text string) int64 {
	n, err := tick.ParseScaled([]byte(text), 9)
	if err != nil {
		s.t.Fatalf("time %q: %v", text, err)
	}
	return midnight + n
}

func (s *story) integer(text string) uint64 {
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *story) reason(name string) tick.Reason {
	for r := tick.ReasonNone; r.String() != "unknown"; r++ {
		if r.String() == name {
			return r
		}
	}
	s.t.Fatalf("no reason %q", name)
	return 0
}

func (s *story) level(h tick.Header, text string) tick.Level {
	price, size, _ := strings.Cut(text, "x")
	digits := s.scale[place{h.Instrument, h.Line}]
	p, err := tick.ParseScaled([]byte(price), digits[0])
	if err != nil {
		s.t.Fatalf("%s: %v", text, err)
	}
	v, err := tick.ParseScaled([]byte(size), digits[1])
	if err != nil {
		s.t.Fatalf("%s: %v", text, err)
	}
	return tick.Level{Price: p, Size: v}
}

func (s *story) sides(h tick.Header, texts []string) (bids, asks []tick.Level) {
	side := &bids
	for _, text := range texts {
		if text == "|" {
			side = &asks
			continue
		}
		*side = append(*side, s.level(h, text))
	}
	return bids, asks
}

// text says a row in a line.
func (s *story) text(row []tick.Unit) string {
	if row[0].KindOf() == tick.KindCatalog {
		def, text := row[0].Catalog().Definition(), "catalog "+s.of[row[0].Header().Instrument]
		for _, x := range []struct {
			name string
			tick.Number
		}{{"tick", def.Tick}, {"lot", def.Lot}, {"contract", def.ContractSize}} {
			if x.Mantissa != 0 && x.Number != (tick.Number{Mantissa: 1}) {
				text += " " + x.name + "=" + x.String()
			}
		}
		if def.ExpiryNanos != 0 {
			text += " expiry=" + clockText(def.ExpiryNanos)
		}
		if def.State != tick.StateUnknown {
			text += " " + def.State.String()
		}
		return text
	}
	if row[0].KindOf() == tick.RowNbbo {
		return s.nbboText(row[0].NbboRow())
	}
	return rowText(row, s.of[row[0].RowHeader().Instrument])
}

func (s *story) nbboText(x *tick.NbboRow) string {
	def := s.shard.instruments[x.Instrument].def
	text := fmt.Sprintf("nbbo %s-%s %s %s", def.Base, def.Quote, def.Type, clockText(x.TsNanos))
	for i, l := range []tick.Level{{Price: x.Bid, Size: x.BidSize}, {Price: x.Ask, Size: x.AskSize}} {
		digits, of := [2]uint8{x.BidDigits, x.BidSizeDigits}, x.BidInstrument
		if i == 1 {
			digits, of = [2]uint8{x.AskDigits, x.AskSizeDigits}, x.AskInstrument
		}
		if l.Size == 0 {
			text += " none"
		} else {
			text += fmt.Sprintf(" %sx%s@%s", plain(l.Price, digits[0]), plain(l.Size, digits[1]), s.of[of])
		}
	}
	text += fmt.Sprintf(" venues=%d", x.Venues)
	if x.Flags&tick.RowCrossed != 0 {
		text += " crossed"
	}
	if x.Flags&tick.RowValid == 0 {
		text += " invalid"
	}
	if x.Ord != 0 {
		text += fmt.Sprintf(" ord=%d", x.Ord)
	}
	return text
}

// rowText writes numbers as decimals without trailing zeros, so that rows of
// different scales compare.
func rowText(row []tick.Unit, name string) string {
	u, r := &row[0], row[0].RowHeader()
	price := func(v int64) string { return plain(v, r.PriceDigits) }
	size := func(v int64) string { return plain(v, r.SizeDigits) }
	sum := func(v tick.Int128, digits uint8) string { return v.Decimal(digits).String() }
	level := func(l tick.Level) string { return price(l.Price) + "x" + size(l.Size) }
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, " "+format, args...) }
	tag := func(on bool, name string) {
		if on {
			say("%s", name)
		}
	}
	switch r.Kind {
	case tick.RowTrade:
		x := u.TradeRow()
		fmt.Fprintf(&b, "trade %s %s", name, clockText(r.TsNanos))
		side := "buy"
		if r.Flags&tick.RowSell != 0 {
			side = "sell"
		}
		say("id=%d %s %s", x.ID.Lo, side, level(tick.Level{Price: x.Price, Size: x.Size}))
		tag(r.Flags&tick.RowLate != 0, "late")
	case tick.RowQuote:
		x := u.QuoteRow()
		fmt.Fprintf(&b, "quote %s %s seq=%d", name, clockText(r.TsNanos), x.Seq)
		say("%s %s", level(tick.Level{Price: x.Bid, Size: x.BidSize}), level(tick.Level{Price: x.Ask, Size: x.AskSize}))
		tag(r.Flags&tick.RowValid == 0, "invalid")
		tag(r.Flags&tick.RowFromBook != 0, "book")
	case tick.RowBook:
		x, levels := u.BookRow(), tick.RowLevels(row)
		fmt.Fprintf(&b, "book %s %s seq=%d", name, clockText(r.TsNanos), x.Seq)
		for i, l := range levels {
			tag(i == int(x.Bids), "|")
			say("%s", level(l))
		}
		tag(r.Flags&tick.RowValid == 0, "invalid")
	case tick.RowBar:
		x := u.BarRow()
		fmt.Fprintf(&b, "bar %s %s %s", name, indicators.IntervalName(time.Duration(x.IntervalNanos)), clockText(r.TsNanos))
		say("%s %s %s %s", price(x.Open), price(x.High), price(x.Low), price(x.Close))
		say("v=%s n=%s", sum(x.Volume, r.SizeDigits), sum(x.Notional, r.PriceDigits+r.SizeDigits))
		say("buy=%s sell=%s trades=%d rev=%d", sum(x.BuyVolume, r.SizeDigits), sum(x.SellVolume, r.SizeDigits), x.Trades, x.Rev)
		tag(r.Flags&tick.RowFinal == 0, "open")
		tag(r.Flags&tick.RowComplete != 0, "complete")
	case tick.RowWindow:
		x := u.WindowRow()
		fmt.Fprintf(&b, "window %s %s %s v=%s n=%s", name, indicators.WindowName(indicators.WindowSpec{Span: time.Duration(x.SpanNanos), Step: time.Duration(x.StepNanos)}), clockText(r.TsNanos), sum(x.Volume, r.SizeDigits), sum(x.Notional, r.PriceDigits+r.SizeDigits))
		say("trades=%d rev=%d", x.Trades, x.Rev)
		tag(r.Flags&tick.RowFinal == 0, "open")
		tag(r.Flags&tick.RowComplete != 0, "complete")
	case tick.RowGap:
		x := u.GapRow()
		end := ""
		if x.EndNanos != 0 {
			end = clockText(x.EndNanos)
		}
		fmt.Fprintf(&b, "gap %s %s %s..%s %s", x.Channel, name, clockText(r.TsNanos), end, x.Reason)
		tag(x.Lost != lostUnknown, fmt.Sprintf("lost=%d", x.Lost))
		tag(r.Flags&tick.RowRepaired != 0, "repaired")
		tag(x.Backfill != tick.BackfillNone, x.Backfill.String())
	case tick.RowFunding:
		x := u.FundingRow()
		fmt.Fprintf(&b, "funding %s %s", name, clockText(r.TsNanos))
		for _, n := range []struct {
			name   string
			value  int64
			digits uint8
		}{{"mark", x.Mark, x.MarkDigits}, {"index", x.Index, x.IndexDigits}, {"rate", x.Rate, x.RateDigits}} {
			tag(n.value != tick.Absent, n.name+"="+tick.FormatScaled(n.value, n.digits))
		}
		tag(x.NextFundingNanos != 0, "next="+clockText(x.NextFundingNanos))
	case tick.RowOpenInterest:
		x := u.OpenInterestRow()
		fmt.Fprintf(&b, "interest %s %s %s", name, clockText(r.TsNanos), tick.FormatScaled(x.Size, r.SizeDigits))
	case tick.RowLiquidation:
		x := u.TradeRow()
		side := "buy"
		if r.Flags&tick.RowSell != 0 {
			side = "sell"
		}
		fmt.Fprintf(&b, "forced %s %s %s %s", name, clockText(r.TsNanos), side, level(tick.Level{Price: x.Price, Size: x.Size}))
	case tick.RowStatus:
		x := u.StatusRow()
		fmt.Fprintf(&b, "status %s %s %s before=%s", name, clockText(r.TsNanos), x.State, x.Before)
	case tick.CmdResync:
		x := u.Resync()
		fmt.Fprintf(&b, "resync %s epoch=%d %s", name, x.Epoch, x.Reason)
		tag(x.Line != 1, fmt.Sprintf("line=%d", x.Line))
	case tick.CmdBackfill:
		x := u.BackfillCommand()
		fmt.Fprintf(&b, "backfill %s epoch=%d %s..%s", name, x.Epoch, clockText(r.TsNanos), clockText(x.EndNanos))
		tag(x.ToID != 0, fmt.Sprintf("ids=%d..%d", x.FromID, x.ToID))
	default:
		fmt.Fprintf(&b, "kind %d", r.Kind)
	}
	tag(r.Ord != 0, fmt.Sprintf("ord=%d", r.Ord))
	tag(r.Source != tick.TimeExchange, r.Source.String())
	return b.String()
}

// clockText writes a time in seconds of the day, with ns only where they matter.
func clockText(nanos int64) string {
	text := tick.FormatScaled(nanos-midnight, 9)
	return strings.TrimSuffix(text, "000000")
}

func plain(v int64, digits uint8) string {
	text := tick.FormatScaled(v, digits)
	if digits == 0 {
		return text
	}
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// seeded gives random numbers from a seed that a failing test prints.
func seeded(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}
