package bench

import "fmt"

// Measurement is one line of the report.
type Measurement struct {
	Name string // stable: JSON and --only know it, "decode/depth/binance-spot"
	What string // for people, one line
	Unit string // what its ns are of: "frame", "level", "hop"
	// Floor names the measurement that it is divided by; "" = none. It is made
	// whenever this one is.
	Floor string
	Aim   Aim
	Cores int // how many it needs; 0 = one
	// Run measures for about Run.Time, and is called once a round. An error is
	// why the line could not be measured, with the remedy.
	Run func(r *Run, s *Sample) error
}

// Aim is what a line is meant to reach. The zero Aim is none.
type Aim struct {
	Text string
	Met  func(line *Result, of func(name string) *Result) bool
	// Calm: on a machine that others use it cannot be judged, not even beside the
	// floor: whoever sleeps waits there for its turn, and nothing else is seen.
	Calm bool
	// Cores that it takes to be judged; 0 = those of the measurement.
	Cores int
}

// atMost aims at a p50 of at most ns.
func atMost(ns float64) Aim {
	return Aim{Text: fmt.Sprintf("≤ %s", nanosText(ns)), Met: func(line *Result, _ func(string) *Result) bool { return line.P50 <= ns }}
}

// timesFloor aims at a p50 of at most x times the floor's.
func timesFloor(x float64) Aim {
	return Aim{Text: fmt.Sprintf("≤ %.3g × floor", x), Met: func(line *Result, _ func(string) *Result) bool { return line.Ratio > 0 && line.Ratio <= x }}
}

// beyondFloor aims at a p50 of at most ns more than the floor's.
func beyondFloor(ns float64) Aim {
	return Aim{Calm: true, Text: fmt.Sprintf("≤ floor + %s", nanosText(ns)), Met: func(line *Result, _ func(string) *Result) bool {
		return line.FloorNanos > 0 && line.P50 <= line.FloorNanos+ns
	}}
}

// TimesFaster aims at a p50 of which the floor's is at least x times: for
// lines whose floor is what others do.
func TimesFaster(x float64) Aim {
	return Aim{Text: fmt.Sprintf("≥ %.3g × as fast", x), Met: func(line *Result, _ func(string) *Result) bool { return line.Ratio > 0 && line.Ratio*x <= 1 }}
}
