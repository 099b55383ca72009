//go:build !linux

package reader

const populate = 0
