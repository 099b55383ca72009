package sim

import "slices"

// What the tests of the exchange see beside its methods: they speak through a
// venue's dialect, which imports this package.

// FirstAnswered says whether a venue's first client was pinged and has answered.
func (e *Exchange) FirstAnswered(venue string) bool {
	v, _ := e.market(venue)
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.conns) > 0 && v.conns[0].pings > 0 && v.conns[0].pings == v.conns[0].pongs
}

// EachBook calls do with the levels a side and the middle of every book.
func (e *Exchange) EachBook(do func(venue string, in *Instrument, bids, asks int, mid int64)) {
	for _, v := range e.markets {
		for _, in := range v.instruments {
			do(v.name, in, len(in.bids.levels), len(in.asks.levels), in.mid())
		}
	}
}

// SameImages says whether two truths keep the same books.
func SameImages(a, b *Truth) bool { return slices.Equal(a.images, b.images) }

func OfMessages(k FaultKind) bool { return k.ofMessages() }
func OfClients(k FaultKind) bool {
	return k >= FaultDisconnect && k <= FaultShutdown || k == FaultQuiet || k == FaultStaleDepth
}
