// Package questdbserver starts a real QuestDB of a pinned version on free
// loopback ports and ends it again. The demo and the tests use it; a
// production pipeline writes to a server that somebody else runs.
//
//	Start ─► java (or a container) ─► jar from the user's cache ─► healthy? ─► *Server
//	                                        ▲ fetched once through Maven
//
// The process has its own process group, so that a Ctrl-C in the terminal
// reaches us first and rows can drain; on Linux the kernel kills it when we die.
package questdbserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Version is the QuestDB that everything here is tried with.
const Version = "9.3.4"

const (
	startAttempts = 3
	// Healthy takes about 2.5 s on two cores. On a machine that others load, starts
	// of more than 30 s were seen.
	startDeadline = 90 * time.Second
	stopGrace     = 15 * time.Second
	// logEnd holds a stack trace at the end of a log, and what was before it.
	logEnd = 2500 // bytes
)

// ErrNoJava says that there is no way to run QuestDB on this machine.
var ErrNoJava = errors.New("no JDK 17 or newer and no container engine found: install a JDK 17+ and Maven, or docker or podman, or pass --questdb URL of a running QuestDB (https://questdb.com/download)")

// Options of a server.
type Options struct {
	Dir    string       // database files; created. Required
	HeapMB int          // of the JVM; default 512
	Env    []string     // more server settings, "QDB_NAME=value"
	Logger *slog.Logger // of slow steps and repeated starts; default: none
}

func (o Options) logger() *slog.Logger {
	if o.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Logger
}

// Server is a QuestDB process that we started. Its methods may be called from
// any goroutine.
type Server struct {
	options Options
	command func(ports) *exec.Cmd
	ports   ports
	client  *http.Client

	mu      sync.Mutex // guards process against Stop beside Restart
	process *process
}

// Start runs a server until it answers. ctx bounds the start alone; the
// server lives until Stop or Kill. A start that hangs is killed and tried
// again on fresh ports, three times in all.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.HeapMB == 0 {
		o.HeapMB = 512
	}
	o.Logger = o.logger()
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	o.Dir = dir
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s := &Server{options: o, client: &http.Client{Timeout: 2 * time.Second}}
	if s.command, err = findCommand(ctx, o); err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		if s.ports, err = freePorts(); err != nil {
			return nil, err
		}
		if err = s.launch(ctx); err == nil {
			return s, nil
		}
		s.ports.free()
		if attempt == startAttempts || ctx.Err() != nil {
			return nil, err
		}
		o.Logger.Warn("QuestDB did not start, trying again", "attempt", attempt, "error", err)
	}
}

// findCommand prefers Java, because the jar is small and cached.
func findCommand(ctx context.Context, o Options) (func(ports) *exec.Cmd, error) {
	java, version, err := findJava(ctx)
	if err == nil {
		jar, err := Jar(ctx, o.Logger)
		if err != nil {
			return nil, err
		}
		return func(p ports) *exec.Cmd { return javaCommand(java, version, jar, o, p) }, nil
	}
	if engine := findEngine(ctx); engine != "" {
		return func(p ports) *exec.Cmd { return containerCommand(engine, o, p) }, nil
	}
	return nil, fmt.Errorf("%w (%v)", ErrNoJava, err)
}

// URL is the base of the REST and ILP endpoints.
func (s *Server) URL() string { return fmt.Sprintf("http://127.0.0.1:%d", s.ports.http) }

// HealthURL is the base of the endpoint that has /status, and /metrics where
// QDB_METRICS_ENABLED is set.
func (s *Server) HealthURL() string { return fmt.Sprintf("http://127.0.0.1:%d", s.ports.health) }

// PID is the server's process, or that of the container engine's client.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.pid
}

// Dir holds the database files and questdb.out, the server's log.
func (s *Server) Dir() string { return s.options.Dir }

// Stop ends the server in an orderly way, by force after a grace period.
// A server that has ended already is left alone.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process.end(syscall.SIGTERM, stopGrace)
}

// Kill ends the server as a crash would.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process.end(syscall.SIGKILL, stopGrace)
}

// Restart runs the server again on the same files and ports, after Stop or Kill.
func (s *Server) Restart(ctx context.Context) error {
	var err error
	for range startAttempts {
		if err = s.launch(ctx); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// launch starts one process and waits until it answers; on failure nothing is
// left running.
func (s *Server) launch(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := startProcess(s.command(s.ports), filepath.Join(s.options.Dir, "questdb.out"))
	if err != nil {
		return err
	}
	s.process = p
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	if err := s.untilHealthy(ctx, p); err != nil {
		p.end(syscall.SIGKILL, stopGrace)
		return fmt.Errorf("QuestDB on %s: %w; its log is %s, which ends:\n%s", s.URL(), err, p.logPath, endOf(p.logPath))
	}
	return nil
}

// endOf is what a log said last: where it lies may not outlast the error.
func endOf(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(tail(text, logEnd)))
}

func (s *Server) untilHealthy(ctx context.Context, p *process) error {
	// The health endpoint answers before the SQL engine; some starts hang on
	// the first query, so that one counts too.
	probes := []string{s.HealthURL() + "/status", s.URL() + "/exec?query=select%201"}
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for len(probes) > 0 {
		if s.answers(ctx, probes[0]) {
			probes = probes[1:]
			continue
		}
		select {
		case <-poll.C:
		case <-p.done:
			return fmt.Errorf("exited while starting: %v", p.err)
		case <-ctx.Done():
			return fmt.Errorf("not healthy in time: %w", ctx.Err())
		}
	}
	return nil
}

func (s *Server) answers(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := s.client.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode == http.StatusOK
}

// settings keep every endpoint on loopback, and refuse tables and columns
// that nobody declared: those would have no dedup keys.
func settings(host string, p ports) []string {
	return []string{
		"QDB_TELEMETRY_ENABLED=false",
		"QDB_LINE_AUTO_CREATE_NEW_TABLES=false",
		"QDB_LINE_AUTO_CREATE_NEW_COLUMNS=false",
		"QDB_HTTP_NET_BIND_TO=" + net.JoinHostPort(host, strconv.Itoa(p.http)),
		"QDB_HTTP_MIN_NET_BIND_TO=" + net.JoinHostPort(host, strconv.Itoa(p.health)),
		"QDB_LINE_TCP_NET_BIND_TO=" + net.JoinHostPort(host, strconv.Itoa(p.ilp)),
		"QDB_PG_NET_BIND_TO=" + net.JoinHostPort(host, strconv.Itoa(p.pg)),
	}
}
