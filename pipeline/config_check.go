package pipeline

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"tickproc/journal"
	"tickproc/ops"
	"tickproc/tick"
)

// Validate returns every fault of a configuration whose defaults are filled;
// nil if there is none. The faults have paths, no places.
func (c *Config) Validate(host Host) Errors {
	host.ensureDefaults()
	k := &check{host: host}
	k.tags(reflect.ValueOf(c).Elem(), "", "")
	k.names(c)
	k.questDB(&c.QuestDB)
	k.feeds(c.Feeds)
	k.bars(&c.Bars)
	k.windows(&c.Windows)
	k.cores(c)
	k.runtime(&c.Runtime)
	k.metrics(&c.Metrics)
	k.journal(&c.Journal)
	return k.faults
}

type check struct {
	host   Host
	faults Errors
}

func (k *check) fault(path, reason, remedy string) {
	k.faults = append(k.faults, Fault{Path: path, Reason: reason, Remedy: remedy})
}

// tags checks what the struct tags say: bounds and words. Tags of a list hold
// for its elements.
func (k *check) tags(v reflect.Value, path string, tag reflect.StructTag) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			k.tags(v.Field(i), join(path, f.Tag.Get("yaml")), f.Tag)
		}
	case reflect.Slice:
		for i := range v.Len() {
			k.tags(v.Index(i), fmt.Sprintf("%s[%d]", path, i), tag)
		}
	case reflect.String:
		k.text(v, path, tag)
	case reflect.Int, reflect.Int64:
		k.bounds(v, path, tag)
	}
}

func (k *check) text(v reflect.Value, path string, tag reflect.StructTag) {
	if !isText(v.String()) {
		k.fault(path, "holds a line break or another control character", "remove it")
		return
	}
	if words := strings.Fields(tag.Get("oneof")); len(words) > 0 {
		k.word(path, "", v.String(), words)
	}
}

// word checks that a value is one of the known ones; what names its kind.
func (k *check) word(path, what, value string, known []string) bool {
	if slices.Contains(known, value) {
		return true
	}
	if what == "" {
		k.fault(path, quote(value)+" is not known here", didYouMean(value, known))
	} else {
		k.fault(path, "unknown "+what+" "+quote(value), didYouMean(value, known))
	}
	return false
}

func (k *check) bounds(v reflect.Value, path string, tag reflect.StructTag) {
	if v.IsZero() && tag.Get("default") == "" {
		return // not given; where it must be, its section says so
	}
	bound := func(name string) (reflect.Value, bool) {
		text := tag.Get(name)
		if text == "" {
			return reflect.Value{}, false
		}
		b := reflect.New(v.Type()).Elem()
		decodeTag(text, b)
		return b, true
	}
	if low, ok := bound("min"); ok && v.Int() < low.Int() {
		k.fault(path, fmt.Sprintf("%v is less than %v", v, low), fmt.Sprintf("write %v or more", low))
	}
	if high, ok := bound("max"); ok && v.Int() > high.Int() {
		k.fault(path, fmt.Sprintf("%v is more than %v", v, high), fmt.Sprintf("write %v or less", high))
	}
}

func (k *check) names(c *Config) {
	// The instance stands in file names and table rows.
	const nameLengthMax = 32
	plain := !strings.ContainsFunc(c.Instance, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	})
	if !plain || len(c.Instance) > nameLengthMax {
		k.fault("instance", quote(c.Instance)+" is no name", fmt.Sprintf("use up to %d letters, digits, - and _", nameLengthMax))
	}
}

func (k *check) questDB(q *QuestDB) {
	k.address("questdb.url", q.URL, "http", "https")
	if u, err := url.Parse(q.URL); err == nil && u.Path != "" && u.Path != "/" {
		k.fault("questdb.url", quote(q.URL)+" has a path", "end the address after the port")
	}
	switch {
	case q.Token != "" && (q.Username != "" || q.Password != ""):
		k.fault("questdb.token", "there are a token and a username or password", "keep the token, or the other two")
	case q.Username != "" && q.Password == "":
		k.fault("questdb.username", "there is no password for the username", "add questdb.password")
	case q.Username == "" && q.Password != "":
		k.fault("questdb.password", "there is no username for the password", "add questdb.username")
	}
}

// address checks that a URL says scheme, host and, if it likes, port and path.
func (k *check) address(path, address string, schemes ...string) {
	fault := func(reason, remedy string) { k.fault(path, strconv.Quote(maskURL(address))+reason, remedy) }
	example := fmt.Sprintf("write it as %s://host:port", schemes[0])
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Opaque != "" || u.Scheme == "":
		fault(" is not an address", example)
	case !slices.Contains(schemes, u.Scheme):
		fault(fmt.Sprintf(" has the scheme %s", u.Scheme), "use "+strings.Join(schemes, " or "))
	case u.Hostname() == "":
		fault(" names no host", example)
	case u.Port() != "" && !isPort(u.Port()), strings.HasSuffix(u.Host, ":"):
		fault(" has no usable port", "use a port from 1 to 65535")
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		fault(" has a query or fragment", "end the address after host, port and path")
	case u.User != nil && path == "questdb.url":
		fault(" holds a user", "use questdb.username and questdb.password")
	case u.User != nil && schemes[0] == "ws":
		fault(" holds a user, which websockets do not take", "remove it")
	}
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// symbolsMax bounds the symbols and patterns of a feed, and what they match.
const symbolsMax = 20_000

