package pipeline

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"tickproc/tick"
	"tickproc/writer/shm/layout"
	"tickproc/writer/shm/reader"
)

// TailOptions say what of a service's shared memory is printed.
type TailOptions struct {
	// Config says where it is, unless Dir does; nil = that of an empty file.
	Config *Config
	Dir    string
	// Instruments are symbols, venues, or venue:symbol, in any case; none = all.
	Instruments []string
	// Kinds are names of layout.KindNames, in the plural too; none = all.
	Kinds []string
	// Images prints how each instrument stands, and ends.
	Images bool
	JSON   bool
	// Count ends after so many messages; 0 = never.
	Count int
	// Notes is for what is no message: losses, a writer that ended. nil = nobody.
	Notes io.Writer
}

const (
	// tailRest is how long Tail sleeps when there is nothing, tailLook how often it
	// then looks whether the writer lives.
	tailRest = 5 * time.Millisecond
	tailLook = 500 * time.Millisecond
)

// tail prints one service's messages, also over its restarts.
type tail struct {
	TailOptions
	out     *bufio.Writer
	kinds   []layout.Kind
	from    *reader.Reader
	silent  bool // it was told that the writer is
	message reader.Message
	printed int
}

// Tail prints messages until ctx ends or the service stops in order. It follows
// the service through restarts.
func Tail(ctx context.Context, out io.Writer, o TailOptions) error {
	x := &tail{TailOptions: o, out: bufio.NewWriter(out)}
	defer x.out.Flush()
	if x.Notes == nil {
		x.Notes = io.Discard
	}
	if o.Count < 0 {
		return fmt.Errorf("%w: --count %d: must not be below 0", ErrInput, o.Count)
	}
	for _, name := range o.Kinds {
		k := layout.KindOf(name)
		if k == 0 {
			k = layout.KindOf(strings.TrimSuffix(name, "s"))
		}
		if k == 0 {
			return fmt.Errorf("%w: --kind %q: must be of %s", ErrInput, name, strings.Join(layout.KindNames(), ", "))
		}
		x.kinds = append(x.kinds, k)
	}
	switch {
	case x.Dir != "":
	case o.Config != nil:
		x.Dir = o.Config.shmDir()
	default:
		x.Dir = DefaultConfig().shmDir()
	}
	var err error
	if x.from, err = reader.Open(x.Dir); err != nil {
		return x.cannotOpen(err)
	}
	defer func() { x.from.Close() }()
	if err := x.known(); err != nil {
		return err
	}
	if o.Images {
		return x.images()
	}
	return x.follow(ctx)
}

// cannotOpen says what to do about it.
func (x *tail) cannotOpen(err error) error {
	switch {
	case errors.Is(err, reader.ErrNone) && x.Config != nil && x.Config.Shm.Enabled != On:
		return fmt.Errorf("%w: %w, and the configuration wants none: add \"shm: on\" to it and restart the service, or say with --dir where it is", ErrInput, err)
	case errors.Is(err, reader.ErrNone):
		return fmt.Errorf("%w: %w: start the service (tickproc run) with \"shm: on\" in its configuration, or say with -c or --dir where it is", ErrDependency, err)
	case errors.Is(err, reader.ErrStopped), errors.Is(err, reader.ErrReplaced):
		return fmt.Errorf("%w: %w: the service does not run: start it", ErrDependency, err)
	}
	return fmt.Errorf("%w: %w", ErrInput, err)
}

// known refuses names of which there is no instrument: a typing error would print
// nothing, for ever.
func (x *tail) known() error {
	for _, name := range x.Instruments {
		found := false
		for in := range x.from.Instruments() {
			found = found || names(&in, name)
		}
		if !found {
			return fmt.Errorf("%w: --instrument %q: the service has no such symbol, venue or venue:symbol; tickproc tail --images lists them", ErrInput, name)
		}
	}
	return nil
}

// names reports whether a name is an instrument's.
func names(in *reader.Instrument, name string) bool {
	return strings.EqualFold(name, in.Symbol) || strings.EqualFold(name, in.Venue) || strings.EqualFold(name, in.Venue+":"+in.Symbol)
}

func (x *tail) wanted(in *reader.Instrument) bool {
	return len(x.Instruments) == 0 || slices.ContainsFunc(x.Instruments, func(name string) bool { return names(in, name) })
}

