package main

import (
	"fmt"
	"regexp"
	"strings"
)

// rule is a word that the guide replaces. Only words that are always wrong are here; one that is ordinary
// English elsewhere is limited to directories.
type rule struct {
	not  *regexp.Regexp
	use  string
	dirs []string // where it is checked; everywhere when empty
}

var (
	goOnly  = []string{".go"}
	results = []string{"lab/compare", "lab/record", "lab/report", "lab/load"}
)

// things are the subjects that no text may personify.
const things = `proxy|proxies|pods?|breakers?|[Ee]nvoy|istiod|library|services?|mesh|gateways?|launcher|fleet|programs?|process|server|client|kubelet`

var rules = []rule{
	{regexp.MustCompile(`(?i)\btells? whether\b`), "reports whether", nil},
	{regexp.MustCompile(`^\s*// \w+ (tells|says)\b`), "returns", goOnly},
	{regexp.MustCompile(`^\s*// \w+ (finds out|is true if|is false if)\b`), "returns, reports whether", goOnly},
	{regexp.MustCompile(`(?i)\b(hears?|heard)\b`), "is called when, learns of", nil},
	{regexp.MustCompile(`\b(` + things + `)( itself)? (says?|tells?|knows?|thinks?|wants?|asks?|believes?)\b`), "returns, reports, requests, has", nil},
	{regexp.MustCompile(`(?i)\b(is|are|was|were|be|been) (asked|told)\b`), "requested, reported; name the thing", nil},
	{regexp.MustCompile(`(?i)\b(is|are) expected\b`), "FIELD: GOT: must be …", nil},
	{regexp.MustCompile(`"(asking|building|counting|finding|getting|making|opening|reading|starting|writing)\b[^"]*: %w`), "OPERATION KEY: as in read FILE: …", goOnly},
	{regexp.MustCompile(`(?i)\bin vain\b|\banew\b`), "plain English", nil},
	{regexp.MustCompile(`"[^"]*\bexpected (a|an|at|one|none|no|the|longer|another)\b`), "FIELD: GOT: must be …", goOnly},
	{regexp.MustCompile(`(?i)\bmakes? no sense\b`), "usage error", nil},
	{regexp.MustCompile(`(?i)\bpassages?\b`), "access-log entry", nil},
	{regexp.MustCompile(`(?i)\bluck(y|ily)?\b`), "variance, by chance", nil},
	{regexp.MustCompile(`(?i)\bnot fresh\b`), "degraded", nil},
	{regexp.MustCompile(`(?i)\bwho said it\b|\bfailures made by\b`), "origin", nil},
	{regexp.MustCompile(`(?i)\bofTheWay\b|\bof the way\b|\bhop's own\b`), "hop-by-hop header", nil},
	{regexp.MustCompile(`(?i)\bunsaid\b`), "suppressed", nil},
	{regexp.MustCompile(`(?i)\bin step\b|\blast word\b`), "in sync", nil},
	{regexp.MustCompile(`(?i)\bshut(s|ting)? out\b|\blets? in\b`), "ejected, returned", nil},
	{regexp.MustCompile(`(?i)\bgood end\b|\bgood ones among\b`), "succeeded", nil},
	{regexp.MustCompile(`(?i)\bdrawn, and told\b`), "default: random, printed", nil},
	{regexp.MustCompile(`(?i)\bdoors?\b`), "target, gateway, entry", nil},
	{regexp.MustCompile(`\b[Cc]ells?\b|\bcell[A-Z]`), "run", results},
	{regexp.MustCompile(`\b[Mm]oments?\b`), "offset", results},
	{regexp.MustCompile(`\b[Ss]hots?\b`), "request", results},
	{regexp.MustCompile(`\b[Hh]urts?\b`), "SLO violation", results},
	{regexp.MustCompile(`(?i)\bwhat (it|he|she|they) (was|were) told\b`), "name the thing", nil},
}

// words returns the findings in a line of a file.
func words(file, line string) (found []string) {
	for _, r := range rules {
		if got := r.not.FindString(line); got != "" && r.applies(file) {
			found = append(found, fmt.Sprintf("%q: must be %q", strings.TrimSpace(got), r.use))
		}
	}
	return found
}

// applies reports whether the rule holds for a file, by its directory or its extension.
func (r rule) applies(file string) bool {
	for _, part := range r.dirs {
		if strings.HasPrefix(file, part+"/") || strings.HasPrefix(part, ".") && strings.HasSuffix(file, part) {
			return true
		}
	}
	return len(r.dirs) == 0
}
