package reader

import "golang.org/x/sys/unix"

// populate has all pages there before the first is read.
const populate = unix.MAP_POPULATE
