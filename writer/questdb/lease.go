package questdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"
)

// Lease names who writes the tables. The zero value is nobody, who is not
// looked for.
type Lease struct {
	// ID stays the same for as long as a data_dir does.
	ID string
	// Instance is what its user calls it.
	Instance string
}

// lease keeps one row in the table leases, and finds other writers by theirs.
// QuestDB cannot compare and set, so that this is no lock: it tells what is so.
//
// Each process counts its row up, again and again; one whose row moves is alive.
// No clock has a say in that: what a killed writer left does not move, nor does
// a table that was restored. The times in a row are for people.
// owner: Watch.Run
type lease struct {
	who     Lease
	client  *Client
	schema  *schema
	host    string
	pid     int
	run     string // of this process: a copied data_dir has the same ID
	started time.Time
	beat    int64                   // last written; 0 = none was
	written bool                    // QuestDB took it
	foreign bool                    // the table is somebody else's
	others  map[string]*otherWriter // by id, and those with ours by run as well
}

// otherWriter is another process that has, or had, a row.
type otherWriter struct {
	leaseRow
	alive  bool
	missed int // looks in a row at which its row had not moved
}

type leaseRow struct {
	id, run                          string
	beat                             int64
	held                             bool // false: it was given back
	instance, host, pid, sinceSecond string
}

// leaseMissesMax is after how many looks a row that stands still is nobody's: one
// may fall between two of its beats.
const leaseMissesMax = 3

// leaseTable has a row for each writer: all have the same ts.
var leaseTable = &table{name: "leases", partition: "DAY", columns: []column{
	{name: "ts", kind: designated, key: true},
	{name: "id", kind: varchar, key: true},
	{name: "run", kind: varchar},
	{name: "beat", kind: long},
	{name: "held", kind: boolean},
	{name: "instance", kind: varchar},
	{name: "host", kind: varchar},
	{name: "pid", kind: long},
	{name: "started", kind: nanos},
	{name: "seen", kind: nanos},
}}

func newLease(who Lease, o *Options, client *Client) *lease {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return &lease{who: who, client: client, host: host, pid: os.Getpid(), run: fmt.Sprintf("%016x", rand.Uint64()), started: time.Now(),
		schema: &schema{client: client, options: o, warn: func(message string, args ...any) {
			o.Logger.Log(context.Background(), slog.LevelWarn, message, args...)
		}},
		others: map[string]*otherWriter{}}
}

// look reads all rows and says who else writes, then moves ours on. In this
// order: between two looks a copy of us has written, and its row stands in the
// place of ours.
func (l *lease) look(ctx context.Context) ([]Trouble, error) {
	r, err := l.client.Query(ctx, "SELECT id, run, beat, held, instance, host, pid, started FROM leases")
	switch {
	case err == nil:
		rows := make([]leaseRow, len(r.Rows))
		for i := range rows {
			since, _, _ := strings.Cut(r.Text(i, 7), ".")
			rows[i] = leaseRow{id: r.Text(i, 0), run: r.Text(i, 1), beat: r.Int(i, 2), held: r.True(i, 3), instance: r.Text(i, 4),
				host: r.Text(i, 5), pid: fmt.Sprint(r.Int(i, 6)), sinceSecond: since}
		}
		l.see(rows)
		err = l.write(ctx, true)
	case !errors.Is(err, ErrSQL):
		return nil, err
	}
	if errors.Is(err, ErrSQL) { // it is missing, or another
		if err = l.schema.ensure(ctx, leaseTable); err == nil {
			err = l.write(ctx, true)
		}
	}
	var misfit *SchemaError
	l.foreign = errors.As(err, &misfit)
	switch {
	case l.foreign:
		return []Trouble{{leaseTable.name, "does not fit, so that a second instance is not noticed: " + misfit.Problem, strings.Join(misfit.Repair, "; ")}}, nil
	case errors.Is(err, ErrSQL):
		return []Trouble{{leaseTable.name, "takes no row, so that a second instance is not noticed", err.Error()}}, nil
	case err != nil:
		return nil, err
	}
	return l.troubles(), nil
}

// see learns from the table as it is now.
func (l *lease) see(rows []leaseRow) {
	ours := leaseRow{}
	for _, o := range l.others {
		o.missed++
	}
	for _, row := range rows {
		if row.id == l.who.ID {
			ours = row
		}
		if row.id == l.who.ID && row.run == l.run {
			continue
		}
		key := row.id
		if key == l.who.ID {
			key += " " + row.run
		}
		o := l.others[key]
		switch {
		case o == nil:
			o = &otherWriter{}
			l.others[key] = o
		case o.beat != row.beat || o.run != row.run:
			o.alive, o.missed = true, 0
		}
		o.leaseRow = row
	}
	// Where our own last beat is not to be seen, that others stand still says nothing.
	blind := l.written && (ours.id == "" || ours.run == l.run && ours.beat != l.beat)
	for key, o := range l.others {
		if blind {
			o.missed = 0
		}
		if o.missed >= leaseMissesMax || !o.held {
			o.alive = false
		}
		if o.missed >= leaseMissesMax && o.id == l.who.ID {
			delete(l.others, key) // its row is no more, and the run never comes back
		}
	}
}

// write moves our row on, or gives the lease back.
func (l *lease) write(ctx context.Context, held bool) error {
	l.beat++
	_, err := l.client.Query(ctx, fmt.Sprintf(
		"INSERT INTO leases (ts, id, run, beat, held, instance, host, pid, started, seen) VALUES (0, %s, %s, %d, %v, %s, %s, %d, %s, now())",
		literal(l.who.ID), literal(l.run), l.beat, held, literal(l.who.Instance), literal(l.host), l.pid, moment(l.started.UnixNano())))
	l.written = err == nil
	return err
}

// troubles names who else writes now.
func (l *lease) troubles() (all []Trouble) {
	for _, key := range slices.Sorted(maps.Keys(l.others)) {
		o := l.others[key]
		if !o.alive {
			continue
		}
		whom := fmt.Sprintf("instance %q, process %s on %s, since %s", o.instance, o.pid, o.host, o.sinceSecond)
		if o.id == l.who.ID {
			all = append(all, Trouble{leaseTable.name, "tells of a second process with a copy of our data_dir: " + whom,
				"stop one of the two; a copied data_dir may write only after its file " + LeaseFile + " was removed"})
		} else {
			all = append(all, Trouble{leaseTable.name, "tells of a second process that writes our tables: " + whom,
				"stop one of the two, or give it a QuestDB of its own (its lease is " + o.id + ")"})
		}
	}
	return all
}

// LeaseFile is the file of a data_dir that holds its lease's ID.
const LeaseFile = "lease"
