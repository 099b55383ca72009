package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tickproc/internal/testdata"
)

func replayFiles(t *testing.T, venue string, files ...string) (*ReplayReport, error) {
	return Replay(t.Context(), ReplayOptions{Config: DefaultConfig(), Logger: textLogger(t.Output()), Venue: venue, Files: files})
}

// What cannot be replayed is refused with the reason and what to do instead.
func TestReplayRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		write(t, path, text)
		return path
	}
	good := file("good", "# venue binance-spot\n1 text {\"u\":1,\"s\":\"BTCUSDT\",\"b\":\"1.0\",\"B\":\"1\",\"a\":\"2\",\"A\":\"1\"}\n")
	f := func(venue, path string, want ...string) {
		t.Helper()
		_, err := replayFiles(t, venue, path)
		if !errors.Is(err, ErrInput) {
			t.Errorf("%s: want a refusal, have %v", filepath.Base(path), err)
			return
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q does not say %q", filepath.Base(path), err, part)
			}
		}
	}
	f("nowhere", good, `"nowhere"`, "binance-spot", "binance-usdm")
	f("", file("other", "# venue lbank\n1 text {}\n"), `"lbank"`, "binance-spot", "kraken")
	f("", file("untold", "1 text {}\n"), "cannot tell its venue", "--venue")
	f("", file("elsewhere", "1 open wss://ws.example.com/x\n2 text {}\n"), "wss://ws.example.com/x", "--venue")
	f("", filepath.Join(dir, "missing"), "missing", "no such file")
	f("", dir, "directory")
	f("", file("garbage", strings.Repeat("\x00\xff no capture at all\n", 50)), "no capture", "line 1")
	f("binance-spot", file("garbage", strings.Repeat("\x00\xff no capture at all\n", 50)), "no capture", "line 1")
	f("", file("zipped", "\x1f\x8bthis is no gzip at all"), "gzip")
	f("binance-coinm", file("foreign", "1 text {\"channel\":\"book\"}\n2 text {\"channel\":\"book\"}\n"), "no market data", "--venue")
}

// An empty capture is that of a session in which nothing came.
func TestReplayOfNothing(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"empty": "", "comments": "# venue binance-spot\n# line public-0\n", "opened": "1 open wss://fstream.binance.com/public/stream\n2 close stopped\n"} {
		path := filepath.Join(t.TempDir(), name)
		write(t, path, text)
		report, err := replayFiles(t, "", path)
		if err != nil || report.Frames != 0 || len(report.Instruments) != 0 {
			t.Errorf("%s: %+v, %v", name, report, err)
		}
	}
}

// A capture whose end is missing, as after a crash, is read to its last whole line.
func TestReplayOfATruncatedCapture(t *testing.T) {
	t.Parallel()
	path := filepath.Join(testdata.Dir(t), "captures", "binance-spot-btcusdt-20240808.gz")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.gz")
	write(t, cut, string(whole[:len(whole)/3]))
	report, err := replayFiles(t, "", cut)
	if err != nil || report.CaptureErrors != 0 || report.DecodeErrors != 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	if report.Frames < 5000 || report.Frames > 25000 || len(report.Instruments) != 1 || !report.Instruments[0].Valid {
		t.Errorf("%d frames, instruments %+v", report.Frames, report.Instruments)
	}
}

// Sessions of other venues, and of older protocols, are refused, not misread.
func TestReplayOfOtherVenuesSessions(t *testing.T) {
	t.Parallel()
	samples, err := filepath.Glob(filepath.Join(testdata.Dir(t), "captures", "*-sample.gz"))
	if err != nil || len(samples) < 10 {
		t.Fatalf("%d samples: %v", len(samples), err)
	}
	for _, path := range samples {
		if filepath.Base(path) == "okx-sample.gz" {
			continue // its frames can still be read; see below
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			_, err := replayFiles(t, "", path)
			if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "binance-spot") {
				t.Errorf("want a refusal that names the venues there are, have %v", err)
			}
			if !strings.HasPrefix(filepath.Base(path), "binance") {
				_, err = replayFiles(t, "binance-spot", path)
				if !errors.Is(err, ErrInput) {
					t.Errorf("as binance-spot: want a refusal, have %v", err)
				}
			}
		})
	}
	// Books of before there were ids are verified by their checksums alone.
	report, err := replayFiles(t, "", filepath.Join(testdata.Dir(t), "captures", "okx-sample.gz"))
	if err != nil || report.DecodeErrors != 0 || len(report.Instruments) < 3 {
		t.Fatalf("okx: %+v, %v", report, err)
	}
	for _, in := range report.Instruments {
		if in.DepthApplied > 0 && (!in.Valid || in.Gaps != 0) {
			t.Errorf("okx: %+v", in)
		}
	}
	report, err = replayFiles(t, "binance-spot", filepath.Join(testdata.Dir(t), "captures", "binance-us-sample.gz"))
	if err != nil || report.DecodeErrors != 0 || report.CaptureErrors != 0 || report.Frames == 0 || len(report.Instruments) == 0 {
		t.Errorf("binance-us as binance-spot: %+v, %v", report, err)
	}
}

// A replay that is told to stop says so.
func TestReplayStops(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := filepath.Join(t.TempDir(), "one")
	write(t, path, "# venue binance-spot\n1 text {}\n")
	_, err := Replay(ctx, ReplayOptions{Config: DefaultConfig(), Logger: textLogger(t.Output()), Files: []string{path}})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A damaged frame may name a symbol that nobody subscribed. In our own
// recordings it is an error, as it was live; elsewhere subscriptions may be
// missing and the symbol is taken at its word.
func TestReplayOfASymbolThatNobodySubscribed(t *testing.T) {
	t.Parallel()
	const session = `# venue binance-spot
%s1723161255000000000 open wss://stream.binance.com:9443/stream?streams=btcusdt@trade
1723161255000000001 text {"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255000,"s":"BTCUSDT","t":1,"p":"1.0","q":"1.0","T":1723161255000,"m":true,"M":true}}
1723161255000000002 text {"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255000,"s":"BTCUSDX","t":1,"p":"1.0","q":"1.0","T":1723161255000,"m":true,"M":true}}
`
	f := func(line string, wantInstruments int, wantErrors uint64) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "session")
		write(t, path, fmt.Sprintf(session, line))
		report, err := replayFiles(t, "", path)
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Instruments) != wantInstruments || report.DecodeErrors != wantErrors {
			t.Errorf("line %q: %d instruments, %d errors, want %d, %d", line, len(report.Instruments), report.DecodeErrors, wantInstruments, wantErrors)
		}
	}
	f("# line public-0\n# first_ordinal 1\n", 1, 1)
	f("", 2, 0)
}
