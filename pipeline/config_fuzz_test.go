package pipeline

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// Whatever the text, Parse returns a valid Config or faults with places; and
// what Effective prints of a Config is that Config.
func FuzzParse(f *testing.F) {
	example, err := os.ReadFile("../tickproc.example.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{string(example), minimal, minimal + "questdb: {token: \"${TOKEN}\"}", "a: [1", "? a\n: b\n", "<<: *x",
		"feeds:\n  - venue: binance-spot\n    symbols: |\n      A\n", "%YAML 1.2\n---\n{}", minimal + "instance: \"\\u00e9\"\n", "feeds: [a: b, c]",
		"\r\r0", minimal + "data_dir: \"a: b #c\"\nbars: {intervals: [1s, 2h30m]}\nwindows: {vwap: [{span: 1d, step: 1h}]}\n"} {
		f.Add(seed)
	}
	host := testHost()
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return // the parser is quadratic in places
		}
		c, err := Parse("f.yaml", []byte(text), host)
		if err != nil {
			faults := err.(Errors)
			lines := 1
			for _, end := range []string{"\n", "\r", "\u0085", "\u2028", "\u2029"} { // all end a line of YAML
				lines += strings.Count(text, end)
			}
			for _, fault := range faults {
				if fault.Line < 1 || fault.Line > lines+1 || fault.Column < 1 || fault.Reason == "" {
					t.Errorf("%#v", fault)
				}
			}
			if faults.Excerpts() == "" {
				t.Error("an error that says nothing")
			}
			return
		}
		effective := c.Effective()
		if strings.Contains(string(effective), "hush") && !strings.Contains(text, "hush") {
			t.Errorf("a secret is shown:\n%s", effective)
		}
		if c.QuestDB.Token != "" || c.QuestDB.Password != "" || strings.Contains(text, "@") {
			return // masked, so not the same
		}
		again, err := Parse("effective", effective, host)
		if err != nil || !reflect.DeepEqual(c, again) {
			t.Errorf("read again: %v\n%s", err, effective)
		}
	})
}
