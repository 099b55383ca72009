package pipeline

import (
	"net/url"

	"tickproc/feeds"
	"tickproc/feeds/binance"
	"tickproc/feeds/sim"
	"tickproc/tick"
)

// Venues are the names of all venues there is an adapter for.
func Venues() []string { return binance.Venues() }

// adapterOf returns the adapter of a venue.
func adapterOf(venue string) (feeds.Adapter, bool) { return binance.New(venue) }

// simVenue is a venue as the simulated exchange speaks it.
func simVenue(venue string) sim.Venue { return sim.Venue{Name: venue, Dialect: binance.Dialect(venue)} }

// venueOfURL finds the venue that a recorded connection or request was made to,
// by host.
func venueOfURL(recorded string) (string, bool) {
	u, err := url.Parse(recorded)
	if err != nil {
		return "", false
	}
	for _, venue := range Venues() {
		adapter, _ := adapterOf(venue)
		in := adapter.Instrument("X")
		var addresses []string
		for _, c := range adapter.Plan([]feeds.Subscription{{Instrument: &in, Channels: tick.ChannelTrades | tick.ChannelDepth}}) {
			addresses = append(addresses, c.URL)
		}
		for _, r := range adapter.CatalogRequests() {
			addresses = append(addresses, r.URL)
		}
		for _, address := range addresses {
			if own, err := url.Parse(address); err == nil && own.Hostname() == u.Hostname() {
				return venue, true
			}
		}
	}
	return "", false
}
