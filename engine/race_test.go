//go:build race

package engine

import "testing"

const underRace = true

func skipUnderRace(t *testing.T) { t.Skip("the race detector allocates") }
