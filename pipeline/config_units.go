package pipeline

import (
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"
)

// complaint is what is wrong with a value, and the remedy; the zero complaint
// is none.
type complaint struct{ reason, remedy string }

// Duration is a time span of the configuration: 250ms, 1m30s, 1d.
type Duration time.Duration

// Std is the span as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

type unit struct {
	name string
	size int64
}

// From large to small; µs is accepted on input beside us.
var durationUnits = []unit{{"d", int64(24 * time.Hour)}, {"h", int64(time.Hour)}, {"m", int64(time.Minute)},
	{"s", int64(time.Second)}, {"ms", int64(time.Millisecond)}, {"us", int64(time.Microsecond)}, {"ns", 1}}

// String uses the largest unit that divides the span, so that equal spans
// have equal texts: 60s is 1m, 90s is 90s.
func (d Duration) String() string {
	if d == 0 {
		return "0s"
	}
	return inLargestUnit(int64(d), durationUnits)
}

func inLargestUnit(n int64, units []unit) string {
	for _, u := range units {
		if n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	panic("BUG: the smallest unit is not 1")
}

const (
	durationRemedy = "write a span such as 250ms, 10s or 1d"
	sizeRemedy     = "write a size such as 512MiB or 2GB"
)

func (d *Duration) setText(text string) complaint {
	if text == "" {
		return complaint{"is empty", durationRemedy}
	}
	total := int64(0)
	for rest := text; rest != ""; {
		n, after, why := leadingInteger(rest)
		if why != "" {
			return complaint{fmt.Sprintf("%s is not a time span: %s", quote(text), why), durationRemedy}
		}
		name := after
		if i := strings.IndexAny(after, "0123456789"); i >= 0 {
			name = after[:i]
		}
		rest = after[len(name):]
		size := unitSize(name, durationUnits)
		if name == "µs" || name == "μs" { // micro sign, Greek mu
			size = int64(time.Microsecond)
		}
		switch {
		case name == "":
			return complaint{quote(text) + " has no unit", fmt.Sprintf("write %dms, %ds or %dm", n, n, n)}
		case size == 0:
			return complaint{quote(text) + " has an unknown unit", "units are d, h, m, s, ms, us, ns"}
		case n > (math.MaxInt64-total)/size:
			return complaint{quote(text) + " is longer than a span can be", "write a shorter one"}
		}
		total += n * size
	}
	*d = Duration(total)
	return complaint{}
}

// Size is an amount of memory or disk in bytes: 512MiB, 1GB.
type Size int64

// From large to small.
var sizeUnits = []unit{{"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9},
	{"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"kB", 1e3}, {"B", 1}}

// String uses the largest unit that divides the amount.
func (s Size) String() string {
	if s == 0 {
		return "0B"
	}
	return inLargestUnit(int64(s), sizeUnits)
}

func (s *Size) setText(text string) complaint {
	n, name, why := leadingInteger(text)
	if why != "" {
		return complaint{fmt.Sprintf("%s is not a size: %s", quote(text), why), sizeRemedy}
	}
	name = strings.TrimPrefix(name, " ")
	size := unitSize(name, sizeUnits)
	switch {
	case name == "":
		return complaint{quote(text) + " has no unit", fmt.Sprintf("write %dB, %dMiB or %dGiB", n, n, n)}
	case size == 0:
		return complaint{quote(text) + " has an unknown unit", "units are B, KiB, MiB, GiB, TiB, kB, MB, GB, TB"}
	case n > math.MaxInt64/size:
		return complaint{quote(text) + " is more than a size can be", "write a smaller one"}
	}
	*s = Size(n * size)
	return complaint{}
}

func unitSize(name string, units []unit) int64 {
	for _, u := range units {
		if u.name == name {
			return u.size
		}
	}
	return 0
}

// leadingInteger cuts a number off the front of text, or says why it cannot.
func leadingInteger(text string) (n int64, rest, why string) {
	rest = strings.TrimLeft(text, "0123456789")
	digits := text[:len(text)-len(rest)]
	switch {
	case digits == "" && strings.HasPrefix(text, "-"):
		return 0, "", "it is negative"
	case digits == "":
		return 0, "", "it does not begin with a number"
	case strings.HasPrefix(rest, "."):
		return 0, "", "it has a fraction, where a smaller unit would do"
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, "", "its number is too large"
	}
	return n, rest, ""
}

// AutoCount is a number, or Auto.
type AutoCount int

// Auto leaves the number to the program.
const Auto AutoCount = 0

func (a AutoCount) String() string {
	if a == Auto {
		return "auto"
	}
	return strconv.Itoa(int(a))
}

func (a *AutoCount) setText(text string) complaint {
	if text == "auto" {
		*a = Auto
		return complaint{}
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return complaint{quote(text) + " is neither auto nor a number from 1", "write auto, or how many"}
	}
	*a = AutoCount(n)
	return complaint{}
}

// Core is the number of a core, plus one: the zero Core is none.
type Core int

// Number is the core's, from 0.
func (c Core) Number() int { return int(c) - 1 }

func (c Core) String() string { return strconv.Itoa(c.Number()) }

func (c *Core) setText(text string) complaint {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return complaint{quote(text) + " is no number of a core", "write digits alone; the first core is 0"}
	}
	*c = Core(n + 1)
	return complaint{}
}

// Percent is a number of percent, or GOGCOff.
type Percent int

// GOGCOff never collects for the heap's growth.
const GOGCOff Percent = -1

func (p Percent) String() string {
	if p == GOGCOff {
		return "off"
	}
	return strconv.Itoa(int(p))
}

func (p *Percent) setText(text string) complaint {
	if strings.EqualFold(text, "off") || strings.EqualFold(text, "false") { // as YAML 1.1 reads off
		*p = GOGCOff
		return complaint{}
	}
	n, err := strconv.ParseUint(text, 10, 20)
	if err != nil {
		return complaint{quote(text) + " is neither off nor a percentage", "write off, or a number such as 100 or 400"}
	}
	*p = Percent(n)
	return complaint{}
}

// AutoSize is an amount of memory, or MemoryAuto.
type AutoSize int64

// MemoryAuto leaves the amount to the program.
const MemoryAuto AutoSize = -1

func (s AutoSize) String() string {
	if s == MemoryAuto {
		return "auto"
	}
	return Size(s).String()
}

func (s *AutoSize) setText(text string) complaint {
	if text == "auto" {
		*s = MemoryAuto
		return complaint{}
	}
	return (*Size)(s).setText(text)
}

// Switch is On or Off; the zero Switch is neither said.
type Switch int

// The values of a Switch.
const (
	On Switch = 1 + iota
	Off
)

func (s Switch) String() string {
	if s == On {
		return "true"
	}
	return "false"
}

func (s *Switch) setText(text string) complaint {
	switch strings.ToLower(text) {
	case "true", "on":
		*s = On
	case "false", "off":
		*s = Off
	default:
		return complaint{quote(text) + " is neither true nor false", "write true or false"}
	}
	return complaint{}
}

// Words is a list that may be written as a single word.
type Words []string

// Secret is text that is never printed: convert to string where it is used.
type Secret string

const mask = "***"

// String masks. So do logs and every fmt verb.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

func (s Secret) Format(f fmt.State, _ rune) { f.Write([]byte(s.String())) }
func (s Secret) LogValue() slog.Value       { return slog.StringValue(s.String()) }

// MarshalText keeps encoders, JSON among them, from printing it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// maskURL hides user and password of an address, well-formed or not.
func maskURL(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return address
	}
	start := 0
	if i := strings.Index(address, "://"); i >= 0 && i < at {
		start = i + len("://")
	}
	return address[:start] + mask + address[at:]
}

// quote shows a value in a fault: no page of text, and no password of an address.
func quote(value string) string {
	const shown = 60
	if strings.Contains(value, "://") {
		value = maskURL(value)
	}
	if len(value) > shown {
		value = strings.ToValidUTF8(value[:shown], "") + "…"
	}
	return strconv.Quote(value)
}
