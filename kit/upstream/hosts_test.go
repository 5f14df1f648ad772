package upstream_test

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"fleetman.example/kit/server/servertest"
	"fleetman.example/kit/upstream"
)

// pods listens on one port of several loopback addresses, like the pods of a Service. Each answers with its
// address and closes the connection, so that the next call chooses again.
func pods(t *testing.T, addresses ...string) (port string) {
	t.Helper()
	port, listeners := servertest.ListenAll(t, addresses...)
	for i, l := range listeners {
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			_, _ = io.WriteString(w, addresses[i]+" as "+r.Host)
		})}
		go func() { _ = s.Serve(l) }()
		t.Cleanup(func() { s.Close() })
	}
	return port
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// hosts writes a hosts file.
func hosts(t *testing.T, text string) (path string) {
	t.Helper()
	return servertest.File(t, "hosts", text)
}

// who returns the address that answers a call, and checks the Host header.
func who(t *testing.T, c *upstream.Client, host string) string {
	t.Helper()
	resp, err := c.Do(t.Context(), "GET", "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	address, ok := strings.CutSuffix(string(resp.Body), " as "+host)
	if !ok {
		t.Fatalf("the Host header is not %s: %s", host, resp.Body)
	}
	return address
}

func TestHostsFileForms(t *testing.T) {
	port := pods(t, "127.0.3.1")
	for name, tc := range map[string]struct{ hosts, host string }{
		"plain":             {"127.0.3.1 staff\n", "staff"},
		"no line end":       {"127.0.3.1 staff", "staff"},
		"tabs and blanks":   {"\t127.0.3.1 \t staff  \r\n", "staff"},
		"one of its names":  {"127.0.3.1 other staff.fleet.svc.cluster.local staff\n", "staff"},
		"fully qualified":   {"127.0.3.1 staff staff.fleet.svc.cluster.local\n", "staff.fleet.svc.cluster.local"},
		"comments":          {"# 127.0.0.9 staff\n\n127.0.3.1 staff # here\n", "staff"},
		"case of the file":  {"127.0.3.1 Staff\n", "staff"},
		"case of the call":  {"127.0.3.1 staff\n", "STAFF"},
		"dot in the file":   {"127.0.3.1 staff.\n", "staff"},
		"dot in the call":   {"127.0.3.1 staff\n", "staff."},
		"lines of nonsense": {"staff\n127.0.3.999 staff\n127.0.3.1\n127.0.3.1 staff\n", "staff"},
		"a long line":       {"# " + strings.Repeat("x", 100_000) + "\n127.0.3.1 staff\n", "staff"},
	} {
		t.Run(name, func(t *testing.T) {
			file := hosts(t, "127.0.3.9 other\n") // checked at the start
			host := tc.host + ":" + port
			c := client(t, "http://"+host, map[string]string{"HOSTS_FILE": file})
			write(t, file, tc.hosts)
			if got := who(t, c, host); got != "127.0.3.1" {
				t.Errorf("answered by %s", got)
			}
		})
	}
}

func TestEveryAddressIsUsed(t *testing.T) {
	addresses := []string{"127.0.3.2", "127.0.3.3", "127.0.3.4"}
	port := pods(t, addresses...)
	file := hosts(t, "127.0.3.2 staff\n127.0.3.3 staff\n127.0.3.4 staff\n")
	c := client(t, "http://staff:"+port, map[string]string{"HOSTS_FILE": file})
	count := map[string]int{}
	const calls = 300
	for range calls {
		count[who(t, c, "staff:"+port)]++
	}
	for _, a := range addresses {
		if count[a] < calls/6 { // half of its share; the probability of less is 1 in 10⁹
			t.Errorf("uneven: %v", count)
		}
	}
}

func TestHostsFileIsReadAgain(t *testing.T) {
	port := pods(t, "127.0.3.5", "127.0.3.6")
	file := hosts(t, "127.0.3.5 staff\n")
	c := client(t, "http://staff:"+port, map[string]string{"HOSTS_FILE": file})
	if got := who(t, c, "staff:"+port); got != "127.0.3.5" {
		t.Fatalf("answered by %s", got)
	}
	write(t, file, "# moved\n127.0.3.6 staff\n")
	if got := who(t, c, "staff:"+port); got != "127.0.3.6" {
		t.Errorf("written to: answered by %s", got)
	}
	// Replaced by a file of the same size within one tick of the clock.
	info := servertest.Must(os.Stat(file))
	next := file + ".next"
	write(t, next, "# moved\n127.0.3.5 staff\n")
	if err := errors.Join(os.Chtimes(next, time.Time{}, info.ModTime()), os.Rename(next, file)); err != nil {
		t.Fatal(err)
	}
	if got := who(t, c, "staff:"+port); got != "127.0.3.5" {
		t.Errorf("replaced: answered by %s", got)
	}
}

func TestHostsFileMissing(t *testing.T) {
	file := hosts(t, "")
	c := client(t, "http://127.0.0.1:1", map[string]string{"HOSTS_FILE": file})
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	_, err := c.Do(t.Context(), "GET", "/", nil)
	if err == nil || err.Error() != "HOSTS_FILE not readable reading staff-service GET /" || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("got %v", err)
	}
	var failed *upstream.Error
	if !errors.As(err, &failed) || !strings.HasPrefix(failed.Cause.Error(), "HOSTS_FILE: stat ") {
		t.Errorf("got cause %v", failed.Cause)
	}
}

// Names that are not in the file are looked up in DNS; localhost needs no name server.
func TestOtherNamesGoToDNS(t *testing.T) {
	port := pods(t, "127.0.0.1")
	for _, values := range []map[string]string{{"HOSTS_FILE": hosts(t, "127.0.3.9 staff\n")}, nil} {
		if got := who(t, client(t, "http://localhost:"+port, values), "localhost:"+port); got != "127.0.0.1" {
			t.Errorf("answered by %s", got)
		}
	}
}
