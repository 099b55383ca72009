package pipeline

import (
	"log/slog"
	"strings"
	"testing"

	"tickproc/writer/questdb"
	"tickproc/writer/spool"
)

// A spool that may not write says why in /readyz: by the configuration too much of
// the disk is to stay free.
func TestReadySaysWhyTheSpoolWaits(t *testing.T) {
	t.Parallel()
	c := Config{Spool: Spool{MinFree: 1 << 60}}
	o := questdb.Options{SpoolDir: t.TempDir(), Spool: c.spoolOptions(), Logger: slog.New(slog.DiscardHandler)}
	sink, err := questdb.New(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &system{}
	if why := s.notReady(sink); len(why) > 0 {
		t.Errorf("at first: %q", why)
	}
	_, kept := sink.Senders()
	kept.Put(0, spool.Record{Payload: []byte("row\n"), Rows: 1, OldestNanos: 1}, 0)
	kept.WriteNow()
	why := strings.Join(s.notReady(sink), "\n")
	if !strings.HasPrefix(why, "the rows of 1 tables cannot be written to the spool's disk: less than 1152921504606.8 MB are free on the disk of "+o.SpoolDir) ||
		!strings.Contains(why, "min_free") {
		t.Errorf("why %q", why)
	}
	kept.Close()
}
