package experiment

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var envForm = regexp.MustCompile(`^([a-z0-9.-]+):([A-Za-z_][A-Za-z0-9_]*)=(.*)$`)

// ParseArm reads the form of a flag: NAME=PATH[,PATH...][,SERVICE:VAR=VALUE...].
func ParseArm(text string) (Arm, error) {
	name, rest, found := strings.Cut(text, "=")
	if !found || !nameForm.MatchString(name) || rest == "" {
		return Arm{}, fmt.Errorf("%.100q: must be NAME=DIR[,FILE...][,SERVICE:VAR=VALUE...]", text)
	}
	arm := Arm{Name: name, Env: map[string]map[string]string{}}
	for part := range strings.SplitSeq(rest, ",") {
		m := envForm.FindStringSubmatch(part)
		switch {
		case m != nil && arm.Env[m[1]] == nil:
			arm.Env[m[1]] = map[string]string{m[2]: m[3]}
		case m != nil:
			arm.Env[m[1]][m[2]] = m[3]
		case part == "":
			return Arm{}, fmt.Errorf("%.100q: an empty part: must be a directory, a file or SERVICE:VAR=VALUE", text)
		default:
			arm.Manifests = append(arm.Manifests, part)
		}
	}
	return arm, nil
}

var injectionForm = regexp.MustCompile(`^\s*([^\s:]+)(?:\s+(\S+))?\s*:\s*(.+?)\s*$`)

// ParseFault reads the form of a flag: NAME=SERVICE [REPLICAS]: RULES, or kill,
// stop 5s, roll instead of RULES; several of them with " + " between.
func ParseFault(text string) (Fault, error) {
	const form = "NAME=SERVICE [REPLICAS]: RULES"
	name, rest, found := strings.Cut(text, "=")
	if !found || !nameForm.MatchString(name) {
		return Fault{}, fmt.Errorf("%.100q: must be %s", text, form)
	}
	fault := Fault{Name: name}
	for part := range strings.SplitSeq(rest, " + ") {
		m := injectionForm.FindStringSubmatch(part)
		if m == nil {
			return Fault{}, fmt.Errorf("%.100q: must be %s", text, form)
		}
		in := Injection{Service: m[1]}
		number, notNumber := strconv.Atoi(m[2])
		switch err := in.Replicas.read(cmp.Or(m[2], "one")); {
		case err == nil:
		case notNumber == nil:
			return Fault{}, fmt.Errorf("%.100q: replicas: %d: must be %s", text, number, replicasForm)
		case placeholder.FindString(m[2]) == m[2]:
			in.Replicas.Swept = m[2]
		default:
			in.Replicas.Names = []string{m[2]}
		}
		if word, _, _ := strings.Cut(m[3], " "); word == Kill || word == Stop || word == Roll {
			in.Action = Action(m[3])
		} else {
			in.Rules = m[3]
		}
		fault.Inject = append(fault.Inject, in)
	}
	return fault, nil
}
