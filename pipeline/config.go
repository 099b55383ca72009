package pipeline

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"tickproc/internal/hardware"
)

// Config is everything a user chooses, as one YAML file says it. The tags are
// the schema: `default` is what a missing key gets, `min` and `max` bound a
// value, `oneof` lists the words it may be. A zero value always means the
// default, so a file cannot say zero where the default is something else.
//
// Load and Parse return a Config that is filled and checked; one made in Go
// is made so by EnsureDefaults and Validate.
type Config struct {
	// Instance says who writes; one writing instance per set of tables.
	Instance string `yaml:"instance" default:"a"`
	// DataDir holds captures, dead letters and state, relative to the working folder.
	DataDir string  `yaml:"data_dir" default:"./data"`
	QuestDB QuestDB `yaml:"questdb"`
	// Feeds: at least one.
	Feeds   []Feed  `yaml:"feeds"`
	Bars    Bars    `yaml:"bars"`
	Windows Windows `yaml:"windows"`
	Book    Book    `yaml:"book"`
	// Shards is the number of goroutines that keep books and bars; see ShardCount.
	Shards AutoCount `yaml:"shards" max:"256"`
	Rings  Rings     `yaml:"rings"`
	// Wait is how a shard waits for packets: spin burns a core for the lowest
	// latency, park sleeps, auto chooses by the number of cores.
	Wait string `yaml:"wait" default:"auto" oneof:"auto spin yield park"`
	// Pin binds each shard's thread to a core of its own.
	Pin       bool      `yaml:"pin"`
	Runtime   Runtime   `yaml:"runtime"`
	Limits    Limits    `yaml:"limits"`
	Journal   Journal   `yaml:"journal"`
	Snapshots Snapshots `yaml:"snapshots"`
	Spool     Spool     `yaml:"spool"`
	NBBO      NBBO      `yaml:"nbbo"`
	Shm       Shm       `yaml:"shm"`
	Record    Record    `yaml:"record"`
	Metrics   Metrics   `yaml:"metrics"`
	Log       Log       `yaml:"log"`
}

// QuestDB says where rows go, and how they are batched on the way.
type QuestDB struct {
	URL string `yaml:"url" default:"http://127.0.0.1:9000"`
	// Token, or Username and Password, or none of them.
	Token    Secret `yaml:"token"`
	Username string `yaml:"username"`
	Password Secret `yaml:"password"`
	// A batch leaves when its oldest row is FlushInterval old or when it has FlushRows.
	FlushInterval Duration `yaml:"flush_interval" default:"1s" min:"1ms" max:"1m"`
	FlushRows     int      `yaml:"flush_rows" default:"75000" min:"1" max:"1000000"`
	// MaxMemory bounds the rows that wait while QuestDB is away.
	MaxMemory Size `yaml:"max_memory" default:"512MiB" min:"16MiB" max:"1TiB"`
	// Numbers is the column type of prices and sizes.
	Numbers        string   `yaml:"numbers" default:"double" oneof:"double decimal"`
	RequestTimeout Duration `yaml:"request_timeout" default:"10s" min:"100ms" max:"5m"`
	// Encoder writes the rows' lines: our own, or QuestDB's client. The bytes are the same.
	Encoder string `yaml:"encoder" default:"native" oneof:"native v3"`
}

// Feed is what one venue is asked for. A venue may have several, with
// different symbols.
type Feed struct {
	Venue string `yaml:"venue"`
	// Symbols in the venue's spelling, at least one: names, and patterns, in
	// which * stands for any letters and ? for one.
	Symbols []string `yaml:"symbols"`
	// Exclude, Type and TopByVolume narrow what the patterns match, in this order;
	// names are taken anyway. Exclude are patterns or names.
	Exclude []string `yaml:"exclude"`
	// Type is what is traded; none = any.
	Type Words `yaml:"type" oneof:"spot perpetual future"`
	// TopByVolume keeps those that traded most in 24 hours; 0 = all.
	TopByVolume int `yaml:"top_by_volume" min:"1" max:"20000"`
	// Channels are names of tick.ChannelNames, or AllChannels.
	Channels []string `yaml:"channels" default:"[trades, quotes, depth]"`
	// Lines is how many sockets each stream is had by, see LineCount.
	Lines int `yaml:"lines" min:"1" max:"2"`
	// WSURL and RESTURL replace scheme, host and port of the venue's own
	// addresses; a path goes before the venue's path.
	WSURL string `yaml:"ws_url"`
	// WSURLs are the same, one for each line.
	WSURLs  []string `yaml:"ws_urls"`
	RESTURL string   `yaml:"rest_url"`
	// CatalogTimeout is how long the start waits for the venue's instruments
	// before it goes on without them, and without what only they can tell.
	CatalogTimeout Duration `yaml:"catalog_timeout" default:"10s" min:"100ms" max:"10m"`
	// CatalogRefresh is how often they are looked at again.
	CatalogRefresh Duration `yaml:"catalog_refresh" default:"10m" min:"1m" max:"1d"`
	// SocketLife is the age at which a socket is changed for a new one; zero is
	// the venue's own rule.
	SocketLife Duration `yaml:"socket_life" min:"1m" max:"31d"`
	Read       Read     `yaml:"read"`
	// RecvStamps says whose receive times these are: ours, when a frame is
	// complete, or the kernel's, when its last bytes arrived.
	RecvStamps string   `yaml:"recv_stamps" default:"user" oneof:"user kernel"`
	Backfill   Backfill `yaml:"backfill"`
}

