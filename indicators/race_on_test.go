//go:build race

package indicators

// raceEnabled: the race detector allocates, so promises of 0 allocations
// cannot be measured under it.
const raceEnabled = true
