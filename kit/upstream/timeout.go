package upstream

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// totalTimeout limits the time of a call, including the reading of its answer.
type totalTimeout struct {
	limit time.Duration
	next  http.RoundTripper
}

func (t totalTimeout) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), t.limit)
	resp, err := t.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = cause // more precise than the error of the connection
		}
		cancel()
		if r.Body != nil {
			_ = r.Body.Close() // not closed yet if nothing was sent; a second Close has no effect
		}
		return nil, err
	}
	whenRead(resp, cancel)
	return resp, nil
}
