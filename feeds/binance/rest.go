package binance

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"tickproc/feeds"
	"tickproc/tick"
)

// snapshot is what the URL and the asker know of a REST answer.
type snapshot struct {
	symbol []byte
	epoch  uint64
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
	if err != nil || !strings.HasSuffix(u.Path, m.restPath+"/depth") {
		return dst, nil
	}
	d := &decoder{market: m, snapshot: &snapshot{symbol: []byte(u.Query().Get("symbol")), epoch: epoch}}
	d.Init(m.venue, table)
	dst, _, err = d.Decode(dst, body, at)
	return dst, err
}

// book makes the snapshot's packets: {"lastUpdateId":…,"bids":[…],"asks":[…]}
// with the times E and T on futures.
func (d *decoder) book() {
	if d.has(fieldCode) {
		code, text := d.fault()
		kind := feeds.ErrUnknownMessage
		if code == invalidSymbol {
			kind = feeds.ErrUnknownSymbol
		}
		d.Fault(kind, fmt.Sprintf("depth refused: code %d: %s:", code, text), d.snapshot.symbol)
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
