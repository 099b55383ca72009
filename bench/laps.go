package bench

import (
	"slices"
	"time"

	"tickproc/tick"
)

// laps goes round and round a session. Each lap is a later one: its times go
// on, its trades' ids too, and those of its books jump, as after an outage, so
// that a lap's snapshot begins them anew.
type laps struct {
	line    *Line
	records []Record
	at      int // of the next record
	lap     int
	shift   lapShift
	// answers of REST, at the scale that the session ends with: after the first
	// lap each is a copy, because decoding one may allocate.
	answers map[int][]tick.Unit
	copied  []tick.Unit
	steady  int // the first record behind all answers
}

// newLaps returns the laps of a session, and the packets that come before them.
func newLaps(s *Session) (x *laps, opening []tick.Unit) {
	x = &laps{records: s.Records, shift: s.shift(), answers: map[int][]tick.Unit{}}
	settled := s.settled()
	for i := range s.Records {
		if s.Records[i].URL != "" {
			x.answers[i] = slices.Clone(settled.Decode(&s.Records[i]))
			x.steady = i + 1
		}
	}
	x.line, opening = s.Open()
	return x, opening
}

// next returns the packets of the next record, until the call after.
//
// hot: per frame, 0 allocs after the first lap.
func (x *laps) next() (packets []tick.Unit) {
	r := &x.records[x.at]
	if x.lap > 0 && r.URL != "" {
		x.copied = append(x.copied[:0], x.answers[x.at]...)
		packets = x.copied
	} else {
		packets = x.line.Decode(r)
	}
	if x.lap > 0 {
		x.shift.apply(packets, x.lap)
	}
	if x.at++; x.at == len(x.records) {
		x.at, x.lap = 0, x.lap+1
	}
	return packets
}

// left is how many records are left of the lap.
func (x *laps) left() int { return len(x.records) - x.at }

// lapShift makes packets of one lap those of a later one.
type lapShift struct {
	nanos  int64
	trades []uint64 // ids in a lap, by instrument
	books  uint64
}

func (s *Session) shift() lapShift {
	shift := lapShift{nanos: s.Records[len(s.Records)-1].At.ReceiveNanos - s.Records[0].At.ReceiveNanos + int64(time.Second)}
	var first []uint64
	for _, packets := range s.packets() {
		for ; len(packets) > 0; packets = packets[tick.PacketUnits(&packets[0]):] {
			if packets[0].KindOf() != tick.KindTrade {
				if packets[0].KindOf() == tick.KindDepth {
					shift.books = max(shift.books, packets[0].Depth().LastID)
				}
				continue
			}
			t := packets[0].Trade()
			for int(t.Instrument) >= len(first) {
				first, shift.trades = append(first, 0), append(shift.trades, 0)
			}
			if first[t.Instrument] == 0 {
				first[t.Instrument] = t.ID.Lo
			}
			shift.trades[t.Instrument] = t.ID.Lo - first[t.Instrument] + 1
		}
	}
	return shift
}

func (x *lapShift) apply(packets []tick.Unit, lap int) {
	for ; len(packets) > 0; packets = packets[tick.PacketUnits(&packets[0]):] {
		h := packets[0].Header()
		h.ReceiveNanos += int64(lap) * x.nanos
		if h.ExchangeNanos != 0 {
			h.ExchangeNanos += int64(lap) * x.nanos
		}
		switch h.Kind {
		case tick.KindTrade:
			packets[0].Trade().ID.Lo += uint64(lap) * x.trades[h.Instrument]
		case tick.KindDepth, tick.KindQuote, tick.KindSnapshot:
			d, by := packets[0].Depth(), uint64(lap)*x.books
			d.FirstID, d.LastID = d.FirstID+by, d.LastID+by
			if d.PrevID != 0 { // 0 is no id, and a snapshot's epoch
				d.PrevID += by
			}
		}
	}
}
