package pipeline

import (
	"reflect"

	"tickproc/feeds"
)

// EnsureDefaults gives every zero value its default. Idempotent. An empty
// list that is not nil stays: it says none.
func (c *Config) EnsureDefaults() {
	ensureDefaults(reflect.ValueOf(c).Elem())
	for i := range c.Feeds {
		if r := &c.Feeds[i].Read; r.Mode == "busy" && r.Spin == 0 {
			r.Spin = Duration(feeds.DefaultSpin)
		}
	}
}

func ensureDefaults(v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			ensureDefaults(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Field(i)
			if text := v.Type().Field(i).Tag.Get("default"); text != "" && field.IsZero() {
				decodeTag(text, field)
			}
			ensureDefaults(field)
		}
	}
}

// decodeTag reads a tag's text, which is YAML, into v.
func decodeTag(text string, v reflect.Value) {
	d := newDecoder("tag", []byte(text), Host{})
	d.at[""] = place{1, 1}
	d.value(d.body(), "", v.Addr().Interface())
	if len(d.faults) > 0 {
		panic("BUG: a tag of the configuration: " + d.faults.Error())
	}
}
