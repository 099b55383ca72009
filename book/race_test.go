//go:build race

package book

import "testing"

func skipUnderRace(t *testing.T) { t.Skip("the race detector allocates") }
