// Package arrows holds the directions in which packages may import one
// another, and the one place of each library. It is a test alone:
//
//	every .go file's imports ─► layers (ours) and places (others') ─► faults
//
// Files count whatever their build tags say, so that an arrow cannot hide
// behind an operating system.
package arrows

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "tickproc"

// layers from left to right: a folder may import those of layers to its left,
// and what lies in its own top folder. Two folders of one layer do not import
// one another.
var layers = [][]string{
	{"internal"},
	{"tick"},
	{"ringbuf"},
	{"book", "indicators", "rules", "journal"},
	{"engine", "feeds", "writer", "ops"},
	{"pipeline"},
	{"bench", "simulation"},
	{"cmd"},
}

// place is where an import may stand; folders include what lies below them.
type place struct {
	imported string   // this path, and what lies below it
	folders  []string // "*_test.go" means every test
	reason   string
}

var places = []place{
	{"github.com/gorilla/websocket", []string{"feeds", "bench"}, "sockets are the feeds' own"},
	{"github.com/HdrHistogram/hdrhistogram-go", []string{"bench"}, "the product counts in internal/stat"},
	{"github.com/klauspost/compress", []string{"feeds"}, "only captures are compressed"},
	{"golang.org/x/time/rate", []string{"feeds"}, "only venues have budgets"},
	{"github.com/questdb/go-questdb-client", []string{"writer/questdb"}, "one sink, one client"},
	{"github.com/shopspring/decimal", []string{"tick", "writer", "pipeline", "cmd", "*_test.go"}, "decimals live at the edges"},
	{"github.com/goccy/go-yaml", []string{"pipeline"}, "one configuration, one reader"},
	{"github.com/spf13/cobra", []string{"cmd/tickproc"}, "flags are parsed once"},
	{"github.com/spf13/pflag", []string{"cmd/tickproc"}, "flags are parsed once"},
	{"github.com/prometheus", []string{"ops"}, "others count in internal/stat"},
	{"golang.org/x/term", []string{"cmd/tickproc", "ops"}, "only they talk to a person"},
	{"golang.org/x/sys", []string{"internal", "engine", "journal", "writer", "pipeline", "bench"}, "system calls sit behind one file each"},

	// The shard is a function of its log, and so is all that it calls.
	{"math/rand", []string{"feeds", "internal", "pipeline", "writer", "cmd", "bench", "simulation", "*_test.go"}, "no chance in a shard"},
	{"net", []string{"feeds", "internal", "ops", "pipeline", "writer", "cmd", "bench", "simulation", "*_test.go"}, "no I/O in a shard"},
	{module + "/internal/clock", []string{"engine", "feeds", "journal", "ops", "pipeline", "writer", "cmd", "bench", "*_test.go"}, "time arrives in the event"},
	{"testing", []string{"internal", "feeds/wire/shapetest", "*_test.go"}, "the product carries no test code"},
}

// importsOf is what one file imports; paths relative to the module's root, with slashes.
type importsOf struct {
	file    string
	imports []string
}

// faults are the imports that break a rule, one line each.
func faults(files []importsOf) []string {
	var found []string
	for _, f := range files {
		for _, imported := range f.imports {
			if reason := wrong(f.file, imported); reason != "" {
				found = append(found, fmt.Sprintf("%s imports %s: %s", f.file, imported, reason))
			}
		}
	}
	return found
}

func wrong(file, imported string) string {
	for _, p := range places {
		if within(imported, p.imported) && !slices.ContainsFunc(p.folders, func(folder string) bool {
			return within(file, folder) || folder == "*_test.go" && strings.HasSuffix(file, "_test.go")
		}) {
			return fmt.Sprintf("%s; it may stand in %s", p.reason, strings.Join(p.folders, ", "))
		}
	}
	if own, ok := strings.CutPrefix(imported, module+"/"); ok {
		return wrongArrow(top(file), top(own))
	}
	isLibrary := strings.Contains(top(imported), ".")
	if isLibrary && !slices.ContainsFunc(places, func(p place) bool { return within(imported, p.imported) }) {
		return "a new dependency is a decision: add it to docs/decisions/dependencies.md and to this table"
	}
	return ""
}

