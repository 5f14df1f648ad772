package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"fleetman.example/kit/apierror"
	"fleetman.example/kit/observe"
)

// outcome is how a call, or one attempt of it, ended: with an answer or an error. The stages share
// it as their vocabulary, and nothing else.
type outcome struct {
	resp *http.Response
	err  error
}

// succeeded reports whether the caller has what it asked for, so that neither a retry nor a fallback
// could do better: any answer but a 5xx and a 429.
func (o outcome) succeeded() bool {
	return o.err == nil && o.resp.StatusCode < http.StatusInternalServerError && o.resp.StatusCode != http.StatusTooManyRequests
}

// isFinal reports whether another attempt would fail the same way: an answer that is too large, a
// refusal of this side, or a refusal or time-out of a service behind the endpoint, which has made
// its own attempts.
func (o outcome) isFinal() bool {
	if o.err != nil {
		_, large := errors.AsType[tooLarge](o.err)
		return large || isRefusal(o.err)
	}
	origin, behind := apierror.ReadOrigin(o.resp.Header)
	return behind && origin.Kind != apierror.OriginUpstream
}

// evidence is what the outcome of an attempt, made for a call with the context ctx, proves about its
// endpoint: nil that it works, errNoEvidence nothing, any other error that it fails.
//
// A 5xx that names a service behind the endpoint proves that the endpoint itself works: it serves
// other routes with other upstreams. Nothing is proved by a refusal of this side, by a caller that
// left, and by an attempt that had less time than it is configured to have.
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

// badStatus is an answer whose status is that of a failure.
type badStatus struct{ status int }

func (e badStatus) Error() string {
	return fmt.Sprintf("status %d %s", e.status, http.StatusText(e.status))
}
func (e badStatus) Reason() string { return fmt.Sprintf("status %d", e.status) }

// shortened is the end of an attempt without an answer that had less time than it is configured to
// have, because its caller had no more. It proves nothing about the upstream, however long it took.
type shortened struct{ error }

func (s shortened) Unwrap() error { return s.error }

// refusal is a call that this side did not make.
type refusal string

const (
	errBulkhead   = refusal("too many concurrent calls")
	errOpen       = refusal("circuit open") // no endpoint may be called
	errNoEndpoint = refusal("no endpoint")  // the name resolves to nothing
)

func (e refusal) Error() string { return string(e) }

// Reason is what metrics and callers show (see observe.Reason).
func (e refusal) Reason() string { return string(e) }

func isRefusal(err error) bool {
	_, refused := errors.AsType[refusal](err)
	return refused
}

// failureReason returns the text of a failure as GET /resilience shows it.
func failureReason(err error) string {
	if status, ok := errors.AsType[badStatus](err); ok {
		return status.Error()
	}
	return observe.Reason(err)
}
