package lint

import (
	"slices"
	"strings"
)

var replaces = &Rule{
	Number: 14, Name: "replaces-not-merges", Severity: Error,
	Finds:   "portLevelSettings or a subset's trafficPolicy that replaces instead of merging",
	Reason:  "A port's settings replace all of the trafficPolicy for that port. A block of a subset's trafficPolicy replaces the whole block of the rule's. What is not written again has the mesh's default: no ejection, no limit.",
	Source:  "https://istio.io/latest/docs/reference/config/networking/destination-rule/#TrafficPolicy-port_level_settings",
	Report:  "https://github.com/istio/istio/issues/58297",
	check:   checkReplaces,
	proof:   proveReplaced,
	NoProof: "what is replaced is no ejection: the same requests are answered",
}

func checkReplaces(p *pass) {
	for _, rule := range p.of("DestinationRule") {
		traffic := rule.at("spec", "trafficPolicy")
		p.checkPorts(traffic)
		for _, subset := range rule.at("spec", "subsets").items() {
			own := subset.at("trafficPolicy")
			p.checkPorts(own)
			for _, block := range blocks {
				p.checkBlock(subset, traffic.at(block), own.at(block), block)
			}
		}
	}
}

// checkPorts reports the blocks that a port's settings do not repeat.
func (p *pass) checkPorts(traffic value) {
	for _, port := range traffic.at("portLevelSettings").items() {
		var lost []string
		for _, block := range blocks {
			if traffic.at(block).has() && !port.at(block).has() {
				lost = append(lost, block)
			}
		}
		if len(lost) > 0 {
			p.report(port, "repeat "+strings.Join(lost, ", ")+" in the port's settings",
				"the settings of port %d replace the whole trafficPolicy: the port has no %s", port.at("port", "number").count(0), strings.Join(lost, ", no "))
		}
	}
}

// checkBlock reports the fields of a block that a subset's block does not repeat.
func (p *pass) checkBlock(subset, whole, own value, block string) {
	if !whole.has() || !own.has() {
		return
	}
	var lost []string
	for _, field := range whole.keys() {
		if !slices.Contains(own.keys(), field) && !isChoice(field, own) {
			lost = append(lost, field)
		}
	}
	if len(lost) > 0 {
		p.report(own, "repeat "+strings.Join(lost, ", ")+" in the subset's "+block,
			"%s of subset %s replaces that of the rule: %s of the rule is not in effect for it", block, subset.at("name").text(), strings.Join(lost, ", "))
	}
}

// balancers are fields of a loadBalancer of which only one can be set.
var balancers = []string{"simple", "consistentHash"}

// isChoice reports whether a block has another field instead of one, on purpose.
func isChoice(field string, own value) bool {
	return slices.Contains(balancers, field) && slices.ContainsFunc(own.keys(), func(other string) bool { return slices.Contains(balancers, other) })
}
