package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"tickproc/internal/vfs"
)

// The reserve is a file with room that becomes a segment when the disk is full:
// the records that say why nothing is seen any more must still be written.
func reserveName(shard int) string { return fmt.Sprintf("shard-%02d.reserve", shard) }

func (l *Log) reserveName() string { return filepath.Join(l.o.Dir, reserveName(l.o.Shard)) }

// makeReserve makes the reserve where there is none of the size. It has one
// name only when it has its room.
func makeReserve(fsys vfs.FS, name string, size int64) error {
	f, err := fsys.Open(name)
	if err == nil {
		is, err := f.Size()
		f.Close()
		if err == nil && is == size {
			return nil
		}
		if err := fsys.Remove(name); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	fresh := name + ".tmp"
	if err := fsys.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if f, err = fsys.Create(fresh); err != nil {
		return err
	}
	err = f.Allocate(size)
	if err == nil {
		err = f.Sync()
	}
	f.Close()
	if err == nil {
		err = fsys.Rename(fresh, name)
	}
	if err != nil {
		fsys.Remove(fresh)
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// refill tries, at a bounded rate, to leave the full state: there must be room
// for the reserve and for a segment, so that the state does not swing.
func (l *Log) refill(now int64) {
	d := &l.drainer
	if now < d.roomAt {
		return
	}
	d.roomAt = now + int64(l.o.RetryEvery)
	l.remove(now, true)
	if makeReserve(l.o.FS, l.reserveName(), l.o.ReserveBytes) != nil {
		return
	}
	if d.file == nil {
		return // the next Drain makes a segment
	}
	if d.reserved {
		if !l.sync(now) {
			return
		}
		next, file, err := l.create(now, "")
		if err != nil {
			return
		}
		l.adopt(now, next, file, l.o.SegmentBytes, false)
	}
	d.full = false
}
