package pipeline

import "errors"

// Sentinels that decide the exit code.
var (
	// ErrDifference: a check or verification found a difference.
	ErrDifference = errors.New("a difference was found")
	// ErrDependency: a dependency is unreachable, or rows were not delivered.
	ErrDependency = errors.New("dependency unavailable")
	// ErrInput: what the user gave cannot be used: a file, a flag.
	ErrInput = errors.New("unusable input")
)
