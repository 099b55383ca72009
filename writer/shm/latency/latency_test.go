package latency

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"tickproc/tick"
	"tickproc/writer/shm"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "child" {
		if err := Child(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// publisher returns what publishes a row of a folder in memory.
func publisher(t testing.TB, rows []tick.Unit) (dir string, send func(stamp int64)) {
	t.Helper()
	root := "/dev/shm"
	if _, err := os.Stat(root); err != nil {
		root = ""
	}
	dir, err := os.MkdirTemp(root, "tickproc-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w, err := shm.Create(shm.Options{Dir: dir, Instruments: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return dir, func(stamp int64) {
		rows[0].RowHeader().ReceiveNanos = stamp
		w.Ring(0).Rows(rows)
		w.Ring(0).End()
		if stamp%64 == 0 {
			w.Beat()
		}
	}
}

func trade() []tick.Unit {
	rows, u := tick.NewRow(nil, tick.RowTrade)
	u.TradeRow().Price, u.TradeRow().Size = 1, 1
	return rows
}

func depth(levels int) []tick.Unit {
	_, p := tick.AppendUnits(nil, tick.DepthUnits(levels))
	r := p[0].BookRow()
	r.Kind, r.Bids, r.LevelCount = tick.RowDepth, uint16(levels/2), uint16(levels)
	return p
}

func child(t testing.TB) *exec.Cmd {
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(binary, "child")
}

// Every message is measured once, and none before it was sent.
func TestMeasure(t *testing.T) {
	dir, send := publisher(t, trade())
	r, err := Measure(Options{Dir: dir, Messages: 50, Other: child(t)}, send)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Line) != 50 || len(r.Ring) != 50 || r.Line[0] < 0 || r.Ring[0] < 0 {
		t.Errorf("%+v", r)
	}
	if _, err := Measure(Options{Dir: dir, Messages: 1, Other: exec.Command("/bin/false")}, send); err == nil {
		t.Error("no other process, and no error")
	}
}

// A measurement whose time is over ends, with some that count.
func TestMeasureWithin(t *testing.T) {
	dir, send := publisher(t, trade())
	r, err := Measure(Options{Dir: dir, Messages: 1000, Within: 1, Other: child(t)}, send)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(r.Line); n == 0 || n >= 1000 || len(r.Ring) != n {
		t.Errorf("%d and %d messages", n, len(r.Ring))
	}
}

// BenchmarkOtherProcess is how long it takes until another process has read a
// message, beside a number in a line. b.N is not what counts.
func BenchmarkOtherProcess(b *testing.B) {
	for _, kind := range []struct {
		name string
		rows []tick.Unit
	}{{"trade", trade()}, {"depth of 40", depth(40)}} {
		b.Run(kind.name, func(b *testing.B) {
			dir, send := publisher(b, kind.rows)
			for b.Loop() {
				r, err := Measure(Options{Dir: dir, Messages: 2000, OtherCore: 1, Other: child(b)}, send)
				if err != nil {
					b.Fatal(err)
				}
				for _, q := range []struct {
					share float64
					name  string
				}{{0, "min"}, {0.5, "p50"}, {0.99, "p99"}, {0.999, "p99.9"}} {
					b.ReportMetric(float64(quantile(r.Line, q.share)), "line-"+q.name+"-ns")
					b.ReportMetric(float64(quantile(r.Ring, q.share)), "ring-"+q.name+"-ns")
				}
			}
		})
	}
}

// quantile of sorted numbers, 0 ≤ q ≤ 1.
func quantile(sorted []int64, q float64) int64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1))]
}