func (x *tail) follow(ctx context.Context) error {
	if err := x.from.Alive(); err != nil {
		fmt.Fprintf(x.Notes, "%v: waiting for it\n", err)
		x.silent = true
	}
	for looked := time.Now(); ; {
		moved := false
		for i := range x.from.Rings() {
			for range 1000 { // then the next shard's turn
				if !x.from.Ring(i).Next(&x.message) {
					break
				}
				moved = true
				if err := x.print(); err != nil || x.Count > 0 && x.printed >= x.Count {
					return err
				}
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		if moved {
			continue
		}
		if err := x.out.Flush(); err != nil {
			return err // nobody reads any more
		}
		if time.Since(looked) >= tailLook {
			looked = time.Now()
			if ended, err := x.look(); ended || err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(tailRest):
		}
	}
}

// look sees whether the writer lives; all that it said is printed.
func (x *tail) look() (ended bool, err error) {
	switch err := x.from.Alive(); {
	case err == nil:
		x.silent = false
		return false, nil
	case errors.Is(err, reader.ErrStopped):
		fmt.Fprintln(x.Notes, err)
		return true, nil
	case !x.silent:
		fmt.Fprintf(x.Notes, "%v: waiting for the next\n", err)
		x.silent = true
	}
	later, err := reader.Open(x.Dir)
	if err != nil {
		if errors.Is(err, reader.ErrVersion) || errors.Is(err, reader.ErrDamaged) {
			return false, x.cannotOpen(err)
		}
		return false, nil // not yet
	}
	if later.Epoch() == x.from.Epoch() {
		return false, later.Close()
	}
	x.from.Close()
	x.from, x.silent = later, false
	fmt.Fprintf(x.Notes, "the service was started again, pid %d\n", later.Pid())
	return false, nil
}

// print prints the message, if it is wanted.
func (x *tail) print() error {
	m := &x.message
	if m.Lost > 0 {
		fmt.Fprintf(x.Notes, "%d KiB of messages were overwritten before they were read\n", (m.Lost*layout.SlotBytes+1023)/1024)
	}
	if len(x.kinds) > 0 && !slices.Contains(x.kinds, m.Kind()) {
		return nil
	}
	in := reader.Instrument{Symbol: fmt.Sprintf("#%d", m.Instrument())}
	if m.Kind() == layout.KindEnd {
		in.Symbol = ""
	} else if have, ok := x.from.Instrument(m.Instrument()); ok {
		in = have
	}
	if len(x.Instruments) > 0 && !x.wanted(&in) {
		return nil
	}
	x.printed++
	return x.line(x.fields(&in))
}

func (x *tail) line(fields []field) error {
	if x.JSON {
		return jsonLine(x.out, fields)
	}
	return textLine(x.out, fields)
}

// fields are those of the message.
func (x *tail) fields(in *reader.Instrument) []field {
	m := &x.message
	all := []field{{"received", momentText(m.ReceiveNanos())}, {"venue", in.Venue}, {"symbol", in.Symbol}, {"kind", m.Kind().String()}}
	add := func(name string, value any) { all = append(all, field{name, value}) }
	price := func(v int64) json.Number { return decimalOf(v, m.PriceDigits()) }
	size := func(v int64) json.Number { return decimalOf(v, m.SizeDigits()) }
	add("ts", momentText(m.Nanos()))
	if m.Source() != uint8(tick.TimeExchange) {
		add("ts_source", tick.TimeSource(min(m.Source(), uint8(tick.TimeEstimate))).String())
	}
	level := func(name string, l reader.Level) {
		if l.Size != 0 {
			add(name, price(l.Price))
			add(name+"_size", size(l.Size))
		}
	}
	switch m.Kind() {
	case layout.KindTrade, layout.KindLiquidation:
		t := m.Trade()
		add("side", sideName(t.Sell))
		add("price", price(t.Price))
		add("size", size(t.Size))
		if m.Kind() == layout.KindTrade {
			add("id", tradeIDText(tick.ID{Hi: uint64(t.ID.Hi), Lo: t.ID.Lo}))
		}
		if t.Late {
			add("late", true)
		}
	case layout.KindQuote:
		q := m.Quote()
		level("bid", q.Bid)
		level("ask", q.Ask)
		add("valid", q.Valid)
		if q.FromBook {
			add("src", "book")
		}
	case layout.KindDepth:
		d := m.Depth()
		add("last_id", d.LastID)
		if d.Whole {
			add("whole", true)
		}
		if d.More {
			add("more", true)
		}
		levels := make([][2]json.Number, d.Levels)
		for i := range levels {
			levels[i] = [2]json.Number{price(m.Level(i).Price), size(m.Level(i).Size)}
		}
		add("bids", levels[:d.Bids])
		add("asks", levels[d.Bids:])
	case layout.KindValidity:
		valid, reason := m.Validity()
		add("valid", valid)
		if !valid {
			add("reason", reason.String())
		}
	case layout.KindBar:
		b := m.Bar()
		add("interval", Duration(b.IntervalNanos).String())
		add("open", price(b.Open))
		add("high", price(b.High))
		add("low", price(b.Low))
		add("close", price(b.Close))
		add("volume", wideDecimal(b.Volume, m.SizeDigits()))
		add("trades", b.Trades)
		add("final", b.Final)
		add("complete", b.Complete)
		if b.Rev > 0 {
			add("rev", b.Rev)
		}
	case layout.KindWindow:
		w := m.Window()
		if w.SpanNanos == 0 {
			add("span", "session")
		} else {
			add("span", Duration(w.SpanNanos).String())
		}
		add("step", Duration(w.StepNanos).String())
		add("volume", wideDecimal(w.Volume, m.SizeDigits()))
		add("notional", wideDecimal(w.Notional, m.PriceDigits()+m.SizeDigits()))
		add("trades", w.Trades)
		add("final", w.Final)
		add("complete", w.Complete)
	case layout.KindGap:
		g := m.Gap()
		add("channel", reader.ChannelName(g.Channel))
		add("reason", g.Reason.String())
		if g.EndNanos != 0 {
			add("ts_end", momentText(g.EndNanos))
			add("repaired", g.Repaired)
		}
		if g.Lost >= 0 {
			add("lost", g.Lost)
		}
		if name := reader.BackfillName(g.Backfill); name != "" {
			add("backfill", name)
		}
	case layout.KindNbbo:
		n := m.Nbbo()
		side := func(name string, l reader.Level, id uint32, priceDigits, sizeDigits uint8) {
			if l.Size != 0 {
				add(name, decimalOf(l.Price, priceDigits))
				add(name+"_size", decimalOf(l.Size, sizeDigits))
				if of, ok := x.from.Instrument(id); ok {
					add(name+"_venue", of.Venue)
				}
			}
		}
		side("bid", n.Bid, n.BidInstrument, n.BidDigits, n.BidSizeDigits)
		side("ask", n.Ask, n.AskInstrument, n.AskDigits, n.AskSizeDigits)
		add("venues", n.Venues)
		add("valid", n.Valid)
		if n.Crossed {
			add("crossed", true)
		}
	case layout.KindFunding:
		f := m.Funding()
		for _, v := range []struct {
			name   string
			value  int64
			digits uint8
		}{{"mark", f.Mark, f.MarkDigits}, {"index", f.Index, f.IndexDigits}, {"funding_rate", f.Rate, f.RateDigits}} {
			if v.value != reader.Absent {
				add(v.name, decimalOf(v.value, v.digits))
			}
		}
		if f.NextNanos != 0 {
			add("next_funding", momentText(f.NextNanos))
		}
	case layout.KindOpenInterest:
		add("open_interest", size(m.OpenInterest()))
	case layout.KindStatus:
		state, before := m.Status()
		add("state", state.String())
		add("before", before.String())
	case layout.KindInstrument:
		add("type", in.Type.String())
		add("state", in.State.String())
	}
	return all
}

// images prints how each instrument stands.
func (x *tail) images() error {
	var i reader.Image
	for in := range x.from.Instruments() {
		if !x.wanted(&in) || !x.from.Image(in.ID, &i) {
			continue
		}
		all := []field{{"received", momentText(i.ReceiveNanos)}, {"venue", in.Venue}, {"symbol", in.Symbol}, {"kind", "image"}, {"valid", i.Valid}}
		if !i.Valid {
			all = append(all, field{"reason", i.Reason.String()})
		}
		number := func(l reader.Level) [2]json.Number {
			return [2]json.Number{decimalOf(l.Price, i.PriceDigits), decimalOf(l.Size, i.SizeDigits)}
		}
		for _, side := range []struct {
			name   string
			levels []reader.Level
		}{{"bids", i.Bids}, {"asks", i.Asks}} {
			levels := make([][2]json.Number, len(side.levels))
			for j, l := range side.levels {
				levels[j] = number(l)
			}
			all = append(all, field{side.name, levels})
		}
		if i.TradeNanos != 0 {
			all = append(all, field{"trade_ts", momentText(i.TradeNanos)}, field{"trade_price", decimalOf(i.Trade.Price, i.TradePriceDigits)},
				field{"trade_size", decimalOf(i.Trade.Size, i.TradeSizeDigits)})
		}
		if err := x.line(all); err != nil {
			return err
		}
	}
	return nil
}

// decimalOf is exact; digits beyond what a scale can have are damage.
func decimalOf(v int64, digits uint8) json.Number {
	return json.Number(scaled(v, min(digits, tick.MaxDigits)))
}

func wideDecimal(x reader.Int128, digits uint8) json.Number {
	return json.Number(tick.Int128{Lo: x.Lo, Hi: x.Hi}.Decimal(min(digits, 2*tick.MaxDigits)).String())
}
