//go:build !linux

package vfs

func (f osFile) Allocate(size int64) error { return f.zeros(size) }
