// Command frames writes the sessions that bench/instructions counts on, a file
// each: generated from fixed seeds, and recorded ones of a folder.
//
//	frames [--data FOLDER] TO
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"tickproc/bench"
	"tickproc/feeds/venues"
	"tickproc/tick"
)

const frames = 2048 // of a session; a quarter of them is not counted

// generated are all market data of Binance, whose decoder has the most to do,
// and those of the other families.
var generated = []string{"binance-spot", "binance-usdm", "binance-coinm", "bybit-linear", "coinbase", "kraken", "okx"}

var recorded = map[string]string{
	"binance-spot": "binance-spot-btcusdt-20240808.gz", "binance-usdm": "binance-usdm-btcusdt-20240808.gz",
	"binance-coinm": "binance-coinm-btcusd_perp-20240808.gz",
}

func main() {
	data := flag.String("data", "", "folder with captures/ of recorded sessions")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: frames [--data FOLDER] TO")
		os.Exit(2)
	}
	if err := write(flag.Arg(0), *data); err != nil {
		fmt.Fprintln(os.Stderr, "frames:", err)
		os.Exit(1)
	}
}

func write(to, data string) error {
	number := 0
	file := func(name string, s *bench.Session, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		number++
		f, err := os.Create(filepath.Join(to, fmt.Sprintf("%02d_%s.session", number, name)))
		if err != nil {
			return err
		}
		if err := s.Write(f); err != nil {
			return err
		}
		return f.Close()
	}
	for _, channel := range []tick.Channels{tick.ChannelTrades, tick.ChannelQuotes, tick.ChannelDepth} {
		for _, venue := range generated {
			if adapter, ok := venues.New(venue); !ok || !adapter.Channels().Has(channel) {
				continue
			}
			s, err := bench.Generate(bench.Recipe{Venue: venue, Channels: channel, Frames: frames, Symbols: 1})
			if err := file(channel.String()+"_"+venue, s, err); err != nil {
				return err
			}
		}
	}
	for _, venue := range generated[:3] {
		s, err := bench.Deep(venue)
		if err := file("depth40_"+venue, s, err); err != nil {
			return err
		}
	}
	for _, venue := range generated[:3] {
		s, err := bench.Generate(bench.Recipe{Venue: venue, Frames: 2 * frames, Symbols: 1})
		if err := file("session_"+venue, s, err); err != nil {
			return err
		}
	}
	for _, venue := range generated[:3] {
		if data == "" {
			break
		}
		adapter, _ := venues.New(venue)
		s, err := bench.ReadSession(filepath.Join(data, "captures", recorded[venue]), adapter)
		if err := file("recorded_"+venue, s, err); err != nil {
			return err
		}
	}
	return nil
}
