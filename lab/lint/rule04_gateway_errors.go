package lint

import "fmt"

var gatewayErrors = &Rule{
	Number: 4, Name: "gateway-errors-never-reached", Severity: Error,
	Finds:  "consecutiveGatewayErrors at or above consecutive5xxErrors",
	Reason: "A 502, 503 or 504 counts for both, so the lower of the two numbers ejects the host first. consecutive5xxErrors is 5 by default.",
	Source: "https://istio.io/latest/docs/reference/config/networking/destination-rule/#OutlierDetection",
	check:  checkGatewayErrors,
	proof:  ofCluster(proveGatewayErrors),
}

// default5xx is Envoy's number of consecutive errors that eject a host.
const default5xx = 5

func checkGatewayErrors(p *pass) {
	for _, c := range p.clusters {
		gateway, any5xx := c.outliers.at("consecutiveGatewayErrors"), c.outliers.at("consecutive5xxErrors")
		errors, all := gateway.count(0), any5xx.count(default5xx)
		if errors == 0 || all == 0 || errors < all {
			continue
		}
		origin := "consecutive5xxErrors"
		if !any5xx.has() {
			origin = "consecutive5xxErrors by default"
		}
		p.report(gateway, fmt.Sprintf("write consecutiveGatewayErrors: %d or less, or consecutive5xxErrors: 0", max(all-1, 1)),
			"consecutiveGatewayErrors %d is never reached: after %s, %s ejects the host, and each 502, 503 and 504 is one of them",
			errors, counted(all, "error"), origin)
	}
}
