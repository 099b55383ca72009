package simulation

import (
	"fmt"
	"slices"
	"time"

	"tickproc/feeds/sim"
)

// faultKind is something that goes wrong.
type faultKind uint8

const (
	faultNone faultKind = iota
	// The network.
	faultReset // a socket ends, and what was on its way is gone
	faultDead  // nothing goes through a socket any more, and neither side is told
	faultStorm // every socket is reset again and again for a time
	faultDial  // no socket can be opened for a time
	faultDelay // frames take long for a time
	faultREST  // requests get no answer for a time
	// The venue: one of sim's kinds, in venueFault.
	faultVenue
	// The process.
	faultKill       // at an event
	faultKillInLog  // between logging and applying
	faultKillInDisk // within an operation on the disk
	faultPowerCut
	faultPowerCutInDisk
	faultStop  // cleanly, and started again
	faultStall // a part of the process does not get to run for a time
	faultSnapshot
	// The disk, for a time.
	faultDiskWrite
	faultDiskShort
	faultDiskSync
	faultDiskFull
	faultDiskCreate
	faultDiskSyncDir
	faultFlip // a bit of a file turns
	// The database, for a time or at once.
	faultDBBusy
	faultDBError
	faultDBTimeout
	faultDBLostReply
	faultDBAway
	faultDBRestart
	faultDBRestartLost
	faultDBWiped
	faultDBDropped
	faultDBRejects
	faultKinds
)

var faultNames = [faultKinds]string{"", "reset", "dead", "storm", "dial", "delay", "rest", "venue", "kill", "kill-in-log", "kill-in-disk", "power-cut", "power-cut-in-disk", "stop", "stall", "snapshot",
	"disk-write", "disk-short-write", "disk-sync", "disk-full", "disk-create", "disk-syncdir", "flip",
	"db-429", "db-500", "db-timeout", "db-lost-reply", "db-away", "db-restart", "db-restart-lost", "db-wiped", "db-dropped", "db-rejects"}

// fault is one of the plan.
type fault struct {
	kind  faultKind
	at    time.Duration // since the start
	span  time.Duration
	pick  uint64 // which of several
	venue sim.FaultKind
}

// name is by which it can be left out.
func (f fault) name() string {
	if f.kind == faultVenue {
		return "venue-" + f.venue.String()
	}
	return faultNames[f.kind]
}

func (f fault) String() string {
	return fmt.Sprintf("%s at %v for %v", f.name(), f.at.Round(time.Millisecond), f.span.Round(time.Millisecond))
}

// often is in how many of a hundred seeds a kind strikes, and how often at the
// most.
type often struct {
	kind        faultKind
	venue       sim.FaultKind
	seeds, most int
	span        time.Duration // the longest
}

