package pipeline

import (
	"bytes"
	"errors"
	"runtime"
	"testing"

	"tickproc/internal/hardware"
	"tickproc/internal/rawsocket"
)

// Each frame is counted once on either side, however it is read.
func TestMeasuredSocketPath(t *testing.T) {
	t.Parallel()
	for _, busy := range []bool{false, true} {
		o := SocketPathOptions{Rounds: 2, Frames: 5, Busy: busy, Frame: []byte(pathFrame)}
		if cores := hardware.ReadCores().Allowed; len(cores) > 0 {
			o.Core = cores[0]
		}
		r, err := MeasureSocketPath(t.Context(), o)
		if runtime.GOOS != "linux" && errors.Is(err, rawsocket.ErrUnsupported) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		if packets, bare := r.Packet.Count(), r.Bare.Count(); packets != 10 || bare > 10 || r.Unstamped > 10 {
			t.Errorf("busy %t: %d packets, %d bare reads, %d unstamped", busy, packets, bare, r.Unstamped)
		}
	}
}

func TestTextMessage(t *testing.T) {
	t.Parallel()
	for n, head := range map[int][]byte{0: {0x81, 0}, 125: {0x81, 125}, 126: {0x81, 126, 0, 126}, 65535: {0x81, 126, 255, 255}, 65536: {0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0}} {
		payload := bytes.Repeat([]byte("x"), n)
		if have := textMessage(payload); !bytes.Equal(have, append(head, payload...)) {
			t.Errorf("%d bytes begin % x", n, have[:min(len(have), 12)])
		}
	}
}
