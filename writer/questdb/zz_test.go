package questdb

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

func TestZZ(t *testing.T) {
	server, c := database(t)
	h := newHTTP()
	post := func(line string) {
		r, err := h.Post(server.URL()+"/write", "", strings.NewReader(line))
		if err != nil {
			fmt.Println(err)
			return
		}
		b, _ := io.ReadAll(r.Body)
		r.Body.Close()
		fmt.Println(r.StatusCode, string(b))
	}
	query(t, c, "create table trades (ts TIMESTAMP_NS, x LONG) TIMESTAMP(ts) PARTITION BY HOUR WAL DEDUP UPSERT KEYS(ts)")
	post("trades x=1i 1700000000000000001\n")
	query(t, c, "drop table trades")
	post("trades x=2i 1700000000000000002\n")
	fmt.Println(text(query(t, c, "select table_name from tables()")), text(query(t, c, "select * from wal_tables()")))
	time.Sleep(time.Second)
	post("trades x=3i 1700000000000000002\n")
	fmt.Println(text(query(t, c, "select table_name from tables()")), text(query(t, c, "select * from wal_tables()")))
	query(t, c, "create table trades (ts TIMESTAMP_NS, x LONG) TIMESTAMP(ts) PARTITION BY HOUR WAL DEDUP UPSERT KEYS(ts)")
	post("trades x=4i 1700000000000000002\n")
	time.Sleep(time.Second)
	fmt.Println(text(query(t, c, "select * from trades")))
	h.CloseIdleConnections()
	post("trades x=5i 1700000000000000003\n")
	time.Sleep(time.Second)
	fmt.Println(text(query(t, c, "select * from trades")))
}

func TestZZ2(t *testing.T) {
	server, c := database(t)
	query(t, c, "create table trades (ts TIMESTAMP_NS, x LONG) TIMESTAMP(ts) PARTITION BY HOUR WAL DEDUP UPSERT KEYS(ts)")
	h := newHTTP()
	for _, fresh := range []bool{false, true, false, true} {
		at := time.Now()
		for i := range 300 {
			r, err := h.Post(server.URL()+"/write", "", strings.NewReader(fmt.Sprintf("trades x=2i 17000000000000%05d\n", i)))
			if err != nil {
				t.Fatal(err)
			}
			io.ReadAll(r.Body)
			r.Body.Close()
			if fresh {
				h.CloseIdleConnections()
			}
		}
		fmt.Println(fresh, time.Since(at)/300)
	}
	h.CloseIdleConnections()
	for i := range 3 {
		query(t, c, "drop table trades")
		query(t, c, "create table trades (ts TIMESTAMP_NS, x LONG) TIMESTAMP(ts) PARTITION BY HOUR WAL DEDUP UPSERT KEYS(ts)")
		r, _ := h.Post(server.URL()+"/write", "", strings.NewReader(fmt.Sprintf("trades x=2i 17000000000000%05d\n", i)))
		io.ReadAll(r.Body)
		r.Body.Close()
		h.CloseIdleConnections()
		time.Sleep(300 * time.Millisecond)
		fmt.Println(text(query(t, c, "select * from trades")))
	}
}
