package compare

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"k8s.io/apimachinery/pkg/util/sets"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/record"
)

// inputs returns digests of what a run is made from, without its names and texts for people.
func (p plan) inputs() record.Inputs {
	return record.Inputs{Arm: p.digest, Fault: digest(p.fault.Inject), Load: digest(p.e.Load, p.e.Phases)}
}

// armDigest returns the digest of an arm. The path of a manifest is no part of it, its content is.
func armDigest(arm experiment.Arm, manifests *manifest.Objects, mesh bool) string {
	var objects []json.RawMessage
	for _, o := range manifests.All {
		objects = append(objects, o.JSON)
	}
	return digest(objects, mesh, arm.Env, arm.Replicas, arm.Target)
}

func digest(parts ...any) string {
	text, err := json.Marshal(parts)
	if err != nil {
		panic(err) // it was read from YAML or JSON
	}
	return fmt.Sprintf("%.8x", sha256.Sum256(text))
}

// checkInputs returns an error for each part of the experiment that has changed since runs that are kept were measured
// with it. Runs recorded without inputs are taken for unchanged.
func (c *Comparison) checkInputs() error {
	changed := sets.New[string]()
	for _, p := range c.plans {
		measured := c.have.Find(p.key())
		if measured == nil || measured.Inputs == (record.Inputs{}) || includes(c.left, p.key()) {
			continue
		}
		was, now := measured.Inputs, p.inputs()
		for _, part := range []struct{ name, was, now string }{
			{"arm " + p.arm.Name, was.Arm, now.Arm}, {"fault " + p.fault.Name, was.Fault, now.Fault}, {"load, phases", was.Load, now.Load},
		} {
			if part.was != part.now {
				changed.Insert(part.name)
			}
		}
	}
	var problems []error
	for _, part := range sets.List(changed) {
		problems = append(problems, fmt.Errorf("--out %s: %s: changed since it was measured: must be the same to go on; else --out must be another directory", c.o.Out, part))
	}
	return errors.Join(problems...)
}

// renew gives the records the experiment as its file is now, so that they are judged by its goals, if it has all of
// their runs.
func (c *Comparison) renew() error {
	if c.have == nil || c.have.Experiment == textOf(c.o.Experiment) {
		return nil
	}
	if slices.ContainsFunc(c.have.Runs, func(r *record.Run) bool { return !includes(c.plans, r.Key) }) {
		return nil
	}
	c.have.Experiment = textOf(c.o.Experiment)
	return writeAll(filepath.Join(c.o.Out, record.FileName), c.have)
}
