package tick

import "testing"

func TestClassOfAKind(t *testing.T) {
	t.Parallel()
	f := func(k Kind, want Class) {
		t.Helper()
		if have := k.Class(); have != want {
			t.Errorf("kind %d: class %d, not %d", k, have, want)
		}
	}
	f(KindTrade, ClassTrades)
	f(KindTradeCorrection, ClassTrades)
	f(KindQuote, ClassQuotes)
	f(KindDepth, ClassDepth)
	f(KindSnapshot, ClassDepth)
	f(KindMark, ClassOther)
	f(KindLiquidation, ClassOther)
	f(KindStatus, ClassOther)
	for _, ours := range []Kind{KindInvalid, KindCatalog, KindRescale, KindUp, KindDown, KindGap, KindClockStep, KindTick, KindBarrier, KindConfig, KindBackfillEnd, RowTrade, 255} {
		f(ours, ClassNone)
	}
	if ClassOther.String() != "other" || ClassCount != 4 {
		t.Error(ClassOther.String(), ClassCount)
	}
}
