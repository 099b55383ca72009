package questdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrSchema is wrapped by the error of a table that cannot take our rows.
var ErrSchema = errors.New("table does not fit")

// SchemaError says what is wrong with a table and which statements repair it.
type SchemaError struct {
	Table, Problem string
	Repair         []string
}

func (e *SchemaError) Error() string {
	return fmt.Sprintf("QuestDB table %s: %s; to repair it run: %s", e.Table, e.Problem, strings.Join(e.Repair, "; "))
}

func (e *SchemaError) Unwrap() error { return ErrSchema }

// schema creates and verifies tables. ILP would create a missing table by
// itself, without dedup keys: every row that is sent again would be doubled.
type schema struct {
	client  *Client
	options *Options
	warn    func(message string, args ...any)
}

// ensure makes the table fit, or returns a SchemaError. What is created:
// a missing or half made table, a missing column that is no key, a missing view.
// What is refused, because repairing it moves or rereads the user's rows: everything else.
func (s *schema) ensure(ctx context.Context, t *table) error {
	add, err := s.judge(ctx, t)
	if errors.Is(err, errNoTable) {
		return s.make(ctx, t)
	}
	if err != nil {
		return err
	}
	state, err := s.client.Query(ctx, "SELECT suspended, errorMessage, sequencerTxn FROM wal_tables() WHERE name = "+literal(t.name))
	if err != nil {
		return err
	}
	half, err := s.halfMade(ctx, t, state)
	if half {
		err = s.drop(ctx, t)
		if errors.Is(err, errNoTable) {
			return s.make(ctx, t)
		}
	}
	if err != nil {
		return err
	}
	for _, statement := range add {
		if _, err := s.client.Query(ctx, statement); err != nil {
			return err
		}
	}
	if len(state.Rows) > 0 && state.True(0, 0) {
		s.warn("QuestDB suspended a table: it takes rows, but queries do not see them", "table", t.name,
			"error", state.Text(0, 1), "remedy", "ALTER TABLE "+t.name+" RESUME WAL")
	}
	return s.views(ctx, t)
}

var errNoTable = errors.New("there is no such table")

// judge changes nothing. It returns the statements that add what a table lacks
// and may be given, a SchemaError if it cannot take our rows, a tornError if
// QuestDB cannot open it, or errNoTable.
func (s *schema) judge(ctx context.Context, t *table) (add []string, err error) {
	// The answer names the columns, so that a newer server may add some.
	about, err := s.client.Query(ctx, "SELECT walEnabled, dedup, designatedTimestamp, table_type FROM tables() WHERE table_name = "+literal(t.name))
	if err != nil {
		return nil, err
	}
	if len(about.Rows) == 0 {
		return nil, errNoTable
	}
	aside := []string{fmt.Sprintf("RENAME TABLE %s TO %s_old", t.name, t.name)}
	if kind := about.Text(0, 3); kind != "T" {
		return nil, &SchemaError{t.name, "it is a view", []string{"DROP VIEW " + t.name}}
	}
	if !about.True(0, 0) {
		return nil, &SchemaError{t.name, "it has no WAL", []string{fmt.Sprintf("ALTER TABLE %s SET TYPE WAL", t.name), "(restart QuestDB)"}}
	}
	have, err := s.client.Query(ctx, fmt.Sprintf(`SELECT "column", type, designated, upsertKey FROM table_columns(%s)`, literal(t.name)))
	switch {
	case errors.Is(err, ErrSQL) && strings.Contains(err.Error(), "does not exist"):
		return nil, errNoTable // it was dropped since
	case err != nil:
		return nil, torn(t.name, err)
	}
	return s.columns(t, have, aside)
}

// make makes the table and its views.
func (s *schema) make(ctx context.Context, t *table) error {
	if _, err := s.client.Query(ctx, s.create(t)); err != nil {
		return err
	}
	return s.views(ctx, t)
}

