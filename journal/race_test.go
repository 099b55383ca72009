//go:build race

package journal

import "testing"

// bitStep: under the race detector, which is ten times slower and has nothing
// to find there, some bits stand for all.
const bitStep = 13

func skipUnderRace(t *testing.T) { t.Skip("the race detector allocates") }
