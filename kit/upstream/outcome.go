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

// isFinal reports whether another attempt would fail in the same way: the answer is too large, this side
// refused the call, or the endpoint's own call to another service was refused or timed out. The endpoint has
// then made its own attempts.
func (o outcome) isFinal() bool {
	if o.err != nil {
		_, large := errors.AsType[tooLarge](o.err)
		return large || isRefusal(o.err)
	}
	origin, ok := apierror.ReadOrigin(o.resp.Header)
	return ok && origin.Kind != apierror.OriginUpstream
}

// evidence returns nil if the outcome of an attempt proves that its endpoint works, errNoEvidence if it proves
// nothing, and any other error if it proves that the endpoint fails. ctx is the context of the call.
//
// A 5xx whose origin is another service proves that the endpoint works: it serves other routes with
// other upstreams. A refusal by this side, a call that its caller canceled, and an attempt that had less time
// than configured prove nothing.
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
	if _, ok := apierror.ReadOrigin(o.resp.Header); ok { // another service failed
		return nil
	}
	return badStatus{o.resp.StatusCode}
}

// errNoEvidence is returned by evidence for an attempt that proves nothing about its endpoint.
var errNoEvidence = errors.New("no evidence about the upstream")

// badStatus is the error of an answer that has not succeeded: a 5xx or a 429.
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
