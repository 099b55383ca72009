package engine

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tickproc/indicators"
)

// decided says of every field of every struct that a shard's state is made of
// whether it is coded, or, behind "=", why not. A new field must be decided.
const decided = `
engine.Shard: options instruments due=told_by_deadlines now rows=said commands=said dirty=all_after_loading scratch=scratch lineStats=metrics uncounted=metrics count
engine.Shard: follows=of_this_process touched=of_this_process levels=scratch
engine.Shard: groups=found_anew groupList=in_another_order saving=of_this_process configs=the_caller_teaches_them learning=guards_configs
engine.Options: Intervals Grace Lateness Carry Windows BookEvery BookGrace BookOnChange BookDepth Silence Stale LineHold ClockWindow Nbbo NbboStale NbboEvery
indicators.WindowSpec: Span Step Grace=of_the_options Lateness=of_the_options
engine.instrument: shard def priceDigits sizeDigits lines coarser disabled offset channels firsts sync merges leader standbys depthLine answerBy lineDue
engine.instrument: sample quote funding interest liquidationOrd statusOrd gone group contribution ids coverage indicators gathered=settled_before_it_is_coded indicatorDue out=scratch trade=scratch
engine.instrument: depthTs depthSource silenceAt doubtUntil deltaID counts=totals;_Trades_is_coded_where_it_orders_trades
engine.instrument: fine=found_again idle=found_again urgent=scratch key=may_be_early_while_it_lives place=of_the_key dirty=all_after_loading touched=of_this_process told=of_this_process savedAt=of_this_process
engine.lineScale: line priceDigits sizeDigits
engine.clockOffset: halfEnd newest older seen hasOld
engine.channel: lastTs leftTs gap ord
engine.openGap: open ts ord reason
engine.ordinal: ts seq n estimate
engine.firstArrival: lone lines newest aloneTs overtook behind leads=metrics
struct{isbool;toldbool;lineuint16;ownengine.arrival}: is told line own
engine.arrival: key n
engine.overtaken: is begun from to ts end
engine.arrivalLine: line soundAt provedAt provedTs newest
book.Sync: Rule Book Quotes Counts=totals;_Applied_is_coded_of_a_book_aside Hold=of_the_options state reason epoch owed asked lastID prevID joined wantDelta spent stood
book.Sync: broken waiting waitingN mixed=left_over_while_nothing_waits parts shared appliedAt sums digits
book.Book: Bids Asks Orphans=totals text=scratch
book.Side: window=where_levels_lie far=where_levels_lie above=where_levels_lie misses=where_levels_lie stood=where_levels_lie sign
book.QuoteCheck: quotes=begin_elsewhere_in_the_ring next=begin_elsewhere_in_the_ring Agreed=totals Differed=totals run
book.part: line kind units
book.quote: id bid ask
book.chainLink: prev last
book.shared: lines recent=begin_elsewhere_in_the_ring next=begin_elsewhere_in_the_ring
book.sharedLine: line pos known aside asideAt=left_over_without_a_book_aside newest=left_over_without_a_book_aside
book.checksums: zeros fails failed own
struct{priceuint8;sizeuint8}: price size
engine.standby: in line sync ts receive source lastID answerBy
engine.sampler: every grace depth pending boundary ts seq source receive last lastBids sampled announced shown lastTs ord top=scratch
engine.quoteState: bid ask written fromBook lastTs ord aheadSince aheadID staleNanos differs differSince differTs
engine.fundingState: mark index rate nextNanos written ord
engine.reference: value digits told
engine.interestState: size written ord
engine.consolidated: shard members arrivals begun shown writtenAt pendingAt ord savedAt=of_this_process
engine.best: bid ask bidder asker venues
engine.offer: price size priceDigits sizeDigits arrival level contract scale
engine.contribution: seenAt counts bid ask
engine.tradeIDs: contiguous any highest holes recent
engine.idHole: from to gap gapEnd counted lateFill blurred backfill
engine.Options: Backfill BackfillReach BackfillWithin
engine.instrument: backfill
engine.backfills: cases epochs nextAt due=told_by_the_cases
engine.backfillCase: gap end fromID toID left epoch asked late actAt until failures
engine.recentIDs: order=begin_elsewhere_in_the_ring next=begin_elsewhere_in_the_ring slots=found_anew
indicators.Coverage: losses count
indicators.loss: from to
indicators.Bars: spec=scale_at_the_beginning interval grace lateness coverage inverse held begun pending revised closed=told_by_the_bars forgotten
indicators.Bars: hold=told_before_it_counts
indicators.inverse: contract shift
indicators.slots[bar]: starts=begin_elsewhere_in_the_ring values=begin_elsewhere_in_the_ring head=begin_elsewhere_in_the_ring count
indicators.begun: begunAt
indicators.SlidingVWAP: spec span step width grace lateness coverage buckets rows begun window=a_cache at=a_cache lo=a_cache hi=a_cache next revised forgotten
indicators.SlidingVWAP: hold=told_before_it_counts
indicators.slots[sums]: starts=begin_elsewhere_in_the_ring values=begin_elsewhere_in_the_ring head=begin_elsewhere_in_the_ring count
indicators.slots[slidingRow]: starts=begin_elsewhere_in_the_ring values=begin_elsewhere_in_the_ring head=begin_elsewhere_in_the_ring count
indicators.SessionVWAP: spec step grace lateness coverage held begun before beforeDay forgotten pending revised
indicators.SessionVWAP: hold=told_before_it_counts
indicators.sums: volume notional trades
indicators.slots[sessionStep]: starts=begin_elsewhere_in_the_ring values=begin_elsewhere_in_the_ring head=begin_elsewhere_in_the_ring count
indicators.bar: part rev emitted changed complete partial
indicators.part: openTs closeTs openID closeID open high low close sums buy base
indicators.slidingRow: trades rev complete
indicators.sessionStep: own total rev emitted complete
`

