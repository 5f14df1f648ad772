package upstream

import (
	"context"
	"io"
	"net/http"
	"time"
)

// totalTimeout bounds a call with all its attempts and the reading of its answer.
type totalTimeout struct {
	limit time.Duration
	next  attempter
	// Every attempt, its answer included, ends within what is left of the call's time, and so does
	// all else that takes time. A deadline is then enough, without a timer of the call's own.
	bounded bool
}

func (t totalTimeout) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.call(r)
	if err != nil && r.Body != nil {
		_ = r.Body.Close() // when it was not sent; a second time does nothing
	}
	return resp, err
}

func (t totalTimeout) call(r *http.Request) (*http.Response, error) {
	c := newCall(r, t.limit)
	if t.bounded {
		resp, err := t.next.attempt(c)
		return resp, reason(r.Context(), err)
	}
	ctx, cancel := c.timed()
	c.ctx = ctx
	resp, err := t.next.attempt(c)
	if err != nil {
		err = reason(ctx, err)
		cancel()
		return nil, err
	}
	if _, read := resp.Body.(*answered); read {
		cancel()
	} else {
		resp.Body = &cancelOnClose{resp.Body, cancel}
	}
	return resp, nil
}

// reason is why ctx has ended, which says better than the broken connection what happened; err
// where it has not.
func reason(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// cancelOnClose frees a call's timer when its answer has been read.
type cancelOnClose struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *cancelOnClose) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}
