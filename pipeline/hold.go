package pipeline

import "tickproc/tick"

// holdFeeds lets the feeds read no socket and ask nothing while any log cannot
// be written, and lets them go on afterwards. All of them: an instrument's shard
// is nobody's choice, and a socket carries those of many. Drainers call it when
// a state changed, and whoever begins a feed.
func (d *durable) holdFeeds() {
	// Whoever comes last must see what the one before saw, or more.
	d.holding.Lock()
	defer d.holding.Unlock()
	refused := len(d.troubles()) > 0
	for _, f := range d.system.venueFeeds() {
		if refused {
			f.feed.Hold(tick.ReasonLog)
		} else {
			f.feed.Release()
		}
	}
}
