package pipeline

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// decoder reads YAML into the structs of config.go and never stops at a
// fault: it notes it, leaves the value zero, and goes on. It remembers where
// each value stood, so that later checks, which know only the path, can say
// the place.
//
// Aliases and tags are refused: a configuration is read by people under
// pressure, and says each thing where it holds.
type decoder struct {
	file   string
	text   []byte
	lines  []string
	host   Host
	faults Errors
	at     map[string]place // by path
	told   map[string]bool  // paths that have a fault already
}

type place struct{ line, column int }

// textSetter is a scalar with its own syntax.
type textSetter interface{ setText(string) complaint }

func newDecoder(file string, text []byte, host Host) *decoder {
	text = []byte(strings.TrimPrefix(string(text), "\ufeff"))
	return &decoder{file: file, text: text, lines: strings.Split(string(text), "\n"), host: host,
		at: map[string]place{"": {1, 1}}, told: map[string]bool{}}
}

// document decodes the whole text into the struct that into points to.
func (d *decoder) document(into any) {
	if body := d.body(); body != nil {
		d.value(body, "", into)
	}
}

// body parses the text into one document; nil if it is empty or has a fault.
func (d *decoder) body() (body ast.Node) {
	if p, reason := d.unreadable(); reason != "" {
		d.fault(p, "", complaint{reason, "a configuration is a short text file"})
		return nil
	}
	defer func() {
		// Releases of the parser have panicked on malformed text. That is the
		// user's mistake, whatever the parser makes of it.
		if recover() != nil {
			body = nil
			d.fault(place{1, 1}, "", complaint{"this is not YAML that can be read", "look for unbalanced quotes or brackets"})
		}
	}()
	file, err := parser.ParseBytes(d.text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntaxFault(err)
		return nil
	}
	for i, doc := range file.Docs {
		if i > 0 || doc.Body != nil && doc.Body.Type() == ast.DirectiveType {
			d.fault(placeOf(doc.Body), "", complaint{"the file holds more than one document", "keep one, without --- and %"})
			return nil
		}
		body = doc.Body
	}
	return body
}

// nestingMax is far above any configuration; the parser recurses, and takes
// quadratic time in the depth.
const nestingMax = 64

// unreadable says why the text must not reach the parser.
func (d *decoder) unreadable() (place, string) {
	if len(d.text) > configBytesMax {
		return place{1, 1}, "the file is larger than " + Size(configBytesMax).String()
	}
	const tooDeep = "lists and mappings are nested too deep"
	depth := 0
	for i, line := range d.lines {
		if !utf8.ValidString(line) {
			return place{i + 1, 1}, "the line is not UTF-8"
		}
		for j, c := range []byte(line) {
			switch c {
			case 0:
				return place{i + 1, j + 1}, "the line holds a zero byte"
			case '[', '{':
				depth++
			case ']', '}':
				depth = max(0, depth-1)
			}
			if depth > nestingMax {
				return place{i + 1, j + 1}, tooDeep
			}
		}
		// A line that opens list in list in list: "- - - x".
		if opens := len(line) - len(strings.TrimLeft(line, "-?: \t")); strings.Count(line[:opens], "- ") > nestingMax {
			return place{i + 1, 1}, tooDeep
		}
	}
	return place{}, ""
}

func (d *decoder) syntaxFault(err error) {
	p, reason := place{1, 1}, err.Error()
	var syntax yaml.Error
	if errors.As(err, &syntax) {
		reason = syntax.GetMessage()
		p = placeOfToken(syntax.GetToken())
	}
	remedy := "mend the YAML at this place"
	if p.line <= len(d.lines) {
		switch line := d.lines[p.line-1]; {
		case strings.Contains(line, "${"):
			remedy = `inside [ ] and { } write "${…}" with quotes`
		case bareStar.MatchString(line):
			remedy = "write a pattern with quotes: '*'"
		}
	}
	d.fault(p, "", complaint{"not YAML: " + reason, remedy})
}

// bareStar is a pattern without quotes.
var bareStar = regexp.MustCompile(`[\s\[,]\*`)

// value decodes a node into the value that into points to.
func (d *decoder) value(node ast.Node, path string, into any) {
	v := reflect.ValueOf(into).Elem()
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(node, path, v)
	case reflect.Slice:
		d.sequence(node, path, v)
	default:
		d.scalar(node, path, v)
	}
}

