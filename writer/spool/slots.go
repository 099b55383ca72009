package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"

	"tickproc/internal/vfs"
)

// slots is a small file that is written in place: two slots take turns, so that
// a write that is torn leaves the one before it whole.
//
//	magic 4 | length 4 | identity 8 | count 8 | content | CRC32C 4
//
// owner: the goroutine that syncs, after the spool was opened.
type slots struct {
	fsys  vfs.FS
	name  string
	size  int // of a slot
	file  vfs.File
	id    uint64
	count uint64 // of the newest slot
	last  []byte // the content that was written last
}

const slotOverhead = 28

var slotMagic = [4]byte{'T', 'P', 'S', 'A'}

// openSlots returns the newest content that is whole; nil if there is none.
func openSlots(fsys vfs.FS, name string, size int, identity uint64) (*slots, []byte, error) {
	s := &slots{fsys: fsys, name: name, size: size, id: identity}
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	buf := make([]byte, 2*size)
	n, err := f.ReadAt(buf, 0)
	if err != nil && err != io.EOF {
		return nil, nil, fmt.Errorf("read %s: %w", name, err)
	}
	clear(buf[n:])
	for i := range 2 {
		if content, count, ok := readSlot(buf[i*size:(i+1)*size], identity); ok && count > s.count {
			s.count, s.last = count, bytes.Clone(content)
		}
	}
	return s, s.last, nil
}

func readSlot(b []byte, identity uint64) (content []byte, count uint64, ok bool) {
	le := binary.LittleEndian
	n := int(le.Uint32(b[4:]))
	if [4]byte(b[:4]) != slotMagic || n > len(b)-slotOverhead || le.Uint64(b[8:]) != identity {
		return nil, 0, false
	}
	end := 24 + n
	if le.Uint32(b[end:]) != crc32.Checksum(b[:end], castagnoli) {
		return nil, 0, false
	}
	return b[24:end], le.Uint64(b[16:]), true
}

// write writes and syncs content, unless it is what was written last.
func (s *slots) write(content []byte) error {
	if s.count > 0 && bytes.Equal(content, s.last) {
		return nil
	}
	if len(content) > s.size-slotOverhead {
		return fmt.Errorf("%s: %d bytes do not fit its slots of %d", s.name, len(content), s.size)
	}
	if s.file == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	b := make([]byte, 0, s.size)
	le := binary.LittleEndian
	b = append(b, slotMagic[:]...)
	b = le.AppendUint32(b, uint32(len(content)))
	b = le.AppendUint64(b, s.id)
	b = le.AppendUint64(b, s.count+1)
	b = append(b, content...)
	b = le.AppendUint32(b, crc32.Checksum(b, castagnoli))
	_, err := s.file.WriteAt(b, int64((s.count+1)%2)*int64(s.size))
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		// The file is given up and made anew: what it held last is known here.
		_ = s.file.Close()
		s.file = nil
		_ = s.fsys.Remove(s.name)
		return err
	}
	s.count++
	s.last = append(s.last[:0], content...)
	return nil
}

func (s *slots) open() (err error) {
	if s.file, err = s.fsys.OpenWrite(s.name); errors.Is(err, fs.ErrNotExist) {
		if s.file, err = s.fsys.Create(s.name); err == nil {
			// So that a disk that is full later does not matter here.
			err = errors.Join(s.file.Allocate(int64(2*s.size)), s.fsys.SyncDir(dirOf(s.name)))
		}
	}
	if err != nil {
		if s.file != nil {
			s.file.Close()
		}
		s.file = nil
		return fmt.Errorf("open %s: %w", s.name, err)
	}
	return nil
}

func (s *slots) close() {
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
	}
}
