package venues_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"tickproc/feeds"
	"tickproc/feeds/sim"
	"tickproc/feeds/venues"
	"tickproc/tick"
)

// missing is a gap in which n trades of the truth were missed, up to the one
// that is left places before the newest.
func missing(in *tick.Instrument, truth *sim.Truth, n, left int) (b *feeds.Backfill, missed []sim.Trade) {
	to := len(truth.Trades) - 1 - left
	missed = truth.Trades[to-n : to]
	b = &feeds.Backfill{Instrument: in, FromNanos: truth.Trades[to-n-1].TimeNanos, ToNanos: truth.Trades[to].TimeNanos}
	if in.TradeIDs == tick.TradeIDContiguous {
		b.FromID, b.ToID = uint64(missed[0].ID), uint64(missed[n-1].ID)
	}
	return b, missed
}

// past fetches one page of what every instrument traded, into the session.
func (c *client) past() {
	c.t.Helper()
	for i, in := range c.instruments {
		truth := c.truths()[i]
		if len(truth.Trades) < 10 {
			continue
		}
		b, _ := missing(in, truth, 5, 2)
		if r, outcome := c.adapter.Backfill(b); outcome == tick.BackfillPending {
			c.fetch(r.URL, 0)
		}
	}
}

// walk fetches all pages of a backfill, as the REST worker does, and returns
// the trades by the ids of the truth.
func (c *client) walk(b *feeds.Backfill) (outcome tick.Backfill, got map[string]packet, proven uint64) {
	c.t.Helper()
	got = map[string]packet{}
	for range 100 {
		var r feeds.TradesRequest
		if r, outcome = c.adapter.Backfill(b); outcome != tick.BackfillPending {
			return outcome, got, proven
		}
		status, body := c.get(r.URL)
		for ; status == http.StatusTooManyRequests; status, body = c.get(r.URL) {
			c.run(time.Second)
		}
		page := feeds.Page{Way: r.Way, Refused: status >= 400 && status < 500}
		switch {
		case page.Refused:
		case status != http.StatusOK:
			c.t.Fatalf("%s: %d %.200s", r.URL, status, body)
		case r.Aggregates:
			var n uint64
			var err error
			if page, n, err = c.adapter.Aggregates(body, b.FromID, b.ToID); err != nil {
				c.t.Fatalf("%s: %v", r.URL, err)
			}
			page.Way, proven = r.Way, proven+n
			if units, err := c.adapter.DecodeREST(nil, r.URL, body, c.restTable, c.stamp(), 0); err != nil || len(units) > 0 {
				c.t.Errorf("%s: aggregates make %d units of packets, %v", r.URL, len(units), err)
			}
		default:
			from := len(c.packets)
			c.fetched(r.URL, body, 0)
			if len(c.errors) > 0 {
				c.t.Fatal(c.errors)
			}
			if err := tick.WellFormed(c.frames[len(c.frames)-1].units); err != nil {
				c.t.Error(err)
			}
			last := int64(0)
			for _, p := range c.packets[from:] {
				x := p.units[0].Trade()
				if x.Kind != tick.KindTrade || x.Flags&tick.FlagBackfill == 0 || x.Flags&tick.FlagFetched == 0 || x.ExchangeNanos < last {
					c.t.Fatalf("%s: %+v behind %d", r.URL, x, last)
				}
				last = x.ExchangeNanos
				page.Add(x)
				got[tradeIDText(b.Instrument, x.ID)] = p
			}
		}
		b.Pages = append(b.Pages, page)
	}
	c.t.Fatalf("a walk without an end: %+v", b.Pages[len(b.Pages)-1])
	return 0, nil, 0
}

// shortestList is how many trades every venue's REST gives at least: Bybit's spot
// market has no more.
const shortestList = 60

