package questdbserver

import (
	"context"
	"fmt"
	"os/exec"
	"time"
)

// findEngine returns the container engine that answers, "" if none does.
func findEngine(ctx context.Context) string {
	for _, engine := range []string{"docker", "podman"} {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := exec.CommandContext(ctx, engine, "info").Run()
		cancel()
		if err == nil {
			return engine
		}
	}
	return ""
}

// containerCommand runs the official image in the foreground, so that it is
// ended like the Java process; SIGKILL, though, reaches the engine's client
// alone and leaves the container. Untested: no engine was running where this
// was written.
func containerCommand(engine string, o Options, p ports) *exec.Cmd {
	p.free() // who binds them is the engine, which may not allow an address to be reused
	inside := ports{http: 9000, health: 9003, ilp: 9009, pg: 8812}
	args := []string{"run", "--rm", "--init",
		"-p", fmt.Sprintf("127.0.0.1:%d:%d", p.http, inside.http),
		"-p", fmt.Sprintf("127.0.0.1:%d:%d", p.health, inside.health),
		"-v", o.Dir + ":/var/lib/questdb"}
	for _, setting := range append(append(settings("0.0.0.0", inside),
		fmt.Sprintf("JVM_PREPEND=-Xmx%dm", o.HeapMB)), o.Env...) {
		args = append(args, "-e", setting)
	}
	return exec.Command(engine, append(args, "questdb/questdb:"+Version)...)
}
