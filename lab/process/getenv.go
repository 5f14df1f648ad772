package process

import (
	"slices"
	"strings"
)

// Getenv returns os.Getenv for an environment in the form of os.Environ. The last value of a name counts.
func Getenv(environ []string) func(name string) string {
	return func(name string) string {
		for _, variable := range slices.Backward(environ) {
			if value, ok := strings.CutPrefix(variable, name+"="); ok {
				return value
			}
		}
		return ""
	}
}
