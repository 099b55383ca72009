package sim

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// Handler serves a venue's websockets and REST without Listen, nil for a
// venue that is not simulated.
func (e *Exchange) Handler(venue string) http.Handler {
	v, err := e.venue(venue)
	if err != nil {
		return nil
	}
	return e.handler(v)
}

func (e *Exchange) handler(v *venue) http.Handler {
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
		mode, streams, ok := v.dialect.open(path, r.URL.Query())
		if !ok {
			http.NotFound(w, r)
			return
		}
		v.serveSocket(w, r, mode, streams)
	})
}

// serveREST answers a request, within the budget of weights and through what
// may befall it.
func (v *venue) serveREST(w http.ResponseWriter, r *http.Request, path string) {
	query := r.URL.Query()
	v.mu.Lock()
	v.stats.Requests++
	symbol := query.Get("symbol")
	f, struck := v.faults.pick(true, symbol, 0, false)
	if struck {
		v.note(f, symbol, 0, nil)
	}
	var a answer
	retryAfter := time.Duration(0)
	switch f.Kind {
	case FaultRESTLimit:
		a = answer{status: http.StatusTooManyRequests, body: v.dialect.restError(http.StatusTooManyRequests)}
		retryAfter = f.For
	case FaultRESTError:
		a = answer{status: http.StatusInternalServerError, body: v.dialect.restError(http.StatusInternalServerError)}
	case FaultRESTGarbage:
		a = v.dialect.rest(v, path, query)
		a.body = append([]byte("<html>"), a.body[:len(a.body)/2]...)
	default:
		a = v.dialect.rest(v, path, query)
	}
	if minute := v.now / int64(time.Minute); minute != v.weight.minute {
		v.weight.minute, v.weight.used = minute, 0
	}
	v.weight.used += int64(a.weight)
	used := v.weight.used
	if used > int64(v.dialect.weightPerMinute()) {
		a = answer{status: http.StatusTooManyRequests, body: v.dialect.restError(http.StatusTooManyRequests)}
		retryAfter = time.Minute - time.Duration(v.now%int64(time.Minute))
	}
	v.mu.Unlock()

	if f.Kind == FaultRESTSlow {
		wait := time.NewTimer(f.For)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-r.Context().Done():
			return
		}
	}
	h := w.Header()
	h.Set("Content-Type", "application/json;charset=UTF-8")
	h.Set(v.dialect.weightHeader(), strconv.FormatInt(used, 10))
	if retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((retryAfter+time.Second-1)/time.Second)))
	}
	w.WriteHeader(a.status)
	w.Write(a.body)
}