func (k *check) feeds(feeds []Feed) {
	if len(feeds) == 0 {
		k.fault("feeds", "there is no feed", "add one, with venue and symbols")
	}
	first := map[symbolOf]string{}
	for i := range feeds {
		f, path := &feeds[i], fmt.Sprintf("feeds[%d]", i)
		if f.Venue == "" {
			k.fault(path+".venue", "a feed needs a venue", "known: "+strings.Join(k.host.Venues, ", "))
		} else {
			k.word(path+".venue", "venue", f.Venue, k.host.Venues)
		}
		k.symbols(path, f, first)
		k.narrowing(path, f)
		k.channels(path+".channels", f)
		k.addresses(path, f)
	}
}

// symbolOf is a symbol or pattern in upper case: catalogs are searched without
// regard to case.
type symbolOf struct{ venue, symbol string }

// symbols checks what a feed lists; first remembers where each was.
func (k *check) symbols(path string, f *Feed, first map[symbolOf]string) {
	switch n := len(f.Symbols); {
	case n == 0:
		k.fault(path+".symbols", "a feed needs symbols", "list them in the venue's spelling, or a pattern such as '*USDT'")
	case n > symbolsMax:
		k.fault(path+".symbols", fmt.Sprintf("there are %d, more than %d", n, symbolsMax), "use several feeds, or patterns")
	}
	for j, symbol := range f.Symbols {
		symbolPath := fmt.Sprintf("%s.symbols[%d]", path, j)
		if !k.symbol(symbolPath, symbol) {
			continue
		}
		key := symbolOf{f.Venue, strings.ToUpper(symbol)}
		if at, twice := first[key]; twice {
			k.fault(symbolPath, fmt.Sprintf("%s of %s is listed already, as %s", quote(symbol), f.Venue, at), "remove one")
			continue
		}
		first[key] = symbolPath
	}
}

func (k *check) symbol(path, symbol string) bool {
	const symbolLengthMax = 64
	switch {
	case symbol == "":
		k.fault(path, "is empty", "write the venue's spelling of a symbol")
	case len(symbol) > symbolLengthMax || strings.ContainsAny(symbol, " \t,"):
		k.fault(path, quote(symbol)+" is no symbol", "write each symbol as an element of its own")
	default:
		return true
	}
	return false
}

// narrowing checks what chooses among the instruments that patterns match.
func (k *check) narrowing(path string, f *Feed) {
	const needsPattern = "add a pattern to symbols, such as '*', or remove it"
	patterns := slices.ContainsFunc(f.Symbols, isPattern)
	for _, key := range []struct {
		name  string
		given bool
	}{{"exclude", len(f.Exclude) > 0}, {"type", len(f.Type) > 0}, {"top_by_volume", f.TopByVolume != 0}} {
		if key.given && !patterns && len(f.Symbols) > 0 {
			k.fault(path+"."+key.name, "narrows what patterns match, and symbols holds none", needsPattern)
		}
	}
	if !patterns {
		return
	}
	if n := len(f.Exclude); n > symbolsMax {
		k.fault(path+".exclude", fmt.Sprintf("there are %d, more than %d", n, symbolsMax), "use patterns")
		return
	}
	for j, exclude := range f.Exclude {
		p := fmt.Sprintf("%s.exclude[%d]", path, j)
		if !k.symbol(p, exclude) {
			continue
		}
		for _, symbol := range f.Symbols {
			if !isPattern(symbol) && matches(exclude, symbol) {
				k.fault(p, fmt.Sprintf("%s leaves out %s, which symbols lists by name", quote(exclude), symbol), "remove one of them")
				break
			}
		}
	}
	for j, word := range f.Type {
		if slices.Contains(f.Type[:j], word) {
			k.fault(fmt.Sprintf("%s.type[%d]", path, j), quote(word)+" is listed twice", "remove one")
		}
	}
}

func (k *check) channels(path string, f *Feed) {
	names, owner := tick.ChannelNames(), "a venue"
	if adapter, ok := adapterOf(f.Venue); ok {
		names, owner = strings.Split(adapter.Channels().String(), "+"), f.Venue
	}
	if len(f.Channels) == 0 {
		k.fault(path, "a feed needs channels", "known: "+strings.Join(names, ", ")+", "+AllChannels)
	}
	for i, channel := range f.Channels {
		p := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case slices.Contains(f.Channels[:i], channel):
			k.fault(p, quote(channel)+" is listed twice", "remove one")
		case channel == AllChannels && len(f.Channels) > 1:
			k.fault(p, quote(AllChannels)+" is everything already", "remove the others, or "+AllChannels)
		case channel == AllChannels:
		case tick.ChannelOf(channel) != 0 && !slices.Contains(names, channel):
			k.fault(p, fmt.Sprintf("%s has no channel %s", owner, quote(channel)), "it has "+strings.Join(names, ", "))
		default:
			k.word(p, "channel", channel, append(slices.Clip(names), AllChannels))
		}
	}
}

