package pipeline

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tickproc/tick"
	"tickproc/writer/questdb"
)

var writeRelease = flag.String("write-release", "", "write testdata/datadir-NAME.tar.gz with the formats of now")

// releases are the data folders that earlier releases left: run.json, options,
// logs of two shards, a snapshot in the middle of them, and a spool of rows that
// wait. They are of the packets of releaseTape, which are made up.
//
// To add the next release's, when any of its formats is another one (log, snapshot,
// coded state, spool, run.json, options):
//
//	go test ./pipeline -run TestOpensEarlierReleases -args -write-release NAME
//
// then add a line here, with the state that the test prints. What is here stays.
// The state is a hash of coded state: where the coding has changed by intention,
// the lines of earlier releases get new numbers as well, which must be those that
// the log alone gives, as the test checks; what the books and trades are must stay.
var releases = []struct {
	name   string
	state  string // of all shards, before the restart
	waits  int    // rows in the spool
	trades uint64 // of which the log tells
	book   string // the top of BTC-USDT
}{
	{name: "1", state: "b69b091b42689cfa", waits: 440, trades: 27, book: "true [100.000 0.0060] [100.100 0.0030]"},
	{name: "2", state: "c31896bc33bc4eaa", waits: 428, trades: 27, book: "true [100.000 0.0060] [100.100 0.0030]"},
}

