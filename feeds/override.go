package feeds

import (
	"fmt"
	"net/url"
	"strings"
)

// OverrideURL points a venue's URL at another server: override's scheme, host
// and port replace the venue's, and its path, if any, goes before the venue's
// own. An empty override leaves the URL as it is. ws may become wss and back,
// http may become https; nothing else.
func OverrideURL(venue, override string) (string, error) {
	if override == "" {
		return venue, nil
	}
	scheme, rest, ok := strings.Cut(venue, "://")
	if !ok {
		panic("BUG: venue URL without a scheme: " + venue)
	}
	// The venue's path and query are kept byte for byte: '@' and '/' in a
	// stream list must reach the server as they are.
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		rest = rest[i:]
	} else {
		rest = ""
	}
	u, err := url.Parse(override)
	if err != nil {
		return "", fmt.Errorf("%q is no URL: %w", override, err)
	}
	family := map[string]string{"ws": "ws", "wss": "ws", "http": "http", "https": "http"}[scheme]
	switch {
	case u.Scheme != family && u.Scheme != family+"s":
		return "", fmt.Errorf("%q must begin with %s:// or %ss://", override, family, family)
	case u.Host == "":
		return "", fmt.Errorf("%q names no host: write %s://host:port", override, u.Scheme)
	case u.User != nil:
		return "", fmt.Errorf("%s://%s must not hold a user or password: remove the part before '@'", u.Scheme, u.Host)
	case u.RawQuery != "" || u.Fragment != "":
		return "", fmt.Errorf("%q must end with its path: remove the part from '?' or '#' on", override)
	}
	prefix := strings.TrimRight(u.EscapedPath(), "/")
	if prefix != "" && !strings.HasPrefix(rest, "/") {
		prefix += "/"
	}
	return u.Scheme + "://" + u.Host + prefix + rest, nil
}