// Read says how a feed's sockets are read.
type Read struct {
	// Mode netpoll waits for the runtime's poller; busy looks again and again, on
	// a thread that has a core to itself.
	Mode string `yaml:"mode" default:"netpoll" oneof:"netpoll busy"`
	// Cores for mode busy, each for one socket in the order in which they are
	// opened. Sockets beyond them wait.
	Cores []Core `yaml:"cores"`
	// Spin, for mode busy, is how long a quiet socket is looked at before it is
	// waited for; default 1 s.
	Spin Duration `yaml:"spin" min:"1us" max:"1h"`
}

// Runtime tunes Go's memory management. The environment variables GOGC and
// GOMEMLIMIT, where they are set, have the last word.
type Runtime struct {
	// GOGC is by how many percent the heap grows until it is collected, or GOGCOff.
	GOGC Percent `yaml:"gogc" default:"100"`
	// MemoryLimit is what collections keep the process's memory below; 0 = none,
	// MemoryAuto is nine tenths of the container's limit.
	MemoryLimit AutoSize `yaml:"memory_limit"`
	// Mlock keeps all memory in RAM.
	Mlock Switch `yaml:"mlock" default:"false"`
}

// Backfill says whether trades that were missed are fetched by REST, and how many.
type Backfill struct {
	Enabled Switch `yaml:"enabled" default:"true"`
	// MaxAge is how long ago a gap may have begun.
	MaxAge Duration `yaml:"max_age" default:"1d" min:"1m" max:"31d"`
	// MaxTrades is how many trades of one gap are fetched, where their number is known.
	MaxTrades int `yaml:"max_trades" default:"200000" min:"1" max:"10000000"`
	// APIKey is the venue's key for past trades, where it wants one.
	APIKey Secret `yaml:"api_key"`
}

// AllChannels in Feed.Channels is everything that the venue offers.
const AllChannels = "all"

// LineCount is how many sockets each stream of the feed is had by.
func (f *Feed) LineCount() int { return max(1, f.Lines, len(f.WSURLs)) }

// Bars says which bars are made of trades.
type Bars struct {
	// Intervals: an empty, non-nil list makes no bars.
	Intervals []Duration `yaml:"intervals" default:"[1s, 1m, 1h, 1d]" min:"1ms" max:"31d"`
	// Grace is how long after its end, on the estimated venue clock, a bar waits for trades.
	Grace Duration `yaml:"grace" default:"250ms" min:"1ms" max:"1m"`
	// Lateness is how late a trade may be and still revise its bar.
	Lateness Duration `yaml:"lateness" default:"10s" min:"1ms" max:"1h"`
	// Empty says what an interval without trades gives: no row, or the last close.
	Empty string `yaml:"empty" default:"skip" oneof:"skip carry"`
}

// Windows says which averages are made of trades.
type Windows struct {
	// VWAP: an empty, non-nil list makes no sliding windows.
	VWAP []VWAP `yaml:"vwap" default:"[{span: 60s, step: 1s}]"`
	// Session is where the session VWAP begins anew.
	Session string `yaml:"session" default:"utc-day" oneof:"utc-day none"`
}

// VWAP is one sliding window: a value each Step over the last Span.
type VWAP struct {
	Span Duration `yaml:"span" min:"1ms" max:"31d"`
	Step Duration `yaml:"step" default:"1s" min:"1ms" max:"1d"`
}

// Book says which images of the books become rows.
type Book struct {
	Every Duration `yaml:"every" default:"1s" min:"10ms" max:"1h"`
	// OnChange: a row at each change within the depth, beside the sampled ones.
	OnChange bool `yaml:"on_change"`
	// Depth is the number of levels a side in a row.
	Depth int `yaml:"depth" default:"10" min:"1" max:"50"`
}

// Rings sizes the queues between sockets and shards.
type Rings struct {
	// Units of 64 bytes a ring, rounded up to a power of two. The least holds
	// two packets of tick.MaxLevels levels.
	Units int `yaml:"units" default:"32768" min:"4096" max:"16777216"`
}

