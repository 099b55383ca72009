package journal

import "fmt"

// mark says that a log was closed with everything on disk. It is removed before
// anything is appended again.
type mark struct {
	Identity Identity `json:"identity"`
	Shard    int      `json:"shard"`
	End      uint64   `json:"end"`
	Sequence uint64   `json:"sequence"` // of the last batch
	CRC      uint32   `json:"crc"`      // of the last batch
}

func markName(shard int) string { return fmt.Sprintf("shard-%02d.clean", shard) }

// incident is what Open found and the caller has not acknowledged: it would be
// forgotten if the process were killed in between, because Open repairs.
type incident struct {
	RingLost bool     `json:"ring_lost"`
	Cuts     []Damage `json:"cuts,omitempty"`
	Damages  []Damage `json:"damages,omitempty"`
}

func incidentName(shard int) string { return fmt.Sprintf("shard-%02d.found", shard) }

func (i *incident) some() bool { return i.RingLost || len(i.Cuts)+len(i.Damages) > 0 }

// add takes what an earlier Open had found.
func (i *incident) add(before incident) {
	i.RingLost = i.RingLost || before.RingLost
	i.Cuts = mergeDamages(before.Cuts, i.Cuts)
	i.Damages = mergeDamages(before.Damages, i.Damages)
}

func mergeDamages(all, more []Damage) []Damage {
	for _, d := range more {
		known := false
		for _, k := range all {
			known = known || k.From == d.From && k.To == d.To
		}
		if !known {
			all = append(all, d)
		}
	}
	return all
}
