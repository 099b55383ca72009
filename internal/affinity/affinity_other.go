//go:build !linux

package affinity

// Cores are unknown here.
func Cores() []int { return nil }

// Pin does nothing here.
func Pin(int) error { return ErrUnsupported }
