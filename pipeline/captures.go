package pipeline

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// captureKeeper bounds what a running service records: the oldest captures go.
// The newest of each line stays, because it may be being written.
type captureKeeper struct {
	dir    string
	bytes  int64
	age    time.Duration
	logger *slog.Logger
}

const captureKeepEvery = 10 * time.Second

func (k *captureKeeper) run(ctx context.Context) {
	ticker := time.NewTicker(captureKeepEvery)
	defer ticker.Stop()
	for {
		removed, err := k.prune(time.Now())
		if removed > 0 {
			k.logger.Info("captures were removed: record: keep and keep_for bound them", "files", removed)
		}
		if err != nil {
			k.logger.Error("captures cannot be bounded", "dir", k.dir, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// captureStamp is how the names of captures end.
const captureStamp = "20060102T150405.000Z.gz"

// captureOf reads a capture's name; false if it is none of a recorder's.
func captureOf(name string) (line string, begun time.Time, ok bool) {
	at := len(name) - len(captureStamp)
	if at < 2 || name[at-1] != '-' {
		return "", time.Time{}, false
	}
	begun, err := time.Parse(strings.TrimSuffix(captureStamp, ".gz"), strings.TrimSuffix(name[at:], ".gz"))
	return name[:at-1], begun, err == nil && strings.HasSuffix(name, ".gz")
}

type captureFile struct {
	name, line string
	begun      time.Time
	ended      time.Time // when it was last written
	bytes      int64
}

// captures lists the captures of a folder, by their beginning.
func captures(dir string) (all []captureFile, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		line, begun, ok := captureOf(e.Name())
		info, err := e.Info()
		if !ok || err != nil { // not ours, or just removed
			continue
		}
		all = append(all, captureFile{e.Name(), line, begun, info.ModTime(), info.Size()})
	}
	slices.SortFunc(all, func(a, b captureFile) int {
		return cmp.Or(a.begun.Compare(b.begun), strings.Compare(a.name, b.name))
	})
	return all, nil
}

// prune removes what is beyond the bounds at a time.
func (k *captureKeeper) prune(now time.Time) (removed int, err error) {
	all, err := captures(k.dir)
	if err != nil {
		return 0, err
	}
	newest, total := map[string]string{}, int64(0)
	for _, f := range all {
		newest[f.line] = f.name
		total += f.bytes
	}
	for _, f := range all {
		if newest[f.line] == f.name || total <= k.bytes && now.Sub(f.ended) <= k.age {
			continue
		}
		if err := os.Remove(filepath.Join(k.dir, f.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, err
		}
		total -= f.bytes
		removed++
	}
	return removed, nil
}
