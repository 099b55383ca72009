package questdbserver

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
)

// No kill can be aimed at the few ns or µs in which it does damage. These leave
// what such kills leave, in the files of a server that does not run.

// TearIndex: it was killed while it wrote the header of a symbol's index, of
// whose two sequence numbers the first is raised and the second is not. An error
// says that there is no such table yet, or that it is torn already.
func (s *Server) TearIndex(table, symbol string) error {
	file, header, err := s.tableFile(table, symbol+".k")
	if err != nil {
		return err
	}
	const first, second = 1, 29
	sequence := binary.LittleEndian.Uint64(header[first:])
	if again := binary.LittleEndian.Uint64(header[second:]); again != sequence {
		return fmt.Errorf("%s is torn already: %d and %d", file, sequence, again)
	}
	binary.LittleEndian.PutUint64(header[first:], sequence+1)
	return os.WriteFile(file, header, 0o644)
}

// CutCreation: it was killed while it created the table, when one of its first
// files had been made and not written yet. What becomes of the table after that
// differs with whether the file has a length.
func (s *Server) CutCreation(table, name string, length int) error {
	file, _, err := s.tableFile(table, filepath.Join("txn_seq", name))
	if err != nil {
		return err
	}
	return os.WriteFile(file, make([]byte, length), 0o644)
}

func (s *Server) tableFile(table, name string) (file string, content []byte, err error) {
	pattern := filepath.Join(s.options.Dir, "db", table+"~*", name)
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) != 1 {
		return "", nil, fmt.Errorf("%d files are %s", len(files), pattern)
	}
	content, err = os.ReadFile(files[0])
	return files[0], content, err
}