// Limits say when data is too old or too strange to trust.
type Limits struct {
	// Silence of a depth stream after which its book is invalid.
	Silence Duration `yaml:"silence" default:"5m" min:"1s" max:"1d"`
	// Stale is how far quotes may run ahead of depth before the book is invalid.
	Stale Duration `yaml:"stale" default:"3s" min:"100ms" max:"1h"`
	// ClockWindow: an exchange time further than this from the receive time is
	// replaced by it.
	ClockWindow Duration `yaml:"clock_window" default:"10m" min:"1s" max:"1d"`
	// LineHold is how long a message that does not join waits for another line of
	// the feed to bring what is missing.
	LineHold Duration `yaml:"line_hold" default:"250ms" min:"1ms" max:"10s"`
	// BackfillReach is how old a trade that was fetched afterwards may be and still
	// revise its bars: so long they are held for a gap.
	BackfillReach Duration `yaml:"backfill_reach" default:"1h" min:"1s" max:"1d"`
}

// Journal says how what the shards are given is logged before it is applied.
type Journal struct {
	// Enabled: without it a restart begins anew.
	Enabled Switch `yaml:"enabled" default:"true"`
	// MemoryDir is on a file system in memory that outlives the process. Where it
	// is not there, the log is written to DataDir straight away, which is slower.
	MemoryDir string `yaml:"memory_dir" default:"/dev/shm"`
	// Memory is what each shard takes of it.
	Memory Size `yaml:"memory" default:"16MiB" min:"1MiB" max:"64GiB"`
	// Sync is how often the log is made durable: what a power loss may take.
	Sync Duration `yaml:"sync" default:"20ms" min:"1ms" max:"10s"`
	// Segment is the size of a file of the log.
	Segment Size `yaml:"segment" default:"64MiB" min:"1MiB" max:"16GiB"`
	// Reserve is room on disk for the last records when the disk is full, a shard.
	Reserve Size `yaml:"reserve" default:"8MiB" min:"1MiB" max:"1GiB"`
	// What no snapshot needs any more is kept up to Keep bytes a shard and
	// KeepFor, whichever is reached first.
	Keep    Size     `yaml:"keep" default:"4GiB" min:"1MiB" max:"64TiB"`
	KeepFor Duration `yaml:"keep_for" default:"1d" min:"1s" max:"366d"`
	// Damage says what a start does with a log that is damaged in the middle.
	Damage string `yaml:"damage" default:"refuse" oneof:"refuse skip"`
}

// Snapshots say how often the shards' state is written down.
type Snapshots struct {
	Every Duration `yaml:"every" default:"10m" min:"1s" max:"1d"`
}

// Spool keeps rows on disk until QuestDB has them, and for a while longer.
type Spool struct {
	// Max bounds all of it; beyond it rows are lost, oldest quotes first.
	Max Size `yaml:"max" default:"50GiB" min:"16MiB" max:"64TiB"`
	// What QuestDB has acknowledged is kept up to Keep bytes and KeepFor,
	// whichever is reached first, to be sent again to a server that lost it.
	Keep    Size     `yaml:"keep" default:"10GiB" min:"1MiB" max:"64TiB"`
	KeepFor Duration `yaml:"keep_for" default:"1h" min:"1s" max:"366d"`
	// MinFree stays free on its disk for others; 0 = the smaller of 1 GB and 5 % of
	// the disk.
	MinFree Size `yaml:"min_free" min:"1MiB" max:"64TiB"`
}

// NBBO says how the best bid and offer across venues become rows.
type NBBO struct {
	Enabled Switch `yaml:"enabled" default:"true"`
	// Every is the least time between two rows of an underlying.
	Every Duration `yaml:"every" default:"100ms" min:"1ms" max:"1h"`
	// Stale is the age beyond which a venue's quote no longer counts.
	Stale Duration `yaml:"stale" default:"10s" min:"100ms" max:"1h"`
}

// Shm shows what the shards make of the market to other processes of the
// machine, in memory that they share.
type Shm struct {
	Enabled Switch `yaml:"enabled" default:"false"`
	// Dir is on a file system in memory; the default is a folder in
	// Journal.MemoryDir that is named after DataDir.
	Dir string `yaml:"dir"`
	// Readers are the users who may read: this one, those of its group, all.
	Readers string `yaml:"readers" default:"owner" oneof:"owner group all"`
	// Ring is the memory of each shard's messages.
	Ring Size `yaml:"ring" default:"8MiB" min:"64KiB" max:"16GiB"`
	// Levels a side in the image of a book.
	Levels int `yaml:"levels" default:"10" min:"1" max:"50"`
	// Instruments that there is room for.
	Instruments int `yaml:"instruments" default:"4096" min:"1" max:"1000000"`
}

