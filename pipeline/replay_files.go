package pipeline

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"tickproc/feeds"
	"tickproc/internal/stat"
	"tickproc/tick"
)

// replayFile is one capture.
type replayFile struct {
	reader  *feeds.CaptureReader
	path    string
	counted *countingFile
	line    *replayLine
	records uint64
}

// replayLine is what one connection after the other on a line has come to.
// Files of which one continues the other share it.
type replayLine struct {
	number  uint16
	venue   *venueTable // nil until it is known
	decoder feeds.Decoder
	table   *feeds.Table
	// ours: our recorder wrote it, so that answers to what was sent are in it,
	// numbered as we number.
	ours  bool
	asked map[int][]feeds.Stream // by request of the connection
	// inBand: snapshots come on the stream, as proof of it.
	inBand bool
	up     map[upStream]bool
	dataAt int64 // when market data last came, or the socket was opened
}

type upStream struct {
	instrument uint32
	channel    tick.Channels
}

// venueTable is what all files of one venue share: a symbol is one instrument.
type venueTable struct {
	adapter     feeds.Adapter
	catalog     map[string]tick.Instrument // from a recorded catalog
	instruments map[string]*tick.Instrument
	told        bool // some connection's subscriptions are recorded
}

// countingFile counts what was read, for progress, on whatever goroutine.
type countingFile struct {
	*os.File
	read stat.Counter
}

func (f *countingFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.read.Add(uint64(n))
	return n, err
}

func (r *replay) open() error {
	byPath := map[string]*replayFile{}
	for _, path := range r.options.Files {
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInput, err)
		}
		if info, err := f.Stat(); err == nil {
			r.bytes += info.Size()
		}
		file := &replayFile{path: path, counted: &countingFile{File: f}}
		r.files = append(r.files, file)
		if file.reader, err = feeds.NewCaptureReader(file.counted); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrInput, path, err)
		}
		byPath[filepath.Clean(path)] = file
	}
	for _, f := range r.files {
		if err := r.assign(f, byPath); err != nil {
			return err
		}
	}
	return nil
}

// assign gives a file its line: that of the file where its socket was opened,
// as far as that is among the given.
func (r *replay) assign(f *replayFile, byPath map[string]*replayFile) error {
	root := f
	for range r.files { // files might continue each other in a circle
		before := byPath[filepath.Join(filepath.Dir(root.path), root.reader.Continues)]
		if root.reader.Continues == "" || before == nil {
			break
		}
		root = before
	}
	if root.line == nil {
		root.line = &replayLine{number: uint16(len(r.lines)), ours: root.reader.Line != "", up: map[upStream]bool{}, asked: map[int][]feeds.Stream{}}
		r.lines = append(r.lines, root.line)
		name := r.options.Venue
		if name == "" {
			name = root.reader.Venue
		}
		if name != "" { // else its first connection tells
			if err := r.setVenue(root, name); err != nil {
				return err
			}
		}
	}
	f.line = root.line
	return nil
}

func (r *replay) close() {
	for _, f := range r.files {
		f.reader.Close() // the file may not go while it is read ahead
		f.counted.Close()
	}
}

func (r *replay) setVenue(f *replayFile, name string) error {
	v := r.tables[name]
	if v == nil {
		adapter, ok := adapterOf(name)
		if !ok {
			return fmt.Errorf("%w: %s: no adapter for venue %q; there is %s", ErrInput, f.path, name, strings.Join(Venues(), ", "))
		}
		v = &venueTable{adapter: adapter, catalog: map[string]tick.Instrument{}, instruments: map[string]*tick.Instrument{}}
		r.tables[name] = v
	}
	l := f.line
	l.venue = v
	in := v.adapter.Instrument("X")
	l.inBand = in.Sync.Snapshot != tick.SnapshotREST
	l.table = feeds.NewTable(nil)
	l.table.Discover = func(symbol string) *feeds.Entry {
		in := v.instruments[symbol]
		if l.ours && v.told {
			if in == nil {
				return nil // a damaged frame: live, nobody had subscribed it either
			}
			// Its channels are told by what was subscribed, not by an answer of REST.
			return &feeds.Entry{Symbol: in.Symbol, ID: in.ID, PriceDigits: in.PriceDigits, SizeDigits: in.SizeDigits}
		}
		in = r.introduce(l, symbol, tick.ChannelTrades|tick.ChannelQuotes|tick.ChannelDepth)
		return &feeds.Entry{Symbol: in.Symbol, ID: in.ID, PriceDigits: in.PriceDigits, SizeDigits: in.SizeDigits}
	}
	l.decoder = v.adapter.NewDecoder(nil, l.table)
	return nil
}
