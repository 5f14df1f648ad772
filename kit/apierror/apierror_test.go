package apierror_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"

	"github.com/gin-gonic/gin"

	"fleetman.example/kit/apierror"
	"fleetman.example/kit/fleet"
	"fleetman.example/kit/server/servertest"
)

func TestAnswer(t *testing.T) {
	refused := apierror.New(http.StatusConflict, "taken by %q: %w", "a", fs.ErrExist)
	for name, tc := range map[string]struct {
		err    error
		target string
		status int
		body   string // after the timestamp
	}{
		"chosen":        {apierror.New(400, "lat: missing: must be degrees"), "/vehicles/", 400, `"status":400,"error":"Bad Request","message":"lat: missing: must be degrees","path":"/vehicles/"}`},
		"another type":  {&fleet.FieldError{Field: "name", Got: "7", Must: "a name"}, "/vehicles/", 400, `"status":400,"error":"Bad Request","message":"name: 7: must be a name","path":"/vehicles/"}`},
		"wrapped":       {fmt.Errorf("report: %w", refused), "/x", 409, `"status":409,"error":"Conflict","message":"report: taken by \"a\": file already exists","path":"/x"}`},
		"unknown":       {errors.New("dial 10.0.0.1: password wrong"), "/x", 500, `"status":500,"error":"Internal Server Error","message":"internal error","path":"/x"}`},
		"doubled slash": {apierror.New(404, "no such path"), "//vehicles//", 404, `"status":404,"error":"Not Found","message":"no such path","path":"//vehicles//"}`},
		"as escaped":    {apierror.New(404, "no"), "/driver/City%20Truck%2fA", 404, `"status":404,"error":"Not Found","message":"no","path":"/driver/City%20Truck%2fA"}`},
		"query":         {apierror.New(404, "no"), "/x?token=secret", 404, `"status":404,"error":"Not Found","message":"no","path":"/x"}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			apierror.Answer(w, httptest.NewRequest("GET", tc.target, nil), tc.err)
			length := strconv.Itoa(w.Body.Len())
			servertest.Recorded(w).Untimed().Is(t, tc.status, `{"timestamp":"…",`+tc.body, "Content-Type", "application/json", "Content-Length", length, "X-Content-Type-Options", "nosniff")
		})
	}
}

// A request that was not received by a server has no RequestURI.
func TestAnswerWithoutRequestURI(t *testing.T) {
	w := httptest.NewRecorder()
	apierror.Answer(w, &http.Request{URL: &url.URL{Path: "/driver/City Truck", RawQuery: "q"}}, apierror.New(404, "no"))
	servertest.Recorded(w).Untimed().Is(t, 404, servertest.ErrorBody(404, "no", "/driver/City%20Truck"))
}

func TestNewKeepsTheCause(t *testing.T) {
	err := apierror.New(500, "read the roster: %w", fs.ErrNotExist)
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != "read the roster: file does not exist" || err.HTTPStatus() != 500 {
		t.Errorf("got %v", err)
	}
}

func TestStatus(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want int
	}{
		{apierror.New(415, ""), 415},
		{fmt.Errorf("x: %w", apierror.New(404, "")), 404},
		{errors.New("x"), 500},
	} {
		if got := apierror.Status(tc.err); got != tc.want {
			t.Errorf("%v: got %d, want %d", tc.err, got, tc.want)
		}
	}
}

func TestWriteLeavesTheErrorAndAborts(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	unknown := errors.New("unknown")
	var left error
	r.Use(func(c *gin.Context) {
		c.Next()
		left = c.Errors.Last().Err
	})
	r.GET("/x", func(c *gin.Context) { apierror.Write(c, unknown) }, func(*gin.Context) { t.Error("the next handler ran") })
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest("GET", "/x", nil))
	servertest.Recorded(w).Untimed().Is(t, 500, servertest.ErrorBody(500, "internal error", "/x"))
	if !errors.Is(left, unknown) {
		t.Errorf("left %v for the log", left)
	}
}
