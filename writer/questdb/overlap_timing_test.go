package questdb

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tickproc/internal/questdbserver"
	"tickproc/tick"
)

var (
	overlap       = flag.Bool("overlap", false, "run TestOverlap: it takes a minute and both cores")
	overlapRounds = flag.Int("overlap-rounds", 7, "rounds, in each of which every way has a turn")
	overlapRows   = flag.Int("overlap-rows", 600_000, "rows a turn, of many batches: its first is encoded before anything is posted")
	overlapBatch  = flag.Int("overlap-batch", 20_000, "rows a batch")
)

// TestOverlap measures how much of a turn is encoding and the spool: rows of
// trades into a real server, once as bytes that were encoded before and are
// only posted, and once through the sink and its spool with each encoder. The
// ways take turns, and rounds in which others took much of the processors are
// left out where enough are without.
func TestOverlap(t *testing.T) {
	if !*overlap {
		t.Skip("-overlap is not set")
	}
	server := questdbserver.NewForTest(t)
	c := NewClient(server.URL(), Credentials{}, 20*time.Second)
	t.Cleanup(c.closeIdle)
	sinks := map[string]*Sink{}
	for _, encoder := range []string{EncoderNative, EncoderV3} {
		sinks[encoder] = newSink(t, server.URL(), func(o *Options) {
			o.FlushRows = *overlapBatch
			o.Encoder, o.SpoolDir, o.Spool.Horizon = encoder, t.TempDir(), time.Millisecond
		})
		sinks[encoder].Write(mixed(t, 1)[:tick.CatalogUnits])
	}
	id := uint64(0)
	rows := func() []tick.Unit {
		var x tape
		for range *overlapRows {
			id++
			tr := x.trade(0, start+int64(id)*1e5, 3_000_000_000+id)
			tr.Price, tr.Size = 6183763+int64(id%100), 12345+int64(id%1000)
		}
		return x.units
	}
	post := newHTTP(false)
	turns := map[string]func() (begin func()){
		"bytes": func() func() {
			s := idleSinkOf(t, Options{FlushRows: *overlapBatch})
			var batches [][]byte
			n := s.o.FlushRows
			s.o.FlushRows, s.flushBytes = 1<<30, 1<<30
			s.Write(mixed(t, 1)[:tick.CatalogUnits])
			for units := rows(); len(units) > 0; units = units[min(n, len(units)):] {
				s.Write(units[:min(n, len(units))])
				batches = append(batches, s.lanes[tableTrades].take(nil))
			}
			return func() {
				for _, b := range batches {
					response, err := post.Post(server.URL()+"/write", "text/plain", bytes.NewReader(b))
					if err != nil {
						t.Fatal(err)
					}
					response.Body.Close()
					if response.StatusCode != http.StatusNoContent {
						t.Fatal(response.Status)
					}
				}
			}
		},
	}
	for _, encoder := range []string{EncoderNative, EncoderV3} {
		turns[encoder] = func() func() {
			s, units := sinks[encoder], rows()
			acked := &s.Stats.Tables[tableTrades].Acked
			want := acked.Load() + uint64(*overlapRows)
			return func() {
				for ; len(units) > 0; units = units[min(1000, len(units)):] {
					s.Write(units[:min(1000, len(units))])
					s.Idle(s.o.Now())
					for s.Stats.WaitingBytes.Load() > 64<<20 {
						time.Sleep(time.Millisecond)
						s.Idle(s.o.Now())
					}
				}
				for acked.Load() != want {
					time.Sleep(time.Millisecond)
					s.Idle(s.o.Now() + int64(time.Second))
				}
			}
		}
	}
	ways := []string{"bytes", EncoderNative, EncoderV3}
	// Rows a second; ns a row; the part of the machine's work that was of others.
	type figure struct{ acked, visible, ours, theirs, others float64 }
	figures := map[string][]figure{}
	for round := range *overlapRounds + 2 {
		for i := range ways {
			way := ways[(i+round)%len(ways)]
			turn := turns[way]()
			mine, theirs, all, started := processorTime(), processorTimeOf(t, server.PID()), processorTimeOfAll(t), time.Now()
			turn()
			took := time.Since(started)
			if err := c.Settle(t.Context(), "trades"); err != nil {
				t.Fatal(err)
			}
			n := float64(*overlapRows)
			f := figure{acked: n / took.Seconds(), visible: n / time.Since(started).Seconds(), ours: float64(processorTime()-mine) / n, theirs: float64(processorTimeOf(t, server.PID())-theirs) / n}
			f.others = 1 - n*(f.ours+f.theirs)/float64(max(processorTimeOfAll(t)-all, 1))
			if round < 2 {
				continue // a cold server takes half as many
			}
			figures[way] = append(figures[way], f)
		}
	}
	quiet := 0
	for round := range *overlapRounds {
		worst := 0.0
		for _, way := range ways {
			worst = max(worst, figures[way][round].others)
		}
		if worst < 0.2 {
			for _, way := range ways {
				figures[way][quiet] = figures[way][round]
			}
			quiet++
		}
	}
	if quiet >= 3 {
		for _, way := range ways {
			figures[way] = figures[way][:quiet]
		}
	}
	if got := query(t, c, "SELECT count() FROM trades"); fmt.Sprint(got[0][0]) != fmt.Sprint(id) {
		t.Errorf("%v rows of %d", got, id)
	}
	median := func(way string, of func(figure) float64) float64 {
		var all []float64
		for _, f := range figures[way] {
			all = append(all, of(f))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	ratio := func(way string, of func(figure) float64) float64 {
		var all []float64
		for i, f := range figures[way] {
			all = append(all, of(f)/of(figures["bytes"][i]))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	load, _ := os.ReadFile("/proc/loadavg")
	t.Logf("%d rounds of %d rows, in %d of which others took less than a fifth of the processors; load %s", *overlapRounds, *overlapRows, quiet, strings.Fields(string(load))[0])
	for _, way := range ways {
		acked := func(f figure) float64 { return f.acked }
		visible := func(f figure) float64 { return f.visible }
		both := func(f figure) float64 { return f.ours + f.theirs }
		t.Logf("%-6s %8.0f rows/s (× %.2f), visible %8.0f rows/s (× %.2f), processor time a row: ours %4.0f, server %4.0f, sum × %.2f", way,
			median(way, acked), ratio(way, acked), median(way, visible), ratio(way, visible),
			median(way, func(f figure) float64 { return f.ours }), median(way, func(f figure) float64 { return f.theirs }), ratio(way, both))
	}
	for _, s := range sinks {
		closes(t, s)
	}
}

// processorTimeOfAll is what all processes took of the processors, in ns.
func processorTimeOfAll(t testing.TB) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Skip("there is no /proc here: ", err)
	}
	ticks := int64(0)
	for i, field := range strings.Fields(strings.SplitN(string(text), "\n", 2)[0])[1:9] {
		if n, err := strconv.ParseInt(field, 10, 64); err == nil && i != 3 && i != 4 { // idle, waiting for the disk
			ticks += n
		}
	}
	return ticks * 1e7
}

// processorTimeOf is what a process took of the processors, in ns.
func processorTimeOf(t testing.TB, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Skip("there is no /proc here: ", err)
	}
	// Fields are counted behind the name, which may hold anything.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	ticks := int64(0)
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return ticks * 1e7
}

// discard answers every post at once.
type discard struct{}

func (discard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		r.Body.Close()
	}
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: r}, nil
}

