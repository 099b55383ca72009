package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tail prints what a service sees, over a kill and the next start, until it is
// stopped in order.
func TestTail(t *testing.T) {
	t.Parallel()
	_, config := simulator(t)
	data := filepath.Join(t.TempDir(), "data")
	path := file(t, "run.yaml", config+"questdb: {url: 'http://127.0.0.1:1'}\nmetrics: {listen: none}\nlog: {format: text}\nshm: on\ndata_dir: "+data+"\n")
	if r := tickproc(t, "tail", "-c", path); r.code != 3 || !strings.Contains(r.stderr, "start the service") || r.stdout != "" {
		t.Errorf("before the start: %+v", r)
	}
	if r := tickproc(t, "tail", "--kind", "candles", "-c", path); r.code != 2 || !strings.Contains(r.stderr, "must be of trade") {
		t.Errorf("unknown kind: %+v", r)
	}
	run := start(t, "run", "-c", path)
	where := ""
	run.await("the shared memory is there", func() bool {
		_, after, found := strings.Cut(run.stderr.String(), `msg="shared memory" dir=`)
		where, _, _ = strings.Cut(after, " ")
		return found
	})
	t.Cleanup(func() { os.RemoveAll(where) })
	run.await("books are valid", func() bool {
		r := tickproc(t, "tail", "-c", path, "--images", "--json")
		return r.code == 0 && strings.Contains(r.stdout, `"valid":true`) && strings.Contains(r.stdout, `"trade_price":`)
	})
	if r := tickproc(t, "tail", "--dir", where, "--count", "20"); r.code != 0 || strings.Count(r.stdout, "\n") != 20 {
		t.Errorf("text: %+v", r)
	}
	if r := tickproc(t, "tail", "--dir", where, "--instrument", "NOSUCH"); r.code != 2 || !strings.Contains(r.stderr, "--images lists them") {
		t.Errorf("unknown symbol: %+v", r)
	}
	tail := start(t, "tail", "-c", path, "--json", "--kind", "trades,validity", "--instrument", "okx:BTC-USDT")
	trades := func() (n int) {
		for line := range strings.Lines(tail.stdout.String()) {
			var m struct {
				Venue, Symbol, Kind string
				Price               json.Number
			}
			if !strings.HasSuffix(line, "\n") {
				break // it is being written
			}
			if err := json.Unmarshal([]byte(line), &m); err != nil || m.Venue != "okx" || m.Symbol != "BTC-USDT" || m.Kind != "trade" && m.Kind != "validity" {
				t.Fatalf("tail prints %q: %v", line, err)
			}
			if m.Kind == "trade" && m.Price != "" {
				n++
			}
		}
		return n
	}
	tail.await("trades", func() bool { return trades() > 5 })
	run.signal(syscall.SIGKILL)
	run.wait(time.Minute)
	before := trades()
	tail.await("silence is told", func() bool { return strings.Contains(tail.stderr.String(), "no sign of life") })
	run = start(t, "run", "-c", path)
	tail.await("trades of the next process", func() bool {
		return strings.Contains(tail.stderr.String(), "started again") && trades() > before+5
	})
	run.signal(syscall.SIGTERM)
	run.wait(time.Minute)
	if r := tail.wait(time.Minute); r.code != 0 || !strings.Contains(r.stderr, "the writer has stopped") {
		t.Errorf("after the end: exit %d, %s", r.code, r.stderr)
	}
	if r := tickproc(t, "tail", "-c", path); r.code != 3 || !strings.Contains(r.stderr, "start it") {
		t.Errorf("stopped: %+v", r)
	}
}
