package questdbserver

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// ErrNoJar says that QuestDB's jar is neither cached nor to be had.
var ErrNoJar = errors.New("the QuestDB jar could not be fetched")

// Jar returns the path of QuestDB's jar in the user's cache
// ($XDG_CACHE_HOME/tickproc, else ~/.cache/tickproc) and fetches it through
// Maven when it is absent.
func Jar(ctx context.Context, log *slog.Logger) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	name := "questdb-" + Version + ".jar"
	path := filepath.Join(cache, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	// Test packages run at the same time, and Maven's own repository does not
	// bear two first downloads at once. The lock ends with the descriptor.
	lock, err := os.OpenFile(filepath.Join(cache, name+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	log.Info("fetching QuestDB once through Maven (30 MB)", "version", Version, "to", path)
	if err := fetch(ctx, cache, name); err != nil {
		return "", fmt.Errorf("%w: %w; or put %s into %s yourself", ErrNoJar, err, name, cache)
	}
	return path, nil
}

func cacheDir() (string, error) {
	if xdg := os.Getenv("XDG_CACHE_HOME"); filepath.IsAbs(xdg) {
		return filepath.Join(xdg, "tickproc"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: %w; set XDG_CACHE_HOME", err)
	}
	return filepath.Join(home, ".cache", "tickproc"), nil
}

// fetch downloads beside the destination and renames, so that a reader sees
// the whole jar or none.
func fetch(ctx context.Context, cache, name string) error {
	maven, err := exec.LookPath("mvn")
	if err != nil {
		return errors.New("Maven is not installed: install it (mvn on the PATH)")
	}
	temp, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	cmd := exec.CommandContext(ctx, maven, "-q", "-B", "dependency:copy",
		"-Dartifact=org.questdb:questdb:"+Version, "-DoutputDirectory="+temp)
	cmd.Dir = temp // a pom.xml where we happen to stand must not be read
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd, err, tail(out, 500))
	}
	fetched := filepath.Join(temp, name)
	whole, err := zip.OpenReader(fetched)
	if err != nil {
		return fmt.Errorf("%s is no jar: %w", name, err)
	}
	whole.Close()
	return os.Rename(fetched, filepath.Join(cache, name))
}

// tail keeps the end of a tool's output, where the reason stands.
func tail(out []byte, size int) []byte { return out[max(0, len(out)-size):] }
