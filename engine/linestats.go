package engine

import (
	"tickproc/internal/stat"
	"tickproc/tick"
)

// LineStats compares a line with the others that deliver the same channels of
// the same instruments. Written by the shard, read by metrics; nothing the
// shard decides depends on it.
type LineStats struct {
	First  stat.Counter // messages that it brought before the others
	Second stat.Counter // that another had brought
	Missed stat.Counter // that others brought and it never did
	// Lead is by how much its first messages came before the second copies, in ns.
	Lead stat.Histogram
}

// CountLines makes the shard compare lines, and returns the table by line
// number that it fills. Lines of numbers from n on are not counted. It is
// called before the first packet.
func (s *Shard) CountLines(n int) []LineStats {
	s.lineStats = make([]LineStats, n)
	return s.lineStats
}

const (
	// leadMemory is how many messages are remembered until all lines brought them.
	leadMemory = 128
	// leadLines bounds the lines that are compared.
	leadLines = 8
)

// leads remembers the newest messages of a channel.
type leads struct {
	keys     [leadMemory]uint64
	messages [leadMemory]leadMessage
	next     uint64
}

type leadMessage struct {
	at    int64
	first uint8 // place of the line that brought it first
	have  uint8 // lines that brought it, a bit a place
}

// compareAnew begins the comparison when the set of lines changed.
func (f *firstArrival) compareAnew() {
	f.leads = nil
	if len(f.lines) > 1 {
		f.leads = &leads{}
	}
}

// compare notes a message of a line. Key names it on all lines.
func (in *instrument) compare(channel tick.Channels, line uint16, key uint64, receive int64) {
	f := &in.firsts[channel.Index()]
	stats, x, i := in.shard.lineStats, f.leads, f.place(line)
	if x == nil || stats == nil || i < 0 || i >= leadLines {
		return
	}
	count := func(place int) *LineStats {
		if n := int(f.lines[place].line); n < len(stats) {
			return &stats[n]
		}
		return &in.shard.uncounted
	}
	for n, oldest := x.next, x.next-min(x.next, leadMemory); n > oldest; n-- {
		if x.keys[(n-1)%leadMemory] != key {
			continue
		}
		m := &x.messages[(n-1)%leadMemory]
		if m.have>>i&1 == 0 {
			if m.have == 1<<m.first { // of more than two lines the second one counts
				count(int(m.first)).Lead.Observe(receive-m.at, 1)
			}
			m.have |= 1 << i
			count(i).Second.Add(1)
		}
		return
	}
	m := &x.messages[x.next%leadMemory]
	if x.next >= leadMemory {
		for place := range min(len(f.lines), leadLines) {
			if m.have>>place&1 == 0 {
				count(place).Missed.Add(1)
			}
		}
	}
	x.keys[x.next%leadMemory] = key
	*m = leadMessage{receive, uint8(i), 1 << i}
	x.next++
	count(i).First.Add(1)
}

// leadKey mixes two numbers that name a message together.
func leadKey(a, b uint64) uint64 { return (a*0x9E3779B97F4A7C15 ^ b) * 0xD6E8FEB86659FD93 }