// Record keeps the raw frames, from which a period can be decoded again.
type Record struct {
	// Enabled: the default is whether there is a Dir.
	Enabled Switch `yaml:"enabled"`
	// Dir: the default is the folder captures of DataDir.
	Dir         string   `yaml:"dir"`
	RotateSize  Size     `yaml:"rotate_size" default:"256MiB" min:"1MiB" max:"1TiB"`
	RotateEvery Duration `yaml:"rotate_every" default:"1h" min:"1s" max:"31d"`
	// Captures are kept up to Keep bytes and KeepFor, whichever is reached first.
	Keep    Size     `yaml:"keep" default:"20GiB" min:"1MiB" max:"64TiB"`
	KeepFor Duration `yaml:"keep_for" default:"7d" min:"1s" max:"366d"`
}

// recordDir is where raw frames are kept; "" = they are not.
func (c *Config) recordDir() string {
	switch r := &c.Record; {
	case r.Enabled == Off || r.Enabled != On && r.Dir == "":
		return ""
	default:
		return c.captureFolder()
	}
}

// captureFolder is where raw frames are kept whenever they are.
func (c *Config) captureFolder() string {
	if c.Record.Dir == "" {
		return filepath.Join(c.DataDir, "captures")
	}
	return c.Record.Dir
}

// Metrics says where /metrics, /livez and /readyz are served.
type Metrics struct {
	// Listen is host:port, or none.
	Listen string `yaml:"listen" default:"127.0.0.1:9464"`
	// Expose allows a Listen beyond loopback: the endpoint has no password.
	Expose bool `yaml:"expose"`
}

// ListenNone as Metrics.Listen serves no metrics.
const ListenNone = "none"

// Log says what is logged and how.
type Log struct {
	Level string `yaml:"level" default:"info" oneof:"debug info warn error"`
	// Format auto is text on a terminal, JSON otherwise.
	Format string `yaml:"format" default:"auto" oneof:"auto text json"`
}

// ShardCount is the number of shards on a machine of that many cores: as
// configured, else half the cores, which leaves the rest to sockets and writer.
func (c *Config) ShardCount(cores int) int {
	if c.Shards != Auto {
		return int(c.Shards)
	}
	return max(1, cores/2)
}

// Host is what a configuration is checked against. The zero Host, with the
// names of the venues, is this machine.
type Host struct {
	Venues    []string                          // names that feeds may have
	Cores     int                               // 0: GOMAXPROCS
	Machine   *hardware.Cores                   // nil: those of this machine, unless Cores says otherwise
	LookupEnv func(name string) (string, bool)  // nil: os.LookupEnv
	ReadFile  func(path string) ([]byte, error) // nil: the file system
}

func (h *Host) ensureDefaults() {
	if h.Machine == nil {
		h.Machine = &hardware.Cores{}
		if h.Cores == 0 {
			*h.Machine = hardware.ReadCores()
		}
	}
	if h.Cores == 0 {
		h.Cores = runtime.GOMAXPROCS(0)
	}
	if h.LookupEnv == nil {
		h.LookupEnv = os.LookupEnv
	}
	if h.ReadFile == nil {
		h.ReadFile = readBounded
	}
}

// configBytesMax bounds a configuration and every file it names: a mistaken
// path to a device or a capture must end soon. It is room for 20,000 symbols.
const configBytesMax = 256 << 10

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, configBytesMax+1))
	if err == nil && len(text) > configBytesMax {
		err = fmt.Errorf("%s is larger than %v", path, Size(configBytesMax))
	}
	return text, err
}

// Load reads and checks a configuration file. The error is Errors where the
// file could be read.
func Load(path string, host Host) (*Config, error) {
	c, _, err := loadFile(path, host)
	return c, err
}

// loadFile is Load; the decoder knows where what is in the file stands.
func loadFile(path string, host Host) (*Config, *decoder, error) {
	text, err := readBounded(path)
	if err != nil {
		return nil, nil, fmt.Errorf("configuration: %w", err)
	}
	return parse(path, text, host)
}

// Parse reads and checks the text of a configuration; name stands in faults.
// The error, if any, is Errors: every fault, in order of position.
func Parse(name string, text []byte, host Host) (*Config, error) {
	c, _, err := parse(name, text, host)
	return c, err
}

func parse(name string, text []byte, host Host) (*Config, *decoder, error) {
	host.ensureDefaults()
	c := new(Config)
	d := newDecoder(name, text, host)
	d.document(c)
	c.EnsureDefaults()
	d.addUnlessTold(c.Validate(host))
	if len(d.faults) > 0 {
		d.faults.sort()
		return nil, nil, d.faults
	}
	return c, d, nil
}
