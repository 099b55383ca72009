package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"tickproc/journal"
	"tickproc/tick"
)

// packetPrinter prints the packets of a shard's log. Prices and sizes are at the
// scale of their line, which is that of the definition until a rescale of the
// line is seen.
type packetPrinter struct {
	out    io.Writer
	filter CatFilter
	shard  int
	asJSON bool
	names  map[uint32]tick.Instrument
	scales map[lineOf][2]uint8
}

type lineOf struct {
	line       uint16
	instrument uint32
}

// errPrinted ends a reading when all that was asked for is printed.
var errPrinted = errors.New("all is printed")

func newPacketPrinter(out io.Writer, f CatFilter, shard int, asJSON bool) *packetPrinter {
	return &packetPrinter{out: out, filter: f, shard: shard, asJSON: asJSON, names: map[uint32]tick.Instrument{}, scales: map[lineOf][2]uint8{}}
}

// learn takes the definitions of instruments from snapshots: their own packets
// may be of a part of the log that is gone.
func (p *packetPrinter) learn(checked []journal.CheckedSnapshot) {
	for _, c := range slices.Backward(checked) {
		if c.Snapshot == nil {
			continue
		}
		if shard, err := loadState(c.Snapshot, p.shard); err == nil {
			for _, in := range shard.Definitions() {
				p.names[in.ID] = in
			}
		}
	}
}

func (p *packetPrinter) batch(position uint64, batch []tick.Unit) error {
	at := position + 1 // behind the batch's header
	for len(batch) > 0 {
		n := tick.PacketUnits(&batch[0])
		if err := p.packet(at, batch[:n]); err != nil {
			return err
		}
		at += uint64(n)
		batch = batch[n:]
	}
	return nil
}

func (p *packetPrinter) packet(position uint64, packet []tick.Unit) error {
	u := &packet[0]
	h := u.Header()
	switch h.Kind {
	case tick.KindCatalog:
		p.names[h.Instrument] = u.Catalog().Definition()
	case tick.KindRescale:
		p.scales[lineOf{h.Line, h.Instrument}] = [2]uint8{u.Rescale().PriceDigits, u.Rescale().SizeDigits}
	}
	if !p.wanted(h) {
		return nil
	}
	fields := p.fields(position, packet)
	if p.asJSON {
		return jsonLine(p.out, fields)
	}
	return textLine(p.out, fields)
}

// ofNoInstrument are records that concern the shard.
var ofNoInstrument = []tick.Kind{tick.KindClockStep, tick.KindTick, tick.KindBarrier, tick.KindConfig}

func (p *packetPrinter) wanted(h *tick.Header) bool {
	f := &p.filter
	if len(f.Kinds) > 0 && !slices.Contains(f.Kinds, h.Kind) {
		return false
	}
	if !f.From.IsZero() && h.ReceiveNanos < f.From.UnixNano() || !f.To.IsZero() && h.ReceiveNanos >= f.To.UnixNano() {
		return false
	}
	if f.Venue == "" && f.Symbol == "" {
		return true
	}
	in := p.names[h.Instrument]
	return !slices.Contains(ofNoInstrument, h.Kind) && (f.Venue == "" || in.Venue == f.Venue) && (f.Symbol == "" || strings.EqualFold(in.Symbol, f.Symbol))
}

// field is a name and a value: text, or a number as text.
type field struct {
	name  string
	value any
}

