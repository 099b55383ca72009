package pipeline

import (
	"tickproc/feeds"
	"tickproc/feeds/sim"
	"tickproc/feeds/venues"
)

// Venues are the names of all venues there is an adapter for.
func Venues() []string { return venues.Names() }

// adapterOf returns the adapter of a venue.
func adapterOf(venue string) (feeds.Adapter, bool) { return venues.New(venue) }

// simVenue is a venue as the simulated exchange speaks it.
func simVenue(venue string) sim.Venue { return sim.Venue{Name: venue, Dialect: venues.Dialect(venue)} }
