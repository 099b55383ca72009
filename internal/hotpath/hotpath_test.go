// Package hotpath asks the compiler whether it keeps what the hot path relies
// on: that small functions are inlined, that inner loops have no bounds checks,
// and that values stay on the stack. A loop that loses one of these is not
// wrong, only slow, and no other test would see it.
//
// The promises are of one release of Go, that of go.mod: others are skipped,
// with a word.
package hotpath

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// inlined are functions of which a call costs nothing.
var inlined = map[string]string{
	"internal/jsonscan": "nonDigits digitBits eightDigits AllDigits EightDigits Fixed NonDigits NonDigits2 WindowAt (*Like).Differs (*Like).Digits (*Like).Number (*Like).Size " +
		"(*Places).Digits (*Places).Number",
	"feeds":      "(*Table).Last (*Table).LastAt (*Table).Additions Stamp.Header",
	"feeds/wire": "place levelsPlace (*Frame).unit (*Frame).scale (*DepthWriter).room (*DepthWriter).took",
	"tick":       "Mul64 Int128.Add Int128Of PacketUnits TopOf (*Unit).Header (*Unit).Trade (*Unit).Depth",
	"ringbuf":    "(*Ring).Publish",
	"indicators": "before (*sums).add (*Gathered).Has",
	"engine": "(*instrument).venueNow (*instrument).eventTime (*instrument).cut (*instrument).settledIndicators (*clockOffset).observe " +
		"(*firstArrival).alone (*firstArrival).hear (*sampler).note (*Shard).TakeRows " +
		"(*Shard).note (*fineLine).is (*clockOffset).raise (*instrument).announced (*instrument).quoteKey",
	"book": "present (*Side).bestInWindow (*Sync).Owes (*parts).isWhole",
}

// unchecked are functions that index without a bounds check, but for lines that
// contain one of the texts: those are not in the innermost loop.
var unchecked = []struct {
	folder, function string
	but              []string
}{
	{"internal/jsonscan", "fixed", nil},
	{"internal/jsonscan", "digitBits", nil},
	{"internal/jsonscan", "Whole", nil},
	{"internal/jsonscan", "WindowAt", nil},
	{"internal/jsonscan", "(*Like).Differs", nil},
	{"internal/jsonscan", "(*Like).Digits", nil},
	{"feeds/wire", "(*Frame).decimalLevels", nil},
	{"feeds/wire", "(*Frame).contractLevels", nil},
	{"feeds/wire", "(*Frame).match", []string{"range x.steps", "truth(", "knownAt(", "LastAt("}},
	{"feeds/wire", "(*Frame).alike", []string{"range x."}},
	{"feeds/wire", "digitsLike", nil},
	{"internal/jsonscan", "bare", nil},
	{"internal/jsonscan", "NumberEnd", nil},
	{"internal/jsonscan", "DayTime", nil},
	{"feeds/wire", "(*Frame).four", nil},
	{"feeds/wire", "wordAt", nil},
	{"feeds/wire", "uuidAt", nil},
	{"feeds/wire", "(*day).timeAt", nil},
	{"feeds/kraken", "plainLevel", nil},
	{"feeds/coinbase", "(*decoder).plainValues", nil},
	{"feeds/wire", "digitsAt", nil},
	{"indicators", "(*part).trade", nil},
	{"indicators", "(*part).add", nil},
	{"indicators", "(*Gathered).Take", nil},
}

// staying are parameters that must not make their argument escape.
var staying = []struct{ folder, function, parameter string }{
	{"internal/jsonscan", "fixed", "t"},
	{"internal/jsonscan", "Digits", "t"},
	{"internal/jsonscan", "Until", "t"},
	{"feeds", "(*Table).Known", "symbol"},
	{"feeds/wire", "(*Frame).decimalLevels", "t"},
	{"feeds/wire", "(*Frame).contractLevels", "t"},
	{"feeds/wire", "(*Frame).alike", "t"},
	{"engine", "(*instrument).takeOrdinary", "t"},
}