// addresses checks where a feed connects to.
func (k *check) addresses(path string, f *Feed) {
	if f.WSURL != "" {
		k.address(path+".ws_url", f.WSURL, "ws", "wss")
	}
	if f.RESTURL != "" {
		k.address(path+".rest_url", f.RESTURL, "http", "https")
	}
	for i, address := range f.WSURLs {
		k.address(fmt.Sprintf("%s.ws_urls[%d]", path, i), address, "ws", "wss")
	}
	const linesMax = 2
	switch n := len(f.WSURLs); {
	case n > 0 && f.WSURL != "":
		k.fault(path+".ws_urls", "there are ws_url and ws_urls", "keep one: ws_urls has an address for each line")
	case n > linesMax:
		k.fault(path+".ws_urls", fmt.Sprintf("there are %d addresses, and a feed has at most %d lines", n, linesMax), "remove some")
	case n > 0 && f.Lines != 0 && f.Lines != n:
		k.fault(path+".ws_urls", fmt.Sprintf("there is an address for %d of %s", n, plural(f.Lines, "line")), "give an address for each line, or leave lines out")
	}
}

func (k *check) bars(b *Bars) {
	for i, interval := range b.Intervals {
		if slices.Contains(b.Intervals[:i], interval) {
			k.fault(fmt.Sprintf("bars.intervals[%d]", i), interval.String()+" is listed twice", "remove one")
		}
	}
	if b.Lateness < b.Grace {
		k.fault("bars.lateness", fmt.Sprintf("%v is less than bars.grace, %v", b.Lateness, b.Grace),
			"a trade that a bar still waits for cannot be too late: lower grace or raise lateness")
	}
}

// vwapStepsMax bounds the sums that a window keeps for each instrument.
const vwapStepsMax = 100_000

func (k *check) windows(w *Windows) {
	for i, v := range w.VWAP {
		path := fmt.Sprintf("windows.vwap[%d]", i)
		switch {
		case v.Span == 0:
			k.fault(path+".span", "a window needs a span", "write one such as 60s")
		case v.Step <= 0:
			// Its own bound says so.
		case v.Span%v.Step != 0:
			k.fault(path+".span", fmt.Sprintf("%v is not a multiple of the step, %v", v.Span, v.Step), "choose a span of whole steps")
		case v.Span/v.Step > vwapStepsMax:
			k.fault(path+".step", fmt.Sprintf("a span of %v has %d steps of %v, more than %d", v.Span, v.Span/v.Step, v.Step, vwapStepsMax),
				"choose a longer step")
		case slices.Contains(w.VWAP[:i], v):
			k.fault(path, fmt.Sprintf("the window of %v each %v is listed twice", v.Span, v.Step), "remove one")
		}
	}
}

func (k *check) cores(c *Config) {
	plan := c.threads(k.host.Cores, k.host.Machine)
	k.faults = append(k.faults, plan.faults...)
}

// runtime checks that the memory limit leaves something to work with.
func (k *check) runtime(r *Runtime) {
	const least = 64 << 20
	if r.MemoryLimit > 0 && r.MemoryLimit < least {
		k.fault("runtime.memory_limit", fmt.Sprintf("%v is less than %v", r.MemoryLimit, Size(least)), fmt.Sprintf("write %v or more, or auto", Size(least)))
	}
}

// journal checks that a file takes the largest batch that the memory lets through.
func (k *check) journal(j *Journal) {
	const unit = Size(1 << 20)
	least := (Size(journal.LeastSegment(roundUp(int64(j.Memory)))) + unit - 1) / unit * unit
	for _, x := range []struct {
		key  string
		size Size
	}{{"segment", j.Segment}, {"reserve", j.Reserve}} {
		if x.size >= unit && x.size < least { // below, its own bound says so
			k.fault("journal."+x.key, fmt.Sprintf("%v cannot hold the largest batch of journal.memory, %v", x.size, j.Memory),
				fmt.Sprintf("write %v or more, or lower journal.memory", least))
		}
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func (k *check) metrics(m *Metrics) {
	if m.Listen == ListenNone {
		return
	}
	loopback, err := ops.IsLoopback(m.Listen)
	switch {
	case err != nil:
		k.fault("metrics.listen", quote(m.Listen)+" is not host:port", "write it as 127.0.0.1:9464, or none")
	case !loopback && !m.Expose:
		k.fault("metrics.listen", quote(m.Listen)+" is not a loopback address, and the endpoint has no password",
			"use 127.0.0.1, or set metrics.expose: true")
	}
}
