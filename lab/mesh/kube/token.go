package kube

import (
	"net/http"
	"strings"
	"time"
)

// tokenLife is the time until a token's expirationTimestamp.
const tokenLife = time.Hour

// tokenOf parses the path of a request for a token,
// /api/v1/namespaces/NAMESPACE/serviceaccounts/NAME/token. It returns the namespace and the name.
func tokenOf(path string) (account [2]string, ok bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) != 7 || parts[0] != "api" || parts[1] != "v1" || parts[2] != "namespaces" || parts[4] != "serviceaccounts" || parts[6] != "token" {
		return account, false
	}
	return [2]string{parts[3], parts[5]}, true
}

// token responds with a token, whether or not the service account exists. istioctl proxy-status requests
// one before it connects to istiod, which does not check it here.
func (s *Server) token(w http.ResponseWriter, account [2]string) {
	writeJSON(w, http.StatusCreated, map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
		"metadata": map[string]any{"namespace": account[0], "name": account[1]},
		"spec":     map[string]any{"audiences": []string{}},
		"status":   map[string]any{"token": "not-checked", "expirationTimestamp": s.clock().Add(tokenLife).UTC().Format(time.RFC3339)},
	})
}
