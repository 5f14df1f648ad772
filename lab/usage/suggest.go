package usage

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Suggest returns the known names that are similar to the typed one, as cobra
// compares commands.
func Suggest(typed string, known []string) []string {
	if typed == "" { // the beginning of all names
		return nil
	}
	names := cobra.Command{SuggestionsMinimumDistance: 2}
	for i, name := range known {
		if !slices.Contains(known[:i], name) {
			names.AddCommand(&cobra.Command{Use: name, Run: func(*cobra.Command, []string) {}})
		}
	}
	return names.SuggestionsFor(typed)
}

// DidYouMean returns the end of an error with names that may have been meant, or "".
func DidYouMean(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return ": did you mean " + strings.Join(names, " or ") + "?"
}
