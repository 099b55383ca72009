package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"sort"
	"strconv"
	"time"

	"tickproc/engine"
	"tickproc/tick"
)

// reportLevels is how many levels a side a replay report shows.
const reportLevels = 20

// ReplayReport is what `replay --json` prints.
type ReplayReport struct {
	Frames          uint64             `json:"frames"`
	WallSeconds     float64            `json:"wall_seconds"`
	FramesPerSecond float64            `json:"frames_per_second"`
	StateHash       string             `json:"state_hash"`
	DecodeErrors    uint64             `json:"decode_errors"`
	CaptureErrors   uint64             `json:"capture_errors"`
	Journal         *JournalReport     `json:"journal,omitempty"` // of a replay of logs
	Instruments     []InstrumentReport `json:"instruments"`
}

// JournalReport says what of logs was replayed. Frames are then counted by
// shard: one that concerns two shards counts twice.
type JournalReport struct {
	Packets  uint64 `json:"packets"`
	Snapshot uint64 `json:"snapshot"` // it began with; 0 = with the logs' beginning
	From     string `json:"from"`     // receive time of the first and the last, RFC 3339; "-" = nothing was there
	To       string `json:"to"`
}

// InstrumentReport is the outcome of a replay for one instrument. Prices and
// sizes are decimal text.
type InstrumentReport struct {
	Venue           string               `json:"venue"`
	Symbol          string               `json:"symbol"`
	Valid           bool                 `json:"valid"`
	Reason          string               `json:"reason,omitempty"`
	Trades          uint64               `json:"trades"`
	Volume          string               `json:"volume"`
	Notional        string               `json:"notional"`
	VWAP            *string              `json:"vwap"`
	LateTrades      uint64               `json:"late_trades"`
	DuplicateTrades uint64               `json:"duplicate_trades"`
	DepthApplied    uint64               `json:"depth_applied"`
	LevelsApplied   uint64               `json:"levels_applied"`
	DepthDropped    uint64               `json:"depth_dropped"`
	DepthDuplicate  uint64               `json:"depth_duplicate"`
	Gaps            uint64               `json:"gaps"`
	Unsynced        uint64               `json:"unsynced"`
	TopAgrees       uint64               `json:"top_agrees"`
	TopDiffers      uint64               `json:"top_differs"`
	Bars            map[string]reportBar `json:"bars"`
	Bids            [][2]string          `json:"bids"`
	Asks            [][2]string          `json:"asks"`
	BidLevels       int                  `json:"bid_levels"`
	AskLevels       int                  `json:"ask_levels"`
	LastUpdateID    *uint64              `json:"last_update_id"`
}

// reportBar is [open, high, low, close, volume, notional, trades] of a minute
// by trade time, late trades included.
type reportBar struct {
	open, high, low, close string
	volume, notional       string
	trades                 uint64
}

// MarshalJSON writes the bar as an array.
func (b reportBar) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{b.open, b.high, b.low, b.close, b.volume, b.notional, b.trades})
}

// tradeTotals is a sink that sums the rows of the trades table, which is what
// the table holds: each trade once, late ones included.
type tradeTotals struct{ byInstrument []*tradeTotal }

type tradeTotal struct {
	priceDigits, sizeDigits uint8
	trades                  uint64
	volume, notional        tick.Int128
	minutes                 map[int64]*minute
	last                    *minute
}

type minute struct {
	start                  int64
	openTs, closeTs        int64
	openID, closeID        tick.ID
	open, high, low, close int64
	volume, notional       tick.Int128
	trades                 uint64
}

// Write takes rows and sums the trades among them.
func (t *tradeTotals) Write(rows []tick.Unit) {
	for ; len(rows) > 0; rows = rows[tick.PacketUnits(&rows[0]):] {
		if rows[0].KindOf() == tick.RowTrade {
			t.add(rows[0].TradeRow())
		}
	}
}

// Idle and Close have nothing to do: no row waits.
func (t *tradeTotals) Idle(int64) {}

func (t *tradeTotals) Close(context.Context) error { return nil }

func (t *tradeTotals) of(instrument uint32) *tradeTotal {
	for int(instrument) >= len(t.byInstrument) {
		t.byInstrument = append(t.byInstrument, nil)
	}
	if t.byInstrument[instrument] == nil {
		t.byInstrument[instrument] = &tradeTotal{minutes: map[int64]*minute{}}
	}
	return t.byInstrument[instrument]
}