// What was missed is what the venue's REST tells, to the last digit, as far
// back as it goes; and nothing is called whole that is not.
func TestPastTradesAreTheTruth(t *testing.T) {
	everyVenue(t, func(t *testing.T, m *market) {
		inBubble(t, func(t *testing.T) {
			c := newClient(t, m, clientOptions{symbols: 2, Options: sim.Options{Rate: 1500}})
			for len(c.truths()[0].Trades) < 2600 || len(c.truths()[1].Trades) < 2600 {
				c.run(time.Second)
			}
			outcomes := map[tick.Backfill]int{}
			for id, in := range c.instruments {
				truth := c.truths()[id]
				for _, n := range []int{1, 40, 250, 990, 2300} {
					b, missed := missing(in, truth, n, 5)
					outcome, got, proven := c.walk(b)
					outcomes[outcome]++
					found := 0
					for i := range missed {
						w := &missed[i]
						p, ok := got[truth.TradeID(w)]
						if !ok {
							continue
						}
						found++
						x := p.units[0].Trade()
						at := x.ExchangeNanos - x.ExchangeNanos%int64(in.TradeResolution)
						if !(scaled{x.Price, p.price}).is(scaled{w.Price, truth.PriceDigits}) || !(scaled{x.Size, p.size}).is(scaled{w.Size, truth.SizeDigits}) ||
							(x.Flags&tick.FlagSell != 0) != w.Sell || at != w.TimeNanos {
							t.Fatalf("%s: trade %d is %+v with %d and %d digits, truth %+v", in.Symbol, w.ID, x, p.price, p.size, w)
						}
					}
					// By time alone nobody knows whether more was of the first moment.
					if whole := outcome == tick.BackfillWhole; whole && found < n || !whole && found == n && b.ToID != 0 {
						t.Errorf("%s: %d of %d trades came, and the outcome is %s", in.Symbol, found, n, outcome)
					}
					since := 0
					for i := range truth.Trades {
						if truth.Trades[i].TimeNanos >= b.FromNanos {
							since++
						}
					}
					if since < shortestList && outcome != tick.BackfillWhole {
						t.Errorf("%s: of %d trades the outcome is %s", in.Symbol, n, outcome)
					}
					if outcome == tick.BackfillAggregates && proven != uint64(n) {
						t.Errorf("%s: aggregates prove %d of %d ids", in.Symbol, proven, n)
					}
				}
			}
			t.Log(outcomes)
		})
	})
}

// Whatever is wrong with an answer, a gap whose ids count up is not called
// whole on its word alone, and a walk ends.
func TestPastTradesOfAVenueThatErrs(t *testing.T) {
	everyVenue(t, func(t *testing.T, m *market) {
		inBubble(t, func(t *testing.T) {
			c := newClient(t, m, clientOptions{Options: sim.Options{Rate: 1500}})
			for len(c.truths()[0].Trades) < 700 {
				c.run(time.Second)
			}
			in, truth := c.instruments[0], c.truths()[0]
			for _, kind := range []sim.FaultKind{sim.FaultPastEmpty, sim.FaultPastDuplicate, sim.FaultPastShuffled, sim.FaultPastMissing} {
				b, missed := missing(in, truth, 45, 5)
				c.inject(sim.Fault{Kind: kind})
				outcome, got, _ := c.walk(b)
				found := 0
				for i := range missed {
					if _, ok := got[truth.TradeID(&missed[i])]; ok {
						found++
					}
				}
				switch {
				case kind == sim.FaultPastEmpty && outcome != tick.BackfillFailed, // it can be asked again
					(kind == sim.FaultPastDuplicate || kind == sim.FaultPastShuffled) && (outcome != tick.BackfillWhole || found != len(missed)):
					t.Errorf("%s: %d of %d came, the outcome is %s", kind, found, len(missed), outcome)
				}
			}
		})
	})
}

