package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tickproc/bench"
	"tickproc/tick"
)

// A stage takes every frame of a session that came by a file, three quarters of
// them counted, and the books of those that have a shard stand at the end.
func TestLines(t *testing.T) {
	folder := t.TempDir()
	write := func(name string, s *bench.Session, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(filepath.Join(folder, name))
		if err == nil {
			err = s.Write(f)
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := bench.Generate(bench.Recipe{Venue: "binance-spot", Channels: tick.ChannelTrades, Frames: 400, Symbols: 1})
	write("01_trades_binance-spot.session", s, err)
	s, err = bench.Generate(bench.Recipe{Venue: "kraken", Channels: tick.ChannelDepth, Frames: 400, Symbols: 1})
	write("02_depth_kraken.session", s, err)
	s, err = bench.Generate(bench.Recipe{Venue: "binance-usdm", Frames: 2000, Symbols: 1})
	write("03_session_binance-usdm.session", s, err)
	paths, err := filepath.Glob(filepath.Join(folder, "*.session"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][2]int{} // frames and levels, by line
	if err := lines(paths, regexp.MustCompile(""), func(line string, frames, levels int) { all[line] = [2]int{frames, levels} }); err != nil {
		t.Fatal(err)
	}
	if len(all) != 6+2+4 {
		t.Errorf("%d lines, want six of spot trades two of Kraken's depth, four of the session: %v", len(all), all)
	}
	for line, n := range all {
		if n[0] < 300 || (n[1] > 0) == strings.Contains(line, "/trades/") {
			t.Errorf("%s: %d frames counted, %d levels", line, n[0], n[1])
		}
	}
}

// A session in a file is the session: the same packets come of it.
func TestSessionFile(t *testing.T) {
	s, err := bench.Deep("binance-usdm")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "deep.session")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write(f); err != nil {
		t.Fatal(err)
	}
	f.Close()
	got, err := read(path)
	if err != nil {
		t.Fatal(err)
	}
	d, err := got.packets()
	if err != nil {
		t.Fatal(err)
	}
	l, opening := s.Open()
	if len(opening) != len(d.opening) || len(d.frames) != len(s.Records) {
		t.Fatalf("%d opening units and %d records, want %d and %d", len(d.opening), len(d.frames), len(opening), len(s.Records))
	}
	for i := range s.Records {
		want := l.Decode(&s.Records[i])
		if len(want) != len(d.frames[i]) {
			t.Fatalf("record %d: %d units, want %d", i, len(d.frames[i]), len(want))
		}
		for j := range want {
			if want[j] != d.frames[i][j] {
				t.Fatalf("record %d, unit %d: %v, want %v", i, j, d.frames[i][j], want[j])
			}
		}
		if i > 0 && d.levels[i] != 40 {
			t.Fatalf("record %d: %d levels, want 40", i, d.levels[i])
		}
	}
}