func (t *tradeTotals) add(r *tick.TradeRow) {
	x := t.of(r.Instrument)
	if r.PriceDigits != x.priceDigits || r.SizeDigits != x.sizeDigits {
		x.rescale(r.PriceDigits, r.SizeDigits)
	}
	notional, size := tick.Mul64(r.Price, r.Size), tick.Int128Of(r.Size)
	x.trades++
	x.volume, x.notional = x.volume.Add(size), x.notional.Add(notional)
	start := r.TsNanos - r.TsNanos%int64(time.Minute)
	m := x.last
	if m == nil || m.start != start {
		if m = x.minutes[start]; m == nil {
			m = &minute{start: start, high: r.Price, low: r.Price}
			x.minutes[start] = m
		}
		x.last = m
	}
	if m.trades == 0 || before(r.TsNanos, r.ID, m.openTs, m.openID) {
		m.openTs, m.openID, m.open = r.TsNanos, r.ID, r.Price
	}
	if m.trades == 0 || before(m.closeTs, m.closeID, r.TsNanos, r.ID) {
		m.closeTs, m.closeID, m.close = r.TsNanos, r.ID, r.Price
	}
	m.high, m.low = max(m.high, r.Price), min(m.low, r.Price)
	m.volume, m.notional, m.trades = m.volume.Add(size), m.notional.Add(notional), m.trades+1
}

func before(ts int64, id tick.ID, otherTs int64, otherID tick.ID) bool {
	if ts != otherTs {
		return ts < otherTs
	}
	if id.Hi != otherID.Hi {
		return id.Hi < otherID.Hi
	}
	return id.Lo < otherID.Lo
}

// rescale follows the instrument to a finer scale.
func (x *tradeTotal) rescale(priceDigits, sizeDigits uint8) {
	price, size := tick.Pow10(priceDigits-x.priceDigits), tick.Pow10(sizeDigits-x.sizeDigits)
	x.priceDigits, x.sizeDigits = priceDigits, sizeDigits
	x.volume, x.notional = x.volume.Mul(size), x.notional.Mul(price).Mul(size)
	for _, m := range x.minutes {
		for _, p := range []*int64{&m.open, &m.high, &m.low, &m.close} {
			*p *= price
		}
		m.volume, m.notional = m.volume.Mul(size), m.notional.Mul(price).Mul(size)
	}
}

// vwapDigits are the decimal places of the report's vwap.
const vwapDigits = 12

// ratio returns n/d with vwapDigits decimal places, rounded half to even,
// where n has digits more decimal places than d; ok is false for d = 0.
func ratio(n, d tick.Int128, digits uint8) (text string, ok bool) {
	if d.IsZero() {
		return "", false
	}
	scale := func(b *big.Int, by uint8) *big.Int {
		return b.Mul(b, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(by)), nil))
	}
	numerator, denominator := scale(n.Big(), vwapDigits), scale(d.Big(), digits)
	q, r := new(big.Int).QuoRem(numerator, denominator, new(big.Int))
	switch twice := r.Lsh(r.Abs(r), 1).Cmp(denominator.Abs(denominator)); {
	case twice > 0, twice == 0 && q.Bit(0) == 1:
		q.Add(q, big.NewInt(int64(n.Big().Sign()*d.Big().Sign())))
	}
	s := q.String()
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	for len(s) <= vwapDigits {
		s = "0" + s
	}
	return sign + s[:len(s)-vwapDigits] + "." + s[len(s)-vwapDigits:], true
}

// standings are what the shards hold, before the end of the input is made
// known to them: a book that stands at the end of a capture is valid.
func standings(shards []*engine.Shard) []engine.Report {
	var all []engine.Report
	for _, shard := range shards {
		all = append(all, shard.Reports(reportLevels)...)
	}
	return all
}

// instrumentReports joins what the shards held with what the trades table got.
func instrumentReports(standings []engine.Report, totals *tradeTotals) []InstrumentReport {
	all := []InstrumentReport{}
	for i := range standings {
		all = append(all, instrumentReport(&standings[i], totals.of(standings[i].Instrument.ID)))
	}
	sort.Slice(all, func(i, j int) bool {
		if all[i].Venue != all[j].Venue {
			return all[i].Venue < all[j].Venue
		}
		return all[i].Symbol < all[j].Symbol
	})
	return all
}

