package bench

import (
	"fmt"

	"tickproc/feeds"
	"tickproc/tick"
)

// Frames are those of one kind, to be gone round: so many that neither caches
// nor branches can learn one of them.
type Frames struct {
	Session *Session
	Records []Record
	Levels  int // of all of them
	Bytes   int // likewise
}

// sizes of sessions: frames of trades and quotes are of 200 bytes, those of
// depth of 400 to 2,000.
const (
	smallFrames = 16_384
	depthFrames = 4_096
)

// Frames returns the frames of a venue's channel, of one instrument.
func (r *Run) Frames(venue string, channel tick.Channels) (*Frames, error) {
	frames, kind := smallFrames, tick.KindTrade
	switch channel {
	case tick.ChannelQuotes:
		kind = tick.KindQuote
	case tick.ChannelDepth:
		frames, kind = depthFrames, tick.KindDepth
	}
	s, err := r.Generated(Recipe{Venue: venue, Channels: channel, Frames: frames, Symbols: 1})
	if err != nil {
		return nil, err
	}
	f := &Frames{Session: s}
	l := s.settled()
	for i := range s.Records {
		p := l.Decode(&s.Records[i])
		if s.Records[i].URL != "" || len(p) == 0 || p[0].KindOf() != kind {
			continue
		}
		f.Records = append(f.Records, s.Records[i])
		f.Bytes += len(s.Records[i].Payload)
		for ; kind == tick.KindDepth && len(p) > 0; p = p[tick.PacketUnits(&p[0]):] {
			f.Levels += int(p[0].Depth().LevelCount)
		}
	}
	if len(f.Records) < frames/2 {
		return nil, fmt.Errorf("BUG: only %d of %d frames of %s are %v", len(f.Records), frames, venue, channel)
	}
	return f, nil
}

// String is the statistics of the frames.
func (f *Frames) String() string {
	text := fmt.Sprintf("%d frames, mean %d bytes", len(f.Records), f.Bytes/len(f.Records))
	if f.Levels > 0 {
		text += fmt.Sprintf(", %.1f levels", float64(f.Levels)/float64(len(f.Records)))
	}
	return text
}

// decoded are the packets of frames, one slice a frame.
func (f *Frames) decoded() (all [][]tick.Unit) {
	l := f.Session.settled()
	for i := range f.Records {
		all = append(all, append([]tick.Unit(nil), l.Decode(&f.Records[i])...))
	}
	return all
}

// subscriptions of a generated session.
func (f *Frames) subscriptions() []feeds.Subscription { return f.Session.subscriptions }
