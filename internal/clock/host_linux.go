package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// ReadHost asks the kernel: a system call, not for the hot path.
func ReadHost() Host {
	var x unix.Timex // without modes: it only reads
	state, err := unix.Adjtimex(&x)
	if err != nil {
		return Host{}
	}
	return hostOf(state, &x)
}

// timeError is the state in which the clock is not synchronised, TIME_ERROR.
const timeError = 5

func hostOf(state int, x *unix.Timex) Host {
	return Host{Known: true, Synchronised: state != timeError && x.Status&unix.STA_UNSYNC == 0,
		// Microseconds, also with STA_NANO, which is of offset and time alone.
		MaxError: time.Duration(x.Maxerror) * time.Microsecond, EstimatedError: time.Duration(x.Esterror) * time.Microsecond}
}
