//go:build !linux

package hardware

// ReadCores knows nothing.
func ReadCores() Cores { return Cores{} }

// MemoryLimit knows of none.
func MemoryLimit() int64 { return 0 }

// Pin is not possible.
func Pin(int) error { return ErrUnsupported }

// Faults are not counted by thread.
func Faults() (minor, major int64, err error) { return 0, 0, ErrUnsupported }

// LockMemory is not possible.
func LockMemory() error { return ErrUnsupported }
