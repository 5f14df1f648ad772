package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"fleetman.example/kit/apierror"
	"fleetman.example/kit/observe"
)

// outcome is the result of a call, or of one attempt. It is the only type that the stages share.
type outcome struct {
	resp *http.Response
	err  error
}

// succeeded reports whether the outcome is an answer other than a 5xx or a 429. Only other outcomes are
// retried or replaced by a fallback.
func (o outcome) succeeded() bool {
	return o.err == nil && o.resp.StatusCode < http.StatusInternalServerError && o.resp.StatusCode != http.StatusTooManyRequests
}

// reason returns the reason of a failure in a few words, such as "status 503".
func (o outcome) reason() string {
	if o.err != nil {
		return observe.Reason(o.err)
	}
	return badStatus{o.resp.StatusCode}.Reason()
}

// isFinal reports whether another attempt would fail in the same way: an answer that is too large, a
// refusal by this side, or a refusal or timeout with another service as its origin. The endpoint has then
// made its own attempts.
func (o outcome) isFinal() bool {
	if o.err != nil {
		_, large := errors.AsType[tooLarge](o.err)
		return large || isRefusal(o.err)
	}
	origin, behind := apierror.ReadOrigin(o.resp.Header)
	return behind && origin.Kind != apierror.OriginUpstream
}

// evidence returns what the outcome of an attempt proves about its endpoint: nil that it works, any error
// but errNoEvidence that it fails. ctx is the context of the call.
//
// A 5xx whose origin is another service proves that the endpoint works: it serves other routes with
// other upstreams. A refusal by this side, a caller that left, and an attempt that had less time than
// configured are no evidence.
func (o outcome) evidence(ctx context.Context) error {
	if o.err != nil {
		_, short := errors.AsType[shortened](o.err)
		if short || isRefusal(o.err) || errors.Is(ctx.Err(), context.Canceled) {
			return errNoEvidence
		}
		return o.err
	}
	if o.resp.StatusCode < http.StatusInternalServerError {
		return nil
	}
	if _, behind := apierror.ReadOrigin(o.resp.Header); behind {
		return nil
	}
	return badStatus{o.resp.StatusCode}
}

// errNoEvidence is the outcome of an attempt that proves nothing about its endpoint.
var errNoEvidence = errors.New("no evidence about the upstream")

// badStatus is the error of an answer with a status of 500 or above.
type badStatus struct{ status int }

func (e badStatus) Error() string {
	return fmt.Sprintf("status %d %s", e.status, http.StatusText(e.status))
}
func (e badStatus) Reason() string { return fmt.Sprintf("status %d", e.status) }

// shortened is the error of an attempt that had no answer and less time than configured, because its
// caller's time was short. It proves nothing about the upstream, however long the attempt took.
type shortened struct{ error }

func (s shortened) Unwrap() error { return s.error }

// refusal is the error of a call that this side did not make.
type refusal string

const (
	errBulkhead   = refusal("too many concurrent calls")
	errOpen       = refusal("circuit open") // the breakers of all endpoints are open
	errNoEndpoint = refusal("no endpoint")  // the name has no addresses
)

func (e refusal) Error() string { return string(e) }

// Reason is used by observe.Reason.
func (e refusal) Reason() string { return string(e) }

func isRefusal(err error) bool {
	_, refused := errors.AsType[refusal](err)
	return refused
}

// failureReason returns the text of a failure for GET /resilience.
func failureReason(err error) string {
	if status, ok := errors.AsType[badStatus](err); ok {
		return status.Error()
	}
	return observe.Reason(err)
}
