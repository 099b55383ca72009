package ops

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A process is told what to do by its socket file: it answers, or says why not.
func TestControl(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "tp") // short: a socket's path is bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "control.sock")
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := Tell(ctx, path, "greet", nil); !errors.Is(err, ErrNoProcess) {
		t.Errorf("nobody listens: %v", err)
	}
	if err := os.WriteFile(path, []byte("left behind"), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := NewControl(path, Commands{
		"greet": func(_ context.Context, args url.Values) (string, error) { return "hello " + args.Get("name"), nil },
		"fail":  func(context.Context, url.Values) (string, error) { return "", errors.New("line 3: no such venue") },
	})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket file is %v: %v", info.Mode(), err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	if answer, err := Tell(ctx, path, "greet", url.Values{"name": {"a b&c"}}); err != nil || answer != "hello a b&c" {
		t.Errorf("%q, %v", answer, err)
	}
	if _, err := Tell(ctx, path, "fail", nil); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "line 3: no such venue") {
		t.Errorf("%v", err)
	}
	if _, err := Tell(ctx, path, "dance", nil); !errors.Is(err, ErrRefused) {
		t.Errorf("%v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := Tell(t.Context(), path, "greet", nil); !errors.Is(err, ErrNoProcess) {
		t.Errorf("it has ended: %v", err)
	}
	if _, err := NewControl(filepath.Join(dir, strings.Repeat("x", 110)), nil); err == nil || !strings.Contains(err.Error(), "data_dir") {
		t.Errorf("a path too long: %v", err)
	}
}
