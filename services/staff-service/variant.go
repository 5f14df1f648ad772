package main

import "fleetman.example/kit/fault"

// variant is a behaviour of the service. Each one corresponds to a published image tag.
type variant string

const (
	standard    variant = "standard"
	placeholder variant = "placeholder" // every photo is placeholderPhoto
	bad         variant = "bad"         // slow, half of the answers are 502, placeholder photos
	failFast    variant = "fail-fast"   // every GET is answered 502 and every POST 500, without delay
)

var knownVariants = []string{string(standard), string(placeholder), string(bad), string(failFast)}

const placeholderPhoto = "placeholder.png"

// presets are the faults of variants. The rules of FAULTS follow them.
var presets = map[variant]string{
	bad:      "delay=0s..5s;status=502,rate=0.5",
	failFast: "status=502,method=GET;status=500,method=POST",
}

func (v variant) faults() []fault.Rule {
	rules, err := fault.Parse(presets[v])
	if err != nil {
		panic(err) // the presets are constants
	}
	return rules
}
