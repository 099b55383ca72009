package simulation

import (
	"context"
	"iter"
	"time"
)

// loop is virtual time: what is due happens in the order of time, then of
// having been asked for. Nothing else makes anything happen.
type loop struct {
	now   int64 // ns since the epoch, true time
	queue events
	count uint64
	task  *task // that runs now
	tasks []*task
}

type event struct {
	at    int64
	order uint64
	do    func()
}

// events is a heap.
type events []event

func (q events) before(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}

func (q *events) push(e event) {
	*q = append(*q, e)
	h := *q
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h.before(i, parent) {
			break
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
}

func (q *events) pop() event {
	h := *q
	first, last := h[0], len(h)-1
	h[0], h[last] = h[last], event{}
	h = h[:last]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(h); c++ {
			if h.before(c, least) {
				least = c
			}
		}
		if least == i {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	*q = h
	return first
}

// at lets something happen at a time, or now if that is past.
func (l *loop) at(when int64, do func()) {
	l.count++
	l.queue.push(event{max(when, l.now), l.count, do})
}

func (l *loop) after(d time.Duration, do func()) { l.at(l.now+int64(d), do) }

// step lets the next thing happen; false: nothing is due before the end.
func (l *loop) step(end int64) bool {
	if len(l.queue) == 0 || l.queue[0].at > end {
		l.now = max(l.now, end)
		return false
	}
	e := l.queue.pop()
	l.now = e.at
	e.do()
	return true
}

// A task is code that waits: it runs on a stack of its own, and control is
// handed to it and back.
type task struct {
	loop   *loop
	resume func() (struct{}, bool)
	stop   func()
	yield  func(struct{}) bool
	ctx    context.Context
	until  int64 // 0 = no time
	wakes  []<-chan struct{}
	woken  int
	ended  bool
}

// killed ends a task whose process is no more.
type killed struct{}

// start begins a task; it first runs when tasks are looked at.
func (l *loop) start(run func()) *task {
	t := &task{loop: l, until: 1, ctx: context.Background()}
	t.resume, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = yield
		defer func() {
			t.ended = true
			if x := recover(); x != nil {
				if _, ok := x.(killed); !ok {
					panic(x)
				}
			}
		}()
		run()
	})
	l.tasks = append(l.tasks, t)
	return t
}

// poll lets the tasks go on whose wait is over.
func (l *loop) poll() {
	for i := 0; i < len(l.tasks); i++ {
		t := l.tasks[i]
		if !t.ready() {
			continue
		}
		l.task = t
		_, more := t.resume()
		l.task = nil
		if !more {
			t.ended = true
		}
	}
	left := l.tasks[:0]
	for _, t := range l.tasks {
		if !t.ended {
			left = append(left, t)
		}
	}
	l.tasks = left
}

// ready reports that a task's wait is over.
func (t *task) ready() bool {
	t.woken = -1
	for i, c := range t.wakes {
		if len(c) > 0 {
			<-c
			t.woken = i
			return true
		}
	}
	return t.until != 0 && t.loop.now >= t.until || t.ctx.Err() != nil
}

// kill ends all tasks where they wait.
func (l *loop) kill() {
	tasks := l.tasks
	l.tasks = nil
	for _, t := range tasks {
		l.task = t
		t.stop()
	}
	l.task = nil
}

// pause hands control back until a time (0 = none), a wake, or the end of ctx.
func (l *loop) pause(ctx context.Context, until int64, wakes ...<-chan struct{}) int {
	t := l.task
	if t == nil {
		panic("BUG: something waits that is no task")
	}
	t.ctx, t.until, t.wakes = ctx, until, wakes
	if t.ready() { // nobody else must run for what is there already
		return t.woken
	}
	if !t.yield(struct{}{}) {
		panic(killed{})
	}
	return t.woken
}

// Timeout is of pace.Pace: time is virtual.
func (l *loop) Timeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	return &deadline{ctx, l, l.now + int64(d)}, cancel
}

// Wait is of pace.Pace.
func (l *loop) Wait(ctx context.Context, d time.Duration, wakes ...<-chan struct{}) int {
	until := int64(0)
	if d > 0 {
		until = l.now + int64(d)
	}
	return l.pause(ctx, until, wakes...)
}

// deadline is a context that ends at a virtual time. Its Done tells of no
// deadline: who waits here asks Err.
type deadline struct {
	context.Context
	loop *loop
	at   int64
}

func (d *deadline) Err() error {
	if err := d.Context.Err(); err != nil {
		return err
	}
	if d.loop.now >= d.at {
		return context.DeadlineExceeded
	}
	return nil
}
