package simulation

import (
	"fmt"
	"time"
)

// good reports that all is as it should be.
func (w *world) good() (why string) {
	p := w.process
	if p == nil || !p.started {
		return "no process runs"
	}
	for _, f := range p.b.Feeds {
		for _, l := range f.Links {
			if l.State().String() != "up" {
				return f.Venue + " " + l.Name() + " is " + l.State().String()
			}
			if n := l.Silent(); n > 0 {
				return fmt.Sprintf("%s %s does not have %d of its streams", f.Venue, l.Name(), n)
			}
		}
	}
	for _, k := range p.links {
		if k.client != nil && k.dead {
			return k.venue + " " + k.l.Name() + " is dead, and does not know it"
		}
	}
	for _, f := range w.config.Feeds {
		for _, symbol := range f.Symbols {
			if x, ok := p.b.Image(f.Venue, symbol); !ok || !x.Valid {
				return fmt.Sprintf("book of %s %s is not valid (%s)", f.Venue, symbol, x.Reason)
			}
		}
	}
	for _, why := range p.b.Troubles() {
		return why
	}
	if w.pendingBackfills() > 0 {
		return "trades are still being fetched"
	}
	return ""
}

// calmDown ends what goes wrong with disk and database, and, in bounded runs,
// with all else: whatever lasts.
func (w *world) calmDown() {
	w.diskFaults = [faultKinds]int64{}
	w.setDisk()
	w.nextDeath = nil
	if p := w.process; p != nil {
		p.fs.left, p.appends = 0, 0
	}
	w.stalled = [stallable]int64{}
	w.database.troubles, w.database.downTill, w.database.till1 = nil, 0, 0
	w.slowTill, w.noRESTTill = 0, 0
	if w.o.Mutation != "deaf" {
		w.noDialTill = 0
	}
	if w.o.Unbounded {
		w.marketStops = true
	} else {
		w.exchange.Calm()
	}
}

// noticedWithin is how long a database may have lost rows before a sender that
// is not refused looks.
const noticedWithin = 33 * time.Second

// lossTold is when rows that could not be read back have become a row of gaps.
const lossTold = 1500 * time.Millisecond

// settle waits until all is good, and all rows are where they belong.
func (w *world) settle(over int64) time.Duration {
	at := int64(0)
	when := func(every time.Duration, good func() bool) func() bool {
		return func() bool {
			if w.now < at {
				return false
			}
			at = w.now + int64(every)
			return good()
		}
	}
	settled := time.Duration(0)
	if !w.o.Unbounded {
		if !w.run(over+int64(settleMax), when(200*time.Millisecond, func() bool { return w.good() == "" })) {
			w.violate("liveness", "%v after the last fault: %s", settleMax, w.good())
		}
		settled = time.Duration(w.now - over)
		w.exchange.Finish()
		w.run(w.now+int64(3*time.Second), nil)
		w.marketStops = true
		// The last trades have closed gaps, too.
		if !w.run(w.now+int64(settleMax), when(100*time.Millisecond, func() bool {
			return w.process != nil && w.process.started && w.pendingBackfills() == 0
		})) {
			w.violate("liveness", "trades are not fetched %v after the last fault", settleMax)
		}
	}
	w.run(w.now+int64(time.Second), nil)
	w.run(w.dbLostAt+int64(noticedWithin), nil)
	delivered := func() {
		if !w.run(w.now+int64(2*time.Minute), when(100*time.Millisecond, func() bool {
			p := w.process
			return p != nil && p.started && w.now >= p.startedAt+int64(time.Second) && p.b.Spool.State().Empty
		})) {
			w.violate("liveness", "rows wait two minutes after the last fault")
		}
	}
	delivered()
	if !w.o.Unbounded {
		w.run(w.now+int64(lossTold), nil)
		delivered()
	}
	w.database.settle()
	return settled
}
