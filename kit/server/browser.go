package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"fleetman.example/kit/apierror"
)

// rejectForeignPages rejects with 403 the requests that a foreign page in a browser on this machine can send
// to an admin listener: those from another origin that change something and need no preflight, and, on
// loopback, those to a host name in public DNS, which its owner can point to this machine (DNS rebinding). On
// other addresses any host name is valid, because a cluster may give the pod any name.
func rejectForeignPages(addr net.Addr, next http.Handler) http.Handler {
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

// isLocalHost reports whether host is an address or a name that cannot be in public DNS: one label, or a
// name of a cluster.
func isLocalHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") {
		return host != ""
	}
	return strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".svc") || strings.HasSuffix(host, ".svc.cluster.local")
}
