package envoy

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
)

// Reader returns a handler that serves the admin interface read-only. It forwards GET and HEAD requests
// and refuses all others: every user of this machine, and every page in a browser, can send them, and
// they would stop or change the proxy. It also refuses a Host header that is a name, because a page can
// make its own name resolve to this address (DNS rebinding).
func Reader(client *Client) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "envoy", ""
		},
		Transport: client.http.Transport,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, fmt.Sprintf("proxy: %v", err), http.StatusBadGateway)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, fmt.Sprintf("method: %.20s: must be GET or HEAD; to change the log level, use istioctl proxy-config log", r.Method), http.StatusMethodNotAllowed)
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
