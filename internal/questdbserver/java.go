package questdbserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

const javaOldest = 17

var specification = regexp.MustCompile(`java\.specification\.version = ([0-9.]+)`)

// findJava returns a java that is new enough, from JAVA_HOME or the PATH, and
// its major version.
func findJava(ctx context.Context) (path string, version int, err error) {
	var candidates []string
	if home := os.Getenv("JAVA_HOME"); home != "" {
		candidates = append(candidates, filepath.Join(home, "bin", "java"))
	}
	if onPath, err := exec.LookPath("java"); err == nil {
		candidates = append(candidates, onPath)
	}
	err = errors.New("no java in JAVA_HOME or on the PATH")
	for _, path := range candidates {
		version, e := javaVersion(ctx, path)
		if e == nil && version >= javaOldest {
			return path, version, nil
		}
		if e == nil {
			e = fmt.Errorf("%s is version %d", path, version)
		}
		err = e
	}
	return "", 0, err
}

func javaVersion(ctx context.Context, java string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, java, "-XshowSettings:properties", "-version").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%s -version: %w", java, err)
	}
	match := specification.FindSubmatch(out)
	if match == nil {
		return 0, fmt.Errorf("%s -version names no version", java)
	}
	version, err := strconv.Atoi(string(match[1]))
	if err != nil {
		return 1, nil // "1.8": versions were written so until 9
	}
	return version, nil
}

func javaCommand(java string, version int, jar string, o Options, p ports) *exec.Cmd {
	args := []string{"-XX:+UseParallelGC", fmt.Sprintf("-Xmx%dm", o.HeapMB)}
	if version >= 24 {
		// Later JDKs warn about, then forbid, what QuestDB's memory access needs.
		args = append(args, "--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow")
	}
	args = append(args,
		"--add-opens=java.base/java.lang=ALL-UNNAMED", "--add-opens=java.base/java.nio=ALL-UNNAMED",
		"--add-opens=java.base/java.time.zone=ALL-UNNAMED", "--add-exports=java.base/jdk.internal.math=ALL-UNNAMED",
		"-cp", jar, "io.questdb.ServerMain", "-d", o.Dir)
	cmd := exec.Command(java, args...)
	cmd.Env = append(append(os.Environ(), settings("127.0.0.1", p)...), o.Env...)
	return cmd
}