func decisions() map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(decided) {
		name, fields, _ := strings.Cut(strings.TrimSpace(line), ": ")
		for field := range strings.FieldsSeq(fields) {
			field, why, _ := strings.Cut(field, "=")
			if _, twice := all[name+"."+field]; twice {
				panic(name + "." + field + " is decided twice")
			}
			all[name+"."+field] = why
		}
	}
	return all
}

// Every field is decided, and nothing else is.
func TestEveryFieldIsDecided(t *testing.T) {
	t.Parallel()
	left := decisions()
	for _, x := range stateTypes() {
		var undecided []string
		for i := range x.NumField() {
			key := typeName(x) + "." + x.Field(i).Name
			if _, known := left[key]; !known {
				undecided = append(undecided, x.Field(i).Name)
			}
			delete(left, key)
		}
		if len(undecided) > 0 {
			t.Errorf("%s: %s: code them in its code method, and say so in decided; or say there why not", typeName(x), strings.Join(undecided, " "))
		}
	}
	for key := range left {
		t.Errorf("%s is decided and not there", key)
	}
}

func typeName(x reflect.Type) string {
	name := strings.TrimPrefix(x.String(), "*")
	return strings.NewReplacer("tickproc/indicators.", "", " ", "").Replace(name)
}

// stateTypes are the structs of engine, book and indicators that a shard holds.
func stateTypes() (all []reflect.Type) {
	var visit func(x reflect.Type)
	visit = func(x reflect.Type) {
		switch x.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			visit(x.Elem())
		case reflect.Struct:
			path := x.PkgPath()
			ours := strings.HasPrefix(x.String(), "struct {") || slices.Contains([]string{"tickproc/engine", "tickproc/book", "tickproc/indicators"}, path)
			if !ours || slices.Contains(all, x) {
				return
			}
			all = append(all, x)
			for i := range x.NumField() {
				f := x.Field(i)
				if why := decidedFields[typeName(x)+"."+f.Name]; why == "" || strings.HasPrefix(why, "begin_elsewhere") {
					visit(f.Type)
				}
			}
		}
	}
	for _, root := range []any{Shard{}, indicators.Bars{}, indicators.SlidingVWAP{}, indicators.SessionVWAP{}} {
		visit(reflect.TypeOf(root))
	}
	return all
}

var decidedFields = decisions()

// differ returns the first coded field in which two states differ, "" if none.
func differ(a, b reflect.Value, at string, seen map[[2]uintptr]bool) string {
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			if a.IsNil() != b.IsNil() {
				return at
			}
			return ""
		}
		pair := [2]uintptr{a.Pointer(), b.Pointer()}
		if seen[pair] {
			return ""
		}
		seen[pair] = true
		return differ(a.Elem(), b.Elem(), at, seen)
	case reflect.Interface:
		if a.IsNil() || b.IsNil() || a.Elem().Type() != b.Elem().Type() {
			return at
		}
		return differ(a.Elem(), b.Elem(), at, seen)
	case reflect.Slice, reflect.Array:
		if a.Len() != b.Len() {
			return fmt.Sprintf("%s (%d and %d)", at, a.Len(), b.Len())
		}
		for i := range a.Len() {
			if where := differ(a.Index(i), b.Index(i), fmt.Sprintf("%s[%d]", at, i), seen); where != "" {
				return where
			}
		}
	case reflect.Struct:
		for i := range a.NumField() {
			name := a.Type().Field(i).Name
			if decidedFields[typeName(a.Type())+"."+name] != "" {
				continue
			}
			if where := differ(a.Field(i), b.Field(i), at+"."+name, seen); where != "" {
				return where
			}
		}
	case reflect.String:
		if a.String() != b.String() {
			return at
		}
	case reflect.Bool:
		if a.Bool() != b.Bool() {
			return at
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if a.Int() != b.Int() {
			return fmt.Sprintf("%s (%d and %d)", at, a.Int(), b.Int())
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if a.Uint() != b.Uint() {
			return fmt.Sprintf("%s (%d and %d)", at, a.Uint(), b.Uint())
		}
	default:
		return at + ": of a kind that nobody compares"
	}
	return ""
}
