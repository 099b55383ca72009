package binance

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tickproc/feeds"
	"tickproc/feeds/wire"
	"tickproc/tick"
)

// snapshot is what the URL and the asker know of a REST answer.
type snapshot struct {
	symbol   []byte
	epoch    uint64
	interest bool // it is none, but an open interest
}

// interestEvery is how often an open interest is asked for. The venue computes
// it every few seconds.
const interestEvery = 10 * time.Second

func (m *market) Polls(in *tick.Instrument) []feeds.Poll {
	if !m.futures {
		return nil
	}
	return []feeds.Poll{{Channel: tick.ChannelOpenInterest, Every: interestEvery,
		Request: feeds.Request{URL: m.restBase + m.restPath + "/openInterest?symbol=" + url.QueryEscape(in.Symbol), Weight: 1}}}
}

// invalidSymbol is the venue's code for a symbol it does not know.
const invalidSymbol = -1121

func (m *market) SnapshotRequest(in *tick.Instrument) (feeds.Request, bool) {
	return feeds.Request{
		URL:    m.restBase + m.restPath + "/depth?symbol=" + url.QueryEscape(in.Symbol) + "&limit=" + strconv.Itoa(m.snapshotLimit),
		Weight: m.snapshotWeight,
	}, true
}

func (m *market) DecodeREST(dst []tick.Unit, address string, body []byte, table *feeds.Table, at feeds.Stamp, epoch uint64) ([]tick.Unit, error) {
	// The host, and a path before the venue's own, may be anything.
	u, err := url.Parse(address)
	if err != nil {
		return dst, nil
	}
	if m.isPast(u.Path) {
		return wire.ReadHistory(&pastTrades, m.venue, u.Query().Get("symbol"), dst, body, table, at)
	}
	interest := strings.HasSuffix(u.Path, m.restPath+"/openInterest")
	if !interest && !strings.HasSuffix(u.Path, m.restPath+"/depth") {
		return dst, nil
	}
	d := &decoder{market: m, snapshot: &snapshot{symbol: []byte(u.Query().Get("symbol")), epoch: epoch, interest: interest}}
	d.Init(m.venue, table)
	dst, _, err = d.Decode(dst, body, at)
	return dst, err
}

// book makes the snapshot's packets: {"lastUpdateId":…,"bids":[…],"asks":[…]}
// with the times E and T on futures.
func (d *decoder) book() {
	if d.refused("depth") {
		return
	}
	if !d.complete(snapshotFields, "depth answer") {
		return
	}
	if d.has(fieldBookSymbol) && string(d.text(fieldBookSymbol)) != string(d.snapshot.symbol) {
		d.Refuse("the answer is about another symbol")
		return
	}
	id := d.uint(fieldBookID)
	head := tick.Depth{FirstID: id, LastID: id, PrevID: d.snapshot.epoch}
	head.Header = d.At.Header(tick.KindSnapshot, 0, d.time(false))
	d.levels(head, d.snapshot.symbol, fieldBookBids, fieldBookAsks)
}

// refused reads an error in place of an answer.
func (d *decoder) refused(what string) bool {
	if !d.has(fieldCode) {
		return false
	}
	code, text := d.fault()
	kind := feeds.ErrUnknownMessage
	if code == invalidSymbol {
		kind = feeds.ErrUnknownSymbol
	}
	d.Fault(kind, fmt.Sprintf("%s refused: code %d: %s:", what, code, text), d.snapshot.symbol)
	return true
}
