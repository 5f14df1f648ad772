// Command fake stands in for a service in the launcher's tests. Its
// environment tells it how to misbehave:
//
//	FAKE_EXIT=3        exits at once with that status
//	FAKE_UNREADY=true  /readyz answers 503
//	FAKE_IGNORE_TERM=true
//	FAKE_DRAIN=2s      ends so long after SIGTERM
//
// GET / answers with its environment, POST /exit, /unready, /ready and /sick
// change how it is.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	if code, err := strconv.Atoi(os.Getenv("FAKE_EXIT")); err == nil {
		fmt.Println("fake: FAKE_EXIT is set")
		os.Exit(code)
	}
	var unready, sick atomic.Bool
	unready.Store(os.Getenv("FAKE_UNREADY") == "true")

	app := http.NewServeMux()
	app.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		env := map[string]string{}
		for _, variable := range os.Environ() {
			name, value, _ := strings.Cut(variable, "=")
			env[name] = value
		}
		_ = json.NewEncoder(w).Encode(env)
	})
	app.HandleFunc("POST /exit", func(http.ResponseWriter, *http.Request) { os.Exit(4) })
	app.HandleFunc("POST /unready", func(http.ResponseWriter, *http.Request) { unready.Store(true) })
	app.HandleFunc("POST /ready", func(http.ResponseWriter, *http.Request) { unready.Store(false) })
	app.HandleFunc("POST /sick", func(http.ResponseWriter, *http.Request) { sick.Store(true) })

	admin := http.NewServeMux()
	admin.HandleFunc("GET /readyz", answer(&unready))
	admin.HandleFunc("GET /healthz", answer(&sick))

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() { fail(http.ListenAndServe(os.Getenv("ADMIN_ADDR"), admin)) }()
	if address := os.Getenv("LISTEN_ADDR"); address != "" {
		go func() { fail(http.ListenAndServe(address, app)) }()
	}
	fmt.Println("fake: started", os.Getenv("HOSTNAME"))
	for range signals {
		if os.Getenv("FAKE_IGNORE_TERM") == "true" {
			continue
		}
		if drain, err := time.ParseDuration(os.Getenv("FAKE_DRAIN")); err == nil {
			time.Sleep(drain)
		}
		fmt.Println("fake: ends")
		return
	}
}

func fail(err error) {
	fmt.Println("fake:", err)
	os.Exit(5)
}

func answer(bad *atomic.Bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if bad.Load() {
			http.Error(w, "bad", http.StatusServiceUnavailable)
		}
	}
}
