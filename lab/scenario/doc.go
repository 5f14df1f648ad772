// Package scenario reads a scenario's promises from the expect.yaml beside its manifests. The file does
// not depend on where the fleet runs, so it serves a fleet on this machine and one on a cluster.
//
//	promises:
//	  - promise: one response in ten is the risky version's
//	    checks:
//	      - requests: {from: ingress, path: /api/vehicles/driver/City%20Truck, count: 1000, concurrency: 10}
//	        expect:
//	          - answers: {status: [200]}
//	            count: all
//	          - answers: {body: placeholder\.png}
//	            count: {share: 0.1, confidence: 0.9999}
//	    control: {without: [rules]}
package scenario
