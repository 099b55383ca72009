package sim

import (
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"tickproc/internal/clock"
)

// Handler serves a venue's websockets and REST without Listen, nil for a
// venue that is not simulated.
func (e *Exchange) Handler(venue string) http.Handler {
	v, err := e.market(venue)
	if err != nil {
		return nil
	}
	return e.handler(v)
}

func (e *Exchange) handler(v *Market) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, ok := strings.CutPrefix(r.URL.Path, e.options.PathPrefix)
		if !ok {
			http.NotFound(w, r)
			return
		}
		if !websocket.IsWebSocketUpgrade(r) {
			v.serveREST(w, r, path)
			return
		}
		v.mu.Lock()
		status := v.admit(clock.Nanos())
		o, ok := v.dialect.Open(path, r.URL.Query())
		body := v.dialect.RESTError(status)
		v.mu.Unlock()
		switch {
		case status != 0:
			w.Header().Set("Content-Type", "application/json;charset=UTF-8")
			w.WriteHeader(status)
			w.Write(body)
		case !ok:
			http.NotFound(w, r)
		default:
			v.serveSocket(w, r, o)
		}
	})
}

// serveREST answers a request, within the budget of weights and through what
// may befall it.
func (v *Market) serveREST(w http.ResponseWriter, r *http.Request, path string) {
	status, h, body, slow := v.answer(path, r.URL.Query())
	if slow > 0 {
		wait := time.NewTimer(slow)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-r.Context().Done():
			return
		}
	}
	maps.Copy(w.Header(), h)
	w.WriteHeader(status)
	w.Write(body)
}

// answer makes the answer to a request; slow is how long it is held back.
func (v *Market) answer(path string, query url.Values) (status int, h http.Header, body []byte, slow time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stats.Requests++
	a := v.dialect.REST(v, path, query)
	f, struck := v.faults.pickREST(a.Symbol)
	if struck {
		v.note(f, a.Symbol, 0, nil)
	}
	retryAfter := time.Duration(0)
	fail := func(status int) { a = Answer{Status: status, Body: v.dialect.RESTError(status)} }
	switch f.Kind {
	case FaultRESTLimit:
		fail(http.StatusTooManyRequests)
		retryAfter = f.For
	case FaultRESTError:
		fail(http.StatusInternalServerError)
	case FaultRESTGarbage:
		a.Body, a.Trades = append([]byte("<html>"), a.Body[:len(a.Body)/2]...), nil
	}
	if v.now < v.maintenanceUntil {
		fail(http.StatusServiceUnavailable)
	}
	budget := v.profile.Weight
	if budget.N > 0 {
		// Venues' periods begin with the minute, not with a client's first request.
		v.weight.from = v.weight.period(budget, v.now)
		if !v.weight.take(budget, a.Weight, v.now) {
			fail(http.StatusTooManyRequests)
			retryAfter = budget.Per - time.Duration(v.now%int64(budget.Per))
		}
	}
	used := v.weight.n
	// What a client makes of an answer is not to be seen: it may have read them.
	if in := v.byName[a.Symbol]; in != nil {
		for _, t := range a.Trades {
			if known := in.truth.trade(t.ID); known != nil {
				known.Doubtful++
			}
		}
	}
	if f.Kind == FaultRESTSlow {
		slow = f.For
	}
	h = http.Header{}
	h.Set("Content-Type", "application/json;charset=UTF-8")
	if name := v.profile.WeightHeader; name != "" {
		h.Set(name, strconv.Itoa(used))
	}
	if retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((retryAfter+time.Second-1)/time.Second)))
	}
	return a.Status, h, a.Body, slow
}
