package questdb

import (
	"strings"
	"testing"
)

// Lines are read as a stricter and slower parser reads them.
func FuzzScanLine(f *testing.F) {
	for _, line := range []string{
		`trades,venue=okx,symbol=BTC-USDT,side=buy id="123",price=1.5,size=2,late=f,recv_ts=123i 1723075200000000000`,
		`trades,venue=a\ b,symbol=c\,d\=e\\ id="a \"quoted\" \\ one, two",price="1.20" 5`,
		`gaps,venue=v,symbol=s,channel=trades,reason=sequence ord=0i,repaired=t 1`,
		`status x=-1i 1`,
		"", ",", "a", "a b", "a b=", "a b=1", `a b="1 2`, "a,b c=1 2", "a,=b c=1 2",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var got []string
		ok := scanLine(line, func(name, value string) { got = append(got, name+"="+value) })
		p, err := parseLine(line)
		if err != nil {
			return // it may be read somehow: the spool's sums say that it is ours
		}
		if !ok {
			t.Fatalf("%q is not read", line)
		}
		var want []string
		for _, tag := range p.tags {
			want = append(want, tag[0]+"="+tag[1])
		}
		for _, field := range p.fields {
			value := field[1]
			if !strings.Contains(line, `"`) {
				value = strings.TrimSuffix(value, "i")
			} else if n := len(value); n > 1 && value[n-1] == 'i' {
				return // text that ends so, or a number: the slow one does not tell
			}
			want = append(want, field[0]+"="+value)
		}
		want = append(want, "ts="+line[strings.LastIndexByte(line, ' ')+1:])
		if strings.Join(got, "\x01") != strings.Join(want, "\x01") {
			t.Errorf("%q\nread %q\nwant %q", line, got, want)
		}
	})
}
