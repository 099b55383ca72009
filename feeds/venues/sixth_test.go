package venues_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"tickproc/feeds/venues"
)

// A further venue touches its own folder and the generated table: no other file
// of the product imports a venue's package. (That a new folder gets into the
// table by itself is the generator's own test.)
func TestOnlyTheTableKnowsVenues(t *testing.T) {
	t.Parallel()
	_, here, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(here), "..", "..")
	folders := map[string]bool{}
	table, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "feeds", "venues", "table.go"), nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range table.Imports {
		path, _ := strconv.Unquote(i.Path.Value)
		folders[path] = true
	}
	if len(folders) == 0 || len(folders) > len(venues.Names()) {
		t.Fatalf("the table imports %v for venues %v", folders, venues.Names())
	}
	read := 0
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		read++
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		for _, i := range file.Imports {
			imported, _ := strconv.Unquote(i.Path.Value)
			if folders[imported] && relative != filepath.Join("feeds", "venues", "table.go") {
				t.Errorf("%s imports %s: a venue would touch it", relative, imported)
			}
		}
		return nil
	})
	if err != nil || read < 50 {
		t.Fatalf("%d files read: %v", read, err)
	}
}
