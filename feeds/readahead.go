package feeds

import (
	"io"
	"sync"
)

const (
	readAheadBytes  = 256 << 10 // in a chunk
	readAheadChunks = 4
)

// readAhead reads a source on a goroutine of its own, some chunks ahead of
// whoever reads it: so that decompressing takes another core than decoding.
//
//	source ─► goroutine ─► full ─► Read
//	              └◄───── free ◄─────┘
//
// The goroutine ends with the source's first error or with Close.
type readAhead struct {
	full, free chan []byte
	stop       chan struct{}
	done       sync.WaitGroup
	err        error // of the source; written before full is closed

	// owner: the reader
	chunk []byte // what it holds,
	rest  []byte // and what of that it has not read
}

func newReadAhead(src io.Reader) *readAhead {
	a := &readAhead{full: make(chan []byte, readAheadChunks), free: make(chan []byte, readAheadChunks), stop: make(chan struct{})}
	for range readAheadChunks {
		a.free <- make([]byte, readAheadBytes)
	}
	a.done.Go(func() { a.run(src) })
	return a
}

func (a *readAhead) run(src io.Reader) {
	defer close(a.full)
	for {
		var chunk []byte
		select {
		case chunk = <-a.free:
		case <-a.stop:
			return
		}
		n := 0
		for n < len(chunk) && a.err == nil {
			var m int
			m, a.err = src.Read(chunk[n:])
			n += m
		}
		// There is room for every chunk that exists.
		a.full <- chunk[:n]
		if a.err != nil {
			return
		}
	}
}

// Read implements io.Reader, with the source's own error at its end.
func (a *readAhead) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.chunk != nil {
			a.free <- a.chunk[:cap(a.chunk)]
			a.chunk = nil
		}
		chunk, ok := <-a.full
		if !ok {
			return 0, a.err
		}
		a.chunk, a.rest = chunk, chunk
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// Close ends the goroutine; then the source belongs to the caller again.
func (a *readAhead) Close() {
	close(a.stop)
	a.done.Wait()
}