func instrumentReport(r *engine.Report, x *tradeTotal) InstrumentReport {
	both := x.priceDigits + x.sizeDigits
	out := InstrumentReport{
		Venue: r.Instrument.Venue, Symbol: r.Instrument.Symbol, Valid: r.Valid,
		Trades: x.trades, Volume: x.volume.Decimal(x.sizeDigits).String(), Notional: x.notional.Decimal(both).String(),
		LateTrades: r.Counts.LateTrades, DuplicateTrades: r.Counts.DuplicateTrades,
		DepthApplied: r.Depth.Applied, LevelsApplied: r.Depth.Levels, DepthDropped: r.Depth.Dropped,
		DepthDuplicate: r.Depth.Duplicate, Gaps: r.Depth.Gaps, Unsynced: r.Unsynced,
		TopAgrees: r.TopAgrees, TopDiffers: r.TopDiffers,
		Bars: map[string]reportBar{}, BidLevels: r.BidLevels, AskLevels: r.AskLevels,
		Bids: levelTexts(r, r.Bids), Asks: levelTexts(r, r.Asks),
	}
	if !r.Valid {
		out.Reason = r.Reason.String()
	}
	if vwap, ok := ratio(x.notional, x.volume, x.priceDigits); ok {
		out.VWAP = &vwap
	}
	if r.Depth.SnapshotsApplied > 0 {
		id := r.LastID
		out.LastUpdateID = &id
	}
	for start, m := range x.minutes {
		price := func(v int64) string { return tick.FormatScaled(v, x.priceDigits) }
		out.Bars[strconv.FormatInt(start/int64(time.Millisecond), 10)] = reportBar{
			open: price(m.open), high: price(m.high), low: price(m.low), close: price(m.close),
			volume: m.volume.Decimal(x.sizeDigits).String(), notional: m.notional.Decimal(both).String(), trades: m.trades}
	}
	return out
}

func levelTexts(r *engine.Report, levels []tick.Level) [][2]string {
	texts := make([][2]string, len(levels))
	for i, l := range levels {
		texts[i] = [2]string{tick.FormatScaled(l.Price, r.PriceDigits), tick.FormatScaled(l.Size, r.SizeDigits)}
	}
	return texts
}

// Print writes the report for people.
func (r *ReplayReport) Print(w io.Writer) {
	fmt.Fprintf(w, "%d frames in %.3f s: %.0f frames/s; state %s\n", r.Frames, r.WallSeconds, r.FramesPerSecond, r.StateHash)
	if j := r.Journal; j != nil {
		begun := "the beginning of the logs"
		if j.Snapshot > 0 {
			begun = fmt.Sprintf("snapshot %d", j.Snapshot)
		}
		fmt.Fprintf(w, "%d packets of the logs, received %s to %s, beginning with %s\n", j.Packets, j.From, j.To, begun)
	}
	if r.DecodeErrors > 0 || r.CaptureErrors > 0 {
		fmt.Fprintf(w, "%d frames not decoded, %d lines of captures not readable\n", r.DecodeErrors, r.CaptureErrors)
	}
	for i := range r.Instruments {
		in := &r.Instruments[i]
		book := "valid"
		if !in.Valid {
			book = "not valid: " + in.Reason
		}
		vwap := "none"
		if in.VWAP != nil {
			vwap = *in.VWAP
		}
		fmt.Fprintf(w, "\n%s %s\n", in.Venue, in.Symbol)
		fmt.Fprintf(w, "  trades %d (late %d, duplicate %d), volume %s, notional %s, vwap %s\n",
			in.Trades, in.LateTrades, in.DuplicateTrades, in.Volume, in.Notional, vwap)
		fmt.Fprintf(w, "  depth  applied %d (%d levels), dropped %d, duplicate %d, unsynced %d, gaps %d\n",
			in.DepthApplied, in.LevelsApplied, in.DepthDropped, in.DepthDuplicate, in.Unsynced, in.Gaps)
		fmt.Fprintf(w, "  book   %s, %d bids, %d asks; top agreed with the venue's quotes %d times, differed %d times\n",
			book, in.BidLevels, in.AskLevels, in.TopAgrees, in.TopDiffers)
		if len(in.Bids) > 0 && len(in.Asks) > 0 {
			fmt.Fprintf(w, "  top    %s × %s | %s × %s\n", in.Bids[0][1], in.Bids[0][0], in.Asks[0][0], in.Asks[0][1])
		}
	}
}
