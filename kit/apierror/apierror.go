// Package apierror writes the errors of every service in the one shape that the original's clients
// parse:
//
//	{"timestamp":"2023-11-07T07:49:21.555+0000","status":400,"error":"Bad Request","message":"…","path":"/vehicles/"}
package apierror

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"fleetman.example/kit/fleet"
)

// Error is a response that is not a success.
type Error struct {
	Status  int    // HTTP status
	Message string // sent to the caller
	Cause   error  // logged, never sent; nil: none
}

// New returns an Error with a formatted message. The operand of %w becomes its cause.
func New(status int, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Status: status, Message: err.Error(), Cause: errors.Unwrap(err)}
}

// BodyTooLarge returns the error of a body of more than limit bytes.
func BodyTooLarge(limit int64) *Error {
	return New(http.StatusRequestEntityTooLarge, "body: too large: must be at most %d bytes", limit)
}

func (e *Error) Error() string { return e.Message }
func (e *Error) Unwrap() error { return e.Cause }

// HTTPStatus returns e.Status. Answer and Status use the method of any error that has it.
func (e *Error) HTTPStatus() int { return e.Status }

// body has its fields in the order of the original's, and then Origin, which is only in an answer for which
// a service's own time-out, breaker or bulkhead gave up.
type body struct {
	Timestamp string `json:"timestamp"`
	Status    int    `json:"status"`
	Error     string `json:"error"`
	Message   string `json:"message"`
	Path      string `json:"path"`

	Origin OriginKind `json:"origin,omitempty"`
}

// Write answers c's request with err and leaves err in c.Errors, where the router logs it.
func Write(c *gin.Context, err error) {
	_ = c.Error(err)
	Answer(c.Writer, c.Request, err)
	c.Abort()
}

// Answer writes err as the answer to r. An error with a method HTTPStatus() int is answered with that
// status and its text, any other with 500 and a generic message. The origin of an error with a method
// Origin() Origin goes into OriginHeader, and its kind into the JSON unless that is OriginUpstream.
func Answer(w http.ResponseWriter, r *http.Request, err error) {
	status, message := Status(err), "internal error"
	var chooses statusError
	if errors.As(err, &chooses) {
		message = err.Error()
	}
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if path == "" {
		path = r.URL.EscapedPath()
	}
	answer := body{
		Timestamp: time.Now().UTC().Format(fleet.TimeLayout),
		Status:    status,
		Error:     http.StatusText(status),
		Message:   message,
		Path:      path,
	}
	h := w.Header()
	var failed interface{ Origin() Origin }
	if errors.As(err, &failed) && failed.Origin() != (Origin{}) {
		origin := failed.Origin()
		h.Set(OriginHeader, origin.String())
		if origin.Kind != OriginUpstream {
			answer.Origin = origin.Kind
		}
	}
	b, _ := json.Marshal(answer) // never fails: strings and a number
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

type statusError interface{ HTTPStatus() int }

// Status returns the HTTP status of err: that of its method HTTPStatus() int, 500 without one.
func Status(err error) int {
	var chooses statusError
	if errors.As(err, &chooses) {
		return chooses.HTTPStatus()
	}
	return http.StatusInternalServerError
}
