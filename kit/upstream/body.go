package upstream

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// maxAnswer bounds an answer, in bytes; the longest the contract knows is a history, well below.
const maxAnswer = 64 << 20

// maxPreallocated bounds the memory reserved by an announced length before the body has arrived, in
// bytes.
const maxPreallocated = 64 << 10

// answered is a body that has been read to its end.
type answered struct {
	bytes.Reader
	all []byte
}

func newAnswered(body []byte) *answered { return &answered{*bytes.NewReader(body), body} }

func (*answered) Close() error { return nil }

// whenRead calls release when the body of resp has been read: at once where a stage within has done
// so, otherwise when the body is closed.
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
	if resp.Request != nil && resp.Request.Method == http.MethodHead { // the length is that of another's body
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
