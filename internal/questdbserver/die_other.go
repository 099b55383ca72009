//go:build !linux

package questdbserver

import "syscall"

// dieWithParent does nothing: only Linux has a parent-death signal, so a
// killed demo leaves its server behind elsewhere.
func dieWithParent(*syscall.SysProcAttr) {}
