package ops

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"
)

// NewLogger returns a logger that writes to w: format is text, json, or auto,
// which is text where w is a terminal and JSON otherwise; level is debug,
// info, warn or error. Its rate is bounded, see Bounded.
func NewLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q: use debug, info, warn or error", level)
	}
	if format == "auto" {
		format = "json"
		if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			format = "text"
		}
	}
	switch format {
	case "text":
		return slog.New(Bounded(slog.NewTextHandler(w, &slog.HandlerOptions{Level: least, ReplaceAttr: shortTime}))), nil
	case "json":
		return slog.New(Bounded(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: least}))), nil
	}
	return nil, fmt.Errorf("log format %q: use auto, text or json", format)
}

// shortTime leaves out the date: who reads a terminal knows the day.
func shortTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		a.Value = slog.StringValue(a.Value.Time().Format("15:04:05.000"))
	}
	return a
}