func (p *packetPrinter) fields(position uint64, packet []tick.Unit) []field {
	u := &packet[0]
	h := u.Header()
	all := []field{{"position", position}, {"shard", p.shard}, {"received", momentText(h.ReceiveNanos)}, {"kind", h.Kind.String()}}
	add := func(name string, value any) { all = append(all, field{name, value}) }
	if !slices.Contains(ofNoInstrument, h.Kind) {
		in := p.names[h.Instrument]
		add("venue", in.Venue)
		add("symbol", in.Symbol)
		add("line", h.Line)
		add("frame", h.Ordinal)
		if h.ExchangeNanos != 0 {
			add("exchange", momentText(h.ExchangeNanos))
		}
	}
	price, size := p.scale(h)
	number := func(v int64, digits uint8) json.Number { return json.Number(scaled(v, digits)) }
	switch h.Kind {
	case tick.KindTrade, tick.KindTradeCorrection, tick.KindLiquidation:
		t := u.Trade()
		add("side", sideName(h.Flags&tick.FlagSell != 0))
		add("price", number(t.Price, price))
		add("size", number(t.Size, size))
		if h.Kind != tick.KindLiquidation {
			add("id", tradeIDText(t.ID))
		}
		if h.Flags&tick.FlagBackfill != 0 {
			add("backfill", true)
		}
	case tick.KindQuote, tick.KindDepth, tick.KindSnapshot:
		d := u.Depth()
		add("first_id", d.FirstID)
		add("last_id", d.LastID)
		if h.Kind == tick.KindSnapshot {
			add("epoch", d.PrevID)
		} else {
			add("prev_id", d.PrevID)
		}
		levels := make([][2]json.Number, d.LevelCount)
		for i, l := range tick.Levels(packet) {
			levels[i] = [2]json.Number{number(l.Price, price), number(l.Size, size)}
		}
		add("bids", levels[:d.Bids])
		add("asks", levels[d.Bids:])
	case tick.KindMark:
		m := u.Mark()
		for _, x := range []struct {
			name   string
			value  int64
			digits uint8
		}{{"mark", m.Mark, m.PriceDigits}, {"index", m.Index, m.PriceDigits}, {"funding_rate", m.FundingRate, m.RateDigits}} {
			if x.value != tick.Absent {
				add(x.name, number(x.value, x.digits))
			}
		}
		if m.NextFundingSeconds != 0 {
			add("next_funding", momentText(int64(m.NextFundingSeconds)*1e9))
		}
	case tick.KindOpenInterest:
		add("open_interest", number(u.OpenInterest().Size, u.OpenInterest().SizeDigits))
	case tick.KindStatus:
		add("state", u.Status().State.String())
	case tick.KindCatalog:
		in := u.Catalog().Definition()
		add("underlying", in.Underlying)
		add("type", in.Type.String())
		add("state", in.State.String())
		add("tick_size", in.Tick.String())
		add("lot", in.Lot.String())
		add("price_digits", in.PriceDigits)
		add("size_digits", in.SizeDigits)
	case tick.KindRescale:
		add("price_digits", u.Rescale().PriceDigits)
		add("size_digits", u.Rescale().SizeDigits)
	case tick.KindUp, tick.KindDown, tick.KindGap:
		e := u.Event()
		add("channel", e.Channel.String())
		add("reason", e.Reason.String())
		if e.Lost != 0 {
			add("lost", e.Lost)
		}
		if e.HeardNanos != 0 {
			add("heard", momentText(e.HeardNanos))
		}
	case tick.KindClockStep:
		add("from", momentText(u.ClockStep().FromNanos))
	case tick.KindBarrier:
		add("number", u.Barrier().Number)
	case tick.KindConfig:
		add("options", optionsHash(u.Config().Hash).String())
	}
	return all
}

func (p *packetPrinter) scale(h *tick.Header) (price, size uint8) {
	if s, known := p.scales[lineOf{h.Line, h.Instrument}]; known {
		return s[0], s[1]
	}
	in := p.names[h.Instrument]
	return in.PriceDigits, in.SizeDigits
}

func tradeIDText(id tick.ID) string {
	if id.Hi == 0 {
		return strconv.FormatUint(id.Lo, 10)
	}
	return fmt.Sprintf("%016x%016x", id.Hi, id.Lo)
}

// jsonLine prints an object.
func jsonLine(out io.Writer, fields []field) error {
	var b strings.Builder
	for i, f := range fields {
		value, err := json.Marshal(f.value)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%c%q:%s", "{,"[min(i, 1)], f.name, value)
	}
	_, err := fmt.Fprintf(out, "%s}\n", b.String())
	return err
}

// levelsShown bounds the levels a side that are printed for people.
const levelsShown = 3

// textLine prints values, all but the first four with their names.
func textLine(out io.Writer, fields []field) error {
	var b strings.Builder
	for i, f := range fields {
		switch v := f.value.(type) {
		case [][2]json.Number:
			fmt.Fprintf(&b, " %s=", f.name)
			for j, l := range v[:min(len(v), levelsShown)] {
				fmt.Fprintf(&b, "%s%s@%s", strings.Repeat(",", min(j, 1)), l[1], l[0])
			}
			if more := len(v) - levelsShown; more > 0 {
				fmt.Fprintf(&b, ",+%d", more)
			}
		default:
			if i < 4 {
				fmt.Fprintf(&b, "%s%v", strings.Repeat(" ", min(i, 1)), v)
			} else {
				fmt.Fprintf(&b, " %s=%v", f.name, v)
			}
		}
	}
	_, err := fmt.Fprintln(out, b.String())
	return err
}
