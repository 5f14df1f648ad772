package local

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fleetman.example/lab/manifest"
)

// Refusal is what a Deployment's program refuses of its environment.
type Refusal struct {
	Deployment, Program string
	Variable            string
	Text                string // VARIABLE: GOT: must be ...
}

// Asked has what programs refused of their environments, by both.
type Asked map[string][]string

// askWithin bounds how long a program may take to refuse its environment.
const askWithin = 10 * time.Second

// Refusals returns what the fleet's own programs refuse of their environments. It builds them, and starts each with an
// admin address that none accepts: a program of the fleet then prints all bad variables, and ends before it listens.
func (a Asked) Refusals(ctx context.Context, objects *manifest.Objects, options Options, ours func(program string) bool) (all []Refusal, err error) {
	o := options.WithDefaults()
	p, err := planHere(objects, o)
	if err != nil {
		return nil, err
	}
	bin := o.Bin
	if bin == "" {
		if bin, err = Build(ctx, o.Root, programsOf(p.pods), o.Progress); err != nil {
			return nil, err
		}
	}
	for _, pod := range p.pods {
		if !ours(pod.program) || pod != firstOf(p.pods, pod.Deployment.Name) {
			continue
		}
		for _, line := range a.ask(ctx, filepath.Join(bin, pod.program), pod.processEnv(o.Environ)) {
			variable, _, _ := strings.Cut(line, ":")
			all = append(all, Refusal{pod.Deployment.Name, pod.program, variable, line})
		}
	}
	return all, ctx.Err()
}

func firstOf(pods []*podPlan, deployment string) *podPlan {
	return pods[slices.IndexFunc(pods, func(p *podPlan) bool { return p.Deployment.Name == deployment })]
}

const adminAddr = "ADMIN_ADDR"

// ask returns the lines with which a program refuses its environment. One that does not refuse the admin address is
// another program by this name: its lines mean nothing.
func (a Asked) ask(ctx context.Context, program string, env []string) (lines []string) {
	key := program + "\n" + strings.Join(env, "\n")
	if lines, asked := a[key]; asked {
		return lines
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(slices.Clone(env), adminAddr+"=none", "HOSTS_FILE="+os.DevNull) // a fleet's is not there yet
	printed, err := cmd.CombinedOutput()
	text, refused := strings.CutPrefix(strings.TrimSpace(string(printed)), "configuration: ")
	if err != nil && refused {
		for line := range strings.SplitSeq(text, "\n") {
			if !strings.HasPrefix(line, adminAddr+":") {
				lines = append(lines, line)
			}
		}
	}
	a[key] = lines
	return lines
}
