package vfs

import (
	"path/filepath"
	"testing"
)

// What is free is part of what there is.
func TestSpace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if free, size, err := Space(dir); err != nil || free < 0 || size <= 0 || free > size {
		t.Errorf("%d of %d bytes are free, %v", free, size, err)
	}
	if _, _, err := Space(filepath.Join(dir, "none")); err == nil {
		t.Error("a directory that is not there has room")
	}
}
