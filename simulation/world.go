// Package simulation runs the whole service against everything that it meets,
// in one goroutine and virtual time, from one seed:
//
//	market ─► venue's dialect ─► network ─► process ─► database
//	  │                                     │   ▲
//	  └► truth ─► checks ◄── rows           ▼   │ kill, power cut
//	                                      disk, memory
//
// The process is pipeline.ByHand, which is the product; all around it is
// simulated here. Whatever happens is a function of the seed: each component
// has a random stream of its own, so that leaving one fault out leaves the
// others as they were.
package simulation

import (
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"tickproc/feeds/sim"
	"tickproc/internal/vfs/simdisk"
	"tickproc/pipeline"
	"tickproc/tick"
)

// Options of a run.
type Options struct {
	Seed uint64
	// Unbounded: things go wrong to the end, and only what is wrong is looked
	// for; else they stop, and all must become good again.
	Unbounded bool
	Trace     io.Writer // nil = none
	// Without leaves out the faults of a name, to find the one that matters.
	Without []string
	// Mutation breaks the world where it should be right, so that the checks can
	// be seen to fail; "" = none.
	Mutation string
}

// Result is what came of it.
type Result struct {
	Seed       uint64
	Hash       uint64 // of all that happened
	Faults     []string
	Violations []string
	Virtual    time.Duration
	Settled    time.Duration // from the last fault until all was good
	Tally      Tally
}

// Tally counts what was looked at.
type Tally struct {
	Trades, InGaps, Bars, Books, Quotes, Gaps, Downs int
	Lives, Kills, PowerCuts, Snapshots, Recoveries   int
}

const (
	shardsMax = 2
	dataDir   = "/data"
	// settleMax is how long all may take to become good after the last fault: a
	// socket's and a subscription's longest waits, and three attempts at a backfill.
	settleMax = 150 * time.Second
)

// Add counts another run in.
func (t *Tally) Add(o Tally) {
	t.Trades, t.InGaps, t.Bars, t.Books, t.Quotes, t.Gaps, t.Downs = t.Trades+o.Trades, t.InGaps+o.InGaps, t.Bars+o.Bars, t.Books+o.Books, t.Quotes+o.Quotes, t.Gaps+o.Gaps, t.Downs+o.Downs
	t.Lives, t.Kills, t.PowerCuts, t.Snapshots, t.Recoveries = t.Lives+o.Lives, t.Kills+o.Kills, t.PowerCuts+o.PowerCuts, t.Snapshots+o.Snapshots, t.Recoveries+o.Recoveries
}

type pipelineFeed = pipeline.FeedByHand

// world is everything.
type world struct {
	loop
	o        Options
	began    int64
	exchange *sim.Exchange
	venues   []string
	catalogs map[string][]tick.Instrument // as of the start
	config   *pipeline.Config
	disk     *simdisk.Disk
	memory   *memory
	database *database
	process  *process // nil: none runs
	faults   []fault

	schedule, network, kills, chance *rand.Rand
	ids                              uint64
	offset                           time.Duration // the venues' clocks minus the true time
	skew                             int64         // our clock minus the true time

	slowTill, noDialTill, noRESTTill int64
	stalled                          [stallable]int64
	diskFaults                       [faultKinds]int64 // until when
	nextDeath                        *fault            // of the next process, within its disk
	marketStops                      bool

	batch        int                // of shards, in units
	ranTill      int64              // when a process last worked
	cutAt        int64              // ranTill as of the power cut since the last start; 0 = there was none
	known        map[symbolOf]bool  // by the process that starts
	since        map[symbolOf]int64 // venue time of the first start of which anything is known
	dbLostAt     int64              // when the database last lost rows
	diskless     []int64            // when the spool had no disk, and rows went to the database from memory alone
	unkept       []int64            // those before the database lost rows: nobody has them any more
	unkeptTill   int64              // when the spool last ceased to keep delivered rows that were not old
	hinderedTill int64              // until when the disk, or who writes to it, last did not work
	flipped      bool               // a bit of the disk
	logFlipped   bool               // of a log
	lyingSync    bool               // of a mutation
	forget       bool               // of a mutation: a batch is not remembered
	history      []logged           // what shards logged, in the order in which it happened
	listens      map[channelOf]*listening
	downs        []down
	tally        Tally
	sum          uint64
	wrong        []string
	said         map[string]int
	quiet        *slog.Logger
}

// run lets time pass until it is over or done says so.
func (w *world) run(until int64, done func() bool) bool {
	for {
		if done != nil && done() {
			return true
		}
		if !w.stepSafely(until) {
			return false
		}
	}
}

// stepSafely lets the next thing happen, which may be the end of the process.
func (w *world) stepSafely(until int64) (more bool) {
	defer func() {
		if x := recover(); x != nil {
			if _, ok := x.(death); !ok {
				panic(x)
			}
			w.task = nil
			more = true
			w.end(w.process.fs.cut, 50*time.Millisecond+between(w.kills, 0, 2*time.Second))
		}
	}()
	return w.step(until)
}

// planOf is how long things go wrong in a seed, and which.
func planOf(seed uint64) (length time.Duration, faults []fault) {
	length = between(stream(seed, "length"), 6*time.Second, 16*time.Second)
	calm := stream(seed, "calm").IntN(90)
	return length, newPlan(frequencies, seed, 1500*time.Millisecond, length, calm)
}

// Run runs a seed.
func Run(o Options) (r Result, err error) {
	w, err := newWorld(o)
	if err != nil {
		return Result{}, err
	}
	length, faults := planOf(o.Seed)
	w.faults = faults
	if slices.ContainsFunc(w.faults, func(f fault) bool { return f.kind == faultFlip }) {
		w.config.Journal.Damage = "skip"
	}
	w.market()
	w.at(w.now, w.begin)
	for _, f := range w.faults {
		w.at(w.began+int64(f.at), func() { w.strike(f) })
	}
	over := w.began + int64(length)
	w.run(over, nil)
	w.calmDown()
	settled := w.settle(over)
	w.check()
	r = Result{Seed: o.Seed, Violations: w.wrong, Virtual: time.Duration(w.now - w.began), Settled: settled, Tally: w.tally}
	for _, f := range w.faults {
		r.Faults = append(r.Faults, f.String())
	}
	r.Hash = w.hash()
	w.kill()
	return r, nil
}

// market moves the venues.
func (w *world) market() {
	w.exchange.Step(time.Unix(0, w.now))
	var again func()
	again = func() {
		if !w.marketStops {
			w.exchange.Step(time.Unix(0, w.now))
			w.after(12*time.Millisecond, again)
		}
	}
	w.after(12*time.Millisecond, again)
}

// hash is one number for all that there is at the end.
func (w *world) hash() uint64 {
	h := fnv.New64a()
	fmt.Fprintln(h, w.sum, w.count, w.now, w.wrong)
	for _, name := range slices.Sorted(maps.Keys(w.database.tables)) {
		for _, r := range w.database.all(name) {
			io.WriteString(h, r.line)
		}
	}
	if w.process != nil && w.process.started {
		io.WriteString(h, w.states(w.process.b))
	}
	w.disk.Digest(h)
	return h.Sum64()
}
