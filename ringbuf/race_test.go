//go:build race

package ringbuf

import "testing"

func skipUnderRace(t *testing.T) { t.Skip("the race detector allocates") }
