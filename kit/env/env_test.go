package env_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"fleetman.example/kit/env"
	"fleetman.example/kit/env/envtest"
)

// one returns a Reader with the single variable V.
func one(value string) *env.Reader { return env.New(envtest.Map(map[string]string{"V": value})) }

func TestReads(t *testing.T) {
	for name, tc := range map[string]struct {
		value string
		read  func(r *env.Reader) any
		want  any
	}{
		"string":                    {"x y", func(r *env.Reader) any { return r.String("V", "d", "") }, "x y"},
		"string, default":           {"", func(r *env.Reader) any { return r.String("V", "d", "") }, "d"},
		"string, blanks around":     {" x\n", func(r *env.Reader) any { return r.String("V", "d", "") }, "x"},
		"secret":                    {"s3cret", func(r *env.Reader) any { return r.Secret("V", "") }, "s3cret"},
		"secret, unset":             {"", func(r *env.Reader) any { return r.Secret("V", "") }, ""},
		"bool":                      {"false", func(r *env.Reader) any { return r.Bool("V", true, "") }, false},
		"bool as a digit":           {"1", func(r *env.Reader) any { return r.Bool("V", false, "") }, true},
		"bool, default":             {" ", func(r *env.Reader) any { return r.Bool("V", true, "") }, true},
		"int, least":                {"1", func(r *env.Reader) any { return r.Int("V", 5, 1, 9, "") }, 1},
		"int, most":                 {"9", func(r *env.Reader) any { return r.Int("V", 5, 1, 9, "") }, 9},
		"int, default":              {"", func(r *env.Reader) any { return r.Int("V", 5, 1, 9, "") }, 5},
		"int64":                     {"4611686018427387904", func(r *env.Reader) any { return r.Int64("V", 0, 0, 1<<62, "") }, int64(1 << 62)},
		"duration":                  {"1m30s", func(r *env.Reader) any { return r.Duration("V", 0, 0, time.Hour, "") }, 90 * time.Second},
		"duration, default":         {"", func(r *env.Reader) any { return r.Duration("V", time.Minute, 0, time.Hour, "") }, time.Minute},
		"one of":                    {"bad", func(r *env.Reader) any { return r.OneOf("V", "good", []string{"good", "bad"}, "") }, "bad"},
		"one of, default":           {"", func(r *env.Reader) any { return r.OneOf("V", "good", []string{"good", "bad"}, "") }, "good"},
		"url":                       {"https://staff.example:8443/base/", func(r *env.Reader) any { return r.URL("V", "", "").String() }, "https://staff.example:8443/base"},
		"url, host and port":        {"staff:8080", func(r *env.Reader) any { return r.URL("V", "", "").String() }, "http://staff:8080"},
		"url, address and port":     {"127.0.1.4:8080", func(r *env.Reader) any { return r.URL("V", "", "").String() }, "http://127.0.1.4:8080"},
		"url, host alone":           {"staff.fleet.svc.cluster.local", func(r *env.Reader) any { return r.URL("V", "", "").String() }, "http://staff.fleet.svc.cluster.local"},
		"url, IPv6":                 {"[::1]:8080", func(r *env.Reader) any { return r.URL("V", "", "").String() }, "http://[::1]:8080"},
		"url, escaped path":         {"http://h/a%2Fb/", func(r *env.Reader) any { return r.URL("V", "", "").EscapedPath() }, "/a%2Fb"},
		"url, default":              {"", func(r *env.Reader) any { return r.URL("V", "http://d:1", "").String() }, "http://d:1"},
		"url, neither":              {"", func(r *env.Reader) any { return r.URL("V", "", "") == nil }, true},
		"address":                   {"127.0.0.1:9090", func(r *env.Reader) any { return r.Addr("V", ":80", "") }, "127.0.0.1:9090"},
		"address, every interface":  {":0", func(r *env.Reader) any { return r.Addr("V", ":80", "") }, ":0"},
		"address, IPv6":             {"[::1]:9090", func(r *env.Reader) any { return r.Addr("V", ":80", "") }, "[::1]:9090"},
		"address, default":          {"", func(r *env.Reader) any { return r.Addr("V", ":80", "") }, ":80"},
		"address, the highest port": {":65535", func(r *env.Reader) any { return r.Addr("V", ":80", "") }, ":65535"},
	} {
		t.Run(name, func(t *testing.T) {
			r := one(tc.value)
			if got := tc.read(r); got != tc.want {
				t.Errorf("got %#v, want %#v", got, tc.want)
			}
			if err := r.Err(); err != nil {
				t.Errorf("unexpected error: %v", err)
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		values []string
		read   func(r *env.Reader) any
		def    any // value returned for a bad variable; nil: not checked
		want   string
	}{
		"bool":     {[]string{"maybe", "yes", "2"}, func(r *env.Reader) any { return r.Bool("V", true, "") }, true, "must be true or false"},
		"int":      {[]string{"0", "10", "x", "1.5", "0x5", "99999999999999999999"}, func(r *env.Reader) any { return r.Int("V", 5, 1, 9, "") }, 5, "must be a whole number from 1 to 9"},
		"duration": {[]string{"5", "-1s", "2h", "soon"}, func(r *env.Reader) any { return r.Duration("V", time.Minute, 0, time.Hour, "") }, time.Minute, "must be a duration from 0s to 1h, such as 1m"},
		"one of":   {[]string{"worse", "GOOD"}, func(r *env.Reader) any { return r.OneOf("V", "good", []string{"good", "bad"}, "") }, "good", "must be one of good, bad"},
		"url": {
			[]string{"http://", ":8080", "x y", "ftp://h", "http://h?q=1", "http://h#f", "http://user:pw@h", "http://h:port", "http://h:99999", "http://h:0", "http://h/%zz", "http://[::1"},
			func(r *env.Reader) any { r.URL("V", "http://d", ""); return nil }, nil, "must be an address such as http://host:port",
		},
		"address": {[]string{"8080", "h", ":", ":http", ":65536", ":-1", "a:b:c"}, func(r *env.Reader) any { return r.Addr("V", ":80", "") }, nil, "must be host:port or :port"},
	} {
		for _, value := range tc.values {
			t.Run(name+" "+value, func(t *testing.T) {
				r := one(value)
				if got := tc.read(r); tc.def != nil && got != tc.def {
					t.Errorf("got %#v, want the default %#v", got, tc.def)
				}
				want := `configuration: V: "` + value + `": ` + tc.want
				if err := r.Err(); err == nil || err.Error() != want {
					t.Errorf("got  %v\nwant %s", err, want)
				}
			})
		}
	}
}

// read reads a configuration like that of a service.
func read(values map[string]string) *env.Reader {
	r := env.New(envtest.Map(values))
	r.Duration("TIMEOUT", time.Hour, time.Second, 2*time.Hour, "longest wait")
	r.URL("UPSTREAM_URL", "", "address")
	r.OneOf("VARIANT", "standard", []string{"standard", "bad"}, "behaviour")
	r.Int("LIMIT", 10, 1, 99, "largest number")
	if token := r.Secret("TOKEN", "bearer token"); token != "" && len(token) < 8 {
		r.Fail("TOKEN", "must be at least %d characters", 8)
	}
	return r
}

func TestEveryErrorAtOnce(t *testing.T) {
	err := read(map[string]string{"TIMEOUT": "1", "UPSTREAM_URL": "://", "VARIANT": "odd", "LIMIT": "0", "TOKEN": "tiny"}).Err()
	if err == nil {
		t.Fatal("no error")
	}
	want := `configuration: TIMEOUT: "1": must be a duration from 1s to 2h, such as 1h
UPSTREAM_URL: "://": must be an address such as http://host:port
VARIANT: "odd": must be one of standard, bad
LIMIT: "0": must be a whole number from 1 to 99
TOKEN: (set): must be at least 8 characters`
	if err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestTable(t *testing.T) {
	want := "| variable | default | meaning |\n| --- | --- | --- |\n" +
		"| `TIMEOUT` | `1h` | longest wait |\n" +
		"| `UPSTREAM_URL` | unset | address |\n" +
		"| `VARIANT` | `standard` | behaviour (standard, bad) |\n" +
		"| `LIMIT` | `10` | largest number |\n" +
		"| `TOKEN` | unset | bearer token |\n"
	for name, values := range map[string]map[string]string{"unset": nil, "set": {"TIMEOUT": "3s", "LIMIT": "7", "TOKEN": "open sesame"}} {
		if got := read(values).Table(); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

func TestEffectiveConfigurationWithoutSecrets(t *testing.T) {
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("configuration", "env", read(map[string]string{"LIMIT": "7", "TOKEN": "open sesame"}))
	want := `msg=configuration env.TIMEOUT=1h env.UPSTREAM_URL="" env.VARIANT=standard env.LIMIT=7 env.TOKEN=(set)`
	if got := strings.TrimSpace(b.String()); !strings.HasSuffix(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSharedVariablesHaveATableOfTheirOwn(t *testing.T) {
	r := env.New(envtest.Map(nil))
	r.String("OWN", "", "its own")
	r.Shared(func() {
		r.Shared(func() { r.String("INNER", "", "shared") })
		r.String("OUTER", "", "shared")
	})
	r.String("LAST", "", "its own")
	const head = "| variable | default | meaning |\n| --- | --- | --- |\n"
	if got, want := r.Table(), head+"| `OWN` | unset | its own |\n| `LAST` | unset | its own |\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := r.SharedTable(), head+"| `INNER` | unset | shared |\n| `OUTER` | unset | shared |\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
