package upstream

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// totalTimeout bounds a call with everything within, the reading of the answer included.
type totalTimeout struct {
	limit time.Duration
	next  http.RoundTripper
}

func (t totalTimeout) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), t.limit)
	resp, err := t.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = cause // more precise than the broken connection
		}
		cancel()
		if r.Body != nil {
			_ = r.Body.Close() // where nothing was sent; a second time does nothing
		}
		return nil, err
	}
	whenRead(resp, cancel)
	return resp, nil
}
