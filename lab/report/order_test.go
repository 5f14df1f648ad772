package report

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/experiment"
)

// TestOrder: whatever the order of the runs, tables have that of the experiment.
func TestOrder(t *testing.T) {
	e, err := experiment.Decode("x.yaml", []byte(`# q?
arms: [{name: none, manifests: x}, {name: library, manifests: x, env: {all: {A: "${n}"}}}]
faults: [{name: slow, inject: [{service: s, rules: reset}]}, {name: bad, inject: [{service: s, rules: reset}]}]
sweep: [{name: n, values: [3, 1]}]
`), nil)
	require.NoError(t, err)
	arms := func(names ...string) (all []Arm) {
		for _, name := range names {
			all = append(all, Arm{Name: name})
		}
		return all
	}
	g := Group{experiment: e, Faults: []Fault{
		{Name: "other"}, {Name: "bad", Arms: arms("library:n=1", "old", "none", "library:n=3")}, {Name: "slow", Arms: arms("none")},
	}}
	g.order()
	var got []string
	for _, f := range g.Faults {
		got = append(got, f.Name)
		for _, a := range f.Arms {
			got = append(got, a.Name)
		}
	}
	assert.Equal(t, []string{"slow", "none", "bad", "none", "library:n=3", "library:n=1", "old", "other"}, got, "order")
}
