package scenario

import "time"

// File is an expect.yaml.
type File struct {
	Promises []Promise `json:"promises"`
	// Source is the file's path.
	Source string `json:"-"`
}

// Promise is a statement about a scenario, with the checks that prove it and a control that breaks it.
type Promise struct {
	// Promise is the statement: one sentence in one line.
	Promise string `json:"promise"`
	// Given changes the fleet for this promise alone.
	Given Given `json:"given,omitzero"`
	// Checks run one after the other. The promise holds when all of them hold.
	Checks []Check `json:"checks"`
	// Control changes the fleet, after Given, so that the promise is broken: no check may hold except
	// guards.
	Control Control `json:"control"`
}

// Pace returns the minimum duration of the promise's requests, in seconds: that of the checks with a rate.
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
	// Set has settings in the form of fleetman up --set: DEPLOYMENT:NAME=VALUE.
	Set []Setting `json:"set,omitempty"`
}

// Control changes the fleet so that the promise cannot hold. Exactly one field is set.
type Control struct {
	// Without lists what to remove: "rules" (all objects of Istio's APIs), "sidecars" (the proxies and
	// the rules) or objects such as "ServiceEntry driver-monitoring".
	Without []string `json:"without,omitempty"`
	// With is the name of a file beside the expect.yaml. Its objects are added, and replace objects with
	// the same names.
	With string `json:"with,omitempty"`
	// Set changes the environment of Deployments.
	Set []Setting `json:"set,omitempty"`
	// Scenario is a directory below k8s/scenarios whose manifests are run instead.
	Scenario string `json:"scenario,omitempty"`
}

// Check sends requests and compares the observations with expectations.
type Check struct {
	Requests Requests `json:"requests"`
	// Actions change the fleet while the requests are sent.
	Actions []Action `json:"actions,omitempty"`
	Expect  []Expect `json:"expect"`
	// Guard marks a check that holds with the control, too. At least one check of a promise must not be a
	// guard.
	Guard bool `json:"guard,omitempty"`
}

// Requests are the requests of a check.
type Requests struct {
	// From is where the requests enter the fleet: "ingress" (the ingress gateway's node port),
	// "nodePort:PORT" or "workload:DEPLOYMENT" (as a pod of the Deployment sends them, through its proxy
	// when it has one).
	From Origin `json:"from"`
	// To is the host:port that a workload calls.
	To string `json:"to,omitempty"`
	// Host is the Host header. Defaults to the address.
	Host    string            `json:"host,omitempty"`
	Method  string            `json:"method,omitempty"` // Defaults to GET.
	Path    string            `json:"path"`             // escaped, with its query
	Headers map[string]string `json:"headers,omitempty"`
	// Bearer is the name of a file beside the expect.yaml with a token. Load sets the header Authorization
	// to it.
	Bearer string `json:"bearer,omitempty"`
	Body   string `json:"body,omitempty"`

	// EachHeader is a header with a different value in each of a number of consecutive requests.
	EachHeader *EachHeader `json:"eachHeader,omitempty"`
	// EachSource is a number of source addresses, which requests use in turn.
	EachSource int `json:"eachSource,omitempty"`
	// EachVisitor is a number of visitors, who send requests in turn. A visitor has one request in flight
	// and sends the cookies of earlier responses.
	EachVisitor int `json:"eachVisitor,omitempty"`

	// Count is the number of requests.
	Count int `json:"count"`
	// Concurrency is the number of requests in flight. Defaults to 1.
	Concurrency int `json:"concurrency,omitempty"`
	// Rate, in requests per second, starts requests at even intervals, whether or not earlier ones have
	// ended. It excludes Concurrency.
	Rate float64 `json:"rate,omitempty"`
	// Timeout is the client's time-out for each request. Defaults to 30s.
	Timeout Duration `json:"timeout,omitzero"`
	// Seed makes the values of EachHeader reproducible.
	Seed uint64 `json:"seed,omitempty"`
}

// EachHeader is a header with a number of different values, which requests use in turn.
type EachHeader struct {
	Name   string `json:"name"`
	Values int    `json:"values"`
}

// Action changes a running workload. Exactly one of Faults and Kill is set.
type Action struct {
	After    Duration `json:"after"`    // since the start of the first request
	Workload string   `json:"workload"` // a Deployment
	// Faults are rules for the workload's pods, in the grammar of FAULTS. "none" removes all rules,
	// including those of its variant.
	Faults string `json:"faults,omitempty"`
	// Kill deletes the workload's pods, with their grace period. Others replace them.
	Kill bool `json:"kill,omitempty"`
}

