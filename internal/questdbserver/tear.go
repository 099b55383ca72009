package questdbserver

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
)

// TearIndex leaves what a kill leaves that comes while the server writes the
// header of a symbol's index: the first of two sequence numbers is raised, and
// the second is not. It is for a server that does not run, because no kill can
// be aimed at those few ns. A table that is not there yet is an error.
func (s *Server) TearIndex(table, symbol string) error {
	pattern := filepath.Join(s.options.Dir, "db", table+"~*", symbol+".k")
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) != 1 {
		return fmt.Errorf("%d files are %s", len(files), pattern)
	}
	header, err := os.ReadFile(files[0])
	if err != nil {
		return err
	}
	const first, second = 1, 29
	sequence := binary.LittleEndian.Uint64(header[first:])
	if again := binary.LittleEndian.Uint64(header[second:]); again != sequence {
		return fmt.Errorf("%s is torn already: %d and %d", files[0], sequence, again)
	}
	binary.LittleEndian.PutUint64(header[first:], sequence+1)
	return os.WriteFile(files[0], header, 0o644)
}
