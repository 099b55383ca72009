package ops

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Options of a Server. The zero Options serve on a free port of loopback and
// say always alive, always ready.
type Options struct {
	// Listen is host:port; default 127.0.0.1:0, a free port.
	Listen string
	// AllowNonLoopback lets Listen be an address that other machines reach.
	AllowNonLoopback bool
	// Stuck says what no longer moves, "" while all is well. It must not
	// block, and any goroutine calls it; so with NotReady.
	Stuck func() string
	// NotReady says, a line each, why the process cannot do its work now.
	NotReady func() []string
}

// EnsureDefaults fills what is zero.
func (o *Options) EnsureDefaults() {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Stuck == nil {
		o.Stuck = func() string { return "" }
	}
	if o.NotReady == nil {
		o.NotReady = func() []string { return nil }
	}
}

// Validate returns every fault.
func (o *Options) Validate() error {
	loopback, err := IsLoopback(o.Listen)
	if err != nil {
		return fmt.Errorf("metrics: listen on %q: %w: write host:port", o.Listen, err)
	}
	if !loopback && !o.AllowNonLoopback {
		return fmt.Errorf("metrics: %q is not a loopback address and the endpoint has no password: use 127.0.0.1, or allow it explicitly", o.Listen)
	}
	return nil
}

// IsLoopback reports whether only this machine reaches a listener on
// host:port; the error says that it is no host:port. No name is resolved: a
// name other than localhost may mean anything.
func IsLoopback(listen string) (bool, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return false, errors.New("no host:port")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return false, errors.New("no port from 0 to 65535")
	}
	if host == "localhost" {
		return true, nil
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback(), nil
}

// Server serves
//
//	/metrics  the registry, for Prometheus
//	/livez    200 while the process moves; 503 says what is stuck: restart it
//	/readyz   200 while it can do its work; 503 with a line a reason: wait
type Server struct {
	options  Options
	handler  http.Handler
	listener net.Listener // nil until Start
}

// NewServer returns a server that does not listen yet.
func NewServer(options Options, registry *Registry) (*Server, error) {
	options.EnsureDefaults()
	if err := options.Validate(); err != nil {
		return nil, err
	}
	s := &Server{options: options}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry.all, promhttp.HandlerOpts{Registry: registry.all}))
	mux.HandleFunc("GET /livez", s.livez)
	mux.HandleFunc("GET /readyz", s.readyz)
	s.handler = mux
	return s, nil
}

// Start listens, so that a taken port is known before anything else begins.
func (s *Server) Start() error {
	listener, err := net.Listen("tcp", s.options.Listen)
	if err != nil {
		return fmt.Errorf("metrics: %w: choose another metrics.listen, or stop what has that port", err)
	}
	s.listener = listener
	return nil
}

// Addr is the address listened on, with the real port. Valid after Start.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Run serves until ctx is done, then gives requests under way a second. It
// starts the server if Start did not. It runs one goroutine beside its own
// and one a client, all ended when it returns.
func (s *Server) Run(ctx context.Context) error {
	if s.listener == nil {
		if err := s.Start(); err != nil {
			return err
		}
	}
	// A client that stops reading must not keep its goroutine for ever.
	server := &http.Server{Handler: s.handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("metrics: %w", err)
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if server.Shutdown(patience) != nil {
		server.Close()
	}
	<-served
	return nil
}

func (s *Server) livez(w http.ResponseWriter, _ *http.Request) {
	if stuck := s.options.Stuck(); stuck != "" {
		answer(w, http.StatusServiceUnavailable, stuck)
		return
	}
	answer(w, http.StatusOK, "ok")
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if reasons := s.options.NotReady(); len(reasons) > 0 {
		answer(w, http.StatusServiceUnavailable, strings.Join(reasons, "\n"))
		return
	}
	answer(w, http.StatusOK, "ok")
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprintln(w, text)
}
