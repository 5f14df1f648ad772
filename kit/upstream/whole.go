package upstream

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// maxAnswer bounds an answer, in bytes; the longest the contract knows is a history, well below.
const maxAnswer = 64 << 20

// believed is how long, in bytes, an answer may say it is for room to be made before it comes.
const believed = 64 << 10

// whole reads every answer to its end, so that one that breaks off, or takes too long, fails as
// one that never came.
type whole struct{ next http.RoundTripper }

func (w whole) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := readAll(resp)
	if err != nil && resp.StatusCode < http.StatusInternalServerError { // a 5xx says enough without its body
		return nil, err
	}
	if err != nil {
		resp.ContentLength = int64(len(body)) // of what there is
		resp.Header = resp.Header.Clone()
		resp.Header.Del("Content-Length")
	}
	resp.Body = &answered{*bytes.NewReader(body), body}
	return resp, nil
}

// answered is a body that has been read.
type answered struct {
	bytes.Reader
	all []byte
}

func (*answered) Close() error { return nil }

// tooLarge is an answer of more than maxAnswer bytes.
type tooLarge struct{}

func (tooLarge) Error() string  { return fmt.Sprintf("answer of more than %d bytes", maxAnswer) }
func (tooLarge) Reason() string { return "answer too large" }

// readAll reads an answer's body and closes it.
func readAll(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	if a, ok := resp.Body.(*answered); ok {
		return a.all, nil
	}
	if resp.Request != nil && resp.Request.Method == http.MethodHead { // the length is that of another's body
		return nil, nil
	}
	if resp.ContentLength > maxAnswer {
		return nil, tooLarge{}
	}
	if resp.ContentLength >= 0 && resp.ContentLength <= believed {
		body := make([]byte, resp.ContentLength)
		n, err := io.ReadFull(resp.Body, body)
		return body[:n], err
	}
	var body bytes.Buffer
	if resp.ContentLength > believed {
		body.Grow(believed)
	}
	_, err := body.ReadFrom(io.LimitReader(resp.Body, maxAnswer+1))
	switch n := int64(body.Len()); {
	case err != nil:
	case n > maxAnswer:
		err = tooLarge{}
	case n < resp.ContentLength:
		err = io.ErrUnexpectedEOF
	}
	return body.Bytes(), err
}