func wrongArrow(from, to string) string {
	left, right := layerOf(to), layerOf(from)
	switch {
	case right < 0:
		return fmt.Sprintf("the folder %s has no layer: add it to this table", from)
	case left < 0:
		return fmt.Sprintf("the folder %s has no layer: add it to this table", to)
	case from == to || left < right:
		return ""
	case left == right:
		return fmt.Sprintf("%s and %s stand side by side: pass values of tick between them", from, to)
	}
	return fmt.Sprintf("the arrow goes from %s up to %s: a value is missing in tick", from, to)
}

func layerOf(folder string) int {
	return slices.IndexFunc(layers, func(layer []string) bool { return slices.Contains(layer, folder) })
}

func top(p string) string { first, _, _ := strings.Cut(p, "/"); return first }

// within reports whether a path is the folder or lies below it.
func within(p, folder string) bool { return p == folder || strings.HasPrefix(p, folder+"/") }

// read collects the imports of every Go file below root. Folders with a
// go.mod of their own are other modules.
func read(root string) ([]importsOf, error) {
	var files []importsOf
	err := filepath.WalkDir(root, func(p string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			_, noModule := os.Stat(filepath.Join(p, "go.mod"))
			if p != root && (noModule == nil || name == "testdata" && path.Base(filepath.Dir(p)) != "internal" || strings.HasPrefix(name, ".")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		f := importsOf{file: filepath.ToSlash(relative)}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, imported)
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

func TestArrows(t *testing.T) {
	t.Parallel()
	_, here, _, _ := runtime.Caller(0)
	files, err := read(filepath.Join(filepath.Dir(here), "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults(files) {
		t.Error(fault)
	}
	// A walk that finds nothing would find no fault either.
	for _, must := range []string{"tick/packet.go", "feeds/adapter.go", "ops/registry.go", "internal/arrows/arrows_test.go"} {
		if !slices.ContainsFunc(files, func(f importsOf) bool { return f.file == must && len(f.imports) > 0 }) {
			t.Errorf("%s was not read", must)
		}
	}
}

func TestArrowsCatchViolations(t *testing.T) {
	t.Parallel()
	f := func(file, imported, want string) {
		t.Helper()
		if have := strings.Join(faults([]importsOf{{file, []string{imported}}}), "\n"); !strings.Contains(have, want) || (want == "") != (have == "") {
			t.Errorf("%s imports %s: have %q, want %q", file, imported, have, want)
		}
	}
	// Ours.
	f("engine/shard.go", "tickproc/book", "")
	f("feeds/binance/decode.go", "tickproc/feeds", "")
	f("feeds/feed.go", "tickproc/internal/clock", "")
	f("engine/shard.go", "tickproc/feeds", "engine and feeds stand side by side")
	f("tick/packet.go", "tickproc/book", "the arrow goes from tick up to book")
	f("internal/stat/stat.go", "tickproc/tick", "the arrow goes from internal up to tick")
	f("writer/questdb/ilp_test.go", "tickproc/pipeline", "up to pipeline")
	f("book/book.go", "tickproc/internal/clock", "time arrives in the event")
	f("cmd/tickproc/bench.go", "tickproc/bench", "")
	f("bench/runner.go", "tickproc/cmd/tickproc", "up to cmd")
	f("strategy/s.go", "tickproc/tick", "the folder strategy has no layer")
	// Others'.
	f("feeds/socket.go", "github.com/gorilla/websocket", "")
	f("feeds/sim/server.go", "github.com/gorilla/websocket", "")
	f("pipeline/run.go", "github.com/gorilla/websocket", "it may stand in feeds")
	f("writer/questdb/ilp.go", "github.com/questdb/go-questdb-client/v3", "")
	f("writer/writer.go", "github.com/questdb/go-questdb-client/v3", "one sink, one client")
	f("book/book.go", "github.com/shopspring/decimal", "decimals live at the edges")
	f("book/book_test.go", "github.com/shopspring/decimal", "")
	f("engine/shard.go", "net/http", "no I/O in a shard")
	f("engine/shard.go", "net/netip", "no I/O in a shard")
	f("engine/shard_test.go", "math/rand/v2", "")
	f("indicators/bars.go", "math/rand/v2", "no chance in a shard")
	f("ops/log.go", "github.com/sirupsen/logrus", "a new dependency is a decision")
	f("ops/registry.go", "github.com/HdrHistogram/hdrhistogram-go", "the product counts in internal/stat")
	f("feedsx/a.go", "github.com/gorilla/websocket", "sockets are the feeds' own")
}
