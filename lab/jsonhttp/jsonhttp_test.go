package jsonhttp

import (
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWrite(t *testing.T) {
	for _, test := range []struct {
		write  func(http.ResponseWriter)
		status int
		body   string
	}{
		{func(w http.ResponseWriter) { Write(w, http.StatusCreated, map[string]int{"a": 1}) }, 201, `{"a":1}`},
		{func(w http.ResponseWriter) { Error(w, http.StatusConflict, errors.New(`"b": must be a`)) }, 409, `{"error":"\"b\": must be a"}`},
		{func(w http.ResponseWriter) { Write(w, http.StatusOK, math.NaN()) }, 500, `{"error":"json: unsupported value: NaN"}`},
	} {
		recorder := httptest.NewRecorder()
		test.write(recorder)
		assert.Equal(t, test.status, recorder.Code, test.body)
		assert.Equal(t, test.body+"\n", recorder.Body.String(), "body")
		assert.Equal(t, "application/json", recorder.Header().Get("Content-Type"), test.body)
	}
}
