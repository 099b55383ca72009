package simulation

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tickproc/feeds/sim"
	"tickproc/internal/vfs"
	"tickproc/internal/vfs/simdisk"
)

// setDisk gives the disk the faults of now.
func (w *world) setDisk() {
	var f simdisk.Faults
	is := func(k faultKind) bool { return w.now < w.diskFaults[k] }
	if is(faultDiskWrite) {
		f.WriteError = 0.3
	}
	if is(faultDiskShort) {
		f.ShortWrite = 0.3
	}
	if is(faultDiskSync) {
		f.SyncError = 0.5
	}
	if is(faultDiskSyncDir) {
		f.SyncDirError = 0.5
	}
	if is(faultDiskCreate) {
		f.CreateError = 0.5
	}
	if is(faultDiskFull) {
		f.Capacity = w.disk.Used() + 4096
	}
	w.disk.SetFaults(f)
}

// deathIn lets a process die within its disk.
func (w *world) deathIn(p *process, f *fault) {
	w.note("dies", f.String())
	p.fs.cut = f.kind == faultPowerCutInDisk
}

// strike lets a fault happen.
func (w *world) strike(f fault) {
	if slices.Contains(w.o.Without, f.name()) {
		return
	}
	until := w.now + int64(f.span)
	p := w.process
	away := 100*time.Millisecond + time.Duration(f.pick%uint64(3*time.Second))
	switch f.kind {
	case faultReset:
		if p != nil && len(p.links) > 0 {
			p.links[f.pick%uint64(len(p.links))].reset()
		}
	case faultDead:
		if p != nil && len(p.links) > 0 {
			p.links[f.pick%uint64(len(p.links))].die()
		}
	case faultStorm:
		var again func()
		again = func() {
			if w.now < until {
				if w.process != nil {
					for _, k := range w.process.links {
						k.reset()
					}
				}
				w.after(between(w.network, 20*time.Millisecond, 500*time.Millisecond), again)
			}
		}
		again()
	case faultDial:
		w.noDialTill = max(w.noDialTill, until)
	case faultDelay:
		w.slowTill = max(w.slowTill, until)
	case faultREST:
		w.noRESTTill = max(w.noRESTTill, until)
	case faultVenue:
		v := sim.Fault{Kind: f.venue, Venue: w.venues[f.pick%uint64(len(w.venues))], For: f.span}
		if f.venue == sim.FaultHalfOpen {
			v.For = 0
		}
		if err := w.exchange.Inject(v); err != nil {
			return // nothing is there that it could befall
		}
		if p != nil {
			for _, k := range p.links {
				if k.client != nil && k.client.HalfOpen() {
					k.die()
				}
			}
		}
	case faultKill, faultPowerCut:
		w.end(f.kind == faultPowerCut, away)
	case faultKillInLog:
		if p != nil {
			p.appends = 1 + int(f.pick%30)
		}
	case faultKillInDisk, faultPowerCutInDisk:
		if p == nil || f.pick&1 == 0 {
			w.nextDeath = &f
			w.end(f.kind == faultPowerCutInDisk, away)
		} else {
			p.fs.left, p.fs.after = 1+int64(f.pick%40), f.pick&(1<<40) != 0
			w.deathIn(p, &f)
		}
	case faultStop:
		w.stopCleanly(away)
	case faultStall:
		part := f.pick % stallable
		w.stalled[part] = max(w.stalled[part], until)
		if part == stallDrain {
			w.hinderedTill = max(w.hinderedTill, until)
		}
	case faultSnapshot:
		w.snapshot()
	case faultDiskWrite, faultDiskShort, faultDiskSync, faultDiskSyncDir, faultDiskCreate, faultDiskFull:
		w.diskFaults[f.kind] = max(w.diskFaults[f.kind], until)
		w.hinderedTill = max(w.hinderedTill, until)
		w.setDisk()
		w.at(until, w.setDisk)
	case faultFlip:
		w.flip(f.pick)
	case faultDBBusy, faultDBError, faultDBTimeout, faultDBLostReply:
		w.database.troubles = append(w.database.troubles, trouble{f.kind, w.now, until})
	case faultDBAway:
		w.database.downTill = max(w.database.downTill, until)
	case faultDBRestart:
		w.database.restart(0, f.span)
	case faultDBRestartLost:
		w.dbLostAt, w.unkept = w.now, w.diskless
		w.database.restart(time.Duration(f.pick%uint64(2*time.Second)), f.span)
	case faultDBWiped:
		w.dbLostAt, w.unkept = w.now, w.diskless
		w.database.wipe()
	case faultDBDropped:
		names := slices.Sorted(maps.Keys(w.database.tables))
		if len(names) > 0 {
			w.dbLostAt, w.unkept = w.now, w.diskless
			delete(w.database.tables, names[f.pick%uint64(len(names))])
		}
	case faultDBRejects:
		w.database.doomed, w.database.doomed0, w.database.till1 = uint32(f.pick), w.now, until
	}
	w.note("fault", f.String())
}

// flip turns a bit of a log, a snapshot or the spool. Once a log was hit snapshots
// are left alone: new logs may begin with a snapshot, and until the next one is
// taken there is no other.
func (w *world) flip(pick uint64) {
	var all []string
	var walk func(dir string)
	walk = func(dir string) {
		entries, _ := w.disk.List(dir)
		for _, e := range entries {
			name := dir + "/" + e.Name
			switch {
			case e.Dir:
				walk(name)
			case e.Size > 0 && (strings.HasSuffix(name, ".log") || strings.HasSuffix(name, ".seg") || strings.Contains(name, "/snapshots/") && !w.logFlipped):
				all = append(all, name)
			}
		}
	}
	walk(dataDir)
	if len(all) == 0 {
		return
	}
	name := all[pick%uint64(len(all))]
	content, _ := vfs.ReadFile(w.disk, name, 1<<30)
	for len(content) > 0 && content[len(content)-1] == 0 {
		content = content[:len(content)-1] // what was never written
	}
	if len(content) == 0 {
		return
	}
	bit := int64(pick >> 20 % uint64(8*len(content)))
	w.flipped, w.logFlipped = true, w.logFlipped || strings.HasSuffix(name, ".log")
	w.note("flip", fmt.Sprintf("%s bit %d of %d", name, bit, 8*len(content)))
	if err := w.disk.Flip(name, bit); err != nil {
		panic("BUG: " + err.Error())
	}
}
