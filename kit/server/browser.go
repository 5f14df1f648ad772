package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"fleetman.example/kit/apierror"
)

// withoutForeignPages refuses what a foreign page in a browser of this machine can send to an
// admin listener: a change from another origin, which needs no preflight, and, on loopback, any
// request by a name whose DNS record is the page's own to move (DNS rebinding). Elsewhere the
// names of a cluster, which are anyone's choice, lead here.
func withoutForeignPages(addr net.Addr, next http.Handler) http.Handler {
	sameOrigin := http.NewCrossOriginProtection()
	sameOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		apierror.Answer(w, r, apierror.New(http.StatusForbidden, "Origin: %.100s: must be this listener's own", r.Header.Get("Origin")))
	}))
	checked := sameOrigin.Handler(next)
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsLoopback() {
		return checked
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLocalHost(r.Host) {
			apierror.Answer(w, r, apierror.New(http.StatusForbidden, "Host: %.100s: must be an address, localhost or a name of the cluster", r.Host))
			return
		}
		checked.ServeHTTP(w, r)
	})
}

// isLocalHost reports whether nobody outside can make host lead here: it is an address, or a name
// that public DNS cannot have (one label, or a cluster's).
func isLocalHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") {
		return host != ""
	}
	for _, domain := range []string{".localhost", ".svc", ".svc.cluster.local"} {
		if strings.HasSuffix(host, domain) {
			return true
		}
	}
	return false
}
