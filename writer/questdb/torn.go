package questdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// tornError says that QuestDB cannot open a table. The header of a symbol's
// index has its sequence number twice, at bytes 1 and 29: QuestDB raises the
// first, alters one field, and raises the second. A kill in between leaves a
// header that neither its readers nor its writer take any more, and no statement
// but DROP is left.
type tornError struct {
	table string
	cause error // an ErrSQL
}

func (e *tornError) Error() string {
	return fmt.Sprintf("QuestDB table %s %s; %s: %v", e.table, tornProblem, tornRemedy(e.table), e.cause)
}

func (e *tornError) Unwrap() error { return e.cause }

const tornProblem = "cannot be opened: QuestDB was killed while it wrote the header of a symbol's index"

// tornRemedy makes the numbers equal. What the field between them holds is right
// either way: QuestDB uses it for rows that are committed later, and on opening
// takes back what was not. A header that is whole stays as it is.
func tornRemedy(table string) string {
	return fmt.Sprintf("stop QuestDB and run, in its root directory: for f in db/%s~*/*.k; do dd if=$f of=$f bs=1 skip=1 seek=29 count=8 conv=notrunc; done", table)
}

// torn returns a tornError for what QuestDB says of such a table, and any other
// error as it is.
func torn(table string, err error) error {
	if errors.Is(err, ErrSQL) && strings.Contains(err.Error(), "could not consistently read index header") {
		return &tornError{table, err}
	}
	return err
}

// tornTables returns which of the tables QuestDB cannot open. One statement asks
// about all of them as long as it can open all.
func (s *schema) tornTables(ctx context.Context, tables []string) (broken []string, err error) {
	if len(tables) == 0 {
		return nil, nil
	}
	open := func(tables []string) error {
		var each []string
		for _, table := range tables {
			each = append(each, `SELECT "column" FROM table_columns(`+literal(table)+")")
		}
		_, err := s.client.Query(ctx, strings.Join(each, " UNION ALL "))
		return torn(tables[0], err)
	}
	switch err := open(tables); {
	case err == nil:
		return nil, nil
	case !errors.Is(err, ErrSQL):
		return nil, err
	}
	for one := range slices.Chunk(tables, 1) {
		var t *tornError
		switch err := open(one); {
		case errors.As(err, &t):
			broken = append(broken, t.table)
		case err != nil && !errors.Is(err, ErrSQL):
			return nil, err
		}
	}
	return broken, nil
}
