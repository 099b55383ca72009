package questdb

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"tickproc/internal/vfs"
)

// deadLetters keeps the rows that QuestDB refused, one JSON object a line:
// time, table, reason, line. All lanes write to it, rarely: so the file is
// opened for each, because a replay may have put another in its place.
type deadLetters struct {
	dir string
	mu  sync.Mutex
}

// deadLetterBytesMax bounds the file: a database that refuses everything must
// not fill the disk.
const deadLetterBytesMax = 256 << 20

// DeadLetterFile is the file's name in Options.DeadLetterDir.
const DeadLetterFile = "dead-letters.jsonl"

// DeadLetter is one line of the file.
type DeadLetter struct {
	Time   string `json:"time"` // when it was refused
	Table  string `json:"table"`
	Reason string `json:"reason"`
	Line   string `json:"line"` // ILP, without its line break
}

// add writes one; kept is false where there is no file to keep it, or no room.
func (d *deadLetters) add(nowNanos int64, table, reason, line string) (kept bool, err error) {
	if d.dir == "" {
		return false, nil
	}
	text, err := json.Marshal(DeadLetter{Time: time.Unix(0, nowNanos).UTC().Format(time.RFC3339Nano), Table: table, Reason: reason, Line: line})
	if err != nil {
		return false, err
	}
	text = append(text, '\n')
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return false, err
	}
	unlock, err := lockDeadLetters(d.dir)
	if err != nil {
		return false, err
	}
	defer unlock()
	file, err := os.OpenFile(filepath.Join(d.dir, DeadLetterFile), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return false, err
	}
	info, err := file.Stat()
	if err == nil && info.Size()+int64(len(text)) <= deadLetterBytesMax {
		text = endTornLine(file, info.Size(), text)
		_, err = file.Write(text)
		kept = err == nil
	}
	return kept, errors.Join(err, file.Close())
}

// endTornLine begins a new line where a kill left the last one unfinished.
func endTornLine(file *os.File, size int64, text []byte) []byte {
	var last [1]byte
	if size > 0 {
		if _, err := file.ReadAt(last[:], size-1); err == nil && last[0] != '\n' {
			return append([]byte{'\n'}, text...)
		}
	}
	return text
}

// lockDeadLetters holds other processes off while the file changes. It is held
// for a write, or for a replacement, never while anybody is asked.
func lockDeadLetters(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, DeadLetterFile+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil
}

// DeadLetters returns the rows that QuestDB refused, oldest first, out of a
// DeadLetterDir. Lines that are no dead letters are left out and counted.
func DeadLetters(dir string) (letters []DeadLetter, unreadable int, err error) {
	lines, err := deadLetterLines(dir)
	for _, line := range lines {
		var d DeadLetter
		if json.Unmarshal(line, &d) != nil || d.Table == "" || d.Line == "" {
			unreadable++
			continue
		}
		letters = append(letters, d)
	}
	return letters, unreadable, err
}

func deadLetterLines(dir string) (lines [][]byte, err error) {
	file, err := os.Open(filepath.Join(dir, DeadLetterFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	in := bufio.NewReader(file)
	for {
		line, err := in.ReadBytes('\n')
		if line = bytes.TrimRight(line, "\n"); len(line) > 0 {
			lines = append(lines, line)
		}
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
	}
}

// removeDeadLetters takes the given lines out of the file, each as often as it
// is named. What was added meanwhile stays; the file is replaced atomically.
func removeDeadLetters(dir string, gone map[string]int) error {
	unlock, err := lockDeadLetters(dir)
	if err != nil {
		return err
	}
	defer unlock()
	lines, err := deadLetterLines(dir)
	if err != nil {
		return err
	}
	var rest []byte
	for _, line := range lines {
		if gone[string(line)] > 0 {
			gone[string(line)]--
			continue
		}
		rest = append(append(rest, line...), '\n')
	}
	return vfs.Replace(vfs.OS, filepath.Join(dir, DeadLetterFile), rest)
}
