package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"tickproc/feeds"
	"tickproc/feeds/venues"
	"tickproc/tick"
)

// read takes every record in order of receive time.
func (r *replay) read(ctx context.Context) error {
	var readers []*feeds.CaptureReader
	for _, f := range r.files {
		f.reader.ReadAhead()
		readers = append(readers, f.reader)
	}
	merge := feeds.MergeCaptures(readers)
	for n := 0; ; n++ {
		record, i, err := merge.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%w: %s: %w", ErrInput, r.files[i].path, err)
		case n%1024 == 0:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r.progress()
			// Else the shards would have nothing to do until a ring is full.
			r.out.Flush()
		}
		if r.options.Speed > 0 {
			if err := r.pace(ctx, record.RecvNanos); err != nil {
				return err
			}
		}
		r.now, r.ordinal = record.RecvNanos, record.Ordinal
		if err := r.record(r.files[i], record); err != nil {
			return err
		}
	}
}

func (r *replay) progress() {
	if r.options.Progress == nil || r.bytes == 0 {
		return
	}
	var read uint64
	for _, f := range r.files {
		read += f.counted.read.Load()
	}
	r.options.Progress(float64(read) / float64(r.bytes))
}

// pace waits until it is the record's turn.
func (r *replay) pace(ctx context.Context, recv int64) error {
	if r.firstRecv == 0 {
		r.firstRecv, r.started = recv, time.Now()
	}
	wait := time.Until(r.started.Add(time.Duration(float64(recv-r.firstRecv) / r.options.Speed)))
	if wait <= 0 {
		return nil
	}
	r.out.Flush()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// record takes one line of a capture. Only what cannot be used at all is an
// error; a bad frame is counted.
func (r *replay) record(f *replayFile, record *feeds.Record) error {
	l := f.line
	f.records++
	if l.venue == nil {
		name, ok := "", false
		if record.Tag == feeds.TagOpen || record.Tag == feeds.TagREST {
			name, ok = venues.OfURL(string(record.URL))
		}
		switch {
		case ok:
			if err := r.setVenue(f, name); err != nil {
				return err
			}
		case record.Tag == feeds.TagREST || record.Tag == feeds.TagRESTStatus || record.Tag == feeds.TagBackfill:
			return nil // an answer from ahead of the first connection
		default:
			return fmt.Errorf("%w: %s: cannot tell its venue%s: say --venue with one of %s",
				ErrInput, f.path, urlHint(record.URL), strings.Join(Venues(), ", "))
		}
	}
	switch record.Tag {
	case feeds.TagText, feeds.TagBinary:
		r.frames++
		units, notice, err := l.decoder.Decode(r.units[:0], record.Payload, r.stamp(l))
		r.units = units
		r.fault(f, err)
		r.answered(l, notice)
		r.seen(l, units)
		if len(units) > 0 {
			l.dataAt = r.now
		}
		r.out.Write(units)
	case feeds.TagREST:
		if r.catalog(f, string(record.URL), record.Payload) {
			return nil
		}
		units, err := l.venue.adapter.DecodeREST(r.units[:0], string(record.URL), record.Payload, l.table, r.stamp(l), 0)
		r.units = units
		r.fault(f, err)
		r.out.Write(units)
	case feeds.TagBackfill:
		r.backfilled(f, l, record.Payload)
	case feeds.TagOpen:
		clear(l.asked)
		l.dataAt = r.now
		l.decoder = l.venue.adapter.NewDecoder(nil, l.table) // it may count the frames of its socket
		streams, _ := l.venue.adapter.Streams(string(record.URL), nil)
		r.raise(l, r.ask(l, streams))
	case feeds.TagSent:
		streams, request := l.venue.adapter.Streams("", record.Payload)
		streams = r.ask(l, streams)
		switch {
		case len(streams) == 0:
		case l.ours && request >= 0:
			l.asked[request] = streams // up when the venue says so, or delivers
		default:
			r.raise(l, streams)
		}
	case feeds.TagClose:
		reason, heard := closed(string(record.Payload))
		r.out.Write(l.lower(r.units[:0], reason, r.stamp(l), heard))
	}
	return nil
}

// backfilled takes the recorded end of a backfill: nobody asks in a replay.
func (r *replay) backfilled(f *replayFile, l *replayLine, text []byte) {
	symbol, end, ok := feeds.ParseBackfillEnd(text)
	in := l.venue.instruments[symbol]
	if !ok || in == nil {
		r.fault(f, fmt.Errorf("%w: the end of a backfill: %.80q", feeds.ErrMalformed, text))
		return
	}
	var p [1]tick.Unit
	*p[0].BackfillEnd() = end
	*p[0].Header() = r.stamp(l).Header(tick.KindBackfillEnd, in.ID, 0)
	r.out.Write(p[:])
}

func urlHint(recorded []byte) string {
	if len(recorded) == 0 {
		return ""
	}
	address, _, _ := bytes.Cut(recorded, []byte("?")) // stream lists are long
	return fmt.Sprintf(" from %q", address)
}

func (r *replay) fault(f *replayFile, err error) {
	if err == nil {
		return
	}
	r.errors++
	if r.firstError == nil {
		r.firstError = err
		r.options.Logger.Warn("frame not decoded; further ones are counted", "file", f.path, "frame", r.ordinal, "error", err)
	}
}

// catalog takes a recorded answer to a catalog request.
func (r *replay) catalog(f *replayFile, recorded string, body []byte) bool {
	u, err := url.Parse(recorded)
	if err != nil {
		return false
	}
	for _, request := range f.line.venue.adapter.CatalogRequests() {
		own, err := url.Parse(request.URL)
		if err != nil || !strings.HasSuffix(u.Path, own.Path) {
			continue
		}
		definitions, err := f.line.venue.adapter.ParseCatalog(body)
		r.fault(f, err)
		for _, in := range definitions {
			f.line.venue.catalog[in.Symbol] = in
		}
		return true
	}
	return false
}

// introduce returns the instrument of a symbol, which is made known to its
// shard, with the channels that are new.
func (r *replay) introduce(l *replayLine, symbol string, channels tick.Channels) *tick.Instrument {
	in := l.venue.instruments[symbol]
	if in == nil {
		definition, ok := l.venue.catalog[symbol]
		if !ok {
			definition = l.venue.adapter.Instrument(symbol)
		}
		in = &definition
		in.ID = uint32(r.instruments)
		r.instruments++
		l.venue.instruments[symbol] = in
		r.routes.Set(in.ID, shardOf(in.Underlying, len(r.drivers)))
	}
	if in.Channels.Has(channels) {
		return in
	}
	in.Channels |= channels
	p, err := tick.AppendCatalog(nil, r.stamp(l).Header(tick.KindCatalog, in.ID, 0), *in)
	if err != nil {
		panic("BUG: " + err.Error()) // a venue's symbols fit the record
	}
	r.out.Write(p)
	return in
}

// ask introduces the instruments of streams that were asked for.
func (r *replay) ask(l *replayLine, streams []feeds.Stream) []feeds.Stream {
	channels := map[string]tick.Channels{}
	for _, s := range streams {
		channels[s.Symbol] |= s.Channel
	}
	for _, s := range streams {
		r.introduce(l, s.Symbol, channels[s.Symbol])
		l.venue.told = true
	}
	return streams
}

// answered says what a venue answered to a request.
func (r *replay) answered(l *replayLine, n feeds.Notice) {
	streams := l.asked[n.Request]
	if n.Channel != 0 {
		streams = r.one(l, n)
	}
	switch n.Kind {
	case feeds.NoticeAck:
		r.raise(l, streams)
	case feeds.NoticeGap:
		r.out.Write(l.gap(nil, r.stamp(l), l.dataAt))
	case feeds.NoticeRefused:
		for _, s := range streams {
			in := l.venue.instruments[s.Symbol]
			delete(l.up, upStream{in.ID, s.Channel})
			r.out.Write(tick.AppendEvent(nil, r.stamp(l).Header(tick.KindDown, in.ID, 0), s.Channel, tick.ReasonRefused))
		}
	}
}

// one returns the stream that an answer about a single one is about.
func (r *replay) one(l *replayLine, n feeds.Notice) []feeds.Stream {
	for _, in := range l.venue.instruments {
		if in.ID == n.Instrument {
			return []feeds.Stream{{Symbol: in.Symbol, Channel: n.Channel}}
		}
	}
	return nil
}

// raise says that streams deliver from here on.
func (r *replay) raise(l *replayLine, streams []feeds.Stream) {
	for _, s := range streams {
		in := l.venue.instruments[s.Symbol]
		if l.up[upStream{in.ID, s.Channel}] {
			continue
		}
		l.up[upStream{in.ID, s.Channel}] = true
		r.out.Write(tick.AppendEvent(nil, r.stamp(l).Header(tick.KindUp, in.ID, 0), s.Channel, tick.ReasonNone))
	}
}

// seen raises streams that deliver without, or before, the venue's word.
func (r *replay) seen(l *replayLine, packets []tick.Unit) {
	for ; len(packets) > 0; packets = packets[tick.PacketUnits(&packets[0]):] {
		h := packets[0].Header()
		channel := h.Kind.Channel()
		if channel == 0 || h.Kind == tick.KindSnapshot && !l.inBand {
			continue
		}
		if !l.up[upStream{h.Instrument, channel}] {
			l.up[upStream{h.Instrument, channel}] = true
			r.out.Write(tick.AppendEvent(nil, r.stamp(l).Header(tick.KindUp, h.Instrument, 0), channel, tick.ReasonNone))
		}
	}
}

// streams returns those of a line that are up, in order.
func (l *replayLine) streams() []upStream {
	return slices.SortedFunc(maps.Keys(l.up), func(a, b upStream) int {
		return cmp.Or(cmp.Compare(a.instrument, b.instrument), cmp.Compare(a.channel, b.channel))
	})
}

// gap appends the gaps of all streams of a line that are up: frames of its
// socket are missing.
func (l *replayLine) gap(dst []tick.Unit, at feeds.Stamp, heard int64) []tick.Unit {
	for _, s := range l.streams() {
		dst = tick.AppendEvent(dst, at.Header(tick.KindGap, s.instrument, 0), s.channel, tick.ReasonSequence)
		dst[len(dst)-1].Event().HeardNanos = heard
	}
	return dst
}

// lower appends the ends of all streams of a line that are up.
func (l *replayLine) lower(dst []tick.Unit, reason tick.Reason, at feeds.Stamp, heard int64) []tick.Unit {
	for _, s := range l.streams() {
		dst = tick.AppendEvent(dst, at.Header(tick.KindDown, s.instrument, 0), s.channel, reason)
		dst[len(dst)-1].Event().HeardNanos = heard
	}
	clear(l.up)
	return dst
}

// closed reads the reason that a recorder wrote, and until when the socket was
// heard, 0 where that is not told.
func closed(text string) (reason tick.Reason, heard int64) {
	name, at, _ := strings.Cut(text, " ")
	heard, _ = strconv.ParseInt(at, 10, 64)
	heard = max(heard, 0)
	for _, r := range []tick.Reason{tick.ReasonStopped, tick.ReasonReconnect, tick.ReasonSilence, tick.ReasonRefused} {
		if name == r.String() {
			return r, heard
		}
	}
	return tick.ReasonDisconnect, heard
}
