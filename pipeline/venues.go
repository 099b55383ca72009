package pipeline

import (
	"tickproc/feeds"
	"tickproc/feeds/venues"
)

// Venues are the names of all venues there is an adapter for.
func Venues() []string { return venues.Names() }

// adapterOf returns the adapter of a venue.
func adapterOf(venue string) (feeds.Adapter, bool) { return venues.New(venue) }
