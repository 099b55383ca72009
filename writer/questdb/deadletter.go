package questdb

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// deadLetters keeps the rows that QuestDB refused, one JSON object a line:
// time, table, reason, line. All lanes write to it, rarely.
type deadLetters struct {
	dir string

	mu    sync.Mutex
	file  *os.File
	bytes int64
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
	if d.file == nil {
		if err := d.open(); err != nil {
			return false, err
		}
	}
	if d.bytes+int64(len(text)) > deadLetterBytesMax {
		return false, nil
	}
	n, err := d.file.Write(text)
	d.bytes += int64(n)
	return err == nil, err
}

func (d *deadLetters) open() error {
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(d.dir, DeadLetterFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return err
	}
	d.file, d.bytes = file, info.Size()
	return nil
}

func (d *deadLetters) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == nil {
		return nil
	}
	err := d.file.Close()
	d.file = nil
	return err
}
