package questdb

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"tickproc/internal/clock"
	"tickproc/internal/pace"
	"tickproc/internal/vfs"
)

// Options of a Sink. The zero value writes to a QuestDB on this machine.
type Options struct {
	// URL of QuestDB's HTTP endpoint; default http://127.0.0.1:9000.
	URL string
	// Credentials of the endpoint: a token, or a user and a password.
	Credentials

	// A batch leaves when it has FlushRows rows (default 75,000), when its
	// oldest row is FlushInterval old (default 1 s), or at 16 MiB. Each is a commit,
	// for which QuestDB writes the end of the table anew
	// (docs/decisions/questdb-load.md).
	FlushRows     int
	FlushInterval time.Duration
	// MaxBytes bounds the encoded rows in memory; default 512 MiB, at least 1 MiB.
	// Without a spool, or while its disk fails, rows beyond it are lost: oldest
	// quotes first, then the consolidated ones, book rows, funding, open interest,
	// trades, and the rest.
	MaxBytes int64

	// SpoolDir holds the spool, through which every row then goes: what QuestDB
	// has not taken survives this process, and what it acknowledged can be sent
	// again. "" = rows wait in memory. One process at a time uses it.
	SpoolDir string
	// Spool are its limits; the zero value is useful.
	Spool SpoolOptions
	// RequestTimeout bounds one request; default 30 s.
	RequestTimeout time.Duration

	// DeadLetterDir gets dead-letters.jsonl, the rows that QuestDB refused.
	// "" = they are logged and counted alone.
	DeadLetterDir string

	// Numbers is "double" (default) or "decimal": how prices and sizes are stored.
	Numbers string
	// Encoder writes the lines: EncoderNative (default) or EncoderV3, QuestDB's own
	// client. Their bytes are the same.
	Encoder string
	// Depth is the number of levels a side in table book; default 10.
	Depth int

	// PartitionBy overrides a table's partition: HOUR, DAY, WEEK, MONTH, YEAR.
	// It applies to tables that are created from here on.
	PartitionBy map[string]string
	// TTL limits a table's age, "30 DAYS", when it is created; key "*" is all
	// tables that are not named. Default: rows are kept for ever. QuestDB
	// measures it from the newest row of the table.
	TTL map[string]string

	// Repeat says that the rows were computed before; default that they were not.
	Repeat Repeat

	// Logger; default slog.Default().
	Logger *slog.Logger
	// Now is the wall clock in ns; default the process clock.
	Now func() int64
	// Pace is how senders wait; default by the clock.
	Pace pace.Pace
	// Transport carries requests; default the network.
	Transport http.RoundTripper
	// Random returns a number below n; default the process's.
	Random func(n int64) int64
}

// SpoolOptions limit the spool.
type SpoolOptions struct {
	// MaxBytes bounds it on disk; default 50 GB, at least 16 MiB. Beyond it first
	// what QuestDB has goes, then rows are lost in the order of Options.MaxBytes.
	MaxBytes int64
	// FreeBytes stay free on its disk; default the smaller of 1 GB and a twentieth
	// of the disk, negative = none.
	FreeBytes int64
	// What QuestDB acknowledged is kept for Horizon (default 1 h), and up to
	// HorizonBytes (default 10 GB), whichever is less, to be sent again when
	// QuestDB turns out to have lost it.
	Horizon      time.Duration
	HorizonBytes int64
	// SyncInterval is what a power cut may take; default 1 s.
	SyncInterval time.Duration
	// SegmentBytes is the size of a file; default 64 MiB, less where MaxBytes is small.
	SegmentBytes int64
	// FS is the disk; default the machine's. With another one, who has it sees to
	// it that one process uses it.
	FS vfs.FS
	// Identity names a new spool; default random.
	Identity func() uint64
}

// Credentials of a QuestDB endpoint; empty fields are not sent.
type Credentials struct{ Token, User, Password string }

// flushBytesMax closes a batch of wide rows before it has FlushRows: the
// server's time for one request, and a lane's memory, stay bounded.
const flushBytesMax = 16 << 20

