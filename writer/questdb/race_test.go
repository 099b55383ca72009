//go:build race

package questdb

import "testing"

func skipUnderRace(t *testing.T) { t.Skip("the race detector allocates") }
