package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"fleetman.example/kit/apierror"
)

// All bodies share a pool of memory and return their shares to it.
func TestBodiesShareMemory(t *testing.T) {
	under := &pool{size: 12 << 10}
	r := gin.New()
	r.Use(limitBody(1<<20, under))
	reading, goOn := make(chan struct{}), make(chan struct{})
	r.POST("/", func(c *gin.Context) {
		body, err := Body(c)
		if err != nil {
			apierror.Write(c, err)
			return
		}
		if c.Query("hold") != "" {
			reading <- struct{}{}
			<-goOn
		}
		c.String(http.StatusOK, "%d", len(body))
	})
	post := func(target string, size int) (int, string) {
		w := httptest.NewRecorder()
		// A body without Content-Length: only the received bytes count.
		r.ServeHTTP(w, httptest.NewRequest(http.MethodPost, target, io.MultiReader(strings.NewReader(strings.Repeat("x", size)))))
		return w.Code, w.Body.String()
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if status, body := post("/?hold=1", 10_000); status != 200 || body != "10000" {
			t.Errorf("held: got %d %s", status, body)
		}
	}()
	<-reading
	if used := under.used.Load(); used != 12<<10 {
		t.Errorf("%d bytes taken, want %d", used, 12<<10)
	}
	if status, body := post("/", 5000); status != 503 || !strings.Contains(body, `"message":"body: no memory left of 12288 bytes for all bodies: must be sent again later"`) {
		t.Errorf("too many: got %d %s", status, body)
	}
	if status, body := post("/", 2000); status != 200 || body != "2000" {
		t.Errorf("a small one: got %d %s", status, body)
	}
	close(goOn)
	<-ended
	if status, body := post("/", 5000); status != 200 || body != "5000" || under.used.Load() != 0 {
		t.Errorf("afterwards: got %d %s, %d bytes taken", status, body, under.used.Load())
	}
}
