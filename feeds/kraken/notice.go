package kraken

import (
	"bytes"
	"encoding/json"

	"tickproc/feeds"
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// noticeText bounds what is kept of a venue's message, in bytes.
const noticeText = 256

// excerpt makes some of a text readable.
func excerpt(text []byte) string {
	text = jsonscan.AppendUnescaped(nil, text[:min(len(text), noticeText)])
	return string(bytes.ToValidUTF8(text, nil))
}

// alreadySubscribed is the venue's word for a stream that it delivers.
const alreadySubscribed = "Already subscribed"

// answer reads what the venue says to a request, symbol by symbol:
//
//	{"method":"subscribe","result":{"channel":"book","depth":1000,"snapshot":true,"symbol":"BTC/USD"},"success":true,"req_id":13}
//	{"error":"Currency pair not supported XBT/USD","method":"subscribe","success":false,"symbol":"XBT/USD","req_id":13}
func (d *decoder) answer() {
	m := &d.message
	number, channel := -1, tick.Channels(0)
	if m.has(fieldRequest) && m.values[fieldRequest].Kind == jsonscan.Uint {
		number, channel = requestOf(m.values[fieldRequest].Uint)
	}
	refused := m.has(fieldError) || m.has(fieldSuccess) && m.values[fieldSuccess].Kind != jsonscan.True
	method := d.text(m, fieldMethod)
	switch {
	case string(method) == "pong" && !refused:
		d.Notify(feeds.NoticePong)
	case string(method) == "unsubscribe":
		// Refused or not: there is nothing left to be ended.
		d.Notify(feeds.NoticeAck)
		d.Notice.Request = number
	case refused && string(d.text(m, fieldError)) != alreadySubscribed:
		d.Notify(feeds.NoticeRefused)
		d.Notice.Request, d.Notice.Text = number, excerpt(d.text(m, fieldError))
		if channel, known := d.subject(channel); known {
			d.Notice.Channel, d.Notice.Instrument = channel, d.Instrument()
		}
	case string(method) == "subscribe":
		d.Notify(feeds.NoticeIgnored)
		if channel, known := d.subject(channel); known {
			d.Notify(feeds.NoticeAck)
			d.Notice.Request, d.Notice.Channel, d.Notice.Instrument = number, channel, d.Instrument()
		} else if channel == 0 {
			d.Notify(feeds.NoticeAck)
			d.Notice.Request = number
		}
	default:
		d.Table().Canary.Report(feeds.CanaryMessage, "method "+excerpt(method))
		d.Fault(feeds.ErrUnknownMessage, "method", method)
	}
}

// subject finds the stream that an answer is about: its channel, if it is one
// of ours, by the result or else by the request, and whether its symbol is known.
func (d *decoder) subject(asked tick.Channels) (channel tick.Channels, known bool) {
	symbol := d.text(&d.message, fieldSymbol)
	channel = asked
	if result := d.message.values[fieldResult]; d.message.has(fieldResult) && result.Kind == jsonscan.Object {
		d.Scan.Seek(result)
		d.object(&d.of, resultField, "result")
		if name := d.text(&d.of, fieldChannel); name != nil {
			channel, _ = channelOf(name)
		}
		if symbol == nil {
			symbol = d.text(&d.of, fieldSymbol)
		}
		if d.of.has(fieldData) && d.Scan.Bytes(d.of.values[fieldData])[0] == '[' {
			d.warnings(d.of.values[fieldData])
		}
	}
	return channel, channel != 0 && d.knows(symbol)
}

// warnings tells of changes that the venue announces beside an answer.
func (d *decoder) warnings(list jsonscan.Value) {
	s := &d.Scan
	s.Seek(list)
	for more := s.Array(); more; more = s.Next(']') {
		if v := s.Value(); v.Kind == jsonscan.String {
			d.Table().Canary.Report(feeds.CanaryMessage, "warning: "+excerpt(s.Bytes(v)))
		}
	}
}

// object reads an object of a proven message.
func (d *decoder) object(into *scope, fieldOf func([]byte) field, what string) {
	s := &d.Scan
	into.seen = 0
	for more := s.Object(); more; more = s.Next('}') {
		key := s.Key()
		if f := fieldOf(key); d.counts(into, f, what, key) {
			into.values[f] = s.Value()
		}
	}
}

// knows is Known for a symbol that may have escapes.
func (d *decoder) knows(symbol []byte) bool {
	if len(symbol) == 0 {
		return false
	}
	return d.Known(symbol) || bytes.IndexByte(symbol, '\\') >= 0 && d.Known(jsonscan.AppendUnescaped(nil, symbol))
}

// other reads what is neither market data nor an answer.
func (d *decoder) other() {
	switch channel := d.text(&d.message, fieldChannel); string(channel) {
	case "heartbeat":
		d.Notify(feeds.NoticePong)
	case "status":
		d.system()
	case "instrument":
		d.pairs()
	case "ohlc", "level3", "executions", "balances":
		d.Notify(feeds.NoticeIgnored)
	default:
		d.Table().Canary.Report(feeds.CanaryMessage, "channel "+excerpt(channel))
		d.Fault(feeds.ErrUnknownMessage, "channel", channel)
	}
}

// inService is what a decoder takes for granted until the venue says otherwise.
const inService = "online"

// system reads the status of the trading engine, which comes with every
// connection and when it changes, and the maintenance that is announced. It is
// said when it is not what was said before.
func (d *decoder) system() {
	var told []map[string]json.RawMessage
	if !d.message.has(fieldData) || json.Unmarshal(d.Scan.Bytes(d.message.values[fieldData]), &told) != nil || len(told) == 0 {
		d.Refuse("a status without a system")
		return
	}
	text := ""
	for key, value := range told[0] {
		switch key {
		case "system":
			if json.Unmarshal(value, &text) != nil || text == "" {
				d.Refuse("a status without a system")
				return
			}
		case "api_version", "connection_id", "version", "upcoming_maintenance", "emergency":
		default:
			d.Strange("status", []byte(key))
		}
	}
	if text == "" {
		d.Refuse("a status without a system")
		return
	}
	text += events("; emergency", told[0]["emergency"]) + events("; announced", told[0]["upcoming_maintenance"])
	text = string(bytes.ToValidUTF8([]byte(text[:min(len(text), noticeText)]), nil))
	if text == d.service {
		d.Notify(feeds.NoticeIgnored)
		return
	}
	d.Notify(feeds.NoticeMaintenance)
	d.Notice.Text = text
}

// events lists what is going on or announced.
func events(what string, list json.RawMessage) (text string) {
	var all []json.RawMessage
	if json.Unmarshal(list, &all) != nil {
		return ""
	}
	for _, one := range all {
		var e struct {
			Title string `json:"title"`
			Start string `json:"expected_start_utc"`
			End   string `json:"expected_end_utc"`
		}
		if json.Unmarshal(one, &e) != nil || e.Title == "" {
			e.Title = string(one[:min(len(one), noticeText)])
		}
		text += what + ": " + e.Title
		if e.Start != "" {
			text += " " + e.Start + " to " + e.End
		}
	}
	return text
}

// pairs reads the trading states of pairs from the instrument channel. It
// tells of all pairs of the venue: those that are not ours are passed over.
func (d *decoder) pairs() {
	s, units := &d.Scan, len(d.Out)
	data := d.message.values[fieldData]
	if !d.message.has(fieldData) || data.Kind != jsonscan.Object {
		d.Refuse("instruments are no object")
		return
	}
	s.Seek(data)
	for more := s.Object(); more; more = s.Next('}') {
		if key := s.Key(); string(key) != "pairs" || s.Peek() != jsonscan.Array {
			s.Skip()
			continue
		}
		for more := s.Array(); more; more = s.Next(']') {
			if s.Peek() != jsonscan.Object {
				s.Skip()
				continue
			}
			d.object(&d.of, pairField, "instrument")
			status := d.text(&d.of, fieldStatus)
			if status == nil || !d.knows(d.text(&d.of, fieldSymbol)) {
				continue
			}
			state := stateOf(string(status))
			if state == tick.StateUnknown {
				d.Table().Canary.Report(feeds.CanaryMessage, "pair status "+excerpt(status))
			}
			d.Status(state, 0)
		}
	}
	if len(d.Out) == units && d.Sound() {
		d.Notify(feeds.NoticeIgnored)
	}
}

// stateOf reads the status of a pair, over REST and in the instrument channel.
func stateOf(status string) tick.State {
	switch status {
	case "online":
		return tick.StateTrading
	case "cancel_only", "post_only", "limit_only", "reduce_only":
		return tick.StateRestricted
	case "work_in_progress":
		return tick.StatePreOpen
	case "maintenance":
		return tick.StateHalted
	case "delisted":
		return tick.StateDelisted
	}
	return tick.StateUnknown
}