var frequencies = []often{
	{kind: faultReset, seeds: 40, most: 4},
	{kind: faultDead, seeds: 20, most: 3},
	{kind: faultStorm, seeds: 10, most: 1, span: 3 * time.Second},
	{kind: faultDial, seeds: 15, most: 2, span: 4 * time.Second},
	{kind: faultDelay, seeds: 30, most: 3, span: 3 * time.Second},
	{kind: faultREST, seeds: 20, most: 2, span: 4 * time.Second},
	{kind: faultKill, seeds: 40, most: 3},
	{kind: faultKillInLog, seeds: 20, most: 2},
	{kind: faultKillInDisk, seeds: 30, most: 3},
	{kind: faultPowerCut, seeds: 25, most: 2},
	{kind: faultPowerCutInDisk, seeds: 20, most: 2},
	{kind: faultStop, seeds: 15, most: 1},
	{kind: faultStall, seeds: 30, most: 4, span: 2 * time.Second},
	{kind: faultSnapshot, seeds: 70, most: 5},
	{kind: faultDiskWrite, seeds: 12, most: 2, span: 2 * time.Second},
	{kind: faultDiskShort, seeds: 12, most: 2, span: 2 * time.Second},
	{kind: faultDiskSync, seeds: 15, most: 2, span: 2 * time.Second},
	{kind: faultDiskFull, seeds: 12, most: 2, span: 4 * time.Second},
	{kind: faultDiskCreate, seeds: 8, most: 2, span: 2 * time.Second},
	{kind: faultDiskSyncDir, seeds: 8, most: 2, span: 2 * time.Second},
	{kind: faultFlip, seeds: 8, most: 2},
	{kind: faultDBBusy, seeds: 15, most: 2, span: 3 * time.Second},
	{kind: faultDBError, seeds: 15, most: 2, span: 3 * time.Second},
	{kind: faultDBTimeout, seeds: 15, most: 2, span: 4 * time.Second},
	{kind: faultDBLostReply, seeds: 25, most: 3, span: 3 * time.Second},
	{kind: faultDBAway, seeds: 15, most: 2, span: 6 * time.Second},
	{kind: faultDBRestart, seeds: 15, most: 2, span: time.Second},
	{kind: faultDBRestartLost, seeds: 15, most: 2, span: time.Second},
	{kind: faultDBWiped, seeds: 8, most: 1},
	{kind: faultDBDropped, seeds: 8, most: 1},
	{kind: faultDBRejects, seeds: 8, most: 1, span: 2 * time.Second},
	{kind: faultVenue, venue: sim.FaultDrop, seeds: 25, most: 4},
	{kind: faultVenue, venue: sim.FaultDuplicate, seeds: 20, most: 4},
	{kind: faultVenue, venue: sim.FaultReorder, seeds: 20, most: 4},
	{kind: faultVenue, venue: sim.FaultGarbage, seeds: 15, most: 3},
	{kind: faultVenue, venue: sim.FaultTruncate, seeds: 10, most: 2},
	{kind: faultVenue, venue: sim.FaultExtraField, seeds: 5, most: 2},
	{kind: faultVenue, venue: sim.FaultLateTrade, seeds: 15, most: 3, span: 3 * time.Second},
	{kind: faultVenue, venue: sim.FaultDuplicateTrade, seeds: 15, most: 3, span: 3 * time.Second},
	{kind: faultVenue, venue: sim.FaultHandshakeLimit, seeds: 8, most: 2},
	{kind: faultVenue, venue: sim.FaultDisconnect, seeds: 15, most: 2},
	{kind: faultVenue, venue: sim.FaultClose, seeds: 10, most: 2},
	{kind: faultVenue, venue: sim.FaultHalfOpen, seeds: 12, most: 1},
	{kind: faultVenue, venue: sim.FaultSlow, seeds: 12, most: 2, span: 3 * time.Second},
	{kind: faultVenue, venue: sim.FaultShutdown, seeds: 8, most: 1},
	{kind: faultVenue, venue: sim.FaultDropFrame, seeds: 10, most: 2},
	{kind: faultVenue, venue: sim.FaultResnapshot, seeds: 10, most: 2},
	{kind: faultVenue, venue: sim.FaultRestart, seeds: 8, most: 1},
	{kind: faultVenue, venue: sim.FaultMaintenance, seeds: 8, most: 1, span: 4 * time.Second},
	{kind: faultVenue, venue: sim.FaultQuiet, seeds: 10, most: 1, span: 5 * time.Second},
	{kind: faultVenue, venue: sim.FaultHalt, seeds: 8, most: 1, span: 5 * time.Second},
	{kind: faultVenue, venue: sim.FaultRefuse, seeds: 8, most: 2},
	{kind: faultVenue, venue: sim.FaultRateLimit, seeds: 8, most: 2},
	{kind: faultVenue, venue: sim.FaultStaleDepth, seeds: 8, most: 1, span: 5 * time.Second},
	{kind: faultVenue, venue: sim.FaultRESTLimit, seeds: 12, most: 2, span: 2 * time.Second},
	{kind: faultVenue, venue: sim.FaultRESTError, seeds: 12, most: 3},
	{kind: faultVenue, venue: sim.FaultRESTSlow, seeds: 12, most: 2, span: 3 * time.Second},
	{kind: faultVenue, venue: sim.FaultRESTGarbage, seeds: 10, most: 2},
	{kind: faultVenue, venue: sim.FaultPastEmpty, seeds: 6, most: 2},
	{kind: faultVenue, venue: sim.FaultPastMissing, seeds: 6, most: 2},
	{kind: faultVenue, venue: sim.FaultPastDuplicate, seeds: 6, most: 2},
	{kind: faultVenue, venue: sim.FaultPastShuffled, seeds: 6, most: 2},
}

// newPlan draws what goes wrong in a seed between two times since its start.
// Each kind has a random stream of its own, and calm is how much of it there is
// none of: of a hundred.
func newPlan(kinds []often, seed uint64, from, to time.Duration, calm int) []fault {
	var all []fault
	for _, o := range kinds {
		f := fault{kind: o.kind, venue: o.venue}
		r := stream(seed, "fault "+f.name())
		if r.IntN(100) >= o.seeds*(100-calm)/100 {
			continue
		}
		for range 1 + r.IntN(o.most) {
			f.at = between(r, from, to)
			f.pick = r.Uint64()
			f.span = 0
			if o.span > 0 {
				f.span = min(between(r, o.span/10, o.span), to-f.at)
			}
			all = append(all, f)
		}
	}
	slices.SortStableFunc(all, func(a, b fault) int { return int(a.at - b.at) })
	return all
}
