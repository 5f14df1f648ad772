// Package jsonhttp writes JSON responses.
package jsonhttp

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Write writes a response with a status and a body. A body that JSON does not have, such as NaN, is a 500.
func Write(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, fmt.Appendf(nil, `{"error":%q}`, err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}

// Failure is the body of a response that is not a success.
type Failure struct {
	Error string `json:"error"`
}

// Error writes an error as a Failure.
func Error(w http.ResponseWriter, status int, err error) {
	Write(w, status, Failure{err.Error()})
}
