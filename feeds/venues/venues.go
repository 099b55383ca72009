// Package venues knows every venue that there is an adapter for, by a table
// that is generated from the folders beside it: a new venue is a new folder and
// "go generate ./feeds/venues".
//
//	feeds/<venue>/ ─► gen ─► table.go ─► Names, New, Dialect, OfURL
package venues

import (
	"slices"

	"tickproc/feeds"
	"tickproc/feeds/sim"
)

//go:generate go run ./gen

// family is one venue's package: it may have several markets.
type family struct {
	names func() []string
	adapt func(venue string) (feeds.Adapter, bool)
	speak func(venue string) sim.Dialect
}

// Names are all venues, family by family.
func Names() []string {
	var all []string
	for _, f := range families {
		all = append(all, f.names()...)
	}
	return all
}

// New returns the adapter of a venue; false if there is none.
func New(venue string) (feeds.Adapter, bool) {
	for _, f := range families {
		if slices.Contains(f.names(), venue) {
			return f.adapt(venue)
		}
	}
	return nil, false
}

// Dialect is how the simulated exchange speaks for a venue; nil if there is none.
func Dialect(venue string) sim.Dialect {
	for _, f := range families {
		if slices.Contains(f.names(), venue) {
			return f.speak(venue)
		}
	}
	return nil
}
