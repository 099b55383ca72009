package bench

import (
	"context"
	"log/slog"

	"tickproc/engine"
	"tickproc/tick"
	"tickproc/writer/questdb"
)

// rowsMax is how many rows a sink gets before another takes its place: nobody
// sends them, so that they stay in its memory.
const rowsMax = 200_000

// rowLines are the writing of rows as QuestDB's lines, by either encoder of the
// sink, which are otherwise as they are by default.
func rowLines() []Measurement {
	by := func(encoder string) func(*Run, *Sample) error {
		return func(r *Run, s *Sample) error { return encodeRows(r, s, questdb.Options{Encoder: encoder}) }
	}
	return []Measurement{
		{Name: "rows/trades", What: "a trade's row → a line of QuestDB's protocol, batches closed into the spool in memory; by our own encoder (encoder: native)", Unit: "row",
			Floor: "floor/copy/trades/binance-spot", Run: by(questdb.EncoderNative)},
		{Name: "rows/trades/v3", What: "the same bytes by QuestDB's client (encoder: v3)", Unit: "row", Floor: "rows/trades", Run: by(questdb.EncoderV3)},
	}
}

func encodeRows(r *Run, s *Sample, options questdb.Options) error {
	f, err := r.Frames("binance-spot", tick.ChannelTrades)
	if err != nil {
		return err
	}
	definition, rows := tradeRows(f.Session)
	var sink *questdb.Sink
	left, next := 0, 0
	options.Logger = slog.New(slog.DiscardHandler)
	abandoned, cancel := context.WithCancel(context.Background())
	cancel()
	renew := func() error {
		if sink != nil {
			sink.Close(abandoned) // its rows are nobody's: they are not delivered, and it says so
		}
		var err error
		if sink, err = questdb.New(options); err == nil {
			sink.Write(definition)
			left = rowsMax
		}
		return err
	}
	if err := renew(); err != nil {
		return err
	}
	defer func() { sink.Close(abandoned) }()
	var failed error
	r.Batches(s, Work{
		Ready: func(n int) {
			if left < n && failed == nil {
				failed = renew()
			}
			left -= n
		},
		Do: func(n int) int {
			for done := 0; done < n; {
				part := min(n-done, len(rows)-next)
				sink.Write(rows[next : next+part])
				done, next = done+part, (next+part)%len(rows)
			}
			return n
		}})
	return failed
}

// tradeRows are the rows of a session's trades, each of one unit, and the
// definition that goes before them.
func tradeRows(s *Session) (definition, rows []tick.Unit) {
	shard := engine.NewShard(shardOptions())
	take := func(packets []tick.Unit) {
		shard.Apply(packets)
		for all := shard.TakeRows(); len(all) > 0; all = all[tick.PacketUnits(&all[0]):] {
			n := tick.PacketUnits(&all[0])
			switch all[0].KindOf() {
			case tick.KindCatalog:
				definition = append(definition, all[:n]...)
			case tick.RowTrade:
				rows = append(rows, all[:n]...)
			}
		}
		shard.TakeCommands()
	}
	l, opening := s.Open()
	take(opening)
	for i := range s.Records {
		take(l.Decode(&s.Records[i]))
	}
	return definition, rows
}
