package tick

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unsafe"
)

// New units are zero even where the buffer was used before, and growing
// keeps what was there.
func TestAppendUnits(t *testing.T) {
	t.Parallel()
	dirty := make([]Unit, 8)
	for i := range dirty {
		dirty[i][0] = ^uint64(0)
	}
	all, added := AppendUnits(dirty[:2], 3)
	if len(all) != 5 || len(added) != 3 || &all[0] != &dirty[0] {
		t.Fatalf("%d units, %d new, moved: %v", len(all), len(added), &all[0] != &dirty[0])
	}
	for i, u := range added {
		if u != (Unit{}) {
			t.Errorf("new unit %d holds %v", i, u)
		}
	}
	added[0][1] = 7
	if all[2][1] != 7 {
		t.Error("the new part is not part of the whole")
	}

	all[0][3] = 9
	grown, added := AppendUnits(all, 100)
	if len(grown) != 105 || len(added) != 100 || grown[0][3] != 9 || grown[2][1] != 7 {
		t.Errorf("after growing: %d units, %d new", len(grown), len(added))
	}
	if all, added = AppendUnits(nil, 0); len(all) != 0 || len(added) != 0 {
		t.Error("nothing became something")
	}
}

// Levels lie behind the head, in the packet's own memory, four a unit.
func TestLevels(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 3, 4, 5, 8, 9, MaxLevels} {
		p := depthPacket(KindDepth, n)
		levels := Levels(p)
		if len(levels) != n {
			t.Fatalf("%d levels, want %d", len(levels), n)
		}
		for i := range levels {
			levels[i] = Level{Price: int64(i), Size: -int64(i)}
		}
		if n > 0 && unsafe.Pointer(&levels[n-1]) != unsafe.Pointer(&p[1+(n-1)/4][(n-1)%4*2]) {
			t.Errorf("level %d lies elsewhere", n-1)
		}
		if want := 1 + (n+3)/4; len(p) != want || PacketUnits(&p[0]) != want {
			t.Errorf("%d levels take %d units, by the packet %d, want %d", n, len(p), PacketUnits(&p[0]), want)
		}
	}
}

func depthPacket(kind Kind, levels int) []Unit {
	_, p := AppendUnits(nil, DepthUnits(levels))
	p[0].Header().Kind = kind
	p[0].Depth().LevelCount = uint16(levels)
	return p
}

// The units of a packet can be told from its first unit, whatever its kind.
func TestPacketUnits(t *testing.T) {
	t.Parallel()
	want := map[Kind]int{
		KindTrade: 1, KindTradeCorrection: 1, KindQuote: 2, KindDepth: 2, KindSnapshot: 2, KindMark: 1, KindOpenInterest: 1,
		KindLiquidation: 1, KindL3Add: 2, KindL3Modify: 2, KindL3Cancel: 2, KindL3Execute: 2, KindStatus: 1, KindCatalog: 5,
		KindRescale: 1, KindUp: 1, KindDown: 1, KindGap: 1, KindClockStep: 1, KindTick: 1, KindBarrier: 1, KindConfig: 1, KindBackfillEnd: 1,
		RowTrade: 1, RowQuote: 2, RowBook: 3, RowBar: 3, RowWindow: 2, RowGap: 1, RowHealth: 3, CmdResync: 1,
		RowFunding: 2, RowOpenInterest: 1, RowLiquidation: 1, RowStatus: 1, RowNbbo: 2, RowPosition: 1, CmdBackfill: 1,
		RowDepth: 3, RowValidity: 1,
	}
	for k := range 256 {
		var u Unit
		kind := Kind(k)
		u.Header().Kind = kind
		switch kind {
		case KindQuote, KindDepth, KindSnapshot:
			u.Depth().LevelCount = 2
		case RowBook, RowDepth:
			u.BookRow().LevelCount = 7
		}
		// Kinds nobody knows have no length: a reader must stop there.
		if got := PacketUnits(&u); got != want[kind] {
			t.Errorf("kind %d takes %d units, want %d", kind, got, want[kind])
		}
	}
}

func TestNewRow(t *testing.T) {
	t.Parallel()
	var rows []Unit
	var u *Unit
	for _, kind := range []Kind{RowTrade, RowQuote, RowBar, RowWindow, RowGap, RowHealth, CmdResync, CmdBackfill} {
		at := len(rows)
		rows, u = NewRow(rows, kind)
		if u != &rows[at] || u.RowHeader().Kind != kind || len(rows)-at != PacketUnits(u) {
			t.Errorf("row of kind %d", kind)
		}
	}
	rows, added := AppendUnits(nil, DepthUnits(6))
	rows[0].RowHeader().Kind = RowBook
	rows[0].BookRow().LevelCount = 6
	RowLevels(rows)[5] = Level{Price: 3, Size: 4}
	if len(RowLevels(rows)) != 6 || added[2][2] != 3 || added[2][3] != 4 {
		t.Errorf("levels of a book row: %v", RowLevels(rows))
	}
	rows[0].BookRow().LevelCount = 0
	if RowLevels(rows) != nil {
		t.Error("a book row without levels has some")
	}
}

