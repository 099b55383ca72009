package bench

import (
	"fmt"
	"path/filepath"

	"tickproc/feeds/venues"
	"tickproc/tick"
)

// The venues of which there are recordings; the paths are measured on them.
const spot, usdm, coinm = "binance-spot", "binance-usdm", "binance-coinm"

var recordedVenues = []string{spot, usdm, coinm}

// recordings are by the folder's own names.
var recordings = []struct{ venue, file string }{
	{spot, "binance-spot-btcusdt-20240808.gz"},
	{usdm, "binance-usdm-btcusdt-20240808.gz"},
	{coinm, "binance-coinm-btcusd_perp-20240808.gz"},
}

// sessionFrames is the length of a generated session.
const sessionFrames = 40_000

// sessionLines are whole sessions from memory, with everything on; recorded ones
// where there is a folder of them.
func sessionLines(data string) (all []Measurement) {
	add := func(name, what string, open func(r *Run) (*Session, error)) {
		all = append(all, Measurement{Name: name, What: what, Unit: "frame", Aim: atMost(500), Run: func(r *Run, s *Sample) error {
			session, err := open(r)
			if err != nil {
				return err
			}
			return wholeSession(r, s, session)
		}})
	}
	const what = "session in memory → books, bars, log; processor time of all threads, a frame"
	for _, venue := range recordedVenues {
		add("session/"+venue, "generated "+what, func(r *Run) (*Session, error) {
			return r.Generated(Recipe{Venue: venue, Frames: sessionFrames, Symbols: 1})
		})
	}
	if data == "" {
		return all
	}
	for _, recorded := range recordings {
		add("session/recorded/"+recorded.venue, "recorded "+what, func(r *Run) (*Session, error) {
			return r.Recorded(filepath.Join(data, "captures", recorded.file), recorded.venue)
		})
	}
	return all
}

// Recorded returns a recorded session, read when it is first asked for.
func (r *Run) Recorded(path, venue string) (*Session, error) {
	if s := r.recorded[path]; s != nil {
		return s, nil
	}
	adapter, _ := venues.New(venue)
	s, err := ReadSession(path, adapter)
	if err != nil {
		return nil, fmt.Errorf("%w: --data must name a folder with captures/%s", err, filepath.Base(path))
	}
	r.recorded[path] = s
	return s, nil
}

// wholeSession goes round a session; a sample is the processor time of a lap.
// Frames reach the driver as many at a time as one read of a busy socket brings.
func wholeSession(r *Run, s *Sample, session *Session) (err error) {
	x, opening := newLaps(session)
	service, err := newService(opening)
	if err != nil {
		return err
	}
	defer func() {
		if ended := service.end(); err == nil {
			err = ended
		}
	}()
	lap := func() {
		for i := range x.records {
			if packets := x.next(); len(packets) > 0 {
				send(service.input, packets)
				service.now = packets[0].Header().ReceiveNanos
			}
			if i%publishEvery == publishEvery-1 {
				service.input.Publish()
				service.apply()
				service.carry()
			}
		}
		service.input.Publish()
		service.apply()
		service.carry()
	}
	lap()
	lap()
	s.Batch = session.Frames
	allocated, laps := mallocs(), 0
	r.until(r.Time, func() {
		from := cpuTime()
		lap()
		s.Add(int64(cpuTime()-from), session.Frames)
		laps++
	})
	s.mallocs += mallocs() - allocated
	s.ops += uint64(laps * session.Frames)
	s.Frames = fmt.Sprintf("%d frames, mean %d bytes", session.Frames, session.Bytes/int64(session.Frames))
	return stands(service.driver.Shard, tick.ChannelTrades|tick.ChannelDepth)
}
