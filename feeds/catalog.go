package feeds

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"tickproc/tick"
)

// CatalogOptions tune FetchCatalog. The zero value is useful.
type CatalogOptions struct {
	// Attempts per request. Default 3.
	Attempts int
	// Deadline for the whole fetch. Default 20 s: start goes on without.
	Deadline time.Duration
	Dial     DialFunc          // nil = the network
	HTTP     http.RoundTripper // nil = one over Dial
	Logger   *slog.Logger      // nil = silent
	Recorder *Recorder         // nil = answers are not recorded
}

// FetchCatalog asks a venue for its instruments. restBase overrides the
// venue's address as in OverrideURL. It fails when any of the venue's requests
// stays without a usable answer; the caller then falls back to
// Adapter.Instrument. A venue without a catalog has no instruments.
func FetchCatalog(ctx context.Context, adapter Adapter, restBase string, o CatalogOptions) ([]tick.Instrument, error) {
	if o.Attempts == 0 {
		o.Attempts = 3
	}
	if o.Deadline == 0 {
		o.Deadline = 20 * time.Second
	}
	if o.Dial == nil {
		o.Dial = networkDial
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithTimeout(ctx, o.Deadline)
	defer cancel()
	client := newHTTPClient(o.Dial, o.HTTP)
	defer client.CloseIdleConnections()
	var recorder *LineRecorder
	if o.Recorder != nil {
		recorder = o.Recorder.Line(restLineName)
	}
	var all []tick.Instrument
	for _, request := range adapter.CatalogRequests() {
		instruments, err := fetchCatalog(ctx, adapter, request, restBase, client, recorder, &o)
		if err != nil {
			return nil, fmt.Errorf("%s: no catalog from %s: %w", adapter.Venue(), maskURL(request.URL), err)
		}
		all = append(all, instruments...)
	}
	return all, nil
}

// fetchCatalog makes one of the venue's catalog requests, again if need be.
func fetchCatalog(ctx context.Context, adapter Adapter, request Request, restBase string, client *http.Client, recorder *LineRecorder, o *CatalogOptions) ([]tick.Instrument, error) {
	url, err := OverrideURL(request.URL, restBase)
	if err != nil {
		return nil, err
	}
	retry := backoff{min: DefaultBackoffMin, max: o.Deadline / 4}
	for attempt := 1; ; attempt++ {
		a := get(ctx, client, url, nil, bodyLimitOf(adapter.Profile()))
		err := a.err
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("status %d: %s", a.status, excerpt(a.body))
		}
		if err == nil {
			var instruments []tick.Instrument
			if instruments, err = adapter.ParseCatalog(a.body); err == nil {
				if recorder != nil {
					recorder.rest(a.at, 0, request.URL, a.body)
				}
				return instruments, nil
			}
		}
		if recorder != nil && a.status != http.StatusOK {
			recorder.restStatus(a.at, a.status, request.URL, a.failure())
		}
		if attempt == o.Attempts || ctx.Err() != nil {
			return nil, fmt.Errorf("attempt %d: %w", attempt, err)
		}
		wait := max(retry.next(), retryAfter(a.header, time.Now()))
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return nil, fmt.Errorf("the next attempt may only be in %v: %w", wait, err)
		}
		o.Logger.Warn("no catalog yet", "venue", adapter.Venue(), "attempt", attempt, "retry_in", wait, "error", err)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("attempt %d: %w", attempt, err)
		case <-timer.C:
		}
	}
}
