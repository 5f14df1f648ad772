package fault

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"

	"fleetman.example/kit/apierror"
)

// stateJSON is the body of every successful answer.
type stateJSON struct {
	Seed  uint64     `json:"seed"`
	Rules []ruleJSON `json:"rules"`
}

type ruleJSON struct {
	Rule    string `json:"rule"`
	Matched int64  `json:"matched"`
	Fired   int64  `json:"fired"`
}

func (s *Set) state() stateJSON {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := stateJSON{s.seed, []ruleJSON{}}
	for _, r := range s.rules {
		state.Rules = append(state.Rules, ruleJSON{r.text, r.matched, r.fired})
	}
	return state
}

// maxRules bounds the text of rules, in bytes.
const maxRules = 64 << 10

// Admin returns the handler of GET, PUT and DELETE of the rules. The body of PUT has the package's
// grammar. Every answer has the rules in force and their counts. A change needs token as its bearer
// token. If token is empty, changes are refused, unless listener is a loopback address.
func (s *Set) Admin(listener net.Addr, token string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		open := token == "" && isLoopback(listener)
		if r.Method != http.MethodGet && !open && !bears(r, token) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			apierror.Answer(w, r, apierror.New(http.StatusUnauthorized, "Authorization: must be Bearer and the token of ADMIN_TOKEN"))
			return
		}
		switch r.Method {
		case http.MethodGet:
		case http.MethodDelete:
			s.Replace(nil)
		case http.MethodPut:
			rules, err := readRules(w, r)
			if err != nil {
				apierror.Answer(w, r, err)
				return
			}
			s.Replace(rules)
		default:
			w.Header().Set("Allow", "GET, PUT, DELETE")
			apierror.Answer(w, r, apierror.New(http.StatusMethodNotAllowed, "method %s not supported here", r.Method))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.state())
	})
}

func readRules(w http.ResponseWriter, r *http.Request) ([]Rule, error) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRules))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, apierror.New(http.StatusRequestEntityTooLarge, "body: too large: must be at most %d bytes of rules", maxRules)
	}
	if err != nil {
		return nil, apierror.New(http.StatusBadRequest, "body: %w", err)
	}
	rules, err := Parse(string(text))
	if err != nil {
		return nil, apierror.New(http.StatusBadRequest, "%w", err)
	}
	return rules, nil
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

func bears(r *http.Request, token string) bool {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && token != "" && subtle.ConstantTimeCompare([]byte(given), []byte(token)) == 1
}
