//go:build !linux

package engine

// pinThread does nothing where threads cannot be tied to a core.
func pinThread(int) {}
