package tick

// Class is what latencies are told apart by.
type Class uint8

// The classes. Other is what derivatives and definitions bring.
const (
	ClassTrades Class = iota
	ClassQuotes
	ClassDepth
	ClassOther
	ClassCount = iota
	// ClassNone is of packets that no venue sent.
	ClassNone Class = 255
)

func (c Class) String() string { return [...]string{"trades", "quotes", "depth", "other"}[c] }

var classes = func() (of [256]Class) {
	for k := range of {
		of[k] = ClassNone
	}
	for k := KindTrade; k < kindPacketEnd; k++ {
		switch k.Channel() {
		case ChannelTrades:
			of[k] = ClassTrades
		case ChannelQuotes:
			of[k] = ClassQuotes
		case ChannelDepth:
			of[k] = ClassDepth
		case ChannelFunding, ChannelOpenInterest, ChannelLiquidations:
			of[k] = ClassOther
		}
	}
	of[KindStatus] = ClassOther
	return of
}()

// Class returns the kind's.
//
// hot: per packet, 0 allocs.
func (k Kind) Class() Class { return classes[k] }
