package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"tickproc/engine"
	"tickproc/internal/vfs"
	"tickproc/journal"
	"tickproc/writer/questdb"
)

// dataDir is the folder of what outlives the process. While it is open, no
// other process may use it:
//
//	lock            held by the process that uses it
//	control.sock    takes its commands
//	run.json        what the next process must know of the last one
//	lease           names whoever writes from here
//	options/        by hash: what the shards were configured with
//	journal/N/      logs of generation N, a folder a shard
//	snapshots/      states of the shards
//	spool/          rows on their way to QuestDB
//	dead-letters.jsonl
type dataDir struct {
	path   string
	unlock func()
	*around
}

// openDataDir makes the folder and takes its lock.
func openDataDir(path string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("%w: data_dir: %w", ErrInput, err)
	}
	_ = vfs.OS.SyncDir(filepath.Dir(filepath.Clean(path))) // where we may not read, it is its owner's care
	unlock, err := vfs.Lock(filepath.Join(path, "lock"))
	switch {
	case errors.Is(err, vfs.ErrLocked):
		return nil, fmt.Errorf("%w: data_dir %s is in use by another process: stop it, or give this one a data_dir of its own", ErrInput, path)
	case err != nil:
		return nil, fmt.Errorf("%w: data_dir: %w", ErrInput, err)
	}
	return &dataDir{path: path, unlock: unlock, around: machine}, nil
}

func (d *dataDir) close() { d.unlock() }

// dataDirThere is an error where what only looks at the folder finds none.
func dataDirThere(c *Config) error {
	info, err := os.Stat(c.DataDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: data_dir %s does not exist: name the folder that a service has run on, in the configuration (it is relative to where you stand) or with --data-dir where that is a flag",
			ErrInput, c.DataDir)
	case err == nil && !info.IsDir():
		return fmt.Errorf("%w: data_dir %s is no folder: name the one that a service has run on", ErrInput, c.DataDir)
	case err != nil:
		return fmt.Errorf("%w: data_dir: %w", ErrInput, err)
	}
	return nil
}

func (d *dataDir) join(parts ...string) string {
	return filepath.Join(append([]string{d.path}, parts...)...)
}

// lease is the folder's name among all that write the same tables. It stays the
// same for as long as the folder is.
func (d *dataDir) lease() (string, error) {
	name := d.join(questdb.LeaseFile)
	text, err := vfs.ReadFile(vfs.OS, name, 1<<10)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		id := fmt.Sprintf("%016x", rand.Uint64())
		return id, vfs.Replace(vfs.OS, name, []byte(id+"\n"))
	case err != nil:
		return "", err
	}
	id := strings.TrimSpace(string(text))
	if b, err := hex.DecodeString(id); err != nil || len(b) != 8 {
		return "", fmt.Errorf("%w: %s is damaged: remove it", ErrInput, name)
	}
	return id, nil
}

// lastRun is what a process leaves for the next one.
type lastRun struct {
	Format     int    `json:"format"`
	Generation uint64 `json:"generation"` // of the logs
	Shards     int    `json:"shards"`     // of that generation
	// Build made all rows up to the spool's marks: a process of the same need not
	// send those again which the log gives anew.
	Build string `json:"build"`
}

const lastRunFormat = 1

