//go:build race

package engine

import "testing"

func skipUnderRace(t *testing.T) { t.Skip("the race detector allocates") }