// EnsureDefaults fills what was left zero.
func (o *Options) EnsureDefaults() {
	fill := func(text *string, value string) {
		if *text == "" {
			*text = value
		}
	}
	fill(&o.URL, "http://127.0.0.1:9000")
	fill(&o.Numbers, "double")
	fill(&o.Encoder, EncoderNative)
	if o.FlushRows == 0 {
		o.FlushRows = 75_000
	}
	if o.FlushInterval == 0 {
		o.FlushInterval = time.Second
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 512 << 20
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = 30 * time.Second
	}
	if o.Depth == 0 {
		o.Depth = 10
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = clock.Nanos
	}
	if o.Pace == nil {
		o.Pace = pace.Real
	}
	if o.Random == nil {
		o.Random = rand.Int64N
	}
	o.URL = strings.TrimRight(o.URL, "/")
}

var (
	partitions = []string{"HOUR", "DAY", "WEEK", "MONTH", "YEAR"}
	ttlText    = regexp.MustCompile(`^[1-9][0-9]{0,5} (HOURS?|DAYS?|WEEKS?|MONTHS?|YEARS?)$`)
)

// Validate returns every fault of options whose defaults are filled in.
func (o *Options) Validate() error {
	var faults []error
	bad := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if u, err := url.Parse(o.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		bad("questdb url %q: want http://host:port or https://host:port", o.URL)
	} else if u.User != nil {
		bad("questdb url: put user and password into their own keys")
	}
	if o.Token != "" && o.User != "" {
		bad("questdb: give a token or a user, not both")
	}
	if o.FlushRows < 1 || o.FlushRows > 10_000_000 {
		bad("questdb flush rows %d: want 1 to 10000000", o.FlushRows)
	}
	if o.FlushInterval < time.Millisecond || o.FlushInterval > time.Minute {
		bad("questdb flush interval %s: want 1ms to 1m", o.FlushInterval)
	}
	if o.MaxBytes < 1<<20 {
		bad("questdb max bytes %d: want at least 1048576", o.MaxBytes)
	}
	if o.Spool.MaxBytes != 0 && o.Spool.MaxBytes < 16<<20 {
		bad("questdb spool max bytes %d: want at least 16777216", o.Spool.MaxBytes)
	}
	if o.Spool.HorizonBytes < 0 || o.Spool.Horizon < 0 || o.Spool.SegmentBytes < 0 {
		bad("questdb spool: want a horizon, horizon bytes and segment bytes of 0 or more")
	}
	if o.Spool.SyncInterval < 0 || o.Spool.SyncInterval > time.Minute {
		bad("questdb spool sync interval %s: want up to 1m", o.Spool.SyncInterval)
	}
	if o.RequestTimeout < 0 {
		bad("questdb request timeout %s: want a positive duration", o.RequestTimeout)
	}
	if o.Numbers != "double" && o.Numbers != "decimal" {
		bad("questdb numbers %q: want double or decimal", o.Numbers)
	}
	if o.Encoder != EncoderNative && o.Encoder != EncoderV3 {
		bad("questdb encoder %q: want %s or %s", o.Encoder, EncoderNative, EncoderV3)
	}
	if o.Depth < 1 || o.Depth > 100 {
		bad("questdb book depth %d: want 1 to 100", o.Depth)
	}
	tables := TableNames()
	for name, by := range o.PartitionBy {
		if !slices.Contains(tables, name) {
			bad("questdb partition_by %q: no such table, want one of %s", name, strings.Join(tables, ", "))
		}
		if !slices.Contains(partitions, by) {
			bad("questdb partition_by %s %q: want one of %s", name, by, strings.Join(partitions, ", "))
		}
	}
	for name, ttl := range o.TTL {
		if name != "*" && !slices.Contains(tables, name) {
			bad("questdb ttl %q: no such table, want * or one of %s", name, strings.Join(tables, ", "))
		}
		if !ttlText.MatchString(ttl) {
			bad("questdb ttl %s %q: want a number and a unit, as 30 DAYS", name, ttl)
		}
	}
	return errors.Join(faults...)
}

// TableNames lists the tables in the order of Stats.Tables.
func TableNames() []string {
	var names []string
	for _, t := range tablesOf(1) {
		names = append(names, t.name)
	}
	return names
}
