package ops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Commands are what a running process does when it is told to, by name. An
// answer is text for people; an error says why nothing was done.
type Commands map[string]func(ctx context.Context, args url.Values) (string, error)

// Control takes commands on a socket file. Who may open the file may command:
// it is the owner's alone.
type Control struct {
	path     string
	commands Commands
	listener net.Listener
}

// socketPathMax is the shortest limit of the platforms' socket addresses.
const socketPathMax = 103

// NewControl listens on a socket file. The caller holds the lock of the folder
// it is in, so that a file that is there was left behind.
func NewControl(path string, commands Commands) (*Control, error) {
	if len(path) > socketPathMax {
		return nil, fmt.Errorf("the socket's path %s has more than %d bytes: choose a shorter data_dir, or a relative one", path, socketPathMax)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		listener.Close()
		return nil, err
	}
	return &Control{path: path, commands: commands, listener: listener}, nil
}

// Run answers until ctx ends, and removes the file.
func (c *Control) Run(ctx context.Context) error {
	server := &http.Server{Handler: http.HandlerFunc(c.serve), ReadHeaderTimeout: 5 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	err := server.Serve(c.listener)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (c *Control) serve(w http.ResponseWriter, r *http.Request) {
	run := c.commands[strings.TrimPrefix(r.URL.Path, "/")]
	switch {
	case run == nil:
		http.Error(w, "no such command", http.StatusNotFound)
		return
	case r.Method != http.MethodPost:
		http.Error(w, "use POST", http.StatusMethodNotAllowed)
		return
	}
	answer, err := run(r.Context(), r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	io.WriteString(w, answer)
}

// ErrNoProcess: nothing listens on the socket file.
var ErrNoProcess = errors.New("no running process")

// ErrRefused: the process did not do what it was told to.
var ErrRefused = errors.New("refused")

// answerMax bounds an answer.
const answerMax = 1 << 20

// Tell gives a command to the process that listens on a socket file, and
// returns its answer.
func Tell(ctx context.Context, path, command string, args url.Values) (string, error) {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://control/"+command+"?"+args.Encode(), nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" {
			return "", fmt.Errorf("%w listens on %s", ErrNoProcess, path)
		}
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, answerMax))
	if err != nil {
		return "", err
	}
	answer := strings.TrimSpace(string(text))
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%w: %s", ErrRefused, answer)
	}
	return answer, nil
}
