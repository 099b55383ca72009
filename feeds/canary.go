package feeds

import (
	"log/slog"
	"sync"

	"tickproc/internal/stat"
)

// CanaryKind is a sign that a venue changes its protocol.
type CanaryKind uint8

const (
	CanaryField    CanaryKind = iota // a key that no documented message has
	CanaryMessage                    // a message of a kind that we do not know
	CanarySilent                     // a stream that was acknowledged and never delivers, while others do
	CanaryAddress                    // an address that is refused as one that is retired: 301, 404, 410, no such host
	CanaryChecksum                   // a checksum that is always 0, or always the same
	CanarySequence                   // ids that used to follow each other and no longer do
	CanaryKinds    = 6
)

func (k CanaryKind) String() string {
	return [CanaryKinds]string{"unknown_field", "unknown_message", "silent_stream", "retired_address", "constant_checksum", "broken_sequence"}[k]
}

// canaryMax bounds what is remembered of one kind: a venue that sends random
// keys must not fill the memory.
const canaryMax = 256

// Canary notices signs that a venue changes its protocol, and says each once:
// before books go wrong, and without drowning the log. A venue has one. Any
// goroutine may use it; everything it is told of is rare.
type Canary struct {
	// Signs counts what was told, by kind.
	Signs [CanaryKinds]stat.Counter

	log  *slog.Logger
	mu   sync.Mutex
	told [CanaryKinds]map[string]struct{}
}

// NewCanary returns a canary that says what it notices to log.
func NewCanary(log *slog.Logger) *Canary { return &Canary{log: log} }

// canaryText explains a kind, and what to do.
var canaryText = [CanaryKinds]string{
	CanaryField:    "the venue sends a field that its documents did not have: look whether it changes a meaning",
	CanaryMessage:  "the venue sends a message of an unknown kind: look whether it must be understood",
	CanarySilent:   "a stream was acknowledged and delivers nothing while others do: look whether it moved to another address",
	CanaryAddress:  "the venue refuses an address as if it were retired: look for its notice",
	CanaryChecksum: "the venue's checksum no longer says anything: books are verified by their ids alone",
	CanarySequence: "the venue's ids no longer follow each other: look whether their rule changed",
}

// Report tells of a sign, named so that the same sign has the same name.
func (c *Canary) Report(kind CanaryKind, name string) {
	if c == nil || !c.isNew(kind, name) {
		return
	}
	c.Signs[kind].Add(1)
	c.log.Warn(canaryText[kind], "sign", kind.String(), "name", name)
}

func (c *Canary) isNew(kind CanaryKind, name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, told := c.told[kind][name]; told || len(c.told[kind]) >= canaryMax {
		return false
	}
	if c.told[kind] == nil {
		c.told[kind] = map[string]struct{}{}
	}
	c.told[kind][name] = struct{}{}
	return true
}
