package kube

import (
	"net/http"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleetman.example/lab/jsonhttp"
)

// tokenLife is the time until a token's expirationTimestamp.
const tokenLife = time.Hour

// token responds with a token, whether or not the service account exists. istioctl proxy-status requests
// one before it connects to istiod, which does not check it here.
func (s *Server) token(w http.ResponseWriter, namespace, account string) {
	jsonhttp.Write(w, http.StatusCreated, authenticationv1.TokenRequest{
		TypeMeta:   metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenRequest"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account},
		Status:     authenticationv1.TokenRequestStatus{Token: "not-checked", ExpirationTimestamp: metav1.NewTime(s.clock().Add(tokenLife))},
	})
}
