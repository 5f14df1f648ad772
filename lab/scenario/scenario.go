package scenario

import "time"

// File is one expect.yaml.
type File struct {
	Promises []Promise `json:"promises"`

	// Source is the path it was read from.
	Source string `json:"-"`
}

// Promise is one sentence that the checks prove and that the control breaks.
type Promise struct {
	Promise string `json:"promise"`
	// Given changes the fleet for this promise alone.
	Given Given `json:"given,omitzero"`
	// Checks run one after the other; the promise holds when all of them hold.
	Checks []Check `json:"checks"`
	// Control is the other fleet, on top of Given: on it, no check may hold that
	// is not a guard.
	Control Control `json:"control"`
}

// Pace is how long the promise's requests take at least, in seconds, where a
// rate says so.
func (p *Promise) Pace() (seconds float64) {
	for _, c := range p.Checks {
		if c.Requests.Rate > 0 {
			seconds += float64(c.Requests.Count) / c.Requests.Rate
		}
	}
	return seconds
}

// Given changes the environment of Deployments.
type Given struct {
	// Set is in the form of `fleetman up --set`: DEPLOYMENT:NAME=VALUE.
	Set []Setting `json:"set,omitempty"`
}

// Control says how the fleet is changed, so that the promise cannot hold:
// exactly one field is set.
type Control struct {
	// Without names what is left out: "rules" (all objects of Istio's API
	// groups), "sidecars" (the proxies, and the rules with them), or objects as
	// "ServiceEntry driver-monitoring".
	Without []string `json:"without,omitempty"`
	// With is a file beside the expect.yaml: its objects are added, or take the
	// places of those of the same names.
	With string `json:"with,omitempty"`
	// Set changes the environment of Deployments.
	Set []Setting `json:"set,omitempty"`
	// Scenario is another directory below k8s/scenarios, run instead.
	Scenario string `json:"scenario,omitempty"`
}

// Check is a number of requests and what must be seen of them.
type Check struct {
	Requests Requests `json:"requests"`
	// Actions happen while the requests run.
	Actions []Action `json:"actions,omitempty"`
	Expect  []Expect `json:"expect"`
	// Guard marks a check that holds on the control's fleet too: what a change
	// must leave as it is. A promise has one other check at least.
	Guard bool `json:"guard,omitempty"`
}

// Requests are what is sent.
type Requests struct {
	// From is where they enter: "ingress" (the gateway's published node port),
	// "nodePort:PORT", or "workload:DEPLOYMENT" (as that pod would send them,
	// through its proxy when it has one).
	From Origin `json:"from"`
	// To is the host:port that a workload calls.
	To string `json:"to,omitempty"`
	// Host is the Host header, when it is not the address itself.
	Host    string            `json:"host,omitempty"`
	Method  string            `json:"method,omitempty"` // GET when empty
	Path    string            `json:"path"`             // escaped, with its query
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	// EachHeader is a header that takes Values different values in turn,
	// EachSource a number of source addresses taken in turn.
	EachHeader *EachHeader `json:"eachHeader,omitempty"`
	EachSource int         `json:"eachSource,omitempty"`

	Count int `json:"count"` // in all
	// Concurrency is how many are under way at once; Rate, a second, starts
	// them at even intervals instead, whether or not earlier ones have ended.
	// Neither is one at a time.
	Concurrency int     `json:"concurrency,omitempty"`
	Rate        float64 `json:"rate,omitempty"`
	// Timeout is the client's own; 30 s when zero.
	Timeout Duration `json:"timeout,omitzero"`
	// Seed makes the values of EachHeader reproducible.
	Seed uint64 `json:"seed,omitempty"`
}

// EachHeader is one header of many values.
type EachHeader struct {
	Name   string `json:"name"`
	Values int    `json:"values"`
}

// Action changes a running workload.
type Action struct {
	After    Duration `json:"after"`    // the first request
	Workload string   `json:"workload"` // a Deployment
	// Faults are the rules its pods get, in the grammar of FAULTS; "none"
	// repairs it, the rules of its variant included.
	Faults string `json:"faults"`
}