// readLastRun returns what the last process left; the zero lastRun if there
// was none.
func (d *dataDir) readLastRun() (r lastRun, err error) {
	name := d.join("run.json")
	damaged := func(why error) (lastRun, error) {
		return lastRun{}, fmt.Errorf("%w: %s is damaged (%w): remove it, the snapshots and logs beside it tell the rest", ErrInput, name, why)
	}
	text, err := vfs.ReadFile(d.fs, name, 1<<16)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return d.runOfLogs()
	case err != nil:
		return lastRun{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	sum, err := sumFields(text)
	if err != nil {
		return damaged(err)
	}
	var sealed struct {
		CRC *string `json:"crc"` // nil: an earlier version wrote it
	}
	if err := json.Unmarshal(text, &sealed); err != nil {
		return damaged(err)
	}
	if sealed.CRC != nil && *sealed.CRC != sum {
		return damaged(fmt.Errorf("its crc is %q, that of its fields %q", *sealed.CRC, sum))
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return damaged(err)
	}
	switch {
	case r.Format > lastRunFormat:
		return lastRun{}, fmt.Errorf("%w: %s is of format %d, this version reads %d: use the version that wrote it, or another data_dir",
			ErrInput, name, r.Format, lastRunFormat)
	case r.Format <= 0 || r.Generation == 0 || r.Shards <= 0:
		return damaged(fmt.Errorf("format %d, generation %d of %d shards", r.Format, r.Generation, r.Shards))
	}
	return r, nil
}

// runOfLogs is what the logs tell where run.json is not there: the zero lastRun
// if there are none. The oldest are told of, as later ones count only once a
// snapshot does that begins them; a snapshot also knows the number of shards.
func (d *dataDir) runOfLogs() (r lastRun, err error) {
	entries, err := d.fs.List(d.join("journal"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return lastRun{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	for _, e := range entries {
		n, bad := strconv.ParseUint(e.Name, 10, 64)
		if bad != nil || n == 0 || r.Generation != 0 && r.Generation < n {
			continue
		}
		shards, err := journal.Shards(d.fs, d.join("journal", e.Name))
		if err != nil {
			return lastRun{}, fmt.Errorf("%w: %w", ErrInput, err)
		}
		if len(shards) > 0 {
			r = lastRun{Format: lastRunFormat, Generation: n, Shards: shards[len(shards)-1] + 1}
		}
	}
	return r, nil
}

func (d *dataDir) writeLastRun(r lastRun) error {
	r.Format = lastRunFormat
	var sealed struct {
		lastRun
		CRC string `json:"crc"`
	}
	sealed.lastRun = r
	text, err := json.Marshal(sealed)
	if err == nil {
		sealed.CRC, err = sumFields(text)
	}
	if err == nil {
		text, err = json.MarshalIndent(sealed, "", "  ")
	}
	if err != nil {
		return err
	}
	return vfs.Replace(d.fs, d.join("run.json"), append(text, '\n'))
}

// sumFields is the checksum of all fields of a JSON object but crc, also of
// those that only a later version knows.
func sumFields(text []byte) (string, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return "", err
	}
	delete(fields, "crc")
	text, err := json.Marshal(fields) // by name, without blanks
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%08x", crc32.ChecksumIEEE(text)), nil
}

// optionsHash names options of the shards.
type optionsHash [sha256.Size]byte

func (h optionsHash) String() string { return hex.EncodeToString(h[:]) }

func optionsText(o engine.Options) []byte {
	o.EnsureDefaults()
	text, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		panic("BUG: options of a shard cannot be written: " + err.Error())
	}
	return append(text, '\n')
}

func hashOptions(o engine.Options) optionsHash { return sha256.Sum256(optionsText(o)) }

// keepOptions writes options down, so that a log that names them can be read.
func (d *dataDir) keepOptions(o engine.Options) error {
	if err := vfs.MakeDir(d.fs, d.join("options")); err != nil {
		return err
	}
	name := filepath.Join("options", hashOptions(o).String()+".json")
	if _, err := d.options(hashOptions(o)); err == nil {
		return nil
	}
	return vfs.Replace(d.fs, d.join(name), optionsText(o))
}

// options returns those of a hash.
func (d *dataDir) options(h optionsHash) (o engine.Options, err error) {
	path := d.join("options", h.String()+".json")
	text, err := vfs.ReadFile(d.fs, path, 1<<20)
	if err != nil {
		return o, err
	}
	if sha256.Sum256(text) != h {
		return o, fmt.Errorf("%s is damaged", path)
	}
	if err := json.Unmarshal(text, &o); err != nil {
		return o, fmt.Errorf("%s: %w", path, err)
	}
	return o, nil
}

// allOptions returns every configuration that was kept and can be read, by hash.
func (d *dataDir) allOptions() (map[optionsHash]engine.Options, error) {
	all, _, err := d.readOptions()
	return all, err
}

// readOptions also returns what is wrong with the files that cannot be read.
func (d *dataDir) readOptions() (all map[optionsHash]engine.Options, unread []error, err error) {
	entries, err := d.fs.List(d.join("options"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	all = map[optionsHash]engine.Options{}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name, ".json")
		if !ok {
			continue
		}
		var h optionsHash
		text, err := hex.DecodeString(name)
		if err != nil || len(text) != len(h) {
			unread = append(unread, fmt.Errorf("%s is no configuration of ours", d.join("options", e.Name)))
			continue
		}
		copy(h[:], text)
		if o, err := d.options(h); err != nil {
			unread = append(unread, err)
		} else {
			all[h] = o
		}
	}
	return all, unread, nil
}

// name tells folders apart in a place that several share.
func (d *dataDir) name() string {
	return nameOfFolder(d.path)
}

// nameOfFolder is the same for all names of a folder that lead to one absolute
// path.
func nameOfFolder(folder string) string {
	path, err := filepath.Abs(folder)
	if err != nil {
		path = folder
	}
	sum := sha256.Sum256([]byte(path))
	return hex.EncodeToString(sum[:8])
}

// buildID names the program: equal files run equally.
var buildID = sync.OnceValues(func() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
})

// buildID names the program that this process runs.
func (a *around) buildID() (string, error) {
	if a.hand != nil {
		return a.hand.build, nil
	}
	return buildID()
}
