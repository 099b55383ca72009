//go:build !linux

package journal

func isTmpfsForTest(string) bool { return false }