// Expect is one observation and how often it must have been made: exactly one
// of the first six fields is set.
type Expect struct {
	// Answers counts the answers that look like this.
	Answers *Answer `json:"answers,omitempty"`
	// Received counts the calls that a workload took because of the requests.
	Received *Received `json:"received,omitempty"`
	// Consistent counts the values of EachHeader, or the sources, whose
	// answers all agree.
	Consistent *Consistent `json:"consistent,omitempty"`
	// Distinct counts the different things that the answers said.
	Distinct *Distinct `json:"distinct,omitempty"`
	// Settles: after a few other answers, good ones without exception.
	Settles *Settles `json:"settles,omitempty"`
	// Recovers: good answers without exception, soon after the last action.
	Recovers *Recovers `json:"recovers,omitempty"`

	// Count bounds the first four; the last two have their own.
	Count *Count `json:"count,omitempty"`
}

// Answer is what one answer looks like; all that is set must hold. A header
// that is absent counts as empty.
type Answer struct {
	Status     []Status           `json:"status,omitempty"` // any of them: 200, or 5xx
	Body       *Pattern           `json:"body,omitempty"`
	Header     map[string]Pattern `json:"header,omitempty"`
	FasterThan Duration           `json:"fasterThan,omitzero"`
	SlowerThan Duration           `json:"slowerThan,omitzero"`
	// Reset: the connection was closed without an answer.
	Reset bool `json:"reset,omitempty"`
}

// Received is one workload's calls. They are known by the header
// x-fleetman-check, which the requests carry and every hop passes on.
type Received struct {
	By     []string `json:"by"` // Deployments, their calls added up
	Method string   `json:"method,omitempty"`
	Path   *Pattern `json:"path,omitempty"`
	// Identity is the caller's name in its certificate, as the workload's own
	// proxy saw it; a plaintext call has none.
	Identity *Pattern `json:"identity,omitempty"`
}

// Consistent compares what the answers to one key say.
type Consistent struct {
	// Capture is what is compared: its first group, or the whole match.
	Capture Pattern `json:"capture"`
}

// Distinct counts different captures over all answers.
type Distinct struct {
	Capture Pattern `json:"capture"`
}

// Settles bounds the errors before containment.
type Settles struct {
	Good Answer `json:"good"`
	// AfterAtMost is the number of other answers before the first Run good ones
	// in a row.
	AfterAtMost int `json:"afterAtMost"`
	Run         int `json:"run"`
	// LastsAtLeast and LastsAtMost bound the time from the first of those good
	// answers to the next other one, when they are set.
	LastsAtLeast Duration `json:"lastsAtLeast,omitzero"`
	LastsAtMost  Duration `json:"lastsAtMost,omitzero"`
}

// Recovers bounds the time to recovery.
type Recovers struct {
	Good Answer `json:"good"`
	// Within is the time from the last action to the first of Run good answers
	// in a row.
	Within Duration `json:"within"`
	Run    int      `json:"run"`
}

// Count is how often. Shares become counts by the binomial distribution: see
// Count.Range.
type Count struct {
	All, None bool
	// AtLeast and AtMost are inclusive.
	AtLeast, AtMost *int
	// PerRequest is an exact number for each request sent.
	PerRequest *int
	// Share is the true share; ShareAtLeast and ShareAtMost bound it on one
	// side. Confidence is the probability that a system whose share is true
	// passes.
	Share, ShareAtLeast, ShareAtMost *float64
	Confidence                       float64
}

// Duration is written as 1.5s.
type Duration struct{ time.Duration }

// Origin is where requests enter.
type Origin struct {
	Ingress  bool
	NodePort int
	Workload string
}

// Status is one status, or with Class one class of them: 5 for 5xx.
type Status struct{ Code, Class int }

// Setting is one variable of the Deployments that Target names.
type Setting struct{ Target, Name, Value string }