// A venue's answer about a symbol that nobody subscribed, and an error in its
// place, are errors.
func TestPastTradesOfNobody(t *testing.T) {
	everyVenue(t, func(t *testing.T, m *market) {
		inBubble(t, func(t *testing.T) {
			c := newClient(t, m, clientOptions{symbols: 2, before: 3 * time.Second, Options: sim.Options{Rate: 300}})
			b, _ := missing(c.instruments[0], c.truths()[0], 3, 1)
			r, _ := c.adapter.Backfill(b)
			_, body := c.get(r.URL)
			table := feeds.NewTable(c.instruments[1:])
			if units, err := c.adapter.DecodeREST(nil, r.URL, body, table, c.stamp(), 0); err == nil || len(units) > 0 {
				t.Errorf("%d units, %v", len(units), err)
			}
			table = feeds.NewTable(c.instruments)
			for _, body := range [][]byte{m.dialect.RESTError(http.StatusTooManyRequests), m.dialect.RESTError(500), []byte("{}"), []byte("null"), []byte("")} {
				if units, err := c.adapter.DecodeREST(nil, r.URL, body, table, c.stamp(), 0); err == nil || len(units) > 0 {
					t.Errorf("%.100q: %d units, %v", body, len(units), err)
				}
			}
			if r.Weight < 1 || m.adapter.Profile().WeightPerMinute < 10*r.Weight {
				t.Errorf("a page weighs %d of %d a minute", r.Weight, m.adapter.Profile().WeightPerMinute)
			}
			other := *c.instruments[0]
			other.Symbol = "no such"
			b.Instrument = &other
			if r, _ := c.adapter.Backfill(b); slices.ContainsFunc([]byte(r.URL), func(c byte) bool { return c <= ' ' }) {
				t.Errorf("%q is no URL", r.URL)
			}
		})
	})
}

// Whatever stands in place of past trades: what is taken is well-formed, and an
// error leaves nothing behind.
func FuzzPastTrades(f *testing.F) {
	names := venues.Names()
	for i, body := range []string{
		`[{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012","time":1499865549590,"isBuyerMaker":true,"isBestMatch":true}]`,
		`{"retCode":0,"result":{"list":[{"execId":"2100000000007764263","symbol":"AAA-BBB","price":"1.5","size":"0.12","side":"Buy","time":"1672052955758","isBlockTrade":false}]}}`,
		`{"code":"0","msg":"","data":[{"instId":"AAA-BBB","side":"sell","sz":"0.00001","px":"29963.2","tradeId":"242720720","ts":"1654161646974"}]}`,
		`{"trades":[{"trade_id":"1","product_id":"AAA-BBB","price":"1","size":"1","time":"2026-10-01T14:30:01.123457Z","side":"SELL"}]}`,
		`{"error":[],"result":{"X":[["30243.4","0.3",1688669597.8277369,"b","m","",61044952]],"last":"1"}}`,
		`[{"a":26129,"p":"0.0163","q":"4.7","f":27781,"l":27783,"T":1498793709153,"m":true}]`,
	} {
		for venue := range names {
			f.Add([]byte(body), uint8(venue), uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, venue, digits uint8) {
		name := names[int(venue)%len(names)]
		adapter, _ := venues.New(name)
		in := adapter.Instrument("AAA-BBB")
		if name == "kraken" {
			in = adapter.Instrument("AAA/BBB")
		}
		in.PriceDigits, in.SizeDigits = digits%(tick.MaxDigits+1), digits/16%(tick.MaxDigits+1)
		table := feeds.NewTable([]*tick.Instrument{&in})
		r, _ := adapter.Backfill(&feeds.Backfill{Instrument: &in, FromID: 5, ToID: 9, FromNanos: 1, ToNanos: 2})
		for range 2 { // the second time at the scale that the first asked for
			units, err := adapter.DecodeREST(nil, r.URL, body, table, feeds.Stamp{Line: 1, Ordinal: 1}, 0)
			if err != nil && len(units) > 0 {
				t.Fatalf("%d units with %v", len(units), err)
			}
			if e := tick.WellFormed(units); e != nil {
				t.Fatal(e)
			}
			if err == nil && !json.Valid(body) {
				t.Fatalf("took %q", body)
			}
		}
		if p, proven, err := adapter.Aggregates(body, 0, 1<<62); err != nil && (p != (feeds.Page{}) || proven != 0) {
			t.Fatalf("%+v and %d proven with %v", p, proven, err)
		}
	})
}
