package upstream

import (
	"fmt"
	"net/http"
)

// whole reads every answer to its end. An answer that is incomplete or takes too long is an error, like no
// answer.
type whole struct{ next http.RoundTripper }

func (w whole) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := readAll(resp)
	if err != nil && resp.StatusCode < http.StatusInternalServerError { // a 5xx is a failure anyway
		return nil, err
	}
	if err != nil {
		resp.ContentLength = int64(len(body)) // the bytes received
		resp.Header = resp.Header.Clone()
		resp.Header.Del("Content-Length")
	}
	resp.Body = newAnswered(body)
	return resp, nil
}

// finalStatus returns an error for an answer without a final status (101, 000): no caller requests an
// upgrade, and the body of a 101 is the connection, which does not end.
type finalStatus struct{ next http.RoundTripper }

func (f finalStatus) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := f.next.RoundTrip(r)
	if err != nil || resp.StatusCode >= http.StatusOK {
		return resp, err
	}
	_ = resp.Body.Close()
	return nil, notFinal(resp.StatusCode)
}

// notFinal is the error of an answer without a final status.
type notFinal int

func (s notFinal) Error() string  { return fmt.Sprintf("status %03d: must be from 200 to 599", int(s)) }
func (s notFinal) Reason() string { return fmt.Sprintf("status %03d", int(s)) }
