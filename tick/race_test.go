//go:build race

package tick

import "testing"

func skipUnderRace(t *testing.T) { t.Skip("the race detector allocates") }
