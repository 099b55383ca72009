package pipeline

import (
	"bytes"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// Effective prints the configuration as YAML with everything that has a
// value, in the order of the schema. Secrets, and users in addresses, are
// masked; apart from that, parsing it gives the same Config.
func (c *Config) Effective() []byte {
	var b bytes.Buffer
	printMapping(&b, reflect.ValueOf(c).Elem(), "")
	return b.Bytes()
}

func printMapping(b *bytes.Buffer, v reflect.Value, indent string) {
	for i := range v.NumField() {
		field, key := v.Field(i), v.Type().Field(i).Tag.Get("yaml")
		switch {
		case v.Type().Field(i).Tag.Get("default") == "" && notGiven(field):
		case field.Kind() == reflect.Struct:
			fmt.Fprintf(b, "%s%s:\n", indent, key)
			printMapping(b, field, indent+"  ")
		case field.Kind() == reflect.Slice && field.Len() > 0 && field.Type().Elem().Kind() == reflect.Struct:
			fmt.Fprintf(b, "%s%s:\n", indent, key)
			for j := range field.Len() {
				var element bytes.Buffer
				printMapping(&element, field.Index(j), indent+"    ")
				// The first key stands behind the dash.
				fmt.Fprintf(b, "%s  - %s", indent, element.Bytes()[len(indent)+4:])
			}
		case field.Kind() == reflect.Slice:
			texts := make([]string, field.Len())
			for j := range texts {
				texts[j] = scalarText(field.Index(j))
			}
			fmt.Fprintf(b, "%s%s: [%s]\n", indent, key, strings.Join(texts, ", "))
		default:
			fmt.Fprintf(b, "%s%s: %s\n", indent, key, scalarText(field))
		}
	}
}

// notGiven: an optional value without a default that is not there. An empty
// list without a default says no more than a missing one.
func notGiven(v reflect.Value) bool {
	if v.Kind() == reflect.Slice {
		return v.Len() == 0
	}
	return v.IsZero() && (v.Kind() == reflect.String || v.Type() == reflect.TypeFor[int]() || v.Type() == reflect.TypeFor[Switch]() || v.Type() == reflect.TypeFor[Duration]() || v.Type() == reflect.TypeFor[Size]() || v.Type() == reflect.TypeFor[AutoSize]())
}

// plainText needs no quotes in YAML, block or flow, and is text when read again.
var plainText = regexp.MustCompile(`^[A-Za-z./][A-Za-z0-9_./-]*(:[A-Za-z0-9_./-]+)*$`)

func scalarText(v reflect.Value) string {
	if v.Kind() != reflect.String || v.Type() == reflect.TypeFor[Secret]() {
		text := fmt.Sprint(v.Interface())
		if text == mask {
			return strconv.Quote(mask)
		}
		return text
	}
	text := v.String()
	if strings.Contains(text, "://") {
		text = maskURL(text)
	}
	text = strings.ReplaceAll(text, "$", "$$")
	switch strings.ToLower(text) {
	case "true", "false", "null", ".inf", ".nan", ".":
		return strconv.Quote(text)
	}
	if plainText.MatchString(text) {
		return text
	}
	return strconv.Quote(text)
}
