package feeds

import (
	"bytes"
	"encoding/json"
	"strings"
)

// masked stands where a secret was.
const masked = "***"

// secretNames are the parameters and JSON keys whose values never reach a file.
var secretNames = map[string]bool{
	"token": true, "access_token": true, "refresh_token": true, "jwt": true, "listenkey": true,
	"apikey": true, "api_key": true, "api-key": true, "accesskey": true, "secret": true, "client_secret": true,
	"client_id": true, "signature": true, "sign": true, "sig": true, "passphrase": true, "password": true,
}

// authWords mark a message that proves who we are: it may hold secrets in
// places that have no name.
var authWords = map[string]bool{"auth": true, "login": true, "authenticate": true, "logon": true, "session.logon": true, "public/auth": true}

// maskURL hides the values of secret query parameters, and a user.
func maskURL(u string) string {
	if scheme, rest, ok := strings.Cut(u, "://"); ok {
		authority := rest
		if i := strings.IndexAny(rest, "/?#"); i >= 0 {
			authority = rest[:i]
		}
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			u = scheme + "://" + masked + rest[at:]
		}
	}
	path, query, ok := strings.Cut(u, "?")
	if !ok {
		return u
	}
	parameters := strings.Split(query, "&")
	for i, p := range parameters {
		if name, _, ok := strings.Cut(p, "="); ok && secretNames[strings.ToLower(name)] {
			parameters[i] = name + "=" + masked
		}
	}
	return path + "?" + strings.Join(parameters, "&")
}

// maskText hides the secrets of a message that we send. Messages without any
// come back as they are.
func maskText(text []byte) []byte {
	var message any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&message) != nil {
		// A bare "ping" is no secret; a bare token looks like nothing we know.
		if len(text) <= len("ping") {
			return text
		}
		return []byte(masked)
	}
	if object, ok := message.(map[string]any); ok {
		for _, key := range []string{"op", "method", "type", "event", "action"} {
			if word, ok := object[key].(string); ok && authWords[strings.ToLower(word)] {
				return []byte(`{"` + key + `":"` + word + `","masked":"` + masked + `"}`)
			}
		}
	}
	if !maskValues(message) {
		return text
	}
	out, err := json.Marshal(message)
	if err != nil {
		return []byte(masked)
	}
	return out
}

// maskValues replaces secret values in place and reports whether it met one.
func maskValues(v any) (found bool) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if secretNames[strings.ToLower(key)] {
				v[key], found = masked, true
			} else if maskValues(value) {
				found = true
			}
		}
	case []any:
		for _, value := range v {
			if maskValues(value) {
				found = true
			}
		}
	}
	return found
}