func TestAppendEventAndRescale(t *testing.T) {
	t.Parallel()
	h := Header{Kind: KindDown, Line: 3, Instrument: 9, Ordinal: 77, ReceiveNanos: 5}
	p := AppendEvent(nil, h, ChannelDepth, ReasonSilence)
	if e := p[0].Event(); len(p) != 1 || e.Header != h || e.Channel != ChannelDepth || e.Reason != ReasonSilence || e.Lost != 0 {
		t.Errorf("event %+v", e)
	}
	p = AppendRescale(p, h, 4, 8)
	if r := p[1].Rescale(); len(p) != 2 || r.Kind != KindRescale || r.Instrument != 9 || r.PriceDigits != 4 || r.SizeDigits != 8 {
		t.Errorf("rescale %+v", r)
	}
}

// An instrument comes out of its packet as it went in: every field, those
// of later versions included.
func TestCatalogRoundTrip(t *testing.T) {
	t.Parallel()
	var in Instrument
	fill(t, reflect.ValueOf(&in).Elem(), new(int))
	in.Type, in.TradeIDs = TypeOption, TradeIDUUID
	in.Symbol = strings.Repeat("S", 64) // names may fill their field
	in.Venue = strings.Repeat("v", 24)
	p, err := AppendCatalog(make([]Unit, 3), Header{Line: 4, Ordinal: 5, ReceiveNanos: 6, Kind: KindTrade, Flags: 0xff}, in)
	if err != nil {
		t.Fatal(err)
	}
	if p = p[3:]; len(p) != CatalogUnits || PacketUnits(&p[0]) != CatalogUnits {
		t.Fatalf("%d units", len(p))
	}
	want := Header{Kind: KindCatalog, Line: 4, Instrument: in.ID, Ordinal: 5, ReceiveNanos: 6}
	if got := *p[0].Header(); got != want {
		t.Errorf("header %+v", got)
	}
	if got := p[0].Catalog().Definition(); !reflect.DeepEqual(got, in) {
		t.Errorf("got\n%+v, want\n%+v", got, in)
	}

	empty, err := AppendCatalog(nil, Header{}, Instrument{})
	if err != nil || !reflect.DeepEqual(empty[0].Catalog().Definition(), Instrument{}) {
		t.Errorf("an empty definition: %v", err)
	}
}

// fill gives every field a value of its own.
func fill(t *testing.T, v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	case reflect.String:
		v.SetString(fmt.Sprint("text", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(uint64(*n))
	case reflect.Int64:
		v.SetInt(int64(*n) << 40)
	default:
		t.Fatalf("a field of kind %s: teach this test and the catalog packet", v.Kind())
	}
}

func TestCatalogRefusesLongNames(t *testing.T) {
	t.Parallel()
	f := func(in Instrument) {
		t.Helper()
		before := make([]Unit, 2, 100)
		p, err := AppendCatalog(before, Header{}, in)
		if err == nil || !strings.Contains(err.Error(), "longer than") {
			t.Errorf("no refusal of %+v: %v", in, err)
		}
		if len(p) != len(before) {
			t.Errorf("half a packet stayed behind: %d units", len(p)-len(before))
		}
	}
	long := strings.Repeat("x", 25)
	f(Instrument{Venue: long})
	f(Instrument{Base: long})
	f(Instrument{Quote: long})
	f(Instrument{Underlying: long})
	f(Instrument{Symbol: strings.Repeat("x", 65)})
}

// Names are read by people and by configuration: none is missing or twice.
func TestNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for r := ReasonNone; r < reasonEnd; r++ {
		if name := r.String(); name == "" || name == "unknown" || seen[name] {
			t.Errorf("reason %d is %q", r, name)
		} else {
			seen[name] = true
		}
	}
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(reasonEnd.String(), "unknown")
	f(ReasonQuoteDiffer.String(), "quote_differs")
	f(ReasonRejected.String(), "rejected")
	f(TypePerpetual.String(), "perpetual")
	f(TypeOption.String(), "option")
	f(TimeEstimate.String(), "est")
	f((ChannelTrades | ChannelDepth).String(), "trades+depth")
	f(Channels(0).String(), "")
	for i, name := range ChannelNames() {
		c := ChannelOf(name)
		if c != AllChannels[i] || c.String() != name || c.Index() != i || c != 1<<i {
			t.Errorf("channel %q is %v, number %d", name, c, c.Index())
		}
	}
	if ChannelOf("depths") != 0 || ChannelOf("") != 0 {
		t.Error("a name that no channel has")
	}
	if ChannelTrades.Has(ChannelTrades | ChannelDepth) {
		t.Error("one channel has two")
	}
	defer func() {
		if recover() == nil {
			t.Error("a set of channels has no index")
		}
	}()
	_ = (ChannelTrades | ChannelDepth).Index()
}
