package simulation

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"
)

// What is due happens in the order of time, then of having been asked for; a
// task goes on when its wait is over, by time or by a wake.
func TestLoop(t *testing.T) {
	t.Parallel()
	l, said := &loop{}, []string{}
	say := func(what string) { said = append(said, fmt.Sprint(what, "@", l.now)) }
	wake := make(chan struct{}, 1)
	l.at(30, func() { say("c") })
	l.at(10, func() { say("a"); wake <- struct{}{} })
	l.at(10, func() { say("b") })
	l.start(func() {
		if i := l.Wait(context.Background(), 0, make(chan struct{}), wake); i != 1 {
			t.Errorf("woken by %d", i)
		}
		say("woken")
		ctx, cancel := l.Timeout(context.Background(), 10)
		defer cancel()
		l.Wait(ctx, time.Hour)
		say(fmt.Sprint("over: ", ctx.Err()))
	})
	cleaned := false
	l.start(func() {
		defer func() { cleaned = true }()
		l.Wait(context.Background(), time.Hour)
		t.Error("it goes on after its process was killed")
	})
	for l.poll(); l.step(40); l.poll() {
	}
	want := []string{"a@10", "woken@10", "b@10", "c@30", "over: context deadline exceeded@30"}
	if !slices.Equal(said, want) {
		t.Errorf("%q, want %q", said, want)
	}
	if l.kill(); !cleaned || len(l.tasks) > 0 {
		t.Errorf("cleaned %v, %d tasks left", cleaned, len(l.tasks))
	}
}
