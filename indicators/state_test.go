package indicators

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// FuzzLoadState: a state is refused, or is taken and saved as the same bytes.
func FuzzLoadState(f *testing.F) {
	var specs []Spec
	for _, kind := range Kinds {
		specs = append(append(specs, kind.Default), examples[kind.Name]...)
	}
	for i, spec := range specs {
		r := start(spec)
		script := newScript(rand.New(rand.NewPCG(1, 2)), spec, 60)
		for j := range script[:50] {
			r.do(&script[j])
		}
		f.Add(byte(i), r.in.(Indicator).AppendState(nil))
		f.Add(byte(len(specs)), r.coverage.AppendState(nil))
	}
	f.Fuzz(func(t *testing.T, which byte, src []byte) {
		type stateful interface {
			AppendState(dst []byte) []byte
			LoadState(src []byte) (rest []byte, err error)
		}
		var s stateful = new(Coverage)
		if i := int(which) % (len(specs) + 1); i < len(specs) {
			s = specs[i].New(new(Coverage))
		}
		empty := s.AppendState(nil)
		rest, err := s.LoadState(src)
		saved := s.AppendState(nil)
		if err == nil && !bytes.Equal(saved, src[:len(src)-len(rest)]) {
			t.Error("a loaded state is saved as other bytes")
		}
		if err != nil && !bytes.Equal(saved, empty) {
			t.Error("a refused state left traces")
		}
	})
}

// A state belongs to its configuration: 1m bars are no 5m bars.
func TestStateOfAnotherConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds {
		for i, a := range examples[kind.Name] {
			for j, b := range examples[kind.Name] {
				step, _, _ := timing(a)
				if other, _, _ := timing(b); i == j || other == step {
					continue
				}
				if _, err := b.New(new(Coverage)).LoadState(a.New(new(Coverage)).AppendState(nil)); err == nil {
					t.Errorf("%+v took the state of %+v", b, a)
				}
			}
		}
	}
}