func TestPromises(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	release := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	if release == nil {
		t.Fatal("go.mod names no release of Go")
	}
	if !strings.HasPrefix(runtime.Version()+".", "go"+string(release[1])+".") || runtime.GOARCH != "amd64" {
		t.Skipf("%s on %s: the promises are of go%s on amd64", runtime.Version(), runtime.GOARCH, release[1])
	}
	folders := map[string]bool{}
	for folder := range inlined {
		folders[folder] = true
	}
	for _, p := range unchecked {
		folders[p.folder] = true
	}
	args := []string{"build", "-gcflags=-m=2 -d=ssa/check_bce"}
	for folder := range folders {
		args = append(args, "./"+folder)
	}
	// The build's cache keeps what the compiler said.
	build := exec.Command("go", args...)
	build.Dir = root
	said, err := build.CombinedOutput()
	if err != nil {
		if _, missing := exec.LookPath("go"); missing != nil {
			t.Skip("there is no go command: ", missing)
		}
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, said[:min(len(said), 4000)])
	}
	c := compiled{t: t, root: root, said: map[place][]string{}, functions: map[string]map[string]function{}}
	c.read(said)
	for folder, functions := range inlined {
		for name := range strings.FieldsSeq(functions) {
			f := c.function(folder, name)
			if !c.says(f, f.first, f.first, "can inline "+name+" ") {
				t.Errorf("%s: %s is not inlined: %s", folder, name, c.find(f, "cannot inline"))
			}
		}
	}
	for _, p := range unchecked {
		f := c.function(p.folder, p.function)
		for line := f.first; line <= f.last; line++ {
			for _, text := range c.said[place{f.file, line}] {
				if strings.HasPrefix(text, "Found Is") && !contains(f.lines[line-f.first], p.but) {
					t.Errorf("%s:%d: %s has a bounds check: %s", f.file, line, p.function, strings.TrimSpace(f.lines[line-f.first]))
				}
			}
		}
	}
	for _, p := range staying {
		f := c.function(p.folder, p.function)
		if !c.says(f, f.first, f.first, p.parameter+" does not escape") {
			t.Errorf("%s: %s: %s escapes", p.folder, p.function, p.parameter)
		}
	}
}

type place struct {
	file string
	line int
}

// compiled is what the compiler said of some packages.
type compiled struct {
	t         *testing.T
	root      string
	said      map[place][]string
	functions map[string]map[string]function // by folder and name
}

// function is where one is written.
type function struct {
	file        string
	first, last int
	lines       []string
}

var remark = regexp.MustCompile(`^(?:\./)?([^:\s]+\.go):(\d+):\d+: (.*)$`)

func (c *compiled) read(said []byte) {
	for line := range bytes.Lines(said) {
		if m := remark.FindSubmatch(bytes.TrimSpace(line)); m != nil {
			n, _ := strconv.Atoi(string(m[2]))
			at := place{string(m[1]), n}
			c.said[at] = append(c.said[at], string(m[3]))
		}
	}
}

// says reports whether some line from first to last was said something of that
// begins so.
func (c *compiled) says(f function, first, last int, begin string) bool {
	for line := first; line <= last; line++ {
		for _, text := range c.said[place{f.file, line}] {
			if strings.HasPrefix(text, begin) {
				return true
			}
		}
	}
	return false
}

// find returns what was said at the head of a function and begins so.
func (c *compiled) find(f function, begin string) string {
	for _, text := range c.said[place{f.file, f.first}] {
		if strings.HasPrefix(text, begin) {
			return text
		}
	}
	return "nothing is said of it"
}

// function returns where a function of a folder is, which must be there.
func (c *compiled) function(folder, name string) function {
	c.t.Helper()
	if c.functions[folder] == nil {
		c.functions[folder] = c.parse(folder)
	}
	f, there := c.functions[folder][name]
	if !there {
		c.t.Fatalf("%s has no %s: the promise must follow it", folder, name)
	}
	return f
}

func (c *compiled) parse(folder string) map[string]function {
	all := map[string]function{}
	paths, err := filepath.Glob(filepath.Join(c.root, folder, "*.go"))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			c.t.Fatal(err)
		}
		lines, files := strings.Split(string(text), "\n"), token.NewFileSet()
		parsed, err := parser.ParseFile(files, path, text, parser.SkipObjectResolution)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if d, is := d.(*ast.FuncDecl); is {
				first, last := files.Position(d.Pos()).Line, files.Position(d.End()).Line
				if d.Doc != nil {
					first = files.Position(d.Type.Pos()).Line
				}
				all[nameOf(d)] = function{filepath.ToSlash(filepath.Join(folder, filepath.Base(path))), first, last, lines[first-1 : last]}
			}
		}
	}
	return all
}

// nameOf is the name by which the compiler speaks of a function.
func nameOf(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return d.Name.Name
	}
	switch r := d.Recv.List[0].Type.(type) {
	case *ast.StarExpr:
		if x, is := r.X.(*ast.Ident); is {
			return "(*" + x.Name + ")." + d.Name.Name
		}
	case *ast.Ident:
		return r.Name + "." + d.Name.Name
	}
	return d.Name.Name
}

func contains(line string, texts []string) bool {
	for _, text := range texts {
		if strings.Contains(line, text) {
			return true
		}
	}
	return false
}
