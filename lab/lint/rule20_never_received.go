package lint

var neverReceived = &Rule{
	Number: 20, Name: "never-received", Severity: Error,
	Finds:  "a field that Istio accepts and the proxy never receives",
	Reason: "istiod reads the field and translates it to nothing: istioctl validate and analyze find no fault, and the proxies' configuration is the same without it. The list is of the pinned version; a test proves each entry by the configuration dump of the local mesh.",
	Source: "https://github.com/istio/istio/blob/master/pilot/pkg/networking/core/cluster_traffic_policy.go",
	check:  checkNeverReceived,
	dump:   true,
}

// ignoredField is a field of an effective policy that istiod does not translate.
type ignoredField struct {
	name    string
	of      func(*cluster) value
	unless  func(*cluster, value) bool
	why     string
	instead string
	// example is a trafficPolicy with the field, which the test proves to be the
	// same for a proxy as one without.
	example string
	// repaired is a value of the field that a proxy receives; 0: none.
	repaired int
}

var ignoredFields = []ignoredField{
	{
		name:    "outlierDetectionHttpErrorCodes",
		of:      func(c *cluster) value { return c.outliers.at("outlierDetectionHttpErrorCodes") },
		why:     "the pinned istiod does not translate it: only 5xx answers are errors",
		instead: "patch outlier_detection of the cluster by an EnvoyFilter, or answer 5xx",
		example: `outlierDetection: {consecutive5xxErrors: 3, outlierDetectionHttpErrorCodes: [429]}`,
	},
	{
		name:    "maxEjectionPercent",
		of:      func(c *cluster) value { return c.outliers.at("maxEjectionPercent") },
		unless:  isNotZero,
		why:     "0 is not sent: the proxy's default of 10 % is in effect",
		instead: "remove outlierDetection to eject nothing",
		example: `outlierDetection: {consecutive5xxErrors: 3, maxEjectionPercent: 0}`,
	},
	{
		name:    "maxRetries",
		of:      func(c *cluster) value { return c.pool.at("http", "maxRetries") },
		unless:  isNotZero,
		why:     "0 is not sent: the number of retries in flight has no limit",
		instead: "write retries: {attempts: 0} in a VirtualService to switch retries off",
		example: `connectionPool: {http: {http1MaxPendingRequests: 9, maxRetries: 0}}`,
	},
	{
		name:     "http1MaxPendingRequests",
		of:       func(c *cluster) value { return c.pool.at("http", "http1MaxPendingRequests") },
		unless:   isNotZero,
		why:      "0 is not sent: the queue has no limit",
		instead:  "write http1MaxPendingRequests: 1",
		example:  `connectionPool: {http: {maxRetries: 9, http1MaxPendingRequests: 0}}`,
		repaired: 1,
	},
	{
		name:    "maxConcurrentStreams",
		of:      func(c *cluster) value { return c.pool.at("http", "maxConcurrentStreams") },
		unless:  func(c *cluster, _ value) bool { return c.isHTTP2() },
		why:     "it is sent for HTTP/2 only, and proxies speak HTTP/1.1 to this host",
		instead: "write http2MaxRequests, or h2UpgradePolicy: UPGRADE beside it",
		example: `connectionPool: {http: {maxRetries: 9, maxConcurrentStreams: 7}}`,
	},
	{
		name:     "minRetryConcurrency",
		of:       func(c *cluster) value { return c.budget.at("minRetryConcurrency") },
		unless:   isNotZero,
		why:      "0 is not sent: the default, 3 retries in flight, is in effect",
		instead:  "write minRetryConcurrency: 1",
		example:  `retryBudget: {percent: 10, minRetryConcurrency: 0}`,
		repaired: 1,
	},
}

func isNotZero(_ *cluster, v value) bool { return v.count(0) != 0 }

func checkNeverReceived(p *pass) {
	for _, c := range p.clusters {
		for _, field := range ignoredFields {
			v := field.of(c)
			if !v.has() || field.unless != nil && field.unless(c, v) {
				continue
			}
			p.about = subject{which: field.name}
			shown := field.name
			if text := v.shown(); text != "" {
				shown += " " + text
			}
			p.report(v, field.instead, "%s of %s never reaches a proxy: %s", shown, c.name(), field.why)
		}
	}
}
