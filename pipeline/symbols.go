package pipeline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"tickproc/tick"
)

// isPattern: the symbol stands for all that it matches.
func isPattern(symbol string) bool { return strings.ContainsAny(symbol, "*?") }

// matches reports whether a symbol is of a pattern, in which * stands for any
// letters and ? for one. Case does not count.
func matches(pattern, symbol string) bool {
	return wildcard([]rune(strings.ToUpper(pattern)), []rune(strings.ToUpper(symbol)))
}

// wildcard goes back to the last star alone: what an earlier one took can be
// taken by a later one as well, so that the time is at most the product.
func wildcard(pattern, text []rune) bool {
	p, t, star, from := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			from++
			p, t = star+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

func matchesAny(patterns []string, symbol string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, symbol) })
}

// names and patterns are the two kinds of symbols that a feed lists.
func (f *Feed) names() []string {
	return slices.DeleteFunc(slices.Clone(f.Symbols), isPattern)
}

func (f *Feed) patterns() []string {
	return slices.DeleteFunc(slices.Clone(f.Symbols), func(s string) bool { return !isPattern(s) })
}

// remark is something about a feed's symbols that its user should know.
type remark struct {
	text, symbol, hint string
	state              tick.State
}

func (r remark) String() string {
	text := r.symbol + ": " + r.text
	if r.state != tick.StateUnknown {
		text += fmt.Sprintf(" (it is %s)", r.state)
	}
	if r.hint != "" {
		text += "; " + r.hint
	}
	return text
}

// byName finds the names that a feed lists in the venue's catalog. Without a
// catalog every name is taken at its word; with one, an unknown symbol is left
// out, and the others run.
func (f *Feed) byName(catalog []tick.Instrument, instrument func(symbol string) tick.Instrument) (found []tick.Instrument, remarks []remark) {
	at := make(map[string]int, len(catalog))
	for i := len(catalog) - 1; i >= 0; i-- {
		at[strings.ToUpper(catalog[i].Symbol)] = i
	}
	for _, name := range f.names() {
		i, ok := at[strings.ToUpper(name)]
		switch {
		case len(catalog) == 0:
			found = append(found, instrument(name))
		case !ok:
			known := make([]string, len(catalog))
			for i := range catalog {
				known[i] = catalog[i].Symbol
			}
			hint := ""
			if near := nearest(name, known); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			remarks = append(remarks, remark{text: "the venue does not trade this symbol: left out", symbol: name, hint: hint})
		case !tradable(catalog[i].State):
			remarks = append(remarks, remark{text: "the venue does not trade this symbol now: left out", symbol: name, state: catalog[i].State})
		default:
			found = append(found, catalog[i])
		}
	}
	return found, remarks
}

// tradable reports whether an instrument's streams can be expected to deliver,
// now or when it opens again.
func tradable(state tick.State) bool {
	return state != tick.StateSettling && state != tick.StateDelisted
}

// open reports whether a pattern may match an instrument of that state: it is
// traded, or will be.
func open(state tick.State) bool {
	return state == tick.StateTrading || state == tick.StateRestricted || state == tick.StatePreOpen
}

// byPattern finds what a feed's patterns match in the venue's catalog, and
// exclude and type leave, in the catalog's order; not those that taken claims.
// A pattern that matches nothing is a remark.
func (f *Feed) byPattern(catalog []tick.Instrument, taken func(symbol string) bool) (found []tick.Instrument, remarks []remark) {
	patterns := f.patterns()
	matched := make([]bool, len(patterns)) // anything
	used := make([]bool, len(patterns))    // something that may be had
	for i := range catalog {
		in := &catalog[i]
		wanted := false
		for j, p := range patterns {
			if !matches(p, in.Symbol) {
				continue
			}
			matched[j] = true
			if open(in.State) && (len(f.Type) == 0 || slices.Contains(f.Type, in.Type.String())) && !matchesAny(f.Exclude, in.Symbol) {
				used[j], wanted = true, true
			}
		}
		if wanted && !taken(in.Symbol) {
			found = append(found, *in)
		}
	}
	for j, p := range patterns {
		switch {
		case !matched[j]:
			remarks = append(remarks, remark{text: "this pattern matches no symbol of the venue", symbol: p, hint: "look at the venue's spelling: " + spellings(catalog)})
		case !used[j]:
			remarks = append(remarks, remark{text: "everything that this pattern matches is left out", symbol: p, hint: "by exclude, by type, or because it is not traded now"})
		}
	}
	return found, remarks
}

// spellings are a few of a catalog's symbols.
func spellings(catalog []tick.Instrument) string {
	const shown = 3
	var names []string
	for i := range catalog {
		if open(catalog[i].State) {
			names = append(names, catalog[i].Symbol)
		}
		if len(names) == shown {
			break
		}
	}
	return strings.Join(names, ", ") + ", …"
}

// byVolume orders instruments by what was traded of them in 24 hours, the most
// first; those that the venue does not tell of come last. Equal ones are
// ordered by symbol, so that the same catalog gives the same choice.
func byVolume(instruments []tick.Instrument, volumes map[string]float64) []tick.Instrument {
	sorted := slices.Clone(instruments)
	slices.SortStableFunc(sorted, func(a, b tick.Instrument) int {
		return cmp.Or(cmp.Compare(volumes[b.Symbol], volumes[a.Symbol]), strings.Compare(a.Symbol, b.Symbol))
	})
	return sorted
}

// topRoom is how many instruments top_by_volume may come to while the service
// runs: what fell out of the top stays, so that no stream ends because a rank
// changed, and what rose into it is added up to a fifth more.
func topRoom(top int) int { return top + top/5 }

// derivatives are the channels that spot instruments do not have.
const derivatives = tick.ChannelFunding | tick.ChannelOpenInterest | tick.ChannelLiquidations

// channelsOf are the feed's channels that an instrument has.
func (f *Feed) channelsOf(offered tick.Channels, in *tick.Instrument) tick.Channels {
	wanted := f.channels(offered)
	if in.Type == tick.TypeSpot {
		wanted &^= derivatives
	}
	return wanted
}
