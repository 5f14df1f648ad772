package main

import (
	"fmt"
	"testing"
)

func TestOverride(t *testing.T) {
	for _, test := range []struct {
		args     []string
		replicas int
		scaled   bool
		want     string
	}{
		{[]string{"a", "X=1", "Y=a=b", "Z="}, 0, false, "{[{a X 1} {a Y a=b} {a Z }] map[]}"},
		{[]string{"a"}, 0, true, "{[] map[a:0]}"},
		{[]string{"a", "X=1"}, 3, true, "{[{a X 1}] map[a:3]}"},
		{nil, 0, true, "fleetman set: must be DEPLOYMENT with NAME=VALUE or --replicas; see fleetman set --help"},
		{[]string{"a"}, 0, false, "fleetman set: must be DEPLOYMENT with NAME=VALUE or --replicas; see fleetman set --help"},
		{[]string{"a"}, -1, true, "--replicas -1: must be at least 0"},
		{[]string{"a", "=1"}, 0, false, `=1: must be NAME=VALUE, such as VARIANT=bad`},
	} {
		o, err := override(test.args, test.replicas, test.scaled)
		got := fmt.Sprint(o)
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%q: got %s, want %s", test.args, got, test.want)
		}
	}
}