// Today's code opens what earlier releases left, by the snapshot and by the log
// alone, and comes to the state that they had.
func TestOpensEarlierReleases(t *testing.T) {
	t.Parallel()
	if *writeRelease != "" {
		writeDataDir(t, filepath.Join("testdata", "datadir-"+*writeRelease+".tar.gz"))
	}
	for _, r := range releases {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			f := func(what string, prepare func(dir string)) {
				t.Helper()
				config := releaseConfig(t)
				unpack(t, filepath.Join("testdata", "datadir-"+r.name+".tar.gz"), config.DataDir)
				prepare(config.DataDir)
				report, err := ReplayJournal(t.Context(), JournalReplayOptions{Config: config, Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				said := &logText{}
				waits := 0
				opensDataDir(t, config, said, func(s *system, database *questdb.Sink) {
					for i := range database.Stats.Tables {
						waits += int(database.Stats.Tables[i].Recovered.Load())
					}
					s.abandon()
				})
				i := slices.IndexFunc(report.Instruments, func(x InstrumentReport) bool { return x.Symbol == "BTC-USDT" })
				if i < 0 {
					t.Fatalf("%s: BTC-USDT is not there", what)
				}
				book, trades := &report.Instruments[i], uint64(0)
				for _, x := range report.Instruments {
					trades += x.Trades
				}
				top := fmt.Sprint(book.Valid, book.Bids[0], book.Asks[0])
				if state := said.states(t); state != r.state || report.StateHash != r.state || waits != r.waits || trades != r.trades || top != r.book {
					t.Errorf("%s: recovered state: %q, by the log alone %q, waits: %d, trades: %d, book: %q; want %+v", what, state, report.StateHash, waits, trades, top, r)
				}
				if said.has("level=ERROR") {
					t.Errorf("%s:\n%s", what, said)
				}
			}
			f("with its snapshot", func(string) {})
			f("by the log alone", func(dir string) {
				if err := os.RemoveAll(filepath.Join(dir, "snapshots")); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

func releaseConfig(t *testing.T) *Config {
	c := DefaultConfig()
	c.DataDir, c.Shards = filepath.Join(t.TempDir(), "data"), 2
	c.Journal.MemoryDir = filepath.Join(t.TempDir(), "none") // the ring lies on disk
	c.Journal.Memory, c.Journal.Segment, c.Journal.Reserve = 64<<10, 64<<10, 64<<10
	c.QuestDB.URL = "http://127.0.0.1:1" // nobody takes rows
	c.EnsureDefaults()
	return c
}

// opensDataDir starts the service on a data folder without feeds.
func opensDataDir(t *testing.T, config *Config, said *logText, work func(*system, *questdb.Sink)) {
	t.Helper()
	dir, err := openDataDir(config.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.close()
	o := config.questDBOptions()
	o.Logger, o.DeadLetterDir, o.SpoolDir, o.Spool = slog.New(slog.DiscardHandler), config.DataDir, dir.join("spool"), config.spoolOptions()
	database, err := questdb.New(o)
	if err != nil {
		t.Fatal(err)
	}
	database.Start()
	s, err := newDurableSystem(RunOptions{Config: config, Logger: textLogger(said)}, database, database, dir)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	work(s, database)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = database.Close(ctx)
}

// writeDataDir makes a data folder of today's formats.
func writeDataDir(t *testing.T, path string) {
	t.Helper()
	config := releaseConfig(t)
	opensDataDir(t, config, &logText{}, func(s *system, _ *questdb.Sink) {
		f := &venueFeed{venue: "okx"}
		var ins []*tick.Instrument
		for _, in := range releaseInstruments {
			ins = append(ins, s.addInstrument(in, f))
		}
		half := len(releaseTape(ins)) / 2
		for i, p := range releaseTape(ins) {
			if i == half {
				if _, err := s.durable.snapshots.take(t.Context(), s.barrierNow); err != nil {
					t.Fatal(err)
				}
			}
			if !s.drivers[s.routes.Shard(p[0].Header().Instrument)].Record(p) {
				t.Fatal("the log takes nothing")
			}
		}
		s.abandon() // without another snapshot: the log has a tail
	})
	var packed bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	tarred := tar.NewWriter(zipped)
	if err := tarred.AddFS(os.DirFS(config.DataDir)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(tarred.Close(), zipped.Close(), os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, packed.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d bytes", path, packed.Len())
}

func unpack(t *testing.T, path, dir string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for tarred := tar.NewReader(zipped); ; {
		h, err := tarred.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, h.Name)
		if h.FileInfo().IsDir() {
			continue
		}
		text, err := io.ReadAll(tarred)
		if err = errors.Join(err, os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, text, fs.FileMode(0o644))); err != nil {
			t.Fatal(err)
		}
	}
}

// releaseInstruments are of both shards, and of a group of the consolidated quotes.
var releaseInstruments = []tick.Instrument{
	{Venue: "okx", Symbol: "BTC-USDT", Underlying: "BTC", Base: "BTC", Quote: "USDT", Type: tick.TypeSpot, PriceDigits: 2, SizeDigits: 3,
		TradeIDs: tick.TradeIDContiguous, Sync: tick.SyncRule{Snapshot: tick.SnapshotInBand, Sequence: tick.SequenceChain},
		Channels: tick.ChannelTrades | tick.ChannelQuotes | tick.ChannelDepth},
	{Venue: "bybit-spot", Symbol: "BTCUSDT", Underlying: "BTC", Base: "BTC", Quote: "USDT", Type: tick.TypeSpot, PriceDigits: 2, SizeDigits: 3,
		TradeIDs: tick.TradeIDUUID, Channels: tick.ChannelTrades | tick.ChannelQuotes},
	{Venue: "okx", Symbol: "ETH-USDT-SWAP", Underlying: "ETH", Base: "ETH", Quote: "USDT", Type: tick.TypePerpetual, PriceDigits: 2, SizeDigits: 2,
		ContractSize: tick.Number{Mantissa: 1, Digits: 1}, State: tick.StateTrading,
		Channels: tick.ChannelTrades | tick.ChannelQuotes | tick.ChannelFunding | tick.ChannelOpenInterest | tick.ChannelLiquidations},
}

// releaseTape are packets of most kinds, a second apart from the beginning of a
// year on.
func releaseTape(ins []*tick.Instrument) (tape [][]tick.Unit) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	ordinal := uint64(0)
	header := func(kind tick.Kind, in int) tick.Header {
		at += int64(time.Second)
		ordinal++
		return tick.Header{Kind: kind, Flags: tick.FlagFirst | tick.FlagLast, Line: uint16(in), Instrument: ins[in].ID, Ordinal: ordinal,
			ExchangeNanos: at - int64(3*time.Millisecond), ReceiveNanos: at}
	}
	put := func(p []tick.Unit) { tape = append(tape, p) }
	one := func() *tick.Unit {
		p, u := tick.AppendUnits(nil, 1)
		put(p)
		return &u[0]
	}
	depth := func(kind tick.Kind, in int, first, last, prev uint64, bids, asks []tick.Level) {
		p := make([]tick.Unit, tick.DepthUnits(len(bids)+len(asks)))
		*p[0].Depth() = tick.Depth{Header: header(kind, in), FirstID: first, LastID: last, PrevID: prev, Bids: uint16(len(bids)), LevelCount: uint16(len(bids) + len(asks))}
		copy(tick.Levels(p), slices.Concat(bids, asks))
		put(p)
	}
	for i, in := range ins {
		p, err := tick.AppendCatalog(nil, header(tick.KindCatalog, i), *in)
		if err != nil {
			panic(err)
		}
		put(p)
		for _, c := range tick.AllChannels {
			if in.Channels.Has(c) {
				put(tick.AppendEvent(nil, header(tick.KindUp, i), c, tick.ReasonNone))
			}
		}
	}
	second := header(tick.KindUp, 1)
	second.Line = 9 // a second line of trades without ids
	put(tick.AppendEvent(nil, second, tick.ChannelTrades, tick.ReasonNone))
	level := func(price, size int64) []tick.Level { return []tick.Level{{Price: price, Size: size}} }
	depth(tick.KindSnapshot, 0, 10, 10, 0, []tick.Level{{Price: 10000, Size: 5}, {Price: 9990, Size: 7}}, []tick.Level{{Price: 10010, Size: 4}, {Price: 10020, Size: 9}})
	trade := func(in int, id tick.ID, price, size int64, flags tick.Flags) {
		h := header(tick.KindTrade, in)
		h.Flags |= flags
		*one().Trade() = tick.Trade{Header: h, ID: id, Price: price, Size: size}
	}
	for i := range int64(8) {
		trade(0, tick.ID{Lo: uint64(100 + i)}, 10000+i, 10+i, 0)
		trade(1, tick.ID{Hi: 1, Lo: uint64(i)}, 10005, 3, tick.FlagSell)
		depth(tick.KindDepth, 0, uint64(11+i), uint64(11+i), uint64(10+i), level(10000-i, 6+i), level(10010+i, 3))
		depth(tick.KindQuote, 0, 0, 0, 0, level(10000, 6+i), level(10010, 3))
		depth(tick.KindQuote, 1, 0, 0, 0, level(10001, 2+i), level(10009, 1))
		depth(tick.KindQuote, 2, 0, 0, 0, level(3000, 2), level(3001, 1+i))
		trade(2, tick.ID{Lo: uint64(500 + i)}, 3000+i, 20, 0)
		*one().Mark() = tick.Mark{Header: header(tick.KindMark, 2), Mark: 300010 + i, Index: 300000, FundingRate: 100 + i, PriceDigits: 4, RateDigits: 6, NextFundingSeconds: 1767254400}
		*one().OpenInterest() = tick.OpenInterest{Header: header(tick.KindOpenInterest, 2), Size: 9000 + i, SizeDigits: 2}
	}
	liquidation := header(tick.KindLiquidation, 2)
	*one().Trade() = tick.Trade{Header: liquidation, Price: 2990, Size: 50}
	put(tick.AppendRescale(nil, header(tick.KindRescale, 0), 3, 4)) // line 0 goes on at a finer scale
	trade(0, tick.ID{Lo: 110}, 100081, 125, 0)                      // 108 and 109 are missing
	*one().Status() = tick.Status{Header: header(tick.KindStatus, 2), State: tick.StateHalted}
	down := tick.AppendEvent(nil, header(tick.KindDown, 1), tick.ChannelTrades, tick.ReasonDisconnect)
	down[0].Event().HeardNanos = at - int64(2*time.Second)
	put(down)
	put(tick.AppendEvent(nil, header(tick.KindUp, 1), tick.ChannelTrades, tick.ReasonNone))
	trade(1, tick.ID{Hi: 1, Lo: 99}, 10006, 4, 0)
	h := header(tick.KindTrade, 0)
	h.Flags |= tick.FlagBackfill | tick.FlagFetched
	*one().Trade() = tick.Trade{Header: h, ID: tick.ID{Lo: 108}, Price: 100080, Size: 30}
	depth(tick.KindDepth, 0, 19, 19, 18, level(99995, 40), level(100105, 50))
	*one().Header() = header(tick.KindTick, 0)
	return tape
}
