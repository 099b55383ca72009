//go:build !linux

package latency

func pin(int) (undo func()) { return func() {} }
