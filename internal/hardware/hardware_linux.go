package hardware

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ReadCores asks the system.
func ReadCores() Cores {
	var c Cores
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) == nil {
		for n := range len(set) * 64 {
			if set.IsSet(n) {
				c.Allowed = append(c.Allowed, n)
			}
		}
	}
	read := func(path string) string {
		text, _ := os.ReadFile(path)
		return string(text)
	}
	c.Isolated = list(read("/sys/devices/system/cpu/isolated"))
	c.NoHz = list(read("/sys/devices/system/cpu/nohz_full"))
	for _, dir := range groups() {
		given := quota(read(filepath.Join(dir, "cpu.max")))
		if given == 0 { // cgroup v1
			given = quota(strings.TrimSpace(read(filepath.Join(dir, "cpu.cfs_quota_us"))) + " " + read(filepath.Join(dir, "cpu.cfs_period_us")))
		}
		if given > 0 && (c.Quota == 0 || given < c.Quota) {
			c.Quota = given
		}
	}
	return c
}

// MemoryLimit is what the container's memory is limited to, in bytes; 0 = it is
// not.
func MemoryLimit() (least int64) {
	for _, dir := range groups() {
		for _, name := range []string{"memory.max", "memory.limit_in_bytes"} {
			text, _ := os.ReadFile(filepath.Join(dir, name))
			if n := memory(string(text)); n > 0 && (least == 0 || n < least) {
				least = n
			}
		}
	}
	return least
}

// groups are the folders of this process's control groups, and of those that
// they lie in: the least of their limits holds.
func groups() (dirs []string) {
	const root = "/sys/fs/cgroup"
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for _, controller := range append([]string{""}, strings.Split(parts[1], ",")...) {
			for path := parts[2]; ; path = filepath.Dir(path) {
				dirs = append(dirs, filepath.Join(root, controller, path))
				if path == "/" || path == "." {
					break
				}
			}
		}
	}
	return dirs
}

// Pin keeps the calling thread on one core. The caller has locked his goroutine
// to it.
func Pin(core int) error {
	var set unix.CPUSet
	set.Set(core)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("pin to core %d: %w", core, err)
	}
	return nil
}

// Faults are the page faults of the calling thread so far: minor ones mapped
// memory, major ones read it from a disk.
func Faults() (minor, major int64, err error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		return 0, 0, err
	}
	return int64(u.Minflt), int64(u.Majflt), nil
}

// LockMemory keeps all memory that the process has now in RAM.
func LockMemory() error {
	err := unix.Mlockall(unix.MCL_CURRENT)
	if err == nil {
		return nil
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit) != nil {
		limit.Cur = unix.RLIM_INFINITY
	}
	return lockError(err, limit.Cur)
}

// lockError says what to do about a refusal; limit is RLIMIT_MEMLOCK in bytes.
func lockError(err error, limit uint64) error {
	if (errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.EPERM)) && limit != unix.RLIM_INFINITY {
		return fmt.Errorf("mlockall: %w: RLIMIT_MEMLOCK is %d kB, and all that is mapped counts: ulimit -l unlimited, LimitMEMLOCK=infinity in the unit, or the capability IPC_LOCK", err, limit>>10)
	}
	return fmt.Errorf("mlockall: %w", err)
}
