//go:build !race

package questdb

import "testing"

func skipUnderRace(*testing.T) {}
