package questdbserver

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

// TB is the part of testing.TB used here; naming it keeps package testing
// out of the product.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Cleanup(func())
}

var shared struct {
	once   sync.Once
	server *Server
	dir    string
	err    error
}

// ForTest returns the one server of the test package, started on first use.
// The package ends it by RunTests. Tests that stop a server use NewForTest.
func ForTest(t TB) *Server {
	t.Helper()
	shared.once.Do(func() {
		shared.server, shared.dir, shared.err = startTemporary(nil)
	})
	giveUp(t, shared.err)
	return shared.server
}

// NewForTest returns a server of the test's own; env are more settings of it.
func NewForTest(t TB, env ...string) *Server {
	t.Helper()
	server, dir, err := startTemporary(env)
	giveUp(t, err)
	t.Cleanup(func() {
		server.Stop()
		os.RemoveAll(dir)
	})
	return server
}

// RunTests is the body of TestMain: os.Exit(questdbserver.RunTests(m)).
func RunTests(m interface{ Run() int }) int {
	code := m.Run()
	if shared.server != nil {
		shared.server.Stop()
		os.RemoveAll(shared.dir)
	}
	return code
}

func startTemporary(env []string) (*Server, string, error) {
	dir, err := os.MkdirTemp("", "tickproc-questdb-")
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	server, err := Start(ctx, Options{Dir: dir, HeapMB: 512, Env: env})
	if err != nil {
		os.RemoveAll(dir)
	}
	return server, dir, err
}

// giveUp skips where QuestDB cannot be had, and fails where CI promises it.
func giveUp(t TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true" || !errors.Is(err, ErrNoJava) && !errors.Is(err, ErrNoJar):
		t.Fatalf("no QuestDB to test with: %v", err)
	default:
		t.Skipf("SKIPPED: no QuestDB to test with: %v", err)
	}
}
