package pipeline

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"tickproc/internal/testdata"
)

// The recorded Binance sessions must give what an independent calculator
// found in them, in every key.
func TestReplayGivesTheExpectedAnswers(t *testing.T) {
	dir := testdata.Dir(t)
	expected, err := filepath.Glob(filepath.Join(dir, "expected", "*.json"))
	if err != nil || len(expected) == 0 {
		t.Fatalf("no expected answers in %s: %v", dir, err)
	}
	for _, path := range expected {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		t.Run(name, func(t *testing.T) {
			if testing.Short() && !strings.HasPrefix(name, "binance-spot") {
				t.Skip("the others take long under the race detector")
			}
			t.Parallel()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var want map[string]any
			decode(t, text, &want)
			report, err := Replay(context.Background(), ReplayOptions{Config: DefaultConfig(), Logger: slog.New(slog.DiscardHandler),
				Files: []string{filepath.Join(dir, "captures", name+".gz")}})
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Instruments) != 1 || !report.Instruments[0].Valid {
				t.Fatalf("want one instrument with a valid book, have %+v", report.Instruments)
			}
			text, err = json.Marshal(report.Instruments[0])
			if err != nil {
				t.Fatal(err)
			}
			var have map[string]any
			decode(t, text, &have)
			have["frames"] = json.Number(decimal.NewFromUint64(report.Frames).String())
			for key := range want {
				same(t, key, have[key], want[key])
			}
		})
	}
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		t.Fatal(err)
	}
}

// same compares JSON values; numbers, also those in strings, as decimals.
func same(t *testing.T, path string, have, want any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		h, _ := have.(map[string]any)
		if len(h) != len(want) {
			t.Errorf("%s: %d keys, want %d", path, len(h), len(want))
		}
		for k := range want {
			same(t, path+"."+k, h[k], want[k])
		}
	case []any:
		h, _ := have.([]any)
		if len(h) != len(want) {
			t.Errorf("%s: %d elements, want %d", path, len(h), len(want))
			return
		}
		for i := range want {
			same(t, path, h[i], want[i])
		}
	default:
		if have == want {
			return
		}
		number := func(v any) (decimal.Decimal, error) {
			if n, ok := v.(json.Number); ok {
				return decimal.NewFromString(n.String())
			}
			s, _ := v.(string)
			return decimal.NewFromString(s)
		}
		h, errH := number(have)
		w, errW := number(want)
		if errH != nil || errW != nil || !h.Equal(w) {
			t.Errorf("%s: %v, want %v", path, have, want)
		}
	}
}
