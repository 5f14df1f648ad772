package envoy

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
)

// Reader answers GET requests as the admin interface at a Unix socket does, and
// refuses all others: they would end or change the proxy, and any user of this
// machine, or a page in its browser, could send one. A name as Host is refused:
// its DNS record may be a foreign page's (DNS rebinding).
func Reader(client *Client) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "envoy", ""
		},
		Transport: client.http.Transport,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, fmt.Sprintf("the proxy does not answer: %v", err), http.StatusBadGateway)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, fmt.Sprintf("method: %.20s: must be GET or HEAD; istioctl proxy-config changes what can be changed", r.Method), http.StatusMethodNotAllowed)
		case !isAddress(r.Host):
			http.Error(w, fmt.Sprintf("Host: %.100s: must be an address or localhost", r.Host), http.StatusForbidden)
		default:
			proxy.ServeHTTP(w, r)
		}
	})
}

func isAddress(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || host == "localhost"
}