func (s *schema) columns(t *table, have *Result, aside []string) (add []string, err error) {
	place := map[string]int{}
	var keys []string
	for i := range have.Rows {
		place[have.Text(i, 0)] = i
		if have.True(i, 3) {
			keys = append(keys, have.Text(i, 0))
		}
	}
	var repair []string
	for _, c := range t.columns {
		want := s.typeOf(&c)
		i, ok := place[c.name]
		switch {
		case !ok && c.kind == designated:
			return nil, &SchemaError{t.name, "it has no column ts", aside}
		case !ok:
			statement := fmt.Sprintf("ALTER TABLE %s ADD COLUMN IF NOT EXISTS %s", t.name, s.declare(&c))
			if c.key {
				repair = append(repair, statement)
			} else {
				add = append(add, statement)
			}
		case have.Text(i, 1) != want:
			problem := fmt.Sprintf("column %s is %s, want %s", c.name, have.Text(i, 1), want)
			if c.kind == price || c.kind == sum {
				problem += " (or set questdb numbers to double or decimal as the table has it)"
			}
			return nil, &SchemaError{t.name, problem, aside}
		case c.kind == designated && !have.True(i, 2):
			return nil, &SchemaError{t.name, "ts is not its designated timestamp", aside}
		}
	}
	want := t.keys()
	if !slices.Equal(sorted(keys), sorted(want)) {
		problem := fmt.Sprintf("its dedup keys are (%s), want (%s): without them rows that are sent again would be doubled",
			strings.Join(keys, ", "), strings.Join(want, ", "))
		return nil, &SchemaError{t.name, problem, append(repair, fmt.Sprintf("ALTER TABLE %s DEDUP ENABLE UPSERT KEYS(%s)", t.name, strings.Join(want, ", ")))}
	}
	return add, nil
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

// views are conveniences: a server that has none, or a user's own view of
// that name, keeps no row back.
func (s *schema) views(ctx context.Context, t *table) error {
	for _, v := range t.views {
		have, err := s.client.Query(ctx, "SELECT view_status FROM views() WHERE view_name = "+literal(v.name))
		if err == nil && len(have.Rows) > 0 && have.Text(0, 0) == "valid" {
			continue
		}
		if err == nil {
			_, err = s.client.Query(ctx, fmt.Sprintf("CREATE OR REPLACE VIEW %s AS (%s)", v.name, v.query))
		}
		if errors.Is(err, ErrSQL) {
			s.warn("QuestDB view was not created", "view", v.name, "error", err)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// create is the table's DDL.
func (s *schema) create(t *table) string {
	var columns []string
	for _, c := range t.columns {
		columns = append(columns, s.declare(&c))
	}
	partition := t.partition
	if p := s.options.PartitionBy[t.name]; p != "" {
		partition = p
	}
	ttl := s.options.TTL[t.name]
	if ttl == "" {
		ttl = s.options.TTL["*"]
	}
	if ttl != "" {
		ttl = " TTL " + ttl
	}
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (%s) TIMESTAMP(ts) PARTITION BY %s%s WAL DEDUP UPSERT KEYS(%s)",
		t.name, strings.Join(columns, ", "), partition, ttl, strings.Join(t.keys(), ", "))
}

func (s *schema) declare(c *column) string {
	text := c.name + " " + s.typeOf(c)
	if c.kind == symbol {
		text += fmt.Sprintf(" CAPACITY %d", c.capacity)
	}
	return text
}

// typeOf is the column's type as QuestDB writes it.
func (s *schema) typeOf(c *column) string {
	decimal := func(precision, scale int) string {
		if s.options.Numbers == "decimal" {
			return fmt.Sprintf("DECIMAL(%d,%d)", precision, scale)
		}
		return "DOUBLE"
	}
	switch c.kind {
	case designated, nanos:
		return "TIMESTAMP_NS"
	case symbol:
		return "SYMBOL"
	case varchar:
		return "VARCHAR"
	case price:
		return decimal(38, priceScale)
	case sum:
		return decimal(76, sumScale)
	case long:
		return "LONG"
	case boolean:
		return "BOOLEAN"
	}
	panic("BUG: column of no kind")
}
