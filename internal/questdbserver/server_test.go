package questdbserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain also plays the parent that dies in TestServerDiesWithUs.
func TestMain(m *testing.M) {
	if dir := os.Getenv("QUESTDBSERVER_TEST_PARENT"); dir != "" {
		s, err := Start(context.Background(), Options{Dir: dir})
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println("pid", s.process.pid)
		select {}
	}
	os.Exit(RunTests(m))
}

func query(t *testing.T, s *Server, sql string) string {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(s.URL() + "/exec?query=" + url.QueryEscape(sql))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// gone waits until the process has ended, as a zombie or altogether.
func gone(t *testing.T, pid int) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		if syscall.Kill(pid, 0) != nil {
			return
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err == nil && strings.Contains(string(status), "State:\tZ") {
			return
		}
		runtime.Gosched()
	}
	t.Fatalf("process %d still runs", pid)
}

// A server is started, killed, started again on the same files and ports, and
// stopped: what was committed is still there, and no process is left.
func TestKillAndRestart(t *testing.T) {
	s := NewForTest(t)
	first, at := s.PID(), s.URL()
	query(t, s, "create table t (ts timestamp, x long) timestamp(ts) partition by day wal")
	query(t, s, "insert into t values (1000, 42)")
	s.Kill()
	gone(t, first)
	for _, port := range []int{s.ports.http, s.ports.health, s.ports.ilp, s.ports.pg} {
		staysOurs(t, port)
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.URL() != at {
		t.Errorf("restarted on %s, was %s", s.URL(), at)
	}
	deadline := time.Now().Add(20 * time.Second)
	for !strings.Contains(query(t, s, "select x from t"), "[[42]]") {
		if time.Now().After(deadline) {
			t.Fatal("the row did not survive the kill")
		}
	}
	second := s.process.pid
	s.Stop()
	s.Stop()
	gone(t, second)
}

// staysOurs shows that nobody gets the port of a server that is dead for the moment,
// and that nothing answers there.
func staysOurs(t *testing.T, port int) {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", port)
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Errorf("somebody answers on %s", address)
	}
	if !heldBesideServer {
		return
	}
	// As a socket that asks for any port: without leave to reuse the address.
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("%s is free to be taken: %v", address, err)
	}
}

// A process that starts a server and is killed takes the server along.
func TestServerDiesWithUs(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: only Linux has a parent-death signal")
	}
	if _, _, err := findJava(t.Context()); err != nil {
		giveUp(t, ErrNoJava)
	}
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "QUESTDBSERVER_TEST_PARENT="+t.TempDir())
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscanf(out, "pid %d\n", &pid); err != nil {
		t.Fatalf("the parent started no server: %v", err)
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()
	gone(t, pid)
}

func TestWithoutJavaTheErrorSaysWhatToDo(t *testing.T) {
	t.Setenv("JAVA_HOME", t.TempDir())
	t.Setenv("PATH", t.TempDir())
	_, err := Start(t.Context(), Options{Dir: t.TempDir()})
	if !errors.Is(err, ErrNoJava) || strings.Contains(err.Error(), "\n") {
		t.Fatalf("got %v", err)
	}
}

func TestOldJavaIsRefused(t *testing.T) {
	f := func(specification string, want bool) {
		t.Helper()
		home := t.TempDir()
		script := "#!/bin/sh\necho '    java.specification.version = " + specification + "' >&2\n"
		if err := os.MkdirAll(filepath.Join(home, "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, "bin", "java"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("JAVA_HOME", home)
		t.Setenv("PATH", "/nowhere")
		_, _, err := findJava(t.Context())
		if (err == nil) != want {
			t.Errorf("java %s: %v", specification, err)
		}
	}
	f("1.8", false)
	f("11", false)
	f("17", true)
	f("25", true)
}

// A server that exits at once, and one that never answers, are both errors
// that leave nothing running.
func TestStartThatFails(t *testing.T) {
	s := &Server{options: Options{Dir: t.TempDir()}, client: &http.Client{Timeout: time.Second}}
	var err error
	if s.ports, err = freePorts(); err != nil {
		t.Fatal(err)
	}
	s.command = func(ports) *exec.Cmd { return exec.Command("sh", "-c", "echo no room; exit 55") }
	if err := s.launch(t.Context()); err == nil || !strings.Contains(err.Error(), "exited while starting: exit status 55") || !strings.HasSuffix(err.Error(), "\nno room") {
		t.Errorf("exit at once: %v", err)
	}
	s.command = func(ports) *exec.Cmd { return exec.Command("sleep", "1000") }
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := s.launch(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hangs: %v", err)
	}
	gone(t, s.process.pid)
}

// An absent jar is fetched into place; callers at the same time get one whole file.
func TestJarIsFetchedOnce(t *testing.T) {
	cache, bin := t.TempDir(), t.TempDir()
	real, err := cacheDir()
	if err != nil {
		t.Fatal(err)
	}
	jar := filepath.Join(real, "questdb-"+Version+".jar")
	if _, err := os.Stat(jar); err != nil {
		t.Skip("SKIPPED: no cached jar to stand in for Maven's")
	}
	count := filepath.Join(bin, "count")
	maven := fmt.Sprintf("#!/bin/sh\necho x >>%s\nfor a; do case $a in -DoutputDirectory=*) cp %s \"${a#*=}\";; esac; done\n", count, jar)
	if err := os.WriteFile(filepath.Join(bin, "mvn"), []byte(maven), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	results := make(chan error)
	for range 4 {
		go func() {
			path, err := Jar(context.Background(), Options{}.logger())
			if err == nil {
				_, err = os.Stat(path)
			}
			results <- err
		}()
	}
	for range 4 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	calls, _ := os.ReadFile(count)
	if string(calls) != "x\n" {
		t.Errorf("Maven was called %d times", len(calls)/2)
	}
	left, _ := filepath.Glob(filepath.Join(cache, "tickproc", "fetch-*"))
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
