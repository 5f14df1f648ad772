package upstream_test

import (
	"strings"
	"testing"

	"fleetman.example/kit/env/envtest"
	"fleetman.example/kit/upstream"
)

func TestHostsFileIsCheckedAtTheStart(t *testing.T) {
	for name, tc := range map[string]struct{ hosts, want string }{
		"good":                   {"# pods\n127.0.1.4 staff staff.default # bad\n\n::1 local\n", ""},
		"empty":                  {"", ""},
		"no address":             {"127.0.1.4 staff\nstaff 127.0.1.4\n", `line 2: "staff 127.0.1.4": must be an address and its names`},
		"an address alone":       {"127.0.1.4 # staff\n", `line 1: "127.0.1.4": must be an address and its names`},
		"the first of two":       {"127.0.1.4\nstaff 127.0.1.4\n", `line 1: "127.0.1.4": must be an address and its names`},
		"something else, a long": {strings.Repeat("{", 100), `line 1: "` + strings.Repeat("{", 60) + `": must be an address and its names`},
	} {
		t.Run(name, func(t *testing.T) {
			file := hosts(t, tc.hosts)
			_, err := envtest.Read(map[string]string{"HOSTS_FILE": file}, upstream.ReadConfig)
			want := ""
			if tc.want != "" {
				want = `configuration: HOSTS_FILE: "` + file + `": must be a readable file in the form of hosts(5): ` + tc.want
			}
			if (err == nil) != (want == "") || err != nil && err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
	envtest.Refuses(t, map[string]string{"HOSTS_FILE": t.TempDir()}, upstream.ReadConfig, "is a directory")
}
