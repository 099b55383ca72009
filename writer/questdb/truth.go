package questdb

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"time"
)

// A 204 says that rows are in the server's WAL. It does not say that they
// survive the server's host: QuestDB does not sync by default. So a sender
// remembers what the server must have, and when that is missing sends again
// what the spool still keeps.
//
// What must be there: the same table (its id), at least as many transactions of
// its sequencer as were acknowledged, and the same start of the server. A post
// is one transaction. A table that is another, or has too few transactions, was
// dropped, wiped or restored: everything of it within the horizon is sent again.
// A server that only started anew may have lost the pages that its host had not
// written back, even where the sequencer's were: what was acknowledged in the
// last restartResend is sent again.

const restartResend = 5 * time.Minute

// present is what a server says about itself and a table.
type present struct {
	known   bool
	table   int64 // id
	txn     int64 // of the sequencer
	started int64 // µs since the epoch; 0 = it does not tell
}

func (p present) encode() []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(p.table))
	b = binary.LittleEndian.AppendUint64(b, uint64(p.txn))
	return binary.LittleEndian.AppendUint64(b, uint64(p.started))
}

func decodePresent(b []byte) present {
	if len(b) != 24 {
		return present{}
	}
	le := binary.LittleEndian
	return present{true, int64(le.Uint64(b)), int64(le.Uint64(b[8:])), int64(le.Uint64(b[16:]))}
}

// ask reads it.
func (x *sender) ask(ctx context.Context) (present, error) {
	c := x.schema.client
	id, err := c.Query(ctx, "SELECT id FROM tables() WHERE table_name = "+literal(x.table.name))
	if err != nil {
		return present{}, err
	}
	wal, err := c.Query(ctx, "SELECT sequencerTxn FROM wal_tables() WHERE name = "+literal(x.table.name))
	if err != nil {
		return present{}, err
	}
	if len(id.Rows) != 1 || len(wal.Rows) != 1 {
		return present{}, fmt.Errorf("QuestDB does not know the table %s that it just had", x.table.name)
	}
	p := present{known: true, table: id.Int(0, 0), txn: wal.Int(0, 0)}
	// A convenience of its PostgreSQL side: a server without it only tells less.
	if r, err := c.Query(ctx, "SELECT pg_postmaster_start_time()"); err == nil && len(r.Rows) == 1 {
		if at, err := time.Parse(time.RFC3339Nano, r.Text(0, 0)); err == nil {
			p.started = at.UnixMicro()
		}
	}
	return p, nil
}

// compare looks for what is missing, and asks for a resend of it.
func (x *sender) compare(now present) {
	was := x.present
	x.present = now
	x.spool.SetNote(x.index, now.encode())
	if !was.known {
		return
	}
	since, why := int64(0), ""
	switch {
	case now.table != was.table:
		why = "the table is another one: it was dropped, or the server was wiped"
		x.spool.Forgotten(x.index)
	case now.txn < was.txn:
		why = "the table has fewer transactions than were acknowledged: the server lost its newest rows, or was restored"
	case now.started != was.started:
		since, why = x.sink.o.Now()-int64(restartResend), "the server was restarted"
	default:
		return
	}
	from := "all that is kept"
	if since > 0 {
		from = time.Unix(0, since).UTC().Format(time.RFC3339)
	}
	x.sink.complaints.log(x.sink.o.Logger, slog.LevelWarn, x.sink.o.Now(), "resend "+x.table.name, "rows that QuestDB acknowledged are sent again",
		"table", x.table.name, "reason", why, "from", from, "had_txn", was.txn, "has_txn", now.txn)
	x.askResend(since)
}

// acked notes that one more transaction must be there.
func (x *sender) acked() {
	if x.present.known {
		x.present.txn++
		x.spool.SetNote(x.index, x.present.encode())
	}
}

// askResend makes the sender go back to since, ns; any goroutine may ask. The
// earliest of several wins.
func (x *sender) askResend(since int64) {
	for {
		have := x.resend.Load()
		if have != noResend && have <= since || x.resend.CompareAndSwap(have, since) {
			break
		}
	}
	signal(x.nudge)
}

const noResend = int64(-1 << 63)

// rewind goes back if that was asked for. False: the disk failed.
func (x *sender) rewind(ctx context.Context) bool {
	since := x.resend.Swap(noResend)
	if since == noResend {
		return true
	}
	rows, err := x.spool.Rewind(x.index, since)
	if err != nil {
		x.askResend(since)
		x.fail(ctx, slog.LevelError, "the spool cannot be read for a resend", err, 0)
		return false
	}
	x.stats.Resent.Add(uint64(rows))
	if rows > 0 {
		x.complain(slog.LevelInfo, "sending kept rows again", "rows", rows)
	}
	return true
}
