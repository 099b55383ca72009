// Package bench measures the product on the machine that it runs on, and says
// how far each stage is from what the machine allows.
//
//	registry of measurements ─► runner: rounds over all of them, warmed up ─► samples ─► report: table, JSON, HDR files
//	      ▲                                                                                 beside each line its floor and the ratio
//	      └ frames: generated sessions (sim, seed), or recorded ones
//
// A measurement is one line of the report and lies, with those like it, in a
// file of its own: floor_*.go what the machine can do, then the stages from a
// frame's decoder to rows and sockets, then whole sessions. To add one is to
// write a function and to list it in registry.go.
//
// Only ratios within one run mean much: the machine may be shared, and its
// floors move with it. Memory of sessions is the package's; nothing hot copies
// it. The nested module peers runs other stacks by the same runner.
package bench
