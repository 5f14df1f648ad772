package lint

import (
	"fmt"
	"strings"
)

// Documentation returns docs/lint.md between its markers: each rule with its
// reason and source.
func Documentation() string {
	var text strings.Builder
	text.WriteString("| rule | finds | severity | proof |\n| --- | --- | --- | --- |\n")
	for _, r := range rules {
		proof := "`--prove " + fmt.Sprint(r.Number) + "`"
		if !r.provable() {
			proof = "none"
		}
		fmt.Fprintf(&text, "| [%d %s](#%d-%s) | %s | %s | %s |\n", r.Number, r.Name, r.Number, r.Name, r.Finds, r.Severity, proof)
	}
	for _, r := range rules {
		fmt.Fprintf(&text, "\n### %d %s\n%s\n\n", r.Number, r.Name, r.Reason)
		source := "<" + r.Source + ">"
		if after, ok := strings.CutPrefix(r.Source, "../"); ok {
			source = fmt.Sprintf("[%s](%s)", after, r.Source)
		}
		fmt.Fprintf(&text, "- Source: %s", source)
		if r.Report != "" {
			fmt.Fprintf(&text, "\n- In public: <%s>", r.Report)
		}
		fmt.Fprintf(&text, "\n- Examples: [failing](../lab/lint/testdata/%02d/bad.yaml), [passing](../lab/lint/testdata/%02d/good.yaml)\n", r.Number, r.Number)
		if r.NoProof != "" {
			fmt.Fprintf(&text, "- Not proven: %s.\n", r.NoProof)
		}
	}
	return text.String()
}
