package tick

// kindNames are those of packets, in the order of their numbers.
var kindNames = [kindPacketEnd]string{"invalid", "trade", "trade_correction", "quote", "depth", "snapshot", "mark", "open_interest",
	"liquidation", "l3_add", "l3_modify", "l3_cancel", "l3_execute", "status", "catalog", "rescale", "up", "down", "gap", "clock_step",
	"tick", "barrier", "config"}

// String is the name of a packet's kind; rows have none.
func (k Kind) String() string {
	if k < kindPacketEnd {
		return kindNames[k]
	}
	return "unknown"
}

// KindOfName returns the packet kind of that name, KindInvalid if there is none.
func KindOfName(name string) Kind {
	for k, n := range kindNames {
		if n == name {
			return Kind(k)
		}
	}
	return KindInvalid
}

// KindNames are the names of all packet kinds.
func KindNames() []string { return kindNames[KindInvalid+1:] }
