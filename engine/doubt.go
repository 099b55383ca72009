package engine

import (
	"time"

	"tickproc/tick"
)

// doubtSpan is how long a fetched book waits for the stream to join it: a venue
// may answer from a cache, and what changed before we subscribed never comes as
// a delta. Moving books are joined within the stream's interval, up to 500 ms;
// one that stands still is believed after this.
const doubtSpan = int64(time.Second)

// doubt begins it, if the snapshot just taken made the book valid all alone.
func (in *instrument) doubt() {
	if in.sync.IsValid() && !in.sync.Joined() && !in.sample.announced && in.doubtUntil == never {
		in.doubtUntil = in.shard.now + doubtSpan
	}
}

// believed reports whether the book may be shown as the venue's.
func (in *instrument) believed() bool {
	if !in.sync.IsValid() || in.sync.Joined() {
		in.doubtUntil = never
	}
	return in.sync.IsValid() && in.doubtUntil == never
}

// endDoubt: no delta came.
func (in *instrument) endDoubt() {
	in.doubtUntil = never
	switch {
	case in.quote.aheadSince != 0:
		in.doubtUntil = in.quote.staleAt() // the market moves and the stream does not, so far
	case in.sync.LastID() < in.deltaID:
		in.deltaID = 0 // once: a venue may have begun its ids anew
		in.sync.Invalidate(tick.ReasonSequence)
	case in.def.Sync.QuoteIDs && in.sync.Quotes.NewestID() > in.sync.LastID():
		in.sync.Invalidate(tick.ReasonSequence) // older than what the venue had said before
	}
	in.announceBook()
}
