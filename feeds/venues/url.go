package venues

import (
	"net/url"
	"strings"
	"sync"

	"tickproc/feeds"
)

// OfURL finds the venue that a recorded connection or request was made to. By
// its host, and where venues share one, by the path and the query: the one
// with the most in common with an address of the venue. It is false where no
// venue has the host, or two are equally likely.
func OfURL(recorded string) (string, bool) {
	u, err := url.Parse(recorded)
	if err != nil {
		return "", false
	}
	best, bestScore, alone := "", likeness{}, false
	for _, v := range addresses() {
		for _, own := range v.urls {
			if !strings.EqualFold(own.Hostname(), u.Hostname()) {
				continue
			}
			switch score := likenessOf(own, u); {
			case best == "" || bestScore.less(score):
				best, bestScore, alone = v.venue, score, true
			case score == bestScore && v.venue != best:
				alone = false
			}
		}
	}
	return best, alone
}

// likeness of two addresses of one host.
type likeness struct{ path, query int } // leading elements, and parameters, that are equal

func (l likeness) less(other likeness) bool {
	return l.path < other.path || l.path == other.path && l.query < other.query
}

func likenessOf(own, u *url.URL) (l likeness) {
	a, b := elements(own.Path), elements(u.Path)
	for l.path < min(len(a), len(b)) && a[l.path] == b[l.path] {
		l.path++
	}
	theirs := u.Query()
	for key, values := range own.Query() {
		if theirs.Get(key) == values[0] {
			l.query++
		}
	}
	return l
}

func elements(path string) []string { return strings.Split(strings.Trim(path, "/"), "/") }

// venueAddresses are the addresses that an adapter speaks to.
type venueAddresses struct {
	venue string
	urls  []*url.URL
}

var addresses = sync.OnceValue(func() (all []venueAddresses) {
	for _, venue := range Names() {
		adapter, _ := New(venue)
		v := venueAddresses{venue: venue}
		add := func(address string) {
			if u, err := url.Parse(address); err == nil {
				v.urls = append(v.urls, u)
			}
		}
		in := adapter.Instrument("X")
		for _, c := range adapter.Plan([]feeds.Subscription{{Instrument: &in, Channels: adapter.Channels()}}) {
			add(c.URL)
		}
		requests := append(adapter.CatalogRequests(), adapter.VolumeRequests()...)
		if r, ok := adapter.SnapshotRequest(&in); ok {
			requests = append(requests, r)
		}
		for _, p := range adapter.Polls(&in) {
			requests = append(requests, p.Request)
		}
		for _, r := range requests {
			add(r.URL)
		}
		all = append(all, v)
	}
	return all
})
