package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestReadAnswer(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		status     int
		body, err  string
	}{
		{"body", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", 200, "abc", ""},
		{"empty", "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", 500, "", ""},
		{"longer than the buffer", "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n" + strings.Repeat("x", 40), 200, strings.Repeat("x", 40), ""},
		{"other protocol", "HTTP/1.0 200 OK\r\n\r\n", 0, "", "expected HTTP/1.1"},
		{"no number", "HTTP/1.1 abc OK\r\n\r\n", 0, "", "expected a status"},
		{"no length", "HTTP/1.1 200 OK\r\n\r\n", 0, "", "expected a Content-Length"},
		{"too long", "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n", 0, "", "at most 1 MB"},
		{"broken off", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na", 200, "", "EOF"},
		{"nothing", "", 0, "", "EOF"},
	} {
		status, body, err := readAnswer(bufio.NewReaderSize(strings.NewReader(tc.text), 36))
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%s: got %v, want %q", tc.name, err, tc.err)
			}
			continue
		}
		if err != nil || status != tc.status || string(body) != tc.body {
			t.Errorf("%s: got %d %q %v, want %d %q", tc.name, status, body, err, tc.status, tc.body)
		}
	}
}

func TestLoad(t *testing.T) {
	var served atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		if r.URL.Path == "/bad" {
			http.Error(w, "no", http.StatusTeapot)
		}
	}))
	defer server.Close()
	addr := server.Listener.Addr().String()
	same := func(path string) func(int) func([]byte) []byte {
		return func(int) func([]byte) []byte { return func(b []byte) []byte { return get(b, path) } }
	}
	n, err := load(context.Background(), addr, 20*time.Millisecond, same("/good"))
	if err != nil || n < connections || n != served.Load() {
		t.Errorf("got %d, %v, served %d", n, err, served.Load())
	}
	_, err = load(context.Background(), addr, time.Minute, same("/bad"))
	if err == nil || !strings.Contains(err.Error(), "GET /bad HTTP/1.1: answered 418, expected 200") {
		t.Errorf("got %v, want the status and the request", err)
	}
}

// Reports differ from each other and are what net/http and encoding/json read.
func TestReports(t *testing.T) {
	type position struct {
		Name, Timestamp string
		Lat, Lng        json.Number
	}
	seen := make(map[position]bool)
	r := reports{conn: 1}
	for i := range 3 * vehiclesEach {
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(r.append(nil))))
		if err != nil {
			t.Fatal(err)
		}
		var p position
		if err := json.NewDecoder(req.Body).Decode(&p); err != nil {
			t.Fatal(err)
		}
		if seen[p] {
			t.Errorf("report %d: %v came before", i, p)
		}
		seen[p] = true
	}
	want := position{"City Truck 66", "2024-01-01T00:00:02.000+0000", "50.00020005238452266693115234375", "-1.484639234840869903564453125"}
	if !seen[want] {
		t.Errorf("got %v, want %v among them", seen, want)
	}
}

// The plain handlers make the hops and hand the answer on.
func TestPlain(t *testing.T) {
	serve := func(role string, upstreams ...string) (addr string) {
		t.Helper()
		handler, err := plainHandler(role, upstreams)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		return server.Listener.Addr().String()
	}
	var hops []string
	noting := func(role string) string {
		handler, err := plainHandler(role, nil)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			hops = append(hops, role+" "+r.Method+" "+r.RequestURI)
			handler.ServeHTTP(w, r)
		}))
		t.Cleanup(server.Close)
		return server.Listener.Addr().String()
	}
	staff, telemetry := noting("staff"), noting("telemetry")
	for _, role := range []string{"handler", "proxy"} {
		hops = nil
		answer, err := ask(serve(role, staff), driverPath)
		if err != nil || !strings.HasPrefix(answer, `{"name":"Pam Parry"`) || len(hops) != 1 || hops[0] != "staff GET /driver/City%20Truck" {
			t.Errorf("%s: got %q, %v after %q", role, answer, err, hops)
		}
	}
	hops = nil
	resp, err := http.Post("http://"+serve("tracker", telemetry, staff)+"/vehicles/", "application/json", strings.NewReader("{}"))
	want := []string{"telemetry GET /vehicles/City%20Truck", "telemetry POST /vehicles/", "staff POST /driver/City%20Truck/24.613470899561644"}
	if err != nil || resp.StatusCode != 200 || strings.Join(hops, ";") != strings.Join(want, ";") {
		t.Errorf("tracker: got %v, %v after %q, want %q", resp, err, hops, want)
	}
	if _, err := plainHandler("tracker", []string{"one"}); err == nil {
		t.Error("too few addresses: got no error")
	}
	if _, err := plainHandler("nobody", nil); err == nil {
		t.Error("unknown role: got no error")
	}
}

func TestOptions(t *testing.T) {
	for _, tc := range []struct{ args, err string }{
		{"", ""},
		{"-quick -readme README.md", ""},
		{"extra", "expected no arguments"},
		{"-only sizes", "expected gateway, chain, fleet or start"},
		{"-only chain -readme README.md", "expected without -only"},
		{"-slow", "not defined"},
	} {
		var complaints bytes.Buffer
		_, err := readOptions(strings.Fields(tc.args), &complaints)
		if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%q: got %v, want %q", tc.args, err, tc.err)
		}
	}
}
