package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"tickproc/internal/clock"
	"tickproc/internal/vfs"
	"tickproc/journal"
	"tickproc/tick"
)

// JournalTool looks at the logs of a data folder, also while a process writes
// them. Only GC changes anything.
type JournalTool struct {
	config *Config
	d      *durable
	shards []int
}

// NewJournalTool finds the logs of a configuration's data folder.
func NewJournalTool(config *Config) (*JournalTool, error) {
	if err := dataDirThere(config); err != nil {
		return nil, err
	}
	t := &JournalTool{config: config, d: &durable{dir: &dataDir{path: config.DataDir, around: machine}, config: config}}
	var err error
	if t.d.run, err = t.d.dir.readLastRun(); err != nil {
		return nil, err
	}
	t.shards, err = journal.Shards(vfs.OS, t.d.dir.join("journal", fmt.Sprint(t.d.run.Generation)))
	if err == nil && len(t.shards) == 0 {
		err = fmt.Errorf("%w: data_dir %s has no log: no service has run on it yet, or journal: enabled is false", ErrInput, config.DataDir)
	}
	return t, err
}

// List prints the segments of every shard.
func (t *JournalTool) List(out io.Writer, asJSON bool) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	if !asJSON {
		fmt.Fprintln(w, "SHARD\tFIRST\tEND\tPACKETS\tBYTES\tFROM\tTO\t")
	}
	for _, shard := range t.shards {
		segments, err := journal.List(t.d.logOptions(shard, 0))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInput, err)
		}
		for _, s := range segments {
			if asJSON {
				err = printJSON(out, struct {
					Shard int `json:"shard"`
					journal.SegmentInfo
				}{shard, s})
			} else {
				_, err = fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%s\t%s\t\n", shard, s.First, s.End, s.Packets, s.Bytes, momentText(s.FirstNanos), momentText(s.LastNanos))
			}
			if err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

func momentText(nanos int64) string {
	if nanos == 0 {
		return "-"
	}
	return time.Unix(0, nanos).UTC().Format("2006-01-02T15:04:05.000000Z")
}

func printJSON(out io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err == nil {
		_, err = fmt.Fprintf(out, "%s\n", text)
	}
	return err
}

// Fsck reads everything, and prints what is not as it should be. The error is
// ErrDifference if that is anything.
func (t *JournalTool) Fsck(out io.Writer, asJSON bool) error {
	faults := 0
	for _, shard := range t.shards {
		r, err := journal.Fsck(t.d.logOptions(shard, 0))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInput, err)
		}
		faults += len(r.Faults)
		if asJSON {
			if err := printJSON(out, struct {
				Shard int `json:"shard"`
				journal.Report
			}{shard, r}); err != nil {
				return err
			}
			continue
		}
		end := "not closed: a process writes it, or was killed"
		if r.Clean {
			end = "closed cleanly"
		}
		fmt.Fprintf(out, "shard %d: %d segments, positions %d to %d, %d batches, %d packets, %s\n", shard, len(r.Segments), r.First, r.End, r.Batches, r.Packets, end)
		fmt.Fprintf(out, "  ring %s: %d batches, to %d\n", r.Ring, r.RingBatches, r.RingEnd)
		for _, x := range r.Cuts {
			fmt.Fprintf(out, "  torn end: %s\n", x)
		}
		for _, name := range r.Unfinished {
			fmt.Fprintf(out, "  unfinished, of no use: %s\n", name)
		}
		for _, x := range r.Faults {
			fmt.Fprintf(out, "  DAMAGE %s\n", x)
		}
	}
	if err := t.snapshots(out, asJSON, &faults); err != nil {
		return err
	}
	if faults > 0 {
		return fmt.Errorf("%d faults: %w", faults, ErrDifference)
	}
	if !asJSON {
		fmt.Fprintln(out, "no fault")
	}
	return nil
}

func (t *JournalTool) snapshots(out io.Writer, asJSON bool, faults *int) error {
	if _, err := os.Stat(t.d.dir.join("snapshots")); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	checked, err := journal.CheckSnapshots(vfs.OS, t.d.dir.path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	for _, s := range checked {
		if s.Err != nil {
			*faults++
		}
		switch {
		case asJSON:
			state := "good"
			if s.Err != nil {
				state = s.Err.Error()
			}
			err = printJSON(out, map[string]any{"snapshot": s.Number, "state": state, "created": momentText(s.Manifest.CreatedNanos), "logs": s.Manifest.Logs})
		case s.Err != nil:
			_, err = fmt.Fprintf(out, "snapshot %d: DAMAGE %v\n", s.Number, s.Err)
		default:
			_, err = fmt.Fprintf(out, "snapshot %d: good, of %s\n", s.Number, momentText(s.Manifest.CreatedNanos))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// CatFilter says which packets to print; zero values take all.
type CatFilter struct {
	Venue, Symbol string
	Kinds         []tick.Kind
	From, To      time.Time // receive time, [From, To)
	Shard         int       // -1: all
}

// Cat prints packets, those of a shard in its order.
func (t *JournalTool) Cat(out io.Writer, f CatFilter, asJSON bool) error {
	snapshots, _ := journal.CheckSnapshots(vfs.OS, t.d.dir.path) // without them some names are missing
	for _, shard := range t.shards {
		if f.Shard >= 0 && shard != f.Shard {
			continue
		}
		v, err := journal.Inspect(t.d.logOptions(shard, 0))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInput, err)
		}
		p := newPacketPrinter(out, f, shard, asJSON)
		p.learn(snapshots)
		if err := v.Read(v.First, p.batch); err != nil && !errors.Is(err, errPrinted) {
			return err
		}
		for _, x := range v.Damages {
			fmt.Fprintf(os.Stderr, "shard %d: damage: %s\n", shard, x)
		}
	}
	return nil
}

// GC removes what no kept snapshot needs, whatever the configuration keeps. No
// process may use the folder.
func (t *JournalTool) GC(out io.Writer) error {
	dir, err := openDataDir(t.config.DataDir)
	if err != nil {
		return fmt.Errorf("%w; a running process removes what journal: keep and keep_for allow", err)
	}
	defer dir.close()
	kept, err := journal.OpenSnapshots(vfs.OS, dir.path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	for _, shard := range t.shards {
		o := t.d.logOptions(shard, 0)
		o.RetainBytes, o.RetainAge, o.OnState = 0, 0, nil
		log, _, err := journal.Open(o)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInput, err)
		}
		keep, err := kept.KeepFrom(shard, log.Identity())
		if err == nil {
			log.Retain(keep)
			log.Drain(clock.Nanos())
		}
		removed := log.Stats.Removed.Load()
		if err = errors.Join(err, log.Close()); err != nil {
			return fmt.Errorf("%w: %w", ErrInput, err)
		}
		fmt.Fprintf(out, "shard %d: %d segments removed, kept from position %d\n", shard, removed, keep)
	}
	return nil
}

// Snapshots prints the snapshots that are kept.
func (t *JournalTool) Snapshots(out io.Writer) error {
	faults := 0
	return t.snapshots(out, false, &faults)
}

func scaled(v int64, digits uint8) string {
	if digits > tick.MaxDigits {
		return strconv.FormatInt(v, 10)
	}
	return tick.FormatScaled(v, digits)
}
