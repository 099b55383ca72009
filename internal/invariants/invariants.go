// Package invariants says whether costly assertions are compiled in: build or
// test with -tags invariants. Cheap ones need no switch, they are always on.
package invariants
