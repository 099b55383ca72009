package coinbase

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

// numbered gives a frame another number.
func numbered(frame string, n int) string {
	i := strings.Index(frame, `"sequence_num":`) + len(`"sequence_num":`)
	j := i + strings.IndexByte(frame[i:], ',')
	return fmt.Sprintf("%s%d%s", frame[:i], n, frame[j:])
}

// kinds are the packets of a frame with that number on the socket as it is.
func (b *bench) kinds(frame string, n int) (kinds []tick.Kind, notice feeds.Notice) {
	b.t.Helper()
	units, notice, err := b.decoder.Decode(nil, []byte(numbered(frame, n)), stamp)
	if err != nil {
		b.t.Fatal(err)
	}
	for ; len(units) > 0; units = units[tick.PacketUnits(&units[0]):] {
		kinds = append(kinds, units[0].KindOf())
	}
	return kinds, notice
}

// The venue numbers every frame of a socket. A jump is told beside what the
// frame holds; what comes behind later frames gives its trades at the most;
// what was seen before gives nothing.
func TestSequence(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, 8)
	f := func(frame string, n int, want feeds.Notice, kinds ...tick.Kind) {
		t.Helper()
		if got, notice := b.kinds(frame, n); notice != want || !slices.Equal(got, kinds) {
			t.Errorf("number %d: %v, %+v; want %v, %+v", n, got, notice, kinds, want)
		}
	}
	none, ignored := feeds.Notice{}, feeds.Notice{Kind: feeds.NoticeIgnored}
	gap := func(lost uint64) feeds.Notice { return feeds.Notice{Kind: feeds.NoticeGap, Lost: lost} }
	ack := func(request int) feeds.Notice { return feeds.Notice{Kind: feeds.NoticeAck, Request: request} }
	trades := []tick.Kind{tick.KindTrade, tick.KindTrade}

	f(depthFrame, 100, none, tick.KindDepth) // a capture begins in the middle
	f(heartbeatFrame, 101, feeds.Notice{Kind: feeds.NoticePong})
	f(ackFrame, 102, ack(0))
	f(tradesFrame, 103, none, trades...)
	f(depthFrame, 106, gap(2), tick.KindDepth)
	f(tradesFrame, 104, none, trades...) // late
	f(depthFrame, 105, ignored)          // late: the book has moved on
	f(tradesFrame, 104, ignored)         // twice
	f(depthFrame, 106, ignored)
	f(tickerFrame, 107, none, tick.KindQuote)
	f(heartbeatFrame, 110, gap(2))
	f(tickerFrame, 108, ignored)
	f(ackFrame, 109, ack(1)) // late: nobody else says it
	f(ackFrame, 109, ignored)

	// An acknowledgement that shows a jump is given out with the next frame.
	f(ackFrame, 112, gap(1))
	f(ackFrame, 114, gap(1))
	f(ackFrame, 115, ack(4))
	f(depthFrame, 116, ack(2), tick.KindDepth)
	f(heartbeatFrame, 117, ack(3))
	f(heartbeatFrame, 118, feeds.Notice{Kind: feeds.NoticePong})

	// Frames far in the past may have been seen: a trade's id will tell.
	f(tradesFrame, 40, none, trades...)
	f(ackFrame, 41, ignored)
	f(depthFrame, 119, none, tick.KindDepth)
}

// What was not understood may have mattered: the next frame tells of it. What
// is about nothing of ours did not.
func TestSequenceAcrossErrors(t *testing.T) {
	t.Parallel()
	f := func(bad string, lost uint64) {
		t.Helper()
		b := newBench(t, 2, 8)
		b.kinds(heartbeatFrame, 0)
		if _, _, err := b.decoder.Decode(nil, []byte(bad), stamp); err == nil {
			t.Fatalf("%s: no error", bad)
		}
		want := feeds.Notice{Kind: feeds.NoticePong}
		if lost > 0 {
			want = feeds.Notice{Kind: feeds.NoticeGap, Lost: lost}
		}
		if _, got := b.kinds(heartbeatFrame, 2); got != want {
			t.Errorf("behind %.200s: %+v, want %+v", bad, got, want)
		}
	}
	one := numbered(depthFrame, 1)
	f(one[:len(one)-1], 1)
	f(strings.Replace(one, `"offer"`, `"other"`, 1), 1)
	f(strings.Replace(one, `"update"`, `"correction"`, 1), 1)
	f(strings.Replace(one, "0.18983151", strings.Repeat("9", 30), 1), 1)
	f(strings.Replace(one, "BTC-USD", "DOGE-USD", 1), 0)
	f(strings.Replace(one, "l2_data", "level3", 1), 0)
	// A jump stands before it: the next frame tells of both.
	f(strings.Replace(numbered(depthFrame, 9), "BTC-USD", "DOGE-USD", 1), 1)
}

// A venue that counts anew is followed after a moment.
func TestSequenceAnew(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, 8)
	b.table.Canary = feeds.NewCanary(slog.New(slog.NewTextHandler(io.Discard, nil)))
	b.kinds(depthFrame, 5000)
	for n := range anewAfter - 1 {
		if kinds, notice := b.kinds(depthFrame, n); kinds != nil || notice.Kind != feeds.NoticeIgnored {
			t.Fatalf("number %d: %v, %+v", n, kinds, notice)
		}
	}
	if kinds, notice := b.kinds(depthFrame, anewAfter-1); len(kinds) != 1 || notice != (feeds.Notice{Kind: feeds.NoticeGap}) {
		t.Fatalf("%v, %+v", kinds, notice)
	}
	if kinds, notice := b.kinds(depthFrame, anewAfter); len(kinds) != 1 || notice != (feeds.Notice{}) {
		t.Fatalf("%v, %+v", kinds, notice)
	}
	if n := b.table.Canary.Signs[feeds.CanarySequence].Load(); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// However frames are lost, doubled and swapped, every number is in order, told
// to be missing, or late, exactly once.
func TestFrameCountAgainstASet(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for range 200 {
		var numbers []uint64
		for n := range uint64(200) {
			for range []int{1, 1, 1, 1, 1, 1, 0, 2}[random.IntN(8)] {
				numbers = append(numbers, n)
			}
		}
		for range random.IntN(20) {
			i := random.IntN(len(numbers) - 3)
			numbers[i], numbers[i+random.IntN(3)] = numbers[i+random.IntN(3)], numbers[i]
		}
		var c frameCount
		missing, had := map[uint64]bool{}, map[uint64]bool{}
		first := numbers[0]
		for _, n := range numbers {
			next := c.next
			p, lost := c.take(n)
			switch {
			case p == inOrder && !had[n]:
			case p == jumped && lost == n-next && lost > 0:
				for m := next; m < n; m++ {
					missing[m] = true
				}
			case p == late && (missing[n] || n < first) && !had[n]:
				delete(missing, n)
			case p == duplicate && had[n], p == past && n+64 < next:
			default:
				t.Fatalf("%d is in place %d, lost %d, before %v", n, p, lost, numbers)
			}
			had[n] = true
		}
		for n := range missing {
			if had[n] {
				t.Fatalf("%d came, and is missing", n)
			}
		}
	}
}
