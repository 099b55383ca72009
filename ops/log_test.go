package ops

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLoggerFormats(t *testing.T) {
	t.Parallel()
	f := func(format, level string, want ...string) {
		t.Helper()
		var out bytes.Buffer
		log, err := NewLogger(&out, format, level)
		if err != nil {
			t.Fatal(err)
		}
		log.Debug("quiet")
		log.Warn("gap", "venue", "binance-spot", "lost", 3)
		for _, w := range want {
			if !strings.Contains(out.String(), w) {
				t.Errorf("%s %s: no %q in\n%s", format, level, w, out.String())
			}
		}
		if strings.Contains(out.String(), "quiet") != (level == "debug") {
			t.Errorf("%s %s:\n%s", format, level, out.String())
		}
	}
	f("text", "info", `level=WARN msg=gap venue=binance-spot lost=3`)
	f("text", "debug", "level=DEBUG msg=quiet")
	f("json", "warn", `"level":"WARN","msg":"gap","venue":"binance-spot","lost":3`)
	f("auto", "info", `"msg":"gap"`)

	// A file is no terminal.
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	log, err := NewLogger(file, "auto", "info")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("up")
	text, err := os.ReadFile(file.Name())
	if err != nil || !json.Valid(text) {
		t.Errorf("%v %s", err, text)
	}

	for _, bad := range [][2]string{{"xml", "info"}, {"text", "loud"}} {
		if _, err := NewLogger(&bytes.Buffer{}, bad[0], bad[1]); err == nil || !strings.Contains(err.Error(), "use ") {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestRepeatedMessagesAreBounded(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	h := Bounded(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	start := time.Unix(1_700_000_000, 0)
	say := func(h slog.Handler, after time.Duration, level slog.Level, message string) {
		if err := h.Handle(t.Context(), slog.NewRecord(start.Add(after), level, message, 0)); err != nil {
			t.Fatal(err)
		}
	}
	lines := func() int { defer out.Reset(); return strings.Count(out.String(), "\n") }

	// A flood of one message passes up to the burst, through derived handlers too.
	derived := h.WithAttrs([]slog.Attr{slog.String("venue", "x")}).WithGroup("g")
	for range 500 {
		say(h, 0, slog.LevelError, "malformed frame")
		say(derived, 0, slog.LevelError, "malformed frame")
	}
	if n := lines(); n != boundedBurst {
		t.Errorf("%d lines of 1000", n)
	}
	// Another message is not held up by it, and debug is never.
	say(h, time.Second, slog.LevelInfo, "connected")
	for range 100 {
		say(h, time.Second, slog.LevelDebug, "frame")
	}
	if n := lines(); n != 101 {
		t.Errorf("%d lines", n)
	}
	// The next window says how many there were.
	say(h, boundedWindow, slog.LevelError, "malformed frame")
	if have := out.String(); !strings.Contains(have, fmt.Sprintf("suppressed=%d", 1000-boundedBurst)) {
		t.Errorf("%s", have)
	}
	lines()
	say(h, boundedWindow, slog.LevelError, "malformed frame")
	if have := out.String(); strings.Contains(have, "suppressed") {
		t.Errorf("said twice: %s", have)
	}
	lines()
	// Messages without end share one bound, so that memory has one.
	for i := range 3 * boundedMessages {
		say(h, boundedWindow, slog.LevelWarn, fmt.Sprint("no constant ", i))
	}
	if n := lines(); n >= boundedMessages+boundedBurst || n < boundedMessages-10 {
		t.Errorf("%d lines", n)
	}
}
