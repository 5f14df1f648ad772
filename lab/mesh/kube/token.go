package kube

import (
	"net/http"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	writeJSON(w, http.StatusCreated, authenticationv1.TokenRequest{
		TypeMeta:   metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenRequest"},
		ObjectMeta: metav1.ObjectMeta{Namespace: account[0], Name: account[1]},
		Status:     authenticationv1.TokenRequestStatus{Token: "not-checked", ExpirationTimestamp: metav1.NewTime(s.clock().Add(tokenLife))},
	})
}
