package faults

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/wants"
)

func TestCheckRules(t *testing.T) {
	for rules, want := range map[string]string{
		"status=503,rate=0.3;delay=0s..5s":                                            "",
		"reset,method=GET,path=/a,count=3;truncate;truncate=5;hang,rate=0..1,over=3s": "",
		"connect=hang":                "",
		" ;status=503;; reset\n; ":    "",
		";statsu=503;":                "rule 1 (statsu=503): \"statsu\": must be one of delay, status, reset, hang, truncate, slow, capacity, idle, crash, retry-after, queue, rate, over, method, path, header, after, for, every, count",
		" ; ":                         `" ; ": must be rules, such as status=502`,
		"capacity=60,queue=0;crash":   "",
		"statsu=503,rate=1.3;delay=5": "rule 1 (statsu=503,rate=1.3): \"statsu\": must be one of delay, status, reset, hang, truncate, slow, capacity, idle, crash, retry-after, queue, rate, over, method, path, header, after, for, every, count\nrule 1 (statsu=503,rate=1.3): rate: \"1.3\": must be a share from 0 to 1, or a range such as 0..1\nrule 2 (delay=5): delay: \"5\": must be a duration above 0s such as 2s, or a range such as 0s..5s, shortest first, at most 24h",
		"reset=1":                     `rule 1 (reset=1): reset: "1": must be no value`,
	} {
		wants.Error(t, rules, errors.Join(CheckRules(rules)...), want)
	}
}

// TestServicesRules: rules that a test of the services accepts are accepted.
func TestServicesRules(t *testing.T) {
	source, err := os.ReadFile("../../kit/fault/rule_test.go")
	require.NoError(t, err)
	rules := regexp.MustCompile(`(?m)^\t\t"(.+)": +\{Kind: |Parse\("( delay=.+)"\)$`).FindAllSubmatch(source, -1)
	require.Greater(t, len(rules), 30, "rules")
	for _, rule := range rules {
		assert.Empty(t, CheckRules(string(rule[1])+string(rule[2])), "%s", rule[0])
	}
}

// TestFields: the services have the same fields, with the same values.
func TestFields(t *testing.T) {
	source, err := os.ReadFile("../../kit/fault/fields.go")
	require.NoError(t, err)
	text := string(source)
	for _, f := range fields {
		assert.Contains(t, text, fmt.Sprintf("\n\t{%q, %q, ", f.name, f.must), "fields of the services")
	}
	assert.Equal(t, strings.Count(text, "\n\t{\""), len(fields), "fields of the services")
}
