package upstream

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// maxAnswer is the longest body of an answer, in bytes. The longest of the contract, a history, is far
// shorter.
const maxAnswer = 64 << 20

// maxPreallocated is how much memory is allocated for a Content-Length before the body arrives, in bytes.
const maxPreallocated = 64 << 10

// answered is a body that has been read into memory.
type answered struct {
	bytes.Reader
	all []byte
}

func newAnswered(body []byte) *answered { return &answered{*bytes.NewReader(body), body} }

func (*answered) Close() error { return nil }

// whenRead calls release when the body of resp is no longer needed: immediately if an inner stage has read
// it, otherwise when it is closed.
func whenRead(resp *http.Response, release func()) {
	if _, read := resp.Body.(*answered); read {
		release()
		return
	}
	resp.Body = &releasing{resp.Body, release}
}

// releasing is a body that calls release when it is closed.
type releasing struct {
	io.ReadCloser
	release func()
}

func (b *releasing) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}

// tooLarge is an answer of more than maxAnswer bytes.
type tooLarge struct{}

func (tooLarge) Error() string  { return fmt.Sprintf("answer of more than %d bytes", maxAnswer) }
func (tooLarge) Reason() string { return "answer too large" }

// readAll reads the body of an answer and closes it.
func readAll(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	if a, ok := resp.Body.(*answered); ok {
		return a.all, nil
	}
	if resp.Request != nil && resp.Request.Method == http.MethodHead { // Content-Length without a body
		return nil, nil
	}
	if resp.ContentLength > maxAnswer {
		return nil, tooLarge{}
	}
	if resp.ContentLength >= 0 && resp.ContentLength <= maxPreallocated {
		body := make([]byte, resp.ContentLength)
		n, err := io.ReadFull(resp.Body, body)
		return body[:n], err
	}
	var body bytes.Buffer
	if resp.ContentLength > maxPreallocated {
		body.Grow(maxPreallocated)
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
