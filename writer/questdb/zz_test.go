package questdb

import (
	"fmt"
	"strings"
	"testing"
)

func TestZZ(t *testing.T) {
	server, c := database(t)
	s := newSink(t, server.URL(), nil)
	var x tape
	oneOfEach(t, &x)
	s.Write(x.take())
	closes(t, s)
	c.Settle(t.Context(), "bars")
	for _, w := range []string{"ts IN (%[1]s, %[2]s)", "ts IN (%[1]s)", "ts = %[1]s OR ts = %[2]s"} {
		q := fmt.Sprintf("SELECT ts FROM bars WHERE "+w, moment(start), moment(start+60e9))
		r, err := c.Query(t.Context(), "EXPLAIN "+q)
		fmt.Println(q, err)
		if err == nil {
			fmt.Println(strings.ReplaceAll(text(r.Rows), "&nbsp;", " "), text(query(t, c, q)))
		}
	}
}
