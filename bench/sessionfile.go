package bench

import (
	"encoding/gob"
	"io"

	"tickproc/feeds"
	"tickproc/tick"
)

// SessionFile is a session as a file, by gob, so that another build can have the
// very frames. Fields that one of the builds lacks are left out.
type SessionFile struct {
	Venue       string
	Instruments []*tick.Instrument
	Sockets     []feeds.Connection
	Records     []Record
}

// Write writes a session.
func (s *Session) Write(w io.Writer) error {
	return gob.NewEncoder(w).Encode(SessionFile{Venue: s.Name, Instruments: s.instruments(), Sockets: s.sockets, Records: s.Records})
}
