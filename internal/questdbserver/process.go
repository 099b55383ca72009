package questdbserver

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is one run of the server.
type process struct {
	pid     int
	logPath string
	done    chan struct{} // closed when the process has been reaped
	err     error         // its end; read after done
}

func startProcess(cmd *exec.Cmd, logPath string) (*process, error) {
	out, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(cmd.SysProcAttr)
	p := &process{logPath: logPath, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel's parent-death signal follows the thread that started the
		// process, not us: keep that thread until the process ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		p.pid = cmd.Process.Pid
		started <- nil
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, <-started
}

// end signals the process group, waits, and kills it when the grace is over.
func (p *process) end(signal syscall.Signal, grace time.Duration) {
	if p == nil {
		return
	}
	select {
	case <-p.done: // reaped: its number may belong to somebody else by now
		return
	default:
	}
	_ = syscall.Kill(-p.pid, signal)
	select {
	case <-p.done:
	case <-time.After(grace):
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
		<-p.done
	}
}
