package check

import "fmt"

// Compare returns how many results have the verdict of the other results, a line for each that has not, and
// the names of those without another one.
func Compare(results, others []Result) (same int, differing, alone []string) {
	byName := map[string]Result{}
	for _, r := range others {
		byName[r.Scenario+": "+r.Promise] = r
	}
	for _, r := range results {
		name := r.Scenario + ": " + r.Promise
		other, ok := byName[name]
		switch {
		case !ok:
			alone = append(alone, name)
		case r.verdict() == other.verdict():
			same++
		default:
			differing = append(differing, fmt.Sprintf("DIFFERS %s: %s here, %s there%s", name, r.verdict(), other.verdict(), why(r, other)))
		}
	}
	return same, differing, alone
}

// verdict returns the verdict of a promise and of its control.
func (r Result) verdict() string {
	switch {
	case r.Error != "":
		return "not checked"
	case !r.Holds:
		return "does not hold"
	case r.Control == nil:
		return "holds, without a control"
	case r.Control.Error != "":
		return "holds, its control not checked"
	case !r.Control.Broken:
		return "holds, also with its control"
	}
	return "holds, and its control breaks it"
}

// why returns the first failure of the two, if there is one.
func why(r, other Result) string {
	for _, failures := range [][]string{r.failures(), other.failures()} {
		if len(failures) > 0 {
			return ": " + failures[0]
		}
	}
	return ""
}
