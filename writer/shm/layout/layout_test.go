package layout

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The tables of docs/shm.md say what the constants say, all of it.
func TestDocumentedLayout(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/shm.md")
	if err != nil {
		t.Fatal(err)
	}
	// The heading or sentence before a table, then name by offset.
	want := []struct {
		before string
		at     map[string]int
	}{
		{"## Directory", map[string]int{"magic": DirMagic, "version": DirVersion, "header_size": DirHeaderSize, "epoch": DirEpoch, "pid": DirPid, "begun": DirBegun,
			"heartbeat": DirHeartbeat, "state": DirState, "ring_count": DirRingCount, "levels": DirLevels, "capacity": DirCapacity, "instrument_size": DirInstrumentSize,
			"instruments": DirInstruments, "rings_at": DirRingsAt, "instruments_at": DirInstrumentsAt, "images_at": DirImagesAt, "image_size": DirImageSize,
			"file_size": DirFileSize, "left_out": DirLeftOut, "instance": DirInstance}},
		{"A ring's entry", map[string]int{"name": EntryRingName, "slots": EntryRingSlots, "file": EntryRingFile}},
		{"An instrument's entry", map[string]int{"seq": InSeq, "id": InID, "shard": InShard, "type": InType, "inverse": InInverse, "price_digits": InPriceDigits,
			"size_digits": InSizeDigits, "state": InState, "channels": InChannels, "truncate": InTruncate, "tick_digits": InTickDigits, "lot_digits": InLotDigits,
			"tick": InTick, "lot": InLot, "contract": InContract, "contract_digits": InContractDig, "expiry": InExpiry, "venue": InVenue, "base": InBase,
			"quote": InQuote, "underlying": InUnderlying, "symbol": InSymbol}},
		{"## Images", map[string]int{"seq": ImSeq, "position": ImPosition, "head": ImHead, "receive": ImReceive, "offset": ImOffset, "last_id": ImLastID,
			"depth_ts": ImDepthTs, "levels": ImLevels, "totals": ImTotals, "quote": ImQuoteHead, "trade": ImTradeHead, "bids": ImHeadWords}},
		{"## Ring", map[string]int{"magic": 0, "version": RingVersion, "header_size": RingHeaderSize, "epoch": RingEpoch, "shard": RingShard, "slot_size": RingSlotSize,
			"slots": RingSlots, "file_size": RingFileSize, "published": RingPublished}},
		{"## Messages", map[string]int{"head": 0, "ts": 1, "receive": 2}},
		{"128-bit integers are two words", map[string]int{}},
	}
	for k := KindTrade; k <= KindEnd; k++ {
		want[len(want)-1].at[k.String()] = int(k)
	}
	row := regexp.MustCompile(`(?m)^\| (\d+) \| (?:\d+ \| )?([a-z_]+) \|`)
	for _, table := range want {
		_, behind, found := strings.Cut(string(text), "\n"+table.before)
		if !found {
			_, behind, found = strings.Cut(string(text), table.before)
		}
		if !found {
			t.Fatalf("docs/shm.md does not say %q", table.before)
		}
		_, behind, _ = strings.Cut(behind, "\n|")
		body, _, _ := strings.Cut("|"+behind, "\n\n")
		have := map[string]int{}
		for _, m := range row.FindAllStringSubmatch(body, -1) {
			if have[m[2]], err = strconv.Atoi(m[1]); err != nil {
				t.Fatal(err)
			}
		}
		for name, at := range table.at {
			if documented, ok := have[name]; !ok || documented != at {
				t.Errorf("%s: %s is at %d, documented %d (%v)", table.before, name, at, documented, ok)
			}
			delete(have, name)
		}
		if len(have) > 0 {
			t.Errorf("%s: documented and not there: %v", table.before, have)
		}
	}
	for _, sentence := range []string{"1–250 | a message", "255 | it goes on", "0x524944504b434954", "0x474e49524b434954", "at most 256", "at most 50", "older than 3 s"} {
		if !strings.Contains(string(text), sentence) {
			t.Errorf("docs/shm.md does not say %q", sentence)
		}
	}
	if MessageSlotsMax != 250 || MarkMore != 255 || RingsMax != 256 || LevelsMax != 50 || HeartbeatStale != 3e9 || ImageWords(10)*8 != 512 || InstrumentSize != 256 || InSymbol+InSymbolBytes > InstrumentSize {
		t.Error("numbers that the text says are others")
	}
}

func TestKindNames(t *testing.T) {
	t.Parallel()
	for _, name := range KindNames() {
		if KindOf(name).String() != name || name == "unknown" {
			t.Errorf("%q", name)
		}
	}
	if KindOf("candle") != 0 || Kind(200).String() != "unknown" || len(KindNames()) != int(KindEnd) {
		t.Error("kinds that nobody knows")
	}
}
