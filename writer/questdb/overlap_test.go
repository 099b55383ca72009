package questdb

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// While a post is in flight the next rows are encoded, sealed and put on disk;
// one post of a table is in flight, and they follow in order.
func TestEncodingGoesOnDuringAPost(t *testing.T) {
	t.Parallel()
	for _, encoder := range []string{EncoderNative, EncoderV3} {
		dir, answer := t.TempDir(), make(chan struct{})
		server := newFaulty(t, func(table string, _ int, _ []string) (int, string) {
			if table == "trades" {
				<-answer
			}
			return http.StatusNoContent, ""
		})
		s := newSink(t, server.URL, func(o *Options) {
			spooled(dir)(o)
			o.Encoder, o.FlushRows, o.RequestTimeout = encoder, 10, time.Minute
		})
		trades(t, s, 10)
		until(t, "a post is in flight", func() bool { return server.posted("trades") == 1 })
		var x tape
		for id := uint64(10); id < 95; id++ {
			x.trade(0, start+int64(id)*1000, id)
		}
		s.Write(x.take())
		until(t, "nine batches are on disk", func() bool { return onDisk(t, dir, "trades") == 90 })
		if n := s.lanes[tableTrades].rows; n != 5 {
			t.Errorf("%s: %d rows in the open batch, want 5", encoder, n)
		}
		if n := server.posted("trades"); n != 1 {
			t.Errorf("%s: %d posts in flight", encoder, n)
		}
		close(answer)
		closes(t, s)
		if got, want := ids(server.committed("trades")), idsWithout(95, func(int) bool { return false }); got != want {
			t.Errorf("%s: %s", encoder, got)
		}
	}
}

// onDisk counts a table's lines in a spool's files.
func onDisk(t *testing.T, dir, table string) (n int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, table+"-*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		n += strings.Count(string(text), table+",venue=")
	}
	return n
}