func (d *decoder) mapping(node ast.Node, path string, v reflect.Value) {
	m, ok := node.(*ast.MappingNode)
	if !ok && d.switched(node, path, v) {
		return
	}
	if !ok {
		// A section whose every line is commented out is all defaults.
		if node.Type() != ast.NullType {
			d.fault(placeOf(node), path, complaint{"must be a mapping of keys to values, not " + describe(node), ""})
		}
		return
	}
	first := map[string]place{}
	for _, entry := range m.Values {
		key, p := entry.Key.GetToken().Value, placeOf(entry.Key)
		keyPath := join(path, key)
		if _, plain := entry.Key.(*ast.StringNode); !plain {
			d.fault(p, keyPath, complaint{"this is no key", "known: " + strings.Join(keys(v.Type()), ", ")})
			continue
		}
		field, known := fieldByKey(v, key)
		if !known {
			d.fault(p, keyPath, complaint{"unknown key", didYouMean(key, keys(v.Type()))})
			if meant := nearest(key, keys(v.Type())); meant != "" {
				d.told[join(path, meant)] = true // that it is missing is the same fault
			}
			continue
		}
		if before, twice := first[key]; twice {
			d.fault(p, keyPath, complaint{fmt.Sprintf("key is given twice, first on line %d", before.line), "remove one"})
			continue
		}
		first[key] = p
		if d.at[keyPath] = placeOf(entry.Value); entry.Value.Type() == ast.NullType {
			d.at[keyPath] = p
		}
		d.value(entry.Value, keyPath, field.Addr().Interface())
	}
}

// switched takes a section that says no more than on or off.
func (d *decoder) switched(node ast.Node, path string, v reflect.Value) bool {
	field, has := fieldByKey(v, "enabled")
	if !has || node.Type() != ast.BoolType && node.Type() != ast.StringType {
		return false
	}
	path = join(path, "enabled")
	d.at[path] = placeOf(node)
	d.scalar(node, path, field)
	return true
}

func (d *decoder) sequence(node ast.Node, path string, v reflect.Value) {
	s, ok := node.(*ast.SequenceNode)
	if _, one := node.(*ast.StringNode); one && v.Type() == reflect.TypeFor[Words]() {
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		d.at[path+"[0]"] = d.at[path]
		d.scalar(node, path+"[0]", v.Index(0))
		return
	}
	if alias, is := node.(*ast.AliasNode); is {
		d.fault(d.at[path], path, complaint{aliasReason, "put it in quotes: ['*" + alias.Value.String() + "']"})
		return
	}
	if !ok {
		d.fault(d.at[path], path, complaint{"must be a list, not " + describe(node), "write it as [a, b]"})
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(s.Values), len(s.Values)))
	for i, element := range s.Values {
		elementPath := fmt.Sprintf("%s[%d]", path, i)
		d.at[elementPath] = placeOf(element)
		d.value(element, elementPath, v.Index(i).Addr().Interface())
	}
}

// aliasReason is what became of a pattern without quotes.
const aliasReason = "YAML takes a word that begins with * for an alias"

func (d *decoder) scalar(node ast.Node, path string, v reflect.Value) {
	p := d.at[path]
	text, isText := "", false
	switch n := node.(type) {
	case *ast.StringNode:
		text, isText = n.Value, true
	case *ast.LiteralNode:
		text, isText = n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		text = n.GetToken().Value
	case *ast.NullNode:
		d.fault(p, path, complaint{"has no value", "give it one, or leave the key out"})
		return
	case *ast.AliasNode:
		d.fault(p, path, complaint{aliasReason, "put it in quotes: '*" + n.Value.String() + "'"})
		return
	default:
		d.fault(p, path, complaint{"must be " + wanted(v.Type()) + ", not " + describe(node), ""})
		return
	}
	expanded := false
	if isText {
		var bad complaint
		if text, expanded, bad = d.host.expand(text); bad.reason != "" {
			d.fault(p, path, bad)
			return
		}
	}
	if bad := setScalar(v, text, isText, expanded); bad.reason != "" {
		d.fault(p, path, bad)
	}
}

