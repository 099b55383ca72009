package pipeline

import (
	"testing"

	"tickproc/tick"
)

// Captures of before do not tell until when a socket was heard.
func TestCloseOfACapture(t *testing.T) {
	t.Parallel()
	f := func(text string, reason tick.Reason, heard int64) {
		t.Helper()
		if r, h := closed(text); r != reason || h != heard {
			t.Errorf("%q: %v, %d", text, r, h)
		}
	}
	f("silence 1700000000000000001", tick.ReasonSilence, 1700000000000000001)
	f("silence", tick.ReasonSilence, 0)
	f("reconnect 0", tick.ReasonReconnect, 0)
	f("stopped -5", tick.ReasonStopped, 0)
	f("disconnect yesterday", tick.ReasonDisconnect, 0)
	f("", tick.ReasonDisconnect, 0)
}
