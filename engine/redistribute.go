package engine

import (
	"fmt"
	"reflect"
	"slices"

	"tickproc/internal/state"
	"tickproc/tick"
)

// Redistribute makes other shards of what some are: route says to which of
// count an instrument goes. Members of a group of the consolidated quotes stay
// together, wherever the first of them goes, because they have a state in common;
// of two such groups of the same name, which grew apart in two shards, one goes
// elsewhere than route says.
//
// The state is the same as before: it is coded and loaded, as by a snapshot, and
// the sum of the hashes does not change. The given shards must stand at the same
// logical now, under the same options, and are not changed.
func Redistribute(from []*Shard, count int, route func(in *tick.Instrument) int) ([]*Shard, error) {
	into := make([]spread, count)
	slots, hash := 0, uint64(0)
	for _, s := range from {
		if s.now != from[0].now || !reflect.DeepEqual(s.options, from[0].options) {
			panic("BUG: shards that are redistributed stand at different places")
		}
		slots, hash = max(slots, len(s.instruments)), hash+s.StateHash()
		if err := s.spread(into, route); err != nil {
			return nil, err
		}
	}
	made, after := make([]*Shard, count), uint64(0)
	for i := range into {
		x := &into[i]
		head := Shard{options: from[0].options, now: from[0].now, instruments: make([]*instrument, slots), count: len(x.instruments), groupList: make([]*consolidated, len(x.groups))}
		items := slices.Concat([][]byte{item(itemShard, head.saveShard)}, x.instruments, x.groups)
		var err error
		if made[i], err = LoadShard(slices.Values(items)); err != nil {
			return nil, fmt.Errorf("shard %d of %d: %w", i, count, err)
		}
		after += made[i].StateHash()
	}
	if after != hash {
		panic("BUG: redistributed shards are not what they were")
	}
	return made, nil
}

// spread is what one shard will be made of.
type spread struct {
	instruments, groups [][]byte // items of a snapshot
	keys                map[groupKey]bool
}

// spread adds what the shard has to where it goes.
func (s *Shard) spread(into []spread, route func(in *tick.Instrument) int) error {
	goes := map[*consolidated]int{}
	for _, g := range s.groupList {
		key, _ := s.groupOf(g.members[0])
		first := route(&g.members[0].def)
		to := first
		for into[to].keys[key] {
			if to = (to + 1) % len(into); to == first {
				return fmt.Errorf("there are more groups of %s-%s than shards: choose at least as many shards as before", key.base, key.quote)
			}
		}
		x := &into[to]
		if x.keys == nil {
			x.keys = map[groupKey]bool{}
		}
		x.keys[key] = true
		x.groups = append(x.groups, item(itemGroup, func(c *state.Coder) { g.codeMembers(c, s) }))
		goes[g] = to
	}
	for _, in := range s.instruments {
		if in == nil {
			continue
		}
		to, grouped := goes[in.group]
		if !grouped {
			to = route(&in.def)
		}
		x := &into[to]
		x.instruments = append(x.instruments, item(itemInstrument, func(c *state.Coder) {
			in.saveDefinition(c)
			in.code(c)
		}))
	}
	return nil
}

// item is a piece of a snapshot.
func item(kind byte, code func(c *state.Coder)) []byte {
	var c state.Coder
	state.Byte(&c, &kind)
	code(&c)
	return c.Bytes()
}
