package upstream_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"

	"fleetman.example/kit/env"
	"fleetman.example/kit/observe"
	"fleetman.example/kit/upstream"
)

// The first attempt fails; the second one succeeds.
func Example() {
	var attempts atomic.Int32
	staff := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if attempts.Add(1) == 1 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		fmt.Fprint(w, `{"name":"Pam Parry"}`)
	}))
	defer staff.Close()
	base, err := url.Parse(staff.URL)
	if err != nil {
		log.Fatal(err)
	}

	environment := map[string]string{"RESILIENCE": "library", "UPSTREAM_TIMEOUT": "1m", "ATTEMPT_TIMEOUT": "20s"}
	getenv := func(name string) string { return environment[name] }
	reader := env.New(getenv)
	cfg := upstream.ReadConfig(reader)
	if err := reader.Err(); err != nil {
		log.Fatal(err)
	}
	observer, err := observe.Start(context.Background(), "example", getenv, io.Discard)
	if err != nil {
		log.Fatal(err)
	}
	client := upstream.NewSet(cfg, observer, http.NewServeMux()).New("staff-service", base)
	answer, err := client.Do(context.Background(), http.MethodGet, "/driver/"+url.PathEscape("City Truck"), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Status, string(answer.Body), "after", attempts.Load(), "attempts")
	// Output:
	// 200 {"name":"Pam Parry"} after 2 attempts
}
