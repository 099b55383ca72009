package questdb

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Where a venue's trade ids are random, nothing in the table says which of the
// trades of one moment was the first: a bar has the order in which they came,
// the recomputation another. Such a bar is right if its open is one of the
// first moment's prices, its close one of the last's, and all else agrees.

// Places of the values in a row of comparison, and of those that trades make.
const (
	cellOpen, cellHigh, cellLow, cellClose = 3, 4, 5, 6
	cellVolume, cellTrades                 = 7, 10
	cellsEnd                               = 13
	madeBehind                             = 10
)

// isTie reports whether a bar that differs does so by the order of trades of
// one moment alone.
func (v *verification) isTie(ctx context.Context, venue, symbol string, start, nanos int64, cells []any) (bool, error) {
	number := func(at int) float64 {
		x, err := strconv.ParseFloat(fmt.Sprint(cells[at]), 64) // decimals come as text
		if err != nil {
			return math.NaN()
		}
		return x
	}
	for _, at := range []int{cellHigh, cellLow, cellTrades} {
		if number(at) != number(at+madeBehind) {
			return false, nil
		}
	}
	for at := cellVolume; at < cellsEnd; at++ {
		if x, y := number(at), number(at+madeBehind); at != cellTrades && !(math.Abs(x-y) <= 1e-9*math.Abs(number(cellVolume+madeBehind)+y)) {
			return false, nil
		}
	}
	where := fmt.Sprintf("FROM trades WHERE venue = %s AND symbol = %s AND late = false AND ts >= %s AND ts < %s",
		literal(venue), literal(symbol), moment(start), moment(start+nanos))
	for _, edge := range []struct {
		cell  int
		which string
	}{{cellOpen, "min"}, {cellClose, "max"}} {
		moments, err := v.client.Query(ctx, fmt.Sprintf("SELECT %s(ts)::long %s", edge.which, where))
		if err != nil || len(moments.Rows) == 0 {
			return false, err
		}
		prices, err := v.client.Query(ctx, fmt.Sprintf("SELECT price, id LIKE '%%-%%-%%-%%-%%' %s AND ts = %s", where, moment(moments.Int(0, 0))))
		if err != nil {
			return false, err
		}
		if !slices.ContainsFunc(prices.Rows, func(row []any) bool {
			return fmt.Sprint(row[0]) == fmt.Sprint(cells[edge.cell]) && row[1] == true
		}) {
			return false, nil
		}
	}
	return true, nil
}
