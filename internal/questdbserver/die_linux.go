package questdbserver

import "syscall"

// dieWithParent makes the kernel kill the server if we are killed.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
