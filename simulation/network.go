package simulation

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"tickproc/feeds"
	"tickproc/feeds/sim"
	"tickproc/tick"
)

// link is a planned socket of a process, and the network between it and its
// venue. A socket keeps its order, as TCP does.
type link struct {
	w      *world
	p      *process
	venue  string
	l      *feeds.Link
	client *sim.Client // nil: none is open
	socket int         // counts sockets, so that what was on its way to one reaches no other
	inAt   int64       // when the last frame arrives here
	outAt  int64       // and there
	timer  int         // counts, so that only the last is heard
	leaves bool        // it has said goodbye
	dead   bool        // nothing goes through, and nobody knows
	diedAt int64
	reason tick.Reason
}

var errNoRoute = errors.New("no route to the venue")

// travel is how long something takes from one side to the other.
func (w *world) travel() time.Duration {
	d := between(w.network, 200*time.Microsecond, 2*time.Millisecond)
	if some(w.network, 100) {
		d = between(w.network, 2*time.Millisecond, 40*time.Millisecond)
	}
	if w.now < w.slowTill {
		d += between(w.network, 10*time.Millisecond, 400*time.Millisecond)
	}
	return d
}

func (k *link) alive() bool { return k.w.process == k.p }

// dial opens a socket after a while.
func (k *link) dial(wait time.Duration) {
	k.socket++
	mine := k.socket
	w := k.w
	w.after(wait+2*w.travel(), func() {
		if !k.alive() || k.socket != mine || k.p.stopping {
			return
		}
		if w.now < w.noDialTill {
			k.dial(k.l.Undialled(nil, errNoRoute))
			return
		}
		u, err := url.Parse(k.l.URL())
		if err != nil {
			panic("BUG: " + err.Error())
		}
		k.inAt, k.outAt, k.leaves, k.dead = w.now, w.now, false, false
		client, status, err := w.exchange.Connect(k.venue, u, func(s sim.Sent) { k.deliver(mine, s) })
		if err != nil {
			panic("BUG: " + err.Error())
		}
		if status != 0 {
			k.dial(k.l.Undialled(&http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{}}, errNoRoute))
			return
		}
		k.client = client
		k.l.Opened()
		w.heard(k)
		w.note("open", k.venue+" "+k.l.Name())
		k.talk()
	})
}

// deliver brings what the venue sent.
func (k *link) deliver(socket int, s sim.Sent) {
	w := k.w
	k.inAt = max(k.inAt, w.now+int64(w.travel()))
	w.at(k.inAt, func() {
		if !k.alive() || k.socket != socket || k.client == nil || k.dead {
			return
		}
		switch s.Kind {
		case sim.SentText:
			k.l.Frame(s.Text)
			w.flush(k)
		case sim.SentPing:
			k.l.Heard()
			k.send(func(c *sim.Client) { c.Pong(s.Text) })
		case sim.SentPong:
			k.l.Heard()
		default:
			if s.Kind == sim.SentClose {
				k.l.Heard()
			}
			if !k.leaves {
				k.reason = tick.ReasonDisconnect
			}
			k.end(k.reason)
			return
		}
		k.talk()
	})
}

// send brings something to the venue.
func (k *link) send(do func(*sim.Client)) {
	w, mine, client := k.w, k.socket, k.client
	k.outAt = max(k.outAt, w.now+int64(w.travel()))
	w.at(k.outAt, func() {
		if k.alive() && k.socket == mine && k.client == client && !k.dead {
			do(client)
		}
	})
}

// talk does what the protocol wants.
func (k *link) talk() {
	for k.client != nil && !k.leaves {
		switch a := k.l.Next(); a.Do {
		case feeds.ActSend:
			k.send(func(c *sim.Client) { c.Say(a.Text) })
		case feeds.ActPing:
			k.send(func(c *sim.Client) { c.Ping(nil) })
		case feeds.ActClose:
			k.leaves, k.reason = true, a.Reason
			mine := k.socket
			k.w.after(2*k.w.travel(), func() {
				if k.alive() && k.socket == mine && k.client != nil {
					k.end(k.reason)
				}
			})
		case feeds.ActHangUp:
			k.end(a.Reason)
		default:
			k.timer++
			if mine := k.timer; a.Wait > 0 {
				k.w.after(a.Wait, func() {
					if k.alive() && k.timer == mine {
						k.talk()
					}
				})
			}
			return
		}
	}
}

// end is the end of a socket.
func (k *link) end(reason tick.Reason) {
	client := k.client
	k.client = nil
	client.Leave()
	k.w.unheard(k)
	k.w.note("end", k.venue+" "+k.l.Name()+" "+reason.String())
	k.dial(k.l.Ended(reason))
}

// reset ends it as a router would that forgot it.
func (k *link) reset() {
	if k.client != nil {
		k.end(tick.ReasonDisconnect)
	}
}

// die lets nothing through a socket any more. Nobody listens from here on.
func (k *link) die() {
	if k.client != nil && !k.dead {
		k.w.unheard(k)
		k.dead, k.diedAt = true, k.w.now
	}
}

// rest makes the requests of a feed.
func (w *world) rest(p *process, f *pipelineFeed) {
	for {
		call, _ := f.NextRequest()
		if call == nil {
			return
		}
		u, err := url.Parse(call.URL)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		w.after(w.travel(), func() {
			if w.process != p {
				return
			}
			if w.now < w.noRESTTill {
				w.after(2*time.Second, func() { w.answer(p, f, call, 0, nil, nil, errNoRoute) })
				return
			}
			status, h, body, slow, err := w.exchange.Get(f.Venue, u)
			if err != nil {
				panic("BUG: " + err.Error())
			}
			w.after(slow+w.travel(), func() { w.answer(p, f, call, status, h, body, nil) })
		})
	}
}

func (w *world) answer(p *process, f *pipelineFeed, call *feeds.Call, status int, h http.Header, body []byte, err error) {
	if w.process == p && !p.stopping {
		f.Answered(call, status, h, body, err)
	}
}
