package questdb

import (
	"context"
	"errors"
	"fmt"
)

// halfMade reports whether QuestDB was killed while it created the table: it is
// listed then, reads as empty, and refuses every row, for one or the other of
// the files that it begins with is empty. state is the table's row of wal_tables().
//
// What makes sure that nothing goes with such a table: it never had a
// transaction, it has no rows, as one that was converted may, and it refuses a
// statement that writes nothing.
func (s *schema) halfMade(ctx context.Context, t *table, state *Result) (bool, error) {
	if len(state.Rows) > 0 && state.Int(0, 2) > 0 {
		return false, nil
	}
	rows, err := s.client.Query(ctx, "SELECT count() FROM "+t.name)
	if err != nil || len(rows.Rows) == 0 || rows.Int(0, 0) > 0 {
		return false, err
	}
	_, err = s.client.Query(ctx, fmt.Sprintf("INSERT INTO %s SELECT * FROM %s LIMIT 0", t.name, t.name))
	if errors.Is(err, ErrSQL) {
		s.warn("QuestDB was killed while it created a table: it is created again", "table", t.name, "error", err)
		return true, nil
	}
	return false, err
}

// drop removes a half made table and returns errNoTable when it is gone. Its
// DROP is done although it is answered by the error that all else is answered
// by. Where it is not, as where none of our statements may write, rows show how
// things are.
func (s *schema) drop(ctx context.Context, t *table) error {
	if _, err := s.client.Query(ctx, "DROP TABLE "+t.name); err != nil && !errors.Is(err, ErrSQL) {
		return err
	}
	_, err := s.judge(ctx, t)
	return err
}