// setScalar stores text in v. isText: YAML takes it for a string, rather than
// a number or a boolean; expanded: it came from outside, where all is text.
func setScalar(v reflect.Value, text string, isText, expanded bool) complaint {
	var wrongType complaint
	if v.Type() == reflect.TypeFor[Secret]() {
		wrongType = complaint{"must be text", "put it in quotes"} // without showing it
	} else {
		wrongType = complaint{fmt.Sprintf("%s is not %s", quote(text), wanted(v.Type())), ""}
	}
	if setter, ok := v.Addr().Interface().(textSetter); ok {
		if bad := setter.setText(text); bad.reason != "" {
			return bad
		}
		// Only an AutoCount has a meaning for zero, and a word for it.
		if _, auto := setter.(*AutoCount); !auto && v.Int() == 0 {
			return complaint{"must be more than zero", "leave the key out for its default"}
		}
		return complaint{}
	}
	switch v.Kind() {
	case reflect.String:
		switch {
		case !isText:
			if wrongType.remedy == "" {
				wrongType.remedy = fmt.Sprintf("to mean the text, write %q", text)
			}
			return wrongType
		case text == "":
			return complaint{"is empty", "give it a value, or leave the key out"}
		}
		v.SetString(text)
	case reflect.Bool:
		if text = strings.ToLower(text); isText && !expanded || text != "true" && text != "false" {
			wrongType.remedy = "write true or false"
			return wrongType
		}
		v.SetBool(text == "true")
	case reflect.Int:
		n, err := strconv.ParseUint(strings.ReplaceAll(text, "_", ""), 10, 31)
		if err != nil || isText && !expanded {
			wrongType.remedy = "write digits alone"
			return wrongType
		}
		if n == 0 {
			return complaint{"must be more than zero", "leave the key out for its default"}
		}
		v.SetInt(int64(n))
	default:
		panic("BUG: the configuration has a field of type " + v.Type().String())
	}
	return complaint{}
}

func wanted(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Duration]():
		return "a time span such as 250ms"
	case reflect.TypeFor[Size]():
		return "a size such as 512MiB"
	case reflect.TypeFor[AutoCount]():
		return "auto or a number"
	case reflect.TypeFor[Switch]():
		return "true or false"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	}
	return "text"
}

func describe(node ast.Node) string {
	switch n := node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	case *ast.StringNode, *ast.LiteralNode:
		return "a text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value
	}
	return "an anchor, alias or tag: write the value itself"
}

// fault notes a complaint about the value at path. A path is told once.
func (d *decoder) fault(p place, path string, c complaint) {
	d.told[path] = true
	d.faults = append(d.faults, Fault{File: d.file, Line: p.line, Column: p.column, Path: path,
		Reason: c.reason, Remedy: c.remedy, excerpt: d.excerpt(p)})
}

// addUnlessTold gives places to faults that were found by path, and leaves
// out those that only follow from a fault already noted.
func (d *decoder) addUnlessTold(found Errors) {
	told := func(path string) bool {
		for ; !d.told[path]; path = parent(path) {
			if path == "" {
				return false
			}
		}
		return true
	}
	for _, f := range found {
		if told(f.Path) {
			continue
		}
		path := f.Path
		for _, ok := d.at[path]; !ok; _, ok = d.at[path] {
			path = parent(path)
		}
		p := d.at[path]
		f.File, f.Line, f.Column, f.excerpt = d.file, p.line, p.column, d.excerpt(p)
		d.faults = append(d.faults, f)
	}
}

// placed gives places to faults that were found by path, of a file without others.
// One whose key is left out stands where its section does.
func (d *decoder) placed(found Errors) Errors {
	d.addUnlessTold(found)
	d.faults.sort()
	return d.faults
}

// secretLine matches lines that may hold a secret, also where the file is too
// broken to know.
var secretLine = regexp.MustCompile(`(?i)token|passw|secret|@`)

func (d *decoder) excerpt(p place) string {
	if p.line < 1 || p.line > len(d.lines) {
		return ""
	}
	line := strings.TrimRight(d.lines[p.line-1], "\r")
	if len(line) > 200 || !isText(strings.ReplaceAll(line, "\t", " ")) || secretLine.MatchString(line) {
		return ""
	}
	number := fmt.Sprintf("%6d | ", p.line)
	// Tabs stay, so that the caret stands below its place.
	blank := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, string([]rune(line)[:min(p.column-1, len([]rune(line)))]))
	return number + line + "\n" + strings.Repeat(" ", len(number)-2) + "| " + blank + "^\n"
}

func placeOf(node ast.Node) place {
	if node == nil {
		return place{1, 1}
	}
	// A block mapping's own token is its first colon.
	if m, ok := node.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return placeOf(m.Values[0].Key)
	}
	return placeOfToken(node.GetToken())
}

func placeOfToken(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{1, 1}
	}
	return place{max(t.Position.Line, 1), max(t.Position.Column, 1)}
}

// join and parent go down and up in paths like feeds[0].symbols[2].
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

func keys(t reflect.Type) []string {
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = t.Field(i).Tag.Get("yaml")
	}
	return names
}

func fieldByKey(v reflect.Value, key string) (reflect.Value, bool) {
	i := slices.Index(keys(v.Type()), key)
	if i < 0 {
		return reflect.Value{}, false
	}
	return v.Field(i), true
}
