// Command instructions takes fixed frames through the product's stages, to be
// run under callgrind by bench/instructions.sh:
//
//	FOLDER/*.session ─► frames in memory ─► stage ─► measured{ counted{ a few frames } … } ─► callgrind dumps what counted took
//
// It uses the product and nothing of bench, so that it can be built beside an
// older commit, whose instructions on the very same frames are then counted.
// Everything runs on one locked thread, without the garbage collector.
package main

import (
	"encoding/gob"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"

	"tickproc/feeds"
	"tickproc/tick"
)

// kept is where results go that nobody reads.
var kept uint64

// counted runs work while callgrind counts; its name is an argument of it.
//
//go:noinline
func counted(work func()) { work() }

// measured is one line: callgrind writes what was counted when it returns, and
// begins anew. Its name is an argument, too.
//
//go:noinline
func measured(line func()) { line() }

// file is what bench.Session.Write writes.
type file struct {
	Venue       string
	Instruments []*tick.Instrument
	Sockets     []feeds.Connection
	Records     []record

	decoded *decoded // made when first asked for
}

// record is a frame, or a REST answer where URL is set.
type record struct {
	At      feeds.Stamp
	URL     string
	Socket  int
	Payload []byte
}

func read(path string) (*file, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	x := new(file)
	if err := gob.NewDecoder(f).Decode(x); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	// In one piece, in the order of coming.
	size := 0
	for i := range x.Records {
		size += len(x.Records[i].Payload)
	}
	all := make([]byte, 0, size)
	for i := range x.Records {
		from := len(all)
		all = append(all, x.Records[i].Payload...)
		x.Records[i].Payload = all[from:len(all):len(all)]
	}
	return x, nil
}

// chunk is how many frames are counted at a time; in between what others would
// do is done, uncounted.
const chunk = 256

// run takes frames through a stage. The first quarter makes caches, shapes and
// buffers ready and is not counted.
func run(s *stage, frames int) {
	warm := frames / 4
	part := func(from, to int) {
		for at := from; at < to; at += chunk {
			end := min(at+chunk, to)
			work := func() {
				for i := at; i < end; i++ {
					s.do(i)
				}
			}
			if from == 0 {
				work()
			} else {
				counted(work)
			}
			if s.between != nil {
				s.between()
			}
		}
	}
	part(0, warm)
	measured(func() { part(warm, frames) })
}

// growStack has the stack grow to what no stage exceeds: growing it while
// callgrind counts would confuse it.
//
//go:noinline
func growStack() byte {
	var room [1 << 18]byte
	for i := range room {
		room[i] = byte(i)
	}
	return room[len(os.Args)]
}

func main() {
	only := flag.String("only", "", "only lines whose name matches this regular expression")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: instructions [--only REGEXP] FOLDER")
		os.Exit(2)
	}
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	kept += uint64(growStack())
	paths, err := filepath.Glob(filepath.Join(flag.Arg(0), "*.session"))
	if err == nil {
		err = lines(paths, regexp.MustCompile(*only), func(line string, frames, levels int) { fmt.Println(line, frames, levels) })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "instructions:", err)
		os.Exit(1)
	}
}

// lines runs the stages of all sessions, in the order in which callgrind dumps
// them, and tells of each how many frames were counted, and levels in them.
func lines(paths []string, only *regexp.Regexp, tell func(line string, frames, levels int)) error {
	for _, path := range paths {
		_, name, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".session"), "_") // behind its number
		name = strings.ReplaceAll(name, "_", "/")
		var session *file
		for _, kind := range stages {
			if line := kind.name + "/" + name; only.MatchString(line) && kind.fits(name) {
				var err error
				if session == nil {
					if session, err = read(path); err != nil {
						return err
					}
				}
				s, err := kind.open(session)
				if err != nil {
					return fmt.Errorf("%s: %w", line, err)
				}
				run(s, s.frames)
				if s.end != nil {
					err = s.end()
				}
				if err != nil {
					return fmt.Errorf("%s: %w", line, err)
				}
				tell(line, s.frames-s.frames/4, s.levelsFrom(s.frames/4))
			}
		}
	}
	return nil
}