// Expect is an observation and its bounds. Exactly one of the first seven fields is set.
type Expect struct {
	// Answers counts the responses that match.
	Answers *Answer `json:"answers,omitempty"`
	// Received counts the calls that workloads received because of the requests.
	Received *Received `json:"received,omitempty"`
	// Consistent counts the keys (values of EachHeader, sources or visitors) whose responses have the same
	// capture.
	Consistent *Capture `json:"consistent,omitempty"`
	// Distinct counts the different captures.
	Distinct *Capture `json:"distinct,omitempty"`
	// Settles requires that after a bounded number of other responses all are good.
	Settles *Settles `json:"settles,omitempty"`
	// Recovers requires that within a time after the last action all responses are good.
	Recovers *Recovers `json:"recovers,omitempty"`
	// Returns bounds the share of a replica that was away and is back.
	Returns *Returns `json:"returns,omitempty"`
	// Proxies counts the proxies of workloads that are connected to the control plane of a revision.
	Proxies *Proxies `json:"proxies,omitempty"`
	// Count bounds all but Settles, Recovers and Returns, which have bounds of their own. With Proxies it is all or none.
	Count *Count `json:"count,omitempty"`
}

// Answer matches responses. All fields that are set must match. A missing header matches as an empty one.
type Answer struct {
	Status     []Status           `json:"status,omitempty"` // any of them, such as 200 or 5xx
	Body       *Pattern           `json:"body,omitempty"`
	Header     map[string]Pattern `json:"header,omitempty"`
	FasterThan Duration           `json:"fasterThan,omitzero"`
	SlowerThan Duration           `json:"slowerThan,omitzero"`
	// Reset matches a connection that was closed without a response. It excludes the other fields.
	Reset bool `json:"reset,omitempty"`
}

// Received matches the calls of workloads that have the check's header x-fleetman-check, which every hop
// propagates.
type Received struct {
	By     []string `json:"by"` // Deployments; their calls are added up
	Method string   `json:"method,omitempty"`
	Path   *Pattern `json:"path,omitempty"`
	// Identity matches the SPIFFE ID of the caller's certificate, which the workload's proxy logs. That
	// of a plaintext call is empty.
	Identity *Pattern `json:"identity,omitempty"`
}

// Capture is a pattern of the body. What it captures is its first group, or the whole match.
type Capture struct {
	Capture Pattern `json:"capture"`
}

// Proxies matches the proxies of workloads by their control plane.
type Proxies struct {
	// Of are Deployments, or istio-ingressgateway.
	Of []string `json:"of"`
	// Revision is that of the control plane which has the proxy's connection. It is default for one that was
	// installed without a revision.
	Revision string `json:"revision"`
}

// Settles bounds the number of failures until the fleet contains them.
type Settles struct {
	Good Answer `json:"good"`
	// AfterAtMost is the maximum number of other responses before the first Run good ones in a row.
	AfterAtMost int `json:"afterAtMost"`
	Run         int `json:"run"`
	// LastsAtLeast and LastsAtMost bound the time from the first of those good responses to the next other
	// one. Zero means no bound.
	LastsAtLeast Duration `json:"lastsAtLeast,omitzero"`
	LastsAtMost  Duration `json:"lastsAtMost,omitzero"`
}

// Recovers bounds the time to recovery.
type Recovers struct {
	Good Answer `json:"good"`
	// Within is the maximum time from the last action to the first of Run good responses in a row.
	Within Duration `json:"within"`
	Run    int      `json:"run"`
}

// Returns bounds a replica's share of the responses after it was away.
type Returns struct {
	// Replica matches the responses of the replica.
	Replica Answer `json:"replica"`
	// Away is the minimum time without such a response, after the last action.
	Away Duration `json:"away"`
	// Shares are bounds in windows of time after the first response of the replica that is back.
	Shares []WindowShare `json:"shares"`
}

// WindowShare bounds the replica's share of the responses to the requests that start in a window. The check
// does not hold when the requests end before the window does.
type WindowShare struct {
	From  Duration `json:"from"`
	To    Duration `json:"to"`
	Count Count    `json:"count"` // share, shareAtLeast or shareAtMost
}

// Count bounds the number of observations. Range computes the bounds of a share.
type Count struct {
	All, None bool `json:"-"`
	// AtLeast and AtMost are inclusive.
	AtLeast *int `json:"atLeast"`
	AtMost  *int `json:"atMost"`
	// PerRequest is an exact number for each request.
	PerRequest *int `json:"perRequest"`
	// Share is the true share; ShareAtLeast and ShareAtMost bound it on one side.
	Share        *float64 `json:"share"`
	ShareAtLeast *float64 `json:"shareAtLeast"`
	ShareAtMost  *float64 `json:"shareAtMost"`
	// Confidence is the probability that a system with the true share passes.
	Confidence float64 `json:"confidence"`
}

// Duration is a duration in Go's format, such as 1.5s, of at most an hour.
type Duration struct{ time.Duration }

// Origin is where requests enter the fleet. Exactly one field is set.
type Origin struct {
	Ingress  bool
	NodePort int
	Workload string
}

// Status is a status code or a class of codes, such as 5 for 5xx.
type Status struct{ Code, Class int }

// Setting sets the variable Name of the Deployment Target to Value.
type Setting struct{ Target, Name, Value string }
