package feeds

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"time"

	"tickproc/tick"
)

// CatalogOptions tune FetchCatalog and FetchVolumes. The zero value is useful.
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
	var all []tick.Instrument
	err := fetchAll(ctx, adapter, "catalog", adapter.CatalogRequests(), restBase, o, func(body []byte) error {
		instruments, err := adapter.ParseCatalog(body)
		all = append(all, instruments...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// FetchVolumes asks a venue what was traded in 24 hours, by symbol; likewise.
func FetchVolumes(ctx context.Context, adapter Adapter, restBase string, o CatalogOptions) (map[string]float64, error) {
	all := map[string]float64{}
	o.Recorder = nil // a replay has no use for them
	err := fetchAll(ctx, adapter, "volumes", adapter.VolumeRequests(), restBase, o, func(body []byte) error {
		volumes, err := adapter.ParseVolumes(body)
		maps.Copy(all, volumes)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// fetchAll makes requests one after another; what names what they ask for, and
// parse keeps nothing of an answer that it fails on.
func fetchAll(ctx context.Context, adapter Adapter, what string, requests []Request, restBase string, o CatalogOptions, parse func([]byte) error) error {
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
	for _, request := range requests {
		if err := fetch(ctx, adapter, what, request, restBase, client, recorder, &o, parse); err != nil {
			return fmt.Errorf("%s: no %s from %s: %w", adapter.Venue(), what, maskURL(request.URL), err)
		}
	}
	return nil
}

// fetch makes one of the requests, again if need be.
func fetch(ctx context.Context, adapter Adapter, what string, request Request, restBase string, client *http.Client, recorder *LineRecorder, o *CatalogOptions, parse func([]byte) error) error {
	url, err := OverrideURL(request.URL, restBase)
	if err != nil {
		return err
	}
	retry := backoff{min: DefaultBackoffMin, max: o.Deadline / 4}
	for attempt := 1; ; attempt++ {
		a := get(ctx, client, url, nil, bodyLimitOf(adapter.Profile()))
		err := a.err
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("status %d: %s", a.status, excerpt(a.body))
		}
		if err == nil {
			if err = parse(a.body); err == nil {
				if recorder != nil {
					recorder.rest(a.at, 0, request.URL, a.body)
				}
				return nil
			}
		}
		if recorder != nil && a.status != http.StatusOK {
			recorder.restStatus(a.at, a.status, request.URL, a.failure())
		}
		if attempt == o.Attempts || ctx.Err() != nil {
			return fmt.Errorf("attempt %d: %w", attempt, err)
		}
		wait := max(retry.next(), retryAfter(a.header, time.Now()))
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return fmt.Errorf("the next attempt may only be in %v: %w", wait, err)
		}
		o.Logger.Warn("no "+what+" yet", "venue", adapter.Venue(), "attempt", attempt, "retry_in", wait, "error", err)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("attempt %d: %w", attempt, err)
		case <-timer.C:
		}
	}
}