// BenchmarkSinkAlone is what the sink takes of the processors when the
// database costs nothing: encoding, the spool, and a post that is read.
func BenchmarkSinkAlone(b *testing.B) {
	for _, encoder := range []string{EncoderNative, EncoderV3} {
		for _, where := range []string{"memory", "spool"} {
			b.Run(encoder+"/"+where, func(b *testing.B) {
				o := Options{Encoder: encoder, Transport: discard{}, FlushRows: 20_000}
				if where == "spool" {
					spooled(b.TempDir())(&o)
				}
				s := idleSinkOf(b, o)
				s.spool.Start()
				s.senders[tableTrades].verifiedAt = math.MaxInt64
				s.running.Go(func() {
					x := s.senders[tableTrades]
					for s.sending.Err() == nil {
						if batch, _ := x.spool.Next(x.index, s.o.FlushRows, s.flushBytes); batch != nil {
							x.deliver(s.sending, batch)
						} else {
							x.await(s.sending)
						}
					}
				})
				s.Write(mixed(b, 1)[:tick.CatalogUnits])
				var x tape
				id := uint64(0)
				for range 1000 {
					id++
					tr := x.trade(0, start+int64(id)*1e5, 3_000_000_000+id)
					tr.Price, tr.Size = 6183763+int64(id%100), 12345+int64(id%1000)
				}
				acked := &s.Stats.Tables[tableTrades].Acked
				write := func() {
					s.Write(x.units)
					s.Idle(s.o.Now())
					for s.Stats.WaitingBytes.Load() > 32<<20 {
						time.Sleep(time.Millisecond)
						s.Idle(s.o.Now())
					}
				}
				for range 500 {
					write()
				}
				cpu, from := processorTime(), acked.Load()
				for b.Loop() {
					write()
				}
				until(b, "all is acknowledged", func() bool {
					s.Idle(s.o.Now() + 1e9)
					return acked.Load() == s.Stats.Tables[tableTrades].Accepted.Load()
				})
				b.ReportMetric(float64(processorTime()-cpu)/float64(acked.Load()-from), "cpu-ns/row")
				s.cancel()
				s.running.Wait()
				s.spool.Close()
			})
		}
	}
}
