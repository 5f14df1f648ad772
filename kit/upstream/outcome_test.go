package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"fleetman.example/kit/apierror"
)

const behind = "upstream; service=staff-service"

// The meaning of an attempt's outcome for retry, fallback and breaker.
func TestOutcome(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for name, tc := range map[string]struct {
		o                  outcome
		ctx                context.Context // nil: the caller waits
		succeeded, isFinal bool
		evidence           string
	}{
		"200":                            {o: outcome{resp: answer(200, "")}, succeeded: true},
		"302":                            {o: outcome{resp: answer(302, "")}, succeeded: true},
		"404":                            {o: outcome{resp: answer(404, "")}, succeeded: true},
		"429":                            {o: outcome{resp: answer(429, "")}},
		"500":                            {o: outcome{resp: answer(500, "")}, evidence: "status 500 Internal Server Error"},
		"502, its caller gone":           {o: outcome{resp: answer(502, "")}, ctx: gone, evidence: "status 502 Bad Gateway"},
		"500 of a service behind":        {o: outcome{resp: answer(500, "", apierror.OriginHeader, behind)}},
		"500 of a timeout behind":        {o: outcome{resp: answer(500, "", apierror.OriginHeader, "timeout; service=staff-service")}, isFinal: true},
		"500 of a breaker behind":        {o: outcome{resp: answer(500, "", apierror.OriginHeader, "breaker; service=staff-service")}, isFinal: true},
		"500 of a bulkhead behind":       {o: outcome{resp: answer(500, "", apierror.OriginHeader, "bulkhead; service=staff-service")}, isFinal: true},
		"500 with a malformed origin":    {o: outcome{resp: answer(500, "", apierror.OriginHeader, "somebody else")}, evidence: "status 500 Internal Server Error"},
		"reset":                          {o: outcome{err: errReset}, evidence: errReset.Error()},
		"reset, its caller gone":         {o: outcome{err: errReset}, ctx: gone, evidence: errNoEvidence.Error()},
		"timeout":                        {o: outcome{err: context.DeadlineExceeded}, ctx: late, evidence: context.DeadlineExceeded.Error()},
		"timeout of a shortened attempt": {o: outcome{err: shortened{context.DeadlineExceeded}}, evidence: errNoEvidence.Error()},
		"refused by the bulkhead":        {o: outcome{err: errBulkhead}, isFinal: true, evidence: errNoEvidence.Error()},
		"too large":                      {o: outcome{err: tooLarge{}}, isFinal: true, evidence: tooLarge{}.Error()},
		"a status that is not final":     {o: outcome{err: notFinal(101)}, evidence: "status 101: must be from 200 to 599"},
	} {
		ctx := tc.ctx
		if ctx == nil {
			ctx = t.Context()
		}
		evidence := ""
		if err := tc.o.evidence(ctx); err != nil {
			evidence = err.Error()
		}
		if tc.o.succeeded() != tc.succeeded || tc.o.isFinal() != tc.isFinal || evidence != tc.evidence {
			t.Errorf("%s: succeeded %t, final %t, evidence %q", name, tc.o.succeeded(), tc.o.isFinal(), evidence)
		}
	}
}

// An answer without a final status is a failure of the upstream for all stages, and if all are off. The
// endless body of a 101 is not read.
func TestStatusNotFinal(t *testing.T) {
	for status, want := range map[int]string{0: "status 000: must be from 200 to 599", 101: "status 101: must be from 200 to 599", 199: "status 199: must be from 200 to 599"} {
		for mode, attempts := range map[string]int{"off": 1, "library": 3} {
			bubble(t, want+mode, func(t *testing.T) {
				b := newBench(t, library(t, "RESILIENCE", mode), func(*http.Request, int) (*http.Response, error) {
					resp := answer(status, "")
					resp.Body, resp.ContentLength = io.NopCloser(endless{}), -1
					return resp, nil
				}, nil)
				b.is(b.get(), want)
				b.tried(attempts)
				b.closed()
			})
		}
	}
}

// The origin of an error is the upstream, or the service that its answer names.
func TestOriginOfErrors(t *testing.T) {
	for want, cause := range map[string]error{
		"breaker; service=staff-service":  errOpen,
		"bulkhead; service=staff-service": errBulkhead,
		"timeout; service=staff-service":  shortened{context.DeadlineExceeded},
		"upstream; service=staff-service": errReset,
	} {
		if got := (&Error{Upstream: "staff-service", Cause: cause}).Origin().String(); got != want {
			t.Errorf("%v: got %q, want %q", cause, got, want)
		}
	}
	if got := (&Error{Upstream: "staff-service", Cause: context.Canceled}).Origin(); got != (apierror.Origin{}) {
		t.Errorf("caller has left: got %q, want none", got)
	}
}

// A service copies the origin of its upstream's failure.
func TestOriginIsCopied(t *testing.T) {
	for header, want := range map[string]string{"": "upstream; service=position-tracker", behind: behind, "nonsense": "upstream; service=position-tracker"} {
		c := &Client{name: "position-tracker", chain: newWire(always(500, "", apierror.OriginHeader, header))}
		_, err := c.Do(t.Context(), "GET", "/vehicles/", nil)
		failed, ok := errors.AsType[*Error](err)
		if !ok || failed.Origin().String() != want {
			t.Errorf("%q: got %v", header, err)
		}
	}
}
