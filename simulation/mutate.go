package simulation

import (
	"math"
	"strings"
	"time"
)

// Mutations are ways of breaking the world where it should be right: each must
// be found by the checks.
var Mutations = []string{"lost-row", "doubled-row", "book-level", "bar-volume", "lost-gap", "lost-quotes-gap", "state", "lying-sync", "deaf"}

// mutate breaks what Options.Mutation names.
func (w *world) mutate() {
	n := 0
	once := func(table, line, want string, do func() string) string {
		if table != want {
			return line
		}
		if n++; n != 20 {
			return line
		}
		return do()
	}
	switch w.o.Mutation {
	case "":
	case "lost-row":
		w.database.alter = func(table, line string) string {
			return once(table, line, "trades", func() string { return "" })
		}
	case "doubled-row":
		// A trade under another time is another row.
		w.database.alter = func(table, line string) string {
			return once(table, line, "trades", func() string {
				w.database.twice = append(w.database.twice, line[:len(line)-6]+"000000")
				return line
			})
		}
	case "book-level":
		w.database.alter = func(table, line string) string {
			if table == "book" && strings.Contains(line, "valid=t") && strings.Contains(line, "ts_source=exchange") {
				return once(table, line, "book", func() string { return strings.Replace(line, "bid_size1=", "bid_size1=1", 1) })
			}
			return line
		}
	case "bar-volume":
		w.database.alter = func(table, line string) string {
			if table == "bars" && strings.Contains(line, "complete=t") {
				return once(table, line, "bars", func() string { return strings.Replace(line, "buy_volume=", "buy_volume=1", 1) })
			}
			return line
		}
	case "lost-gap":
		w.database.alter = func(table, line string) string {
			if table == "gaps" && strings.Contains(line, "channel=trades") {
				return ""
			}
			return line
		}
	case "lost-quotes-gap":
		w.database.alter = func(table, line string) string {
			if table == "gaps" && strings.Contains(line, "channel=quotes") {
				return ""
			}
			return line
		}
	case "lying-sync":
		w.lyingSync = true
	case "deaf":
		w.at(w.began+int64(5*time.Second), func() { w.noDialTill = math.MaxInt64 })
	case "state":
		w.forget = true
	default:
		panic("BUG: no mutation " + w.o.Mutation)
	}
}
