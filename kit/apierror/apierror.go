// Package apierror is the one error shape of every service, as the original's clients parse it:
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

// Error is an answer that is not a success: its HTTP status, the message that the caller may
// read, and the cause, which only the log shows.
type Error struct {
	Status  int
	Message string
	Cause   error
}

// New returns an Error with a message for the caller; %w keeps a cause for errors.Is.
func New(status int, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Status: status, Message: err.Error(), Cause: errors.Unwrap(err)}
}

// BodyTooLarge returns the error of a body of more than limit bytes.
func BodyTooLarge(limit int64) *Error {
	return New(http.StatusRequestEntityTooLarge, "body: larger: must be at most %d bytes", limit)
}

func (e *Error) Error() string { return e.Message }
func (e *Error) Unwrap() error { return e.Cause }

// HTTPStatus is the answer's status; any error that has this method chooses its own.
func (e *Error) HTTPStatus() int { return e.Status }

// body keeps the order of the original's fields.
type body struct {
	Timestamp string `json:"timestamp"`
	Status    int    `json:"status"`
	Error     string `json:"error"`
	Message   string `json:"message"`
	Path      string `json:"path"`
}

// Write answers c's request with err and leaves err in c.Errors, where the router logs it.
func Write(c *gin.Context, err error) {
	_ = c.Error(err)
	Answer(c.Writer, c.Request, err)
	c.Abort()
}

// Answer writes err as the answer to r. An error that chooses a status (HTTPStatus() int) shows its
// text; any other is a 500 with a generic message. An error that has an origin (Origin() Origin) names
// it in OriginHeader.
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
	b, _ := json.Marshal(body{ // strings and a number always marshal
		Timestamp: time.Now().UTC().Format(fleet.TimeLayout),
		Status:    status,
		Error:     http.StatusText(status),
		Message:   message,
		Path:      path,
	})
	h := w.Header()
	var failed interface{ Origin() Origin }
	if errors.As(err, &failed) && failed.Origin() != (Origin{}) {
		h.Set(OriginHeader, failed.Origin().String())
	}
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

type statusError interface{ HTTPStatus() int }

// Status is the HTTP status that err chooses, 500 when it chooses none.
func Status(err error) int {
	var chooses statusError
	if errors.As(err, &chooses) {
		return chooses.HTTPStatus()
	}
	return http.StatusInternalServerError
}
