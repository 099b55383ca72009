package engine

import (
	"unsafe"

	"tickproc/tick"
)

// Image is the newest standing of one instrument for people and metrics. It
// is conflated: readers see the latest, not every, image.
type Image struct {
	Instrument              uint32
	Valid                   bool
	ChecksumAbsent          bool // the venue's rule has one, and the venue gives none
	ChecksumConstant        bool // it stands still while the book moves, and is not believed
	Reason                  tick.Reason
	PriceDigits, SizeDigits uint8
	ReceiveNanos            int64 // logical now
	OffsetNanos             int64 // the venue's clock minus ours
	LastID                  uint64
	Bid, Ask                tick.Level
	BidLevels, AskLevels    uint32
	// LastTs is the event time of the last good message of each channel.
	LastTs                                     [tick.ChannelCount]int64
	Depth, Quotes, Trades                      uint64
	LateTrades, DuplicateTrades, Gaps, Resyncs uint64
	TopAgrees, TopDiffers, TimesOutside        uint64
	Checksums                                  uint64 // of the venue's, that agreed with the book's
}

// ImageUnits is the size of an image on a broadcast ring.
const ImageUnits = (int(unsafe.Sizeof(Image{})) + tick.UnitSize - 1) / tick.UnitSize

// ImageOf views the image in a broadcast message.
func ImageOf(message []tick.Unit) *Image { return (*Image)(unsafe.Pointer(&message[0])) }

// takeImages calls publish with the image of every instrument that changed
// since the last call.
func (s *Shard) takeImages(scratch []tick.Unit, publish func([]tick.Unit)) {
	for _, in := range s.dirty {
		in.dirty = false
		in.image(ImageOf(scratch))
		publish(scratch)
	}
	s.dirty = s.dirty[:0]
}

// standing says whether the book is shown as the venue's, and why not.
func (in *instrument) standing() (valid bool, reason tick.Reason) {
	_, reason = in.sync.State()
	if in.sync.IsValid() && !in.sample.announced {
		reason = in.channels[tick.ChannelDepth.Index()].gap.reason // doubted still
	}
	return in.sample.announced, reason
}

func (in *instrument) image(x *Image) {
	b := &in.sync.Book
	valid, reason := in.standing()
	*x = Image{Instrument: in.def.ID, Valid: valid, Reason: reason, PriceDigits: in.priceDigits, SizeDigits: in.sizeDigits,
		ReceiveNanos: in.shard.now, OffsetNanos: in.offset.nanos(), LastID: in.sync.LastID(),
		Bid: b.Bids.Best(), Ask: b.Asks.Best(), BidLevels: uint32(b.Bids.Len()), AskLevels: uint32(b.Asks.Len()),
		Depth: in.sync.Counts.Applied, Quotes: in.counts.Quotes, Trades: in.counts.Trades,
		LateTrades: in.counts.LateTrades, DuplicateTrades: in.counts.DuplicateTrades, Gaps: in.counts.Gaps, Resyncs: in.counts.Resyncs,
		TopAgrees: in.sync.Quotes.Agreed, TopDiffers: in.sync.Quotes.Differed, TimesOutside: in.counts.TimesOutside,
		Checksums: in.sync.Counts.Checksums}
	x.ChecksumAbsent, x.ChecksumConstant = in.sync.ChecksumAbsent(), in.sync.ChecksumConstant()
	for i := range in.channels {
		x.LastTs[i] = in.channels[i].lastTs
	}
}
