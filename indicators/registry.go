package indicators

import "time"

// Spec configures one indicator, of whatever kind.
type Spec interface {
	// Validate returns every fault at once.
	Validate() error
	// New builds the indicator of one instrument; it panics on a spec that
	// Validate refuses, and keeps the coverage.
	New(coverage *Coverage) Indicator
}

// Kind is one kind of indicator.
type Kind struct {
	Name    string
	Default Spec // what it is when nothing is configured
}

const (
	defaultGrace    = 250 * time.Millisecond
	defaultLateness = 10 * time.Second
)

// Kinds lists every kind. A new one is its file and its line here, and the
// conformance test holds it to the contract of Indicator.
var Kinds = []Kind{
	{"bars", BarsSpec{Interval: time.Minute, Grace: defaultGrace, Lateness: defaultLateness}},
	{"vwap", WindowSpec{Span: time.Minute, Step: time.Second, Grace: defaultGrace, Lateness: defaultLateness}},
	{"vwap_session", WindowSpec{Step: time.Second, Grace: defaultGrace, Lateness: defaultLateness}},
}
